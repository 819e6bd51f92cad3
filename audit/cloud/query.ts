// Reading the log: by filter, as it grows, and whole for verification. Plain functions over the tables.
import type { Kysely } from 'kysely';
import type { Clock } from '../../runtime/clock.ts';
import type { Database } from '../../store/database.ts';
import { auditErrors } from '../errors.ts';
import { defaultQueryEntries, exportPage, maxQueryEntries, tailPollMs } from '../limits.ts';
import { eventKinds, type EventKind } from '../spool/event.ts';
import { entryFromRow, logColumns, type StoredEntry } from './entry.ts';
import type { AuditTables } from './migrations.ts';

export interface EventFilter {
  /** Absent or empty for all. */
  readonly deviceId?: string;
  /** Our short kind or the name of an OCSF class; absent or empty for all. */
  readonly kind?: string;
}

export interface EventQuery extends EventFilter {
  /** Received at or after, milliseconds since 1970. */
  readonly sinceMs?: number;
  /** Only entries behind this index; 0 begins with the first entry. */
  readonly afterIndex?: number;
  /** 1 to 1,000; absent or 0 for 100. */
  readonly limit?: number;
}

/** Names of OCSF 1.8 classes by our kinds (audit/spool/event.ts). */
const classNames: Readonly<Record<number, string>> = {
  2004: 'detection finding',
  1008: 'event log activity',
  3004: 'entity management',
  4001: 'network activity',
  5002: 'device config state',
  5019: 'device config state change',
  6002: 'application lifecycle',
  6003: 'api activity',
  7004: 'network remediation activity',
};

function kindsOf(name: string): EventKind[] {
  const wanted = name.toLowerCase().replaceAll('_', ' ');
  const kinds = (Object.keys(eventKinds) as EventKind[]).filter(
    (kind) => kind === wanted || classNames[eventKinds[kind]] === wanted || String(eventKinds[kind]) === wanted,
  );
  if (kinds.length > 0) return kinds;
  throw auditErrors.error('AUDIT_QUERY_INVALID', `kind ${name} is none of ${Object.keys(eventKinds).join(', ')}`);
}

export interface LogReader {
  size(): Promise<number>;
  /** Entries from index `from` on, ascending. */
  read(from: number, limit: number): Promise<readonly StoredEntry[]>;
  query(query: EventQuery): Promise<readonly StoredEntry[]>;
  /** Entries stored from now on, as they come, until the signal aborts. */
  tail(filter: EventFilter, signal: AbortSignal): AsyncIterable<StoredEntry>;
}

export interface LogReaderOptions {
  readonly db: Database;
  readonly trustDomain: string;
  readonly clock: Clock;
  /** Calls back after entries were stored by this process; returns how to stop that. */
  readonly subscribe: (wake: () => void) => () => void;
}

export function createLogReader(options: LogReaderOptions): LogReader {
  const { db, trustDomain } = options;
  const tables = db.withTables<AuditTables>();
  const select: Select = (range) => selectEntries(tables, trustDomain, range);

  async function size(): Promise<number> {
    const row = await tables
      .selectFrom('audit_tree')
      .select('size')
      .where('trust_domain', '=', trustDomain)
      .executeTakeFirst();
    return row?.size ?? 0;
  }

  return {
    size,
    read: (from, limit) => select({ from, limit }),
    async query({ sinceMs = 0, afterIndex = 0, limit = 0, ...filter }) {
      if (!Number.isSafeInteger(afterIndex) || afterIndex < 0) {
        throw auditErrors.error('AUDIT_QUERY_INVALID', `${afterIndex} is no log index`);
      }
      if (limit < 0 || limit > maxQueryEntries) {
        throw auditErrors.error('AUDIT_QUERY_INVALID', `a query returns at most ${maxQueryEntries} entries`);
      }
      const from = afterIndex === 0 ? 0 : afterIndex + 1;
      return select({ ...filter, from, sinceMs, limit: limit === 0 ? defaultQueryEntries : limit });
    },
    tail: (filter, signal) => tailLog(options, { size, select }, filter, signal),
  };
}

interface Range extends EventFilter {
  readonly from: number;
  readonly limit: number;
  readonly sinceMs?: number;
}
type Select = (range: Range) => Promise<StoredEntry[]>;

async function selectEntries(tables: Kysely<AuditTables>, trustDomain: string, range: Range): Promise<StoredEntry[]> {
  const { deviceId = '', kind = '', sinceMs = 0, from, limit } = range;
  const kinds = kind === '' ? [] : kindsOf(kind);
  const rows = await tables
    .selectFrom('audit_log')
    .select(logColumns)
    .where('trust_domain', '=', trustDomain)
    .where('log_index', '>=', from)
    .$if(deviceId !== '', (query) => query.where('device_id', '=', deviceId))
    .$if(kinds.length > 0, (query) => query.where('kind', 'in', kinds))
    .$if(sinceMs > 0, (query) => query.where('received_at', '>=', sinceMs))
    .orderBy('log_index')
    .limit(limit)
    .execute();
  return rows.map(entryFromRow);
}

async function* tailLog(
  { clock, subscribe }: LogReaderOptions,
  { size, select }: { readonly size: () => Promise<number>; readonly select: Select },
  filter: EventFilter,
  signal: AbortSignal,
): AsyncGenerator<StoredEntry> {
  if (filter.kind !== undefined && filter.kind !== '') kindsOf(filter.kind);
  let next = await size();
  while (!signal.aborted) {
    const waiting = new AbortController();
    const unsubscribe = subscribe(() => waiting.abort());
    try {
      const end = await size();
      const entries = end > next ? await select({ ...filter, from: next, limit: exportPage }) : [];
      yield* entries;
      const last = entries.at(-1);
      if (last !== undefined && entries.length === exportPage) {
        next = last.index + 1;
        continue;
      }
      // Everything below `end` was looked at, and what came in between up to `last`.
      next = Math.max(next, end, (last?.index ?? -1) + 1);
      // Stored by another replica: no call back, so look again after a while.
      await clock.sleep(tailPollMs, AbortSignal.any([signal, waiting.signal])).catch(() => undefined);
    } finally {
      unsubscribe();
    }
  }
}

export interface StoredHead {
  readonly deviceId: string;
  readonly epoch: Buffer;
  readonly sequence: number;
  readonly jws: string;
  /** DER of the device's certificate and of its intermediates, one behind the other. */
  readonly certificates: Buffer;
}

export type ExportedItem =
  | { readonly entry: StoredEntry }
  | { readonly head: StoredHead }
  | { readonly checkpoint: string };

/**
 * What a verification needs: signed heads of what is stored, kept checkpoints, and the entries from `from` up to the size
 * of the newest checkpoint. Entries come last, so that a verifier compares them while they stream past.
 */
export async function* exportLog(
  db: Database,
  trustDomain: string,
  reader: LogReader,
  size: number,
  from: number,
): AsyncGenerator<ExportedItem> {
  const tables = db.withTables<AuditTables>();
  for (const head of await headsWithin(tables, trustDomain, size)) yield { head };
  const checkpoints = await tables
    .selectFrom('audit_checkpoints')
    .select('note')
    .where('trust_domain', '=', trustDomain)
    .where('size', '<=', size)
    .orderBy('size')
    .execute();
  for (const { note } of checkpoints) yield { checkpoint: note };
  for (let next = from; next < size;) {
    const entries = await reader.read(next, Math.min(exportPage, size - next));
    if (entries.length === 0) break;
    for (const entry of entries) yield { entry };
    next = (entries.at(-1)?.index ?? next) + 1;
  }
}

/** Heads whose record is among the first `size` entries. */
async function headsWithin(tables: Kysely<AuditTables>, trustDomain: string, size: number): Promise<StoredHead[]> {
  const rows = await tables
    .selectFrom('audit_heads as head')
    .innerJoin('audit_log as entry', (join) =>
      join
        .onRef('entry.trust_domain', '=', 'head.trust_domain')
        .onRef('entry.device_id', '=', 'head.device_id')
        .onRef('entry.epoch', '=', 'head.epoch')
        .onRef('entry.sequence', '=', 'head.sequence'),
    )
    .select(['head.device_id', 'head.epoch', 'head.sequence', 'head.jws', 'head.certificates'])
    .where('head.trust_domain', '=', trustDomain)
    .where('entry.log_index', '<', size)
    .orderBy('head.device_id')
    .orderBy('head.epoch')
    .orderBy('head.sequence')
    .execute();
  return rows.map((row) => ({
    deviceId: row.device_id,
    epoch: Buffer.from(row.epoch, 'hex'),
    sequence: row.sequence,
    jws: row.jws,
    certificates: row.certificates,
  }));
}
