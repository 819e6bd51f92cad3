// Findings: what detection noticed, kept with its evidence. The same rule on the same device adds to its open finding.
// The table is also the outbox: a finding stays pending until whoever responds has taken it.
import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '../../../runtime/clock.ts';
import type { Database } from '../../../store/database.ts';
import { breakGlassRuleId } from '../built-in-rules.ts';
import { controlReporter, type Detection } from '../detector.ts';
import { maxEvidence, maxHandedOn, sameFindingMs } from '../limits.ts';
import type { DetectTables } from './migrations.ts';

export interface Finding {
  readonly id: string;
  readonly ruleId: string;
  readonly title: string;
  readonly level: Detection['level'];
  readonly device: string;
  readonly reporter: string;
  readonly firstEventAt: number;
  readonly foundAt: number;
  readonly state: 'open' | 'closed';
  readonly count: number;
  readonly retro: boolean;
  /** The evidence names the device as its subject. */
  readonly attributed: boolean;
  readonly evidence: readonly number[];
  readonly tags: readonly string[];
  /** Empty while it is open. */
  readonly closedWhy: string;
}

/** A finding that somebody still has to act on; `isNew` is false when it has only grown since it was handed on. */
export interface PendingFinding {
  readonly finding: Finding;
  readonly isNew: boolean;
}

type Row = DetectTables['detect_findings'];
type Trx = Kysely<DetectTables>;

export type Findings = ReturnType<typeof createFindings>;

export function createFindings(ports: { db: Database; trustDomain: string; clock: Clock }) {
  const { db, trustDomain, clock } = ports;
  const tables = db.withTables<DetectTables>();

  /**
   * Stores what was detected up to log index `nextIndex` and moves the cursor there, all or nothing. Repeating it
   * changes nothing: an index at or below the last one that a rule counted on a device was counted.
   */
  async function record(detections: readonly Detection[], nextIndex: number): Promise<void> {
    await db.transaction<DetectTables, void>(async (trx) => {
      await trx
        .insertInto('detect_cursor')
        .values({ trust_domain: trustDomain, next_index: nextIndex })
        // Forward only: another replica may be further. First, because its lock keeps replicas from one finding.
        .onConflict((conflict) =>
          conflict
            .column('trust_domain')
            .doUpdateSet({ next_index: nextIndex })
            .where('detect_cursor.next_index', '<', nextIndex),
        )
        .execute();
      const now = clock.now();
      for (const alike of groupAlike(detections)) await add(trx, alike, now);
    });
  }

  async function add(trx: Trx, alike: Alike, now: number): Promise<void> {
    const last = await lastLikeIt(trx, alike[0]);
    const [first, ...others] = alike.filter((one) => last === undefined || lastIndexOf(one) > last.last_index);
    if (first === undefined) return;
    const sum = sumOf([first, ...others]);
    const open = last?.state === 'open' && last.updated_at > now - sameFindingMs ? last : undefined;
    if (open === undefined) {
      await trx
        .insertInto('detect_findings')
        .values(newRow(trustDomain, idOf(first), sum, now))
        .execute();
    } else {
      await trx
        .updateTable('detect_findings')
        .set(grown(open, sum, now))
        .where('trust_domain', '=', trustDomain)
        .where('id', '=', open.id)
        .execute();
    }
  }

  async function lastLikeIt(trx: Trx, detection: Detection): Promise<Row | undefined> {
    return await trx
      .selectFrom('detect_findings')
      .selectAll()
      .where('trust_domain', '=', trustDomain)
      .where('device_id', '=', detection.device)
      .where('rule_id', '=', detection.ruleId)
      .where('retro', '=', detection.retro ? 1 : 0)
      .where('attributed', '=', detection.attributed ? 1 : 0)
      .orderBy('last_index', 'desc')
      .executeTakeFirst();
  }

  /** What has not been handed on, oldest first. */
  async function pending(): Promise<PendingFinding[]> {
    const rows = await tables
      .selectFrom('detect_findings')
      .selectAll()
      .where('trust_domain', '=', trustDomain)
      .where('pending', 'in', ['new', 'grown'])
      .orderBy('found_at')
      .limit(maxHandedOn)
      .execute();
    return rows.map((row) => ({ finding: fromRow(row), isNew: row.pending === 'new' }));
  }

  /** The finding, as it was handed on, has been taken; when it has grown meanwhile it stays pending as grown. */
  async function handedOn(finding: Finding): Promise<void> {
    await tables
      .updateTable('detect_findings')
      .set((row) => ({ pending: row.case().when('count', '=', finding.count).then('none').else('grown').end() }))
      .where('trust_domain', '=', trustDomain)
      .where('id', '=', finding.id)
      .execute();
  }

  async function list(filter: { state?: string; limit?: number; device?: string } = {}): Promise<Finding[]> {
    let query = tables.selectFrom('detect_findings').selectAll().where('trust_domain', '=', trustDomain);
    if (filter.state !== undefined && filter.state !== '') query = query.where('state', '=', filter.state);
    if (filter.device !== undefined) query = query.where('device_id', '=', filter.device);
    const rows = await query
      .orderBy('found_at', 'desc')
      .limit(filter.limit ?? 100)
      .execute();
    return rows.map(fromRow);
  }

  /**
   * Open findings against a device whose last event is newer than `since` (milliseconds since the epoch). One that only
   * knows the device as its reporter does not count: anybody could keep it from its release.
   */
  async function openSince(device: string, since: number): Promise<number> {
    const row = await tables
      .selectFrom('detect_findings')
      .select((eb) => eb.fn.countAll<number>().as('open'))
      .where('trust_domain', '=', trustDomain)
      .where('device_id', '=', device)
      .where('state', '=', 'open')
      .where('last_event_at', '>', since)
      .where((eb) => eb.or([eb('attributed', '=', 1), eb('reporter', '=', controlReporter)]))
      .executeTakeFirst();
    return row?.open ?? 0;
  }

  async function get(id: string): Promise<Finding | undefined> {
    const row = await tables
      .selectFrom('detect_findings')
      .selectAll()
      .where('trust_domain', '=', trustDomain)
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? undefined : fromRow(row);
  }

  /** Closes this one as it was read; false when it has been closed or has grown meanwhile. */
  async function closeOne({ id, count }: Finding, why: string): Promise<boolean> {
    const { numUpdatedRows } = await tables
      .updateTable('detect_findings')
      .set({ state: 'closed', closed_why: why, updated_at: clock.now() })
      .where('trust_domain', '=', trustDomain)
      .where('id', '=', id)
      .where('state', '=', 'open')
      .where('count', '=', count)
      .executeTakeFirst();
    return Number(numUpdatedRows) === 1;
  }

  /** Closes what is open about a device, for example because it was re-imaged; not what waits for a review. */
  async function close(device: string, why: string): Promise<void> {
    await tables
      .updateTable('detect_findings')
      .set({ state: 'closed', closed_why: why, updated_at: clock.now() })
      .where('trust_domain', '=', trustDomain)
      .where('device_id', '=', device)
      .where('rule_id', '!=', breakGlassRuleId)
      .where('state', '=', 'open')
      .execute();
  }

  /** Next log index to judge. */
  async function cursor(): Promise<number> {
    const row = await tables
      .selectFrom('detect_cursor')
      .selectAll()
      .where('trust_domain', '=', trustDomain)
      .executeTakeFirst();
    return row?.next_index ?? 0;
  }

  return { record, pending, handedOn, list, get, openSince, closeOne, close, cursor };
}

const lastIndexOf = (detection: Detection): number => detection.evidence.at(-1) ?? 0;

/** Detections that belong into one finding, in log order. */
type Alike = readonly [Detection, ...Detection[]];

/** Late and live evidence never share a finding, nor does evidence that names the device with evidence that does not. */
function groupAlike(detections: readonly Detection[]): Alike[] {
  const keyOf = (one: Detection): string => JSON.stringify([one.ruleId, one.device, one.retro, one.attributed]);
  return [...Map.groupBy(detections, keyOf).values()] as unknown as Alike[];
}

/** As one detection; title and level are those of the last, because the rule may have changed in between. */
function sumOf(alike: Alike): Detection {
  return {
    ...(alike.at(-1) ?? alike[0]),
    reporter: alike[0].reporter,
    firstTime: Math.min(...alike.map((one) => one.firstTime)),
    lastTime: Math.max(...alike.map((one) => one.lastTime)),
    count: alike.reduce((count, one) => count + one.count, 0),
    evidence: alike.flatMap((one) => one.evidence),
  };
}

function newRow(trustDomain: string, id: string, detection: Detection, now: number): Row {
  return {
    trust_domain: trustDomain,
    id,
    rule_id: detection.ruleId,
    title: detection.title,
    level: detection.level,
    device_id: detection.device,
    reporter: detection.reporter,
    first_event_at: detection.firstTime,
    last_event_at: detection.lastTime,
    last_index: lastIndexOf(detection),
    found_at: now,
    updated_at: now,
    state: 'open',
    pending: 'new',
    closed_why: '',
    count: detection.count,
    retro: detection.retro ? 1 : 0,
    attributed: detection.attributed ? 1 : 0,
    evidence: JSON.stringify(detection.evidence.slice(0, maxEvidence)),
    tags: JSON.stringify(detection.tags),
  };
}

function grown(open: Row, detection: Detection, now: number): Partial<Row> {
  const evidence = [...(JSON.parse(open.evidence) as number[]), ...detection.evidence];
  return {
    title: detection.title,
    level: detection.level,
    tags: JSON.stringify(detection.tags),
    count: open.count + detection.count,
    evidence: JSON.stringify(evidence.slice(0, maxEvidence)),
    last_event_at: Math.max(open.last_event_at, detection.lastTime),
    last_index: lastIndexOf(detection),
    updated_at: now,
    pending: open.pending === 'new' ? 'new' : 'grown',
  };
}

/** Follows from rule, device and the event that made the rule match: two replicas that judge it give it one name. */
function idOf(detection: Detection): string {
  const seed = JSON.stringify([detection.ruleId, detection.device, lastIndexOf(detection)]);
  return `f-${createHash('sha256').update(seed).digest('hex').slice(0, 16)}`;
}

function fromRow(row: Row): Finding {
  return {
    id: row.id,
    ruleId: row.rule_id,
    title: row.title,
    level: row.level as Finding['level'],
    device: row.device_id,
    reporter: row.reporter,
    firstEventAt: row.first_event_at,
    foundAt: row.found_at,
    state: row.state === 'open' ? 'open' : 'closed',
    count: row.count,
    retro: row.retro !== 0,
    attributed: row.attributed !== 0,
    evidence: JSON.parse(row.evidence) as number[],
    tags: JSON.parse(row.tags) as string[],
    closedWhy: row.closed_why,
  };
}
