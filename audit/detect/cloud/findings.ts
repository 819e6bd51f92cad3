// Findings: what detection noticed, kept with its evidence. The same rule on the same device adds to its open finding.
import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '../../../runtime/clock.ts';
import type { Database } from '../../../store/database.ts';
import type { Detection } from '../detector.ts';
import { maxEvidence, sameFindingMs } from '../limits.ts';
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
}

export type Findings = ReturnType<typeof createFindings>;

export function createFindings(ports: { db: Database; trustDomain: string; clock: Clock }) {
  const { db, trustDomain, clock } = ports;
  const tables = db.withTables<DetectTables>();

  /** Stores a detection; `isNew` is false when it only adds to an open finding. Repeating it changes nothing. */
  async function record(detection: Detection): Promise<{ finding: Finding; isNew: boolean }> {
    return await db.transaction<DetectTables, { finding: Finding; isNew: boolean }>(async (trx) => {
      const now = clock.now();
      const open = await openFinding(trx, detection, now);
      if (open !== undefined) return { finding: await extend(trx, open, detection, now), isNew: false };
      const finding = newFinding(detection, now);
      await trx
        .insertInto('detect_findings')
        .values(toRow(finding, now))
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      return { finding, isNew: true };
    });
  }

  async function openFinding(
    trx: Kysely<DetectTables>,
    detection: Detection,
    now: number,
  ): Promise<Finding | undefined> {
    const row = await trx
      .selectFrom('detect_findings')
      .selectAll()
      .where('trust_domain', '=', trustDomain)
      .where('device_id', '=', detection.device)
      .where('rule_id', '=', detection.ruleId)
      .where('state', '=', 'open')
      .where('updated_at', '>', now - sameFindingMs)
      .orderBy('found_at', 'desc')
      .executeTakeFirst();
    return row === undefined ? undefined : fromRow(row);
  }

  async function extend(trx: Kysely<DetectTables>, open: Finding, detection: Detection, now: number): Promise<Finding> {
    const fresh = detection.evidence.filter((index) => !open.evidence.includes(index));
    if (fresh.length === 0) return open;
    const finding: Finding = {
      ...open,
      count: open.count + detection.count,
      evidence: [...open.evidence, ...fresh].slice(0, maxEvidence),
    };
    await trx
      .updateTable('detect_findings')
      .set({ count: finding.count, evidence: JSON.stringify(finding.evidence), updated_at: now })
      .where('trust_domain', '=', trustDomain)
      .where('id', '=', finding.id)
      .execute();
    return finding;
  }

  function toRow(finding: Finding, now: number): DetectTables['detect_findings'] {
    return {
      trust_domain: trustDomain,
      id: finding.id,
      rule_id: finding.ruleId,
      title: finding.title,
      level: finding.level,
      device_id: finding.device,
      reporter: finding.reporter,
      first_event_at: finding.firstEventAt,
      found_at: finding.foundAt,
      updated_at: now,
      state: finding.state,
      closed_why: '',
      count: finding.count,
      retro: finding.retro ? 1 : 0,
      attributed: finding.attributed ? 1 : 0,
      evidence: JSON.stringify(finding.evidence),
      tags: JSON.stringify(finding.tags),
    };
  }

  async function list(filter: { state?: string; limit?: number } = {}): Promise<Finding[]> {
    let query = tables.selectFrom('detect_findings').selectAll().where('trust_domain', '=', trustDomain);
    if (filter.state !== undefined && filter.state !== '') query = query.where('state', '=', filter.state);
    const rows = await query
      .orderBy('found_at', 'desc')
      .limit(filter.limit ?? 100)
      .execute();
    return rows.map(fromRow);
  }

  /** Open findings about a device whose first event is newer than `since` (milliseconds since the epoch). */
  async function openSince(device: string, since: number): Promise<number> {
    const row = await tables
      .selectFrom('detect_findings')
      .select((eb) => eb.fn.countAll<number>().as('open'))
      .where('trust_domain', '=', trustDomain)
      .where('device_id', '=', device)
      .where('state', '=', 'open')
      .where('first_event_at', '>', since)
      .executeTakeFirst();
    return Number(row?.open ?? 0);
  }

  /** Closes what is open about a device, for example because it was re-imaged. */
  async function close(device: string, why: string): Promise<void> {
    await tables
      .updateTable('detect_findings')
      .set({ state: 'closed', closed_why: why, updated_at: clock.now() })
      .where('trust_domain', '=', trustDomain)
      .where('device_id', '=', device)
      .where('state', '=', 'open')
      .execute();
  }

  async function cursor(): Promise<number> {
    const row = await tables
      .selectFrom('detect_cursor')
      .selectAll()
      .where('trust_domain', '=', trustDomain)
      .executeTakeFirst();
    return Number(row?.next_index ?? 0);
  }

  async function saveCursor(nextIndex: number): Promise<void> {
    const row = { trust_domain: trustDomain, next_index: nextIndex };
    await tables
      .insertInto('detect_cursor')
      .values(row)
      .onConflict((conflict) => conflict.column('trust_domain').doUpdateSet({ next_index: nextIndex }))
      .execute();
  }

  return { record, list, openSince, close, cursor, saveCursor };
}

/** The id follows from rule, device and first evidence, so that judging the same events again opens nothing twice. */
function newFinding(detection: Detection, now: number): Finding {
  const seed = JSON.stringify([detection.ruleId, detection.device, detection.evidence[0] ?? 0]);
  return {
    id: `f-${createHash('sha256').update(seed).digest('hex').slice(0, 16)}`,
    ruleId: detection.ruleId,
    title: detection.title,
    level: detection.level,
    device: detection.device,
    reporter: detection.reporter,
    firstEventAt: detection.firstTime,
    foundAt: now,
    state: 'open',
    count: detection.count,
    retro: detection.retro,
    attributed: detection.attributed,
    evidence: detection.evidence,
    tags: detection.tags,
  };
}

function fromRow(row: DetectTables['detect_findings']): Finding {
  return {
    id: row.id,
    ruleId: row.rule_id,
    title: row.title,
    level: row.level as Finding['level'],
    device: row.device_id,
    reporter: row.reporter,
    firstEventAt: Number(row.first_event_at),
    foundAt: Number(row.found_at),
    state: row.state === 'open' ? 'open' : 'closed',
    count: Number(row.count),
    retro: row.retro !== 0,
    attributed: row.attributed !== 0,
    evidence: JSON.parse(row.evidence) as number[],
    tags: JSON.parse(row.tags) as string[],
  };
}
