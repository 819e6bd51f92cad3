// The control plane's own events: the same log, the same kind of chain, under the reserved device name. All replicas
// share one chain; the place in it is given in the transaction that stores the event.
import type { Clock } from '../../runtime/clock.ts';
import type { Database } from '../../store/database.ts';
import { auditErrors } from '../errors.ts';
import { chainStart } from '../log/chain.ts';
import { eventSchema, type EmitEvent } from '../spool/event.ts';
import { encodeEvent, type Masking } from '../spool/payload.ts';
import { controlDevice } from './append.ts';
import type { AuditTables } from './migrations.ts';
import type { LogWriter } from './writer.ts';

export interface ControlLogOptions {
  readonly db: Database;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly random: (bytes: number) => Uint8Array;
  readonly masking: Masking;
}

/** Makes the tree and the control plane's chain when they are not there yet. Returns the epoch, hex. */
export async function beginLog({ db, trustDomain, clock, random }: ControlLogOptions): Promise<string> {
  return db.transaction<AuditTables, string>(async (trx) => {
    await trx
      .insertInto('audit_tree')
      .values({ trust_domain: trustDomain, size: 0, frontier: Buffer.alloc(0) })
      .onConflict((conflict) => conflict.column('trust_domain').doNothing())
      .execute();
    const known = await trx
      .selectFrom('audit_cursors')
      .select('epoch')
      .where('trust_domain', '=', trustDomain)
      .where('device_id', '=', controlDevice)
      .orderBy('generation', 'desc')
      .executeTakeFirst();
    if (known !== undefined) return known.epoch;
    const epoch = Buffer.from(random(16));
    await trx
      .insertInto('audit_cursors')
      .values({
        trust_domain: trustDomain,
        device_id: controlDevice,
        epoch: epoch.toString('hex'),
        sequence: 0,
        chain: chainStart(epoch),
        generation: 1,
        opened_at: Math.trunc(clock.now()),
        revived: 0,
      })
      .execute();
    return epoch.toString('hex');
  });
}

/** Resolves when the event is committed, durable or not: the control plane has no spool to fall back on. */
export function createControlLog(options: ControlLogOptions, epoch: string, writer: LogWriter): EmitEvent {
  return async (event) => {
    const payload = encodeEvent(event, options.clock.now(), options.masking);
    const parsed = eventSchema.parse(JSON.parse(payload.toString('utf8')));
    const outcome = await writer.submit({ from: 'control', epoch, payload, event: parsed });
    if ('refused' in outcome) {
      throw auditErrors.error('AUDIT_STORE_INCONSISTENT', 'the control plane’s own chain was refused');
    }
  };
}
