// The one transaction that lets the log grow. Under the lock of the tree's row: judge each batch against its device's
// cursor, allot indices, insert, move cursors and frontier. All or nothing, so a record is stored exactly once.
import type { Kysely } from 'kysely';
import type { Database } from '../../store/database.ts';
import { auditErrors } from '../errors.ts';
import { insertRows } from '../limits.ts';
import { chainNext, chainStart, sameBytes } from '../log/chain.ts';
import { leafHash } from '../log/leaf.ts';
import { Frontier } from '../log/merkle.ts';
import type { AuditEvent } from '../spool/event.ts';
import type { FreshEntry } from './entry.ts';
import type { AuditTables } from './migrations.ts';
import { chainBroken, type DeliveredBatch, type DeliveredRecord, type Refusal } from './record.ts';

/** The control plane's own chain has this device name; no device may. */
export const controlDevice = 'control';

/** What somebody wants appended: a device's batch, or an event of the control plane that gets its place here. */
export type Submission =
  | {
      readonly from: 'device';
      readonly deviceId: string;
      /** Hex. */
      readonly epoch: string;
      readonly batch: DeliveredBatch;
      /** Signed heads ahead of the store: chain value by sequence. */
      readonly heads: ReadonlyMap<number, Buffer>;
    }
  | { readonly from: 'control'; readonly epoch: string; readonly payload: Buffer; readonly event: AuditEvent };

export type Outcome =
  | { readonly stored: readonly FreshEntry[]; readonly through: number }
  | { readonly refused: Refusal };

function deviceOf(submission: Submission): string {
  return submission.from === 'control' ? controlDevice : submission.deviceId;
}

interface Cursor {
  readonly deviceId: string;
  readonly epoch: string;
  sequence: number;
  chain: Buffer;
  /** Chain values that this transaction stores, by sequence. */
  readonly placed: Map<number, Buffer>;
}

export async function appendAll(
  trx: Kysely<AuditTables>,
  dialect: Database['dialect'],
  trustDomain: string,
  submissions: readonly Submission[],
  nowMs: number,
): Promise<Outcome[]> {
  const frontier = await lockTree(trx, dialect, trustDomain);
  const cursors = new Cursors(trx, trustDomain, nowMs);
  await cursors.load(submissions);
  const stored: FreshEntry[] = [];
  const outcomes: Outcome[] = [];
  for (const submission of submissions) {
    const cursor = cursors.of(submission);
    const records = await admit(trx, trustDomain, submission, cursor);
    if ('error' in records) {
      outcomes.push({ refused: records });
      continue;
    }
    const entries = records.map((record) => placed(record, cursor, frontier, nowMs));
    advance(cursor, records);
    stored.push(...entries);
    outcomes.push({ stored: entries, through: cursor.sequence });
  }
  if (stored.length > 0) {
    await insert(trx, trustDomain, stored);
    await cursors.save();
    await trx
      .updateTable('audit_tree')
      .set({ size: frontier.size, frontier: frontier.toBytes() })
      .where('trust_domain', '=', trustDomain)
      .execute();
  }
  return outcomes;
}

async function lockTree(
  trx: Kysely<AuditTables>,
  dialect: Database['dialect'],
  trustDomain: string,
): Promise<Frontier> {
  const row = await trx
    .selectFrom('audit_tree')
    .select(['size', 'frontier'])
    .where('trust_domain', '=', trustDomain)
    .$if(dialect === 'postgres', (query) => query.forUpdate())
    .executeTakeFirst();
  if (row === undefined) throw auditErrors.error('AUDIT_STORE_INCONSISTENT', `there is no log of ${trustDomain}`);
  return Frontier.fromBytes(row.size, row.frontier);
}

/** The records of a submission that are new, or why its chain is refused. */
async function admit(
  trx: Kysely<AuditTables>,
  trustDomain: string,
  submission: Submission,
  cursor: Cursor,
): Promise<readonly DeliveredRecord[] | Refusal> {
  if (submission.from === 'control') {
    const sequence = cursor.sequence + 1;
    const { payload, event } = submission;
    return [{ sequence, payload, event, chain: chainNext(cursor.chain, sequence, payload) }];
  }
  const { batch, heads } = submission;
  const first = batch[0] as DeliveredRecord;
  if (first.sequence > cursor.sequence + 1) {
    const message = `record ${first.sequence} does not follow ${cursor.sequence}`;
    return { sequence: first.sequence, error: auditErrors.error('AUDIT_SEQUENCE_GAP', message) };
  }
  const known = batch.filter((record) => record.sequence <= cursor.sequence);
  const fork = await findFork(trx, trustDomain, cursor, known);
  if (fork !== undefined) return fork;
  const fresh = batch.slice(known.length);
  const next = fresh[0];
  // Within the batch the chain was verified when it was parsed.
  if (next !== undefined && !sameBytes(chainNext(cursor.chain, next.sequence, next.payload), next.chain)) {
    return { sequence: next.sequence, error: chainBroken(next.sequence) };
  }
  for (const record of fresh) {
    const signed = heads.get(record.sequence);
    if (signed !== undefined && !sameBytes(signed, record.chain)) {
      const message = `record ${record.sequence} is not the one that the device signed as its head before`;
      return { sequence: record.sequence, error: auditErrors.error('AUDIT_FORK', message) };
    }
  }
  return fresh;
}

/** Records that came again must be the stored ones; equal chain values make everything before them equal too. */
async function findFork(
  trx: Kysely<AuditTables>,
  trustDomain: string,
  cursor: Cursor,
  known: DeliveredBatch,
): Promise<Refusal | undefined> {
  const last = known.at(-1);
  if (last === undefined || (last.sequence === cursor.sequence && sameBytes(last.chain, cursor.chain)))
    return undefined;
  const rows = await trx
    .selectFrom('audit_log')
    .select(['sequence', 'chain'])
    .where('trust_domain', '=', trustDomain)
    .where('device_id', '=', cursor.deviceId)
    .where('epoch', '=', cursor.epoch)
    .where('sequence', '>=', known[0]?.sequence ?? 0)
    .where('sequence', '<=', last.sequence)
    .execute();
  const stored = new Map(rows.map((row) => [row.sequence, row.chain]));
  const different = known.find((record) => {
    const chain = cursor.placed.get(record.sequence) ?? stored.get(record.sequence);
    return chain !== undefined && !sameBytes(chain, record.chain);
  });
  if (different === undefined) return undefined;
  const message = `record ${different.sequence} is stored with another content`;
  return { sequence: different.sequence, error: auditErrors.error('AUDIT_FORK', message) };
}

function placed(record: DeliveredRecord, cursor: Cursor, frontier: Frontier, receivedAtMs: number): FreshEntry {
  const { sequence, payload, chain, event } = record;
  const epoch = Buffer.from(cursor.epoch, 'hex');
  const hash = leafHash({ deviceId: cursor.deviceId, epoch, sequence, receivedAtMs, chain, payload });
  const index = frontier.size;
  frontier.append(hash);
  return { index, deviceId: cursor.deviceId, epoch, sequence, payload, chain, receivedAtMs, leafHash: hash, event };
}

function advance(cursor: Cursor, records: readonly DeliveredRecord[]): void {
  const last = records.at(-1);
  if (last === undefined) return;
  cursor.sequence = last.sequence;
  cursor.chain = last.chain;
  for (const record of records) cursor.placed.set(record.sequence, record.chain);
}

async function insert(trx: Kysely<AuditTables>, trustDomain: string, entries: readonly FreshEntry[]): Promise<void> {
  for (let at = 0; at < entries.length; at += insertRows) {
    const rows = entries.slice(at, at + insertRows).map((entry) => ({
      trust_domain: trustDomain,
      log_index: entry.index,
      device_id: entry.deviceId,
      epoch: entry.epoch.toString('hex'),
      sequence: entry.sequence,
      kind: entry.event.kind,
      received_at: entry.receivedAtMs,
      payload: entry.payload,
      chain: entry.chain,
      leaf_hash: entry.leafHash,
    }));
    await trx.insertInto('audit_log').values(rows).execute();
  }
}

/** Cursors of the devices in one transaction. Batches of one device in the same transaction see each other. */
class Cursors {
  readonly #trx: Kysely<AuditTables>;
  readonly #trustDomain: string;
  readonly #nowMs: number;
  readonly #cursors = new Map<string, Cursor>();

  constructor(trx: Kysely<AuditTables>, trustDomain: string, nowMs: number) {
    this.#trx = trx;
    this.#trustDomain = trustDomain;
    this.#nowMs = nowMs;
  }

  async load(submissions: readonly Submission[]): Promise<void> {
    const devices = [...new Set(submissions.map(deviceOf))];
    const epochs = [...new Set(submissions.map((submission) => submission.epoch))];
    const rows = await this.#trx
      .selectFrom('audit_cursors')
      .select(['device_id', 'epoch', 'sequence', 'chain'])
      .where('trust_domain', '=', this.#trustDomain)
      .where('device_id', 'in', devices)
      .where('epoch', 'in', epochs)
      .execute();
    for (const { device_id: deviceId, epoch, sequence, chain } of rows) {
      this.#cursors.set(`${deviceId}/${epoch}`, { deviceId, epoch, sequence, chain, placed: new Map() });
    }
  }

  of(submission: Submission): Cursor {
    const deviceId = deviceOf(submission);
    const { epoch } = submission;
    const key = `${deviceId}/${epoch}`;
    const known = this.#cursors.get(key);
    if (known !== undefined) return known;
    const fresh = {
      deviceId,
      epoch,
      sequence: 0,
      chain: chainStart(Buffer.from(epoch, 'hex')),
      placed: new Map<number, Buffer>(),
    };
    this.#cursors.set(key, fresh);
    return fresh;
  }

  async save(): Promise<void> {
    const moved = [...this.#cursors.values()].filter((cursor) => cursor.placed.size > 0);
    for (const { deviceId, epoch, sequence, chain } of moved) {
      await this.#trx
        .insertInto('audit_cursors')
        .values({
          trust_domain: this.#trustDomain,
          device_id: deviceId,
          epoch,
          sequence,
          chain,
          generation: 1,
          opened_at: this.#nowMs,
          revived: 0,
        })
        .onConflict((conflict) =>
          conflict.columns(['trust_domain', 'device_id', 'epoch']).doUpdateSet({ sequence, chain }),
        )
        .execute();
    }
  }
}
