// Signed chain heads: verified on arrival, compared with what is stored, kept for whoever verifies the log later.
import type { Kysely } from 'kysely';
import type { KeyObject } from 'node:crypto';
import { verifyJws } from '../../identity/index.ts';
import type { Database } from '../../store/database.ts';
import { auditErrors } from '../errors.ts';
import { keptHeadSpacing, maxHeadBytes, maxPendingHeads } from '../limits.ts';
import { sameBytes } from '../log/chain.ts';
import { decodeHead, headType } from '../log/head.ts';
import type { AuditTables } from './migrations.ts';
import type { Refusal } from './record.ts';

export interface HeadSource {
  readonly trustDomain: string;
  readonly deviceId: string;
  /** Hex. */
  readonly epoch: string;
  readonly publicKey: KeyObject;
  /** DER: leaf, then intermediates. */
  readonly certificates: readonly Buffer[];
}

export interface VerifiedHead {
  readonly sequence: number;
  readonly chain: Buffer;
  readonly jws: string;
}

/** Throws AUDIT_HEAD_INVALID. */
export async function verifyHead(source: HeadSource, sequence: number, jws: string): Promise<VerifiedHead> {
  const invalid = (reason: string, cause?: unknown): Error =>
    auditErrors.error(
      'AUDIT_HEAD_INVALID',
      `the chain head is refused: ${reason}`,
      cause === undefined ? {} : { cause },
    );
  if (jws.length > maxHeadBytes) throw invalid('it is too large');
  const { payload } = await verifyJws(jws, { typ: headType, keys: [source.publicKey] }).catch((cause: unknown) => {
    throw invalid('its signature does not hold', cause);
  });
  const head = decodeHead(payload);
  if (head === undefined) throw invalid('it says no epoch, sequence, chain and time');
  if (head.epoch !== source.epoch || head.sequence !== sequence) throw invalid('it is of another chain or sequence');
  return { sequence, chain: Buffer.from(head.chain, 'hex'), jws };
}

/** Keeps the head, or says that the stored chain is another one. */
export async function storeHead(
  db: Database,
  source: HeadSource,
  head: VerifiedHead,
  nowMs: number,
): Promise<Refusal | undefined> {
  return db.transaction<AuditTables, Refusal | undefined>(async (trx) => {
    const stored = await trx
      .selectFrom('audit_log')
      .select('chain')
      .where('trust_domain', '=', source.trustDomain)
      .where('device_id', '=', source.deviceId)
      .where('epoch', '=', source.epoch)
      .where('sequence', '=', head.sequence)
      .executeTakeFirst();
    if (stored !== undefined && !sameBytes(stored.chain, head.chain)) {
      const message = `the head signed at ${head.sequence} is not of the chain that is stored`;
      return { sequence: head.sequence, error: auditErrors.error('AUDIT_FORK', message) };
    }
    if (!(await makeRoom(trx, source, head.sequence))) return undefined;
    await trx
      .insertInto('audit_heads')
      .values({
        trust_domain: source.trustDomain,
        device_id: source.deviceId,
        epoch: source.epoch,
        sequence: head.sequence,
        chain: head.chain,
        jws: head.jws,
        certificates: Buffer.concat(source.certificates),
        received_at: Math.trunc(nowMs),
      })
      .onConflict((conflict) => conflict.columns(['trust_domain', 'device_id', 'epoch', 'sequence']).doNothing())
      .execute();
    return undefined;
  });
}

/**
 * Keeps the number of heads in bounds. One whose records are stored gives way to the next when it is close behind the one
 * before, so they stay about `keptHeadSpacing` apart. One ahead of the store never gives way: it is what a rewritten
 * backlog will be caught with. False when there are too many of those already.
 */
async function makeRoom(trx: Kysely<AuditTables>, source: HeadSource, sequence: number): Promise<boolean> {
  const ofChain = trx
    .selectFrom('audit_heads')
    .select('sequence')
    .where('trust_domain', '=', source.trustDomain)
    .where('device_id', '=', source.deviceId)
    .where('epoch', '=', source.epoch);
  const cursor = await trx
    .selectFrom('audit_cursors')
    .select('sequence')
    .where('trust_domain', '=', source.trustDomain)
    .where('device_id', '=', source.deviceId)
    .where('epoch', '=', source.epoch)
    .executeTakeFirst();
  const through = cursor?.sequence ?? 0;
  const ahead = await ofChain.where('sequence', '>', through).execute();
  if (sequence > through && ahead.length >= maxPendingHeads) return false;
  const [latest, before] = await ofChain
    .where('sequence', '<=', Math.min(through, sequence - 1))
    .orderBy('sequence', 'desc')
    .limit(2)
    .execute();
  if (latest === undefined || latest.sequence - (before?.sequence ?? 0) >= keptHeadSpacing) return true;
  await trx
    .deleteFrom('audit_heads')
    .where('trust_domain', '=', source.trustDomain)
    .where('device_id', '=', source.deviceId)
    .where('epoch', '=', source.epoch)
    .where('sequence', '=', latest.sequence)
    .execute();
  return true;
}

/** Heads that the device signed ahead of what is stored. */
export async function pendingHeads(db: Database, source: HeadSource, after: number): Promise<Map<number, Buffer>> {
  const rows = await db
    .withTables<AuditTables>()
    .selectFrom('audit_heads')
    .select(['sequence', 'chain'])
    .where('trust_domain', '=', source.trustDomain)
    .where('device_id', '=', source.deviceId)
    .where('epoch', '=', source.epoch)
    .where('sequence', '>', after)
    .execute();
  return new Map(rows.map((row) => [row.sequence, row.chain]));
}
