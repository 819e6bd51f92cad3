// Which chains a device has. A device that comes with another epoch was re-imaged, renewed its chain, or was cloned;
// one that comes back with an older epoch runs twice.
import type { Database } from '../../store/database.ts';
import { chainStart } from '../log/chain.ts';
import type { EmitEvent } from '../spool/event.ts';
import type { AuditTables } from './migrations.ts';

export interface OpenedChain {
  /** Everything up to here is stored. */
  readonly acknowledgedThrough: number;
}

type Arrival = 'first' | 'new' | 'known' | 'revived';

/** Opens the chain `epoch` of a device and records what its coming means. */
export async function openChain(
  db: Database,
  trustDomain: string,
  deviceId: string,
  epoch: string,
  nowMs: number,
  emit: EmitEvent,
): Promise<OpenedChain> {
  const { arrival, sequence, youngest } = await db.transaction<
    AuditTables,
    { arrival: Arrival; sequence: number; youngest: string }
  >(async (trx) => {
    const chains = await trx
      .selectFrom('audit_cursors')
      .select(['epoch', 'sequence', 'generation', 'revived'])
      .where('trust_domain', '=', trustDomain)
      .where('device_id', '=', deviceId)
      .orderBy('generation', 'desc')
      .execute();
    const [newest] = chains;
    const known = chains.find((chain) => chain.epoch === epoch);
    if (known === undefined) {
      await trx
        .insertInto('audit_cursors')
        .values({
          trust_domain: trustDomain,
          device_id: deviceId,
          epoch,
          sequence: 0,
          chain: chainStart(Buffer.from(epoch, 'hex')),
          generation: (newest?.generation ?? 0) + 1,
          opened_at: nowMs,
          revived: 0,
        })
        .execute();
      return { arrival: newest === undefined ? 'first' : 'new', sequence: 0, youngest: newest?.epoch ?? '' };
    }
    const revived = newest !== undefined && newest.generation > known.generation && known.revived === 0;
    if (revived) {
      await trx
        .updateTable('audit_cursors')
        .set({ revived: 1 })
        .where('trust_domain', '=', trustDomain)
        .where('device_id', '=', deviceId)
        .where('epoch', '=', epoch)
        .execute();
    }
    return { arrival: revived ? 'revived' : 'known', sequence: known.sequence, youngest: newest?.epoch ?? '' };
  });
  await report(arrival, { device: deviceId, epoch, youngest }, emit);
  return { acknowledgedThrough: sequence };
}

async function report(
  arrival: Arrival,
  { device, epoch, youngest }: { device: string; epoch: string; youngest: string },
  emit: EmitEvent,
): Promise<void> {
  switch (arrival) {
    case 'known':
      return;
    case 'first':
      await emit({ kind: 'log', activity: 'epoch', data: { device, epoch, reason: 'first' } }, true);
      return;
    case 'new': {
      const data = { device, epoch, from: youngest, reason: 're-imaged, renewed or cloned' };
      await emit({ kind: 'log', activity: 'epoch', severity: 'high', data }, true);
      return;
    }
    case 'revived': {
      const data = { device, epoch, from: youngest, reason: 'two chains are live' };
      await emit({ kind: 'log', activity: 'clone', severity: 'critical', data }, true);
    }
  }
}
