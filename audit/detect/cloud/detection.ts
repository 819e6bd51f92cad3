// The loop that judges the log: reads what is stored in index order, observes, and records what it noticed together
// with its place in the log. Then it hands on what is pending. A finding that could not be handed on stays pending and
// is tried again, so whoever takes findings gets each at least once; it neither stops the others nor the judging.
import type { Clock } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/log.ts';
import type { Task } from '../../../runtime/tasks.ts';
import { eventSchema } from '../../spool/event.ts';
import { controlReporter, type Detection as Detected, type Detector, type ObservedEvent } from '../detector.ts';
import { judgedBatch, maxWarmUpRecords } from '../limits.ts';
import type { Finding, Findings } from './findings.ts';

/** One stored record, as the log gives it. */
export interface StoredRecord {
  readonly index: number;
  readonly deviceId: string;
  readonly payload: Uint8Array;
  readonly receivedAt: number;
}

export interface DetectionPorts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly findings: Pick<Findings, 'cursor' | 'record' | 'pending' | 'handedOn'>;
  /** Rules of the current release; replaced as a whole when a policy is published. */
  readonly detector: () => Detector;
  /** Up to `limit` records from log index `from` on, in order. */
  readonly read: (from: number, limit: number) => Promise<readonly StoredRecord[]>;
  /** Whether a device's word about another device counts; never asked about what it says of itself. */
  readonly mayAccuse: (reporter: string, subject: string) => Promise<boolean>;
  /** A new or grown finding; resolves when the response has been decided. Called again for what it did not resolve. */
  readonly onFinding: (finding: Finding, isNew: boolean) => Promise<void>;
}

/** Poll of last resort; `wake` is what normally starts a round. */
const idleMs = 1_000;
const retryMs = 500;

export interface Detection {
  readonly task: Task;
  /** Tells the loop that records were stored. */
  wake(): void;
  /** Next log index to be judged. */
  position(): number;
}

/** Records that were observed, so their windows are filled, and that are not stored yet. */
interface Judged {
  readonly detected: readonly Detected[];
  readonly nextIndex: number;
  readonly records: number;
}

export function createDetection(ports: DetectionPorts): Detection {
  let next = 0;
  let woken = new AbortController();
  let detector: Detector | undefined;
  let judged: Judged | undefined;

  const task: Task = async (signal) => {
    let started = false;
    while (!signal.aborted) {
      woken = new AbortController();
      try {
        if (!started) next = await ports.findings.cursor();
        started = true;
        const records = await judge();
        const all = await handOn();
        if (records < judgedBatch) await rest(all ? idleMs : retryMs, signal);
      } catch (error) {
        ports.log.error({ err: error }, 'detection failed and will try again');
        await rest(retryMs, signal);
      }
    }
  };

  /** Judges one batch. A batch that could not be stored is stored later, not observed twice. Returns its size. */
  async function judge(): Promise<number> {
    judged ??= await observeBatch();
    const { detected, nextIndex, records } = judged;
    if (records > 0) await ports.findings.record(detected, nextIndex);
    next = nextIndex;
    judged = undefined;
    return records;
  }

  async function observeBatch(): Promise<Judged> {
    const current = ports.detector();
    if (current !== detector) await warmUp(current);
    detector = current;
    const records = await ports.read(next, judgedBatch);
    const events = await heard(records);
    return {
      detected: events.flatMap((event) => observe(current, event)),
      nextIndex: (records.at(-1)?.index ?? next - 1) + 1,
      records: records.length,
    };
  }

  /** Fills the windows with what was judged before, so that neither a restart nor a new release forgets half an attack. */
  async function warmUp(fresh: Detector): Promise<void> {
    if (fresh.longestWindowMs === 0) return;
    const since = ports.clock.now() - fresh.longestWindowMs;
    const before: (readonly StoredRecord[])[] = [];
    for (let from = next; from > 0 && before.length * judgedBatch < maxWarmUpRecords;) {
      if ((before[0]?.[0]?.receivedAt ?? Infinity) < since) break;
      const end = from;
      from = Math.max(0, end - judgedBatch);
      before.unshift((await ports.read(from, end - from)).filter((record) => record.index < end));
    }
    for (const event of await heard(before.flat())) observe(fresh, event);
  }

  /** The events of records, with the accusations marked that do not count. */
  async function heard(records: readonly StoredRecord[]): Promise<ObservedEvent[]> {
    const answers = new Map<string, Promise<boolean>>();
    const mayAccuse = (reporter: string, subject: string): Promise<boolean> => {
      const key = JSON.stringify([reporter, subject]);
      const answer = answers.get(key) ?? ports.mayAccuse(reporter, subject);
      answers.set(key, answer);
      return answer;
    };
    const events: ObservedEvent[] = [];
    for (const record of records) {
      const event = toEvent(record);
      if (event === undefined) continue;
      const accused = accusedIn(event);
      events.push(
        accused === undefined || (await mayAccuse(event.reporter, accused)) ? event : { ...event, disputed: true },
      );
    }
    return events;
  }

  function observe(by: Detector, event: ObservedEvent): Detected[] {
    try {
      return by.observe(event);
    } catch (error) {
      // One event that a rule cannot be asked about must not blind the others.
      ports.log.error({ err: error, index: event.index }, 'an event could not be judged and is passed over');
      return [];
    }
  }

  /** True when everything pending has been handed on. */
  async function handOn(): Promise<boolean> {
    let all = true;
    for (const { finding, isNew } of await ports.findings.pending()) {
      try {
        await ports.onFinding(finding, isNew);
        await ports.findings.handedOn(finding);
      } catch (error) {
        all = false;
        ports.log.error({ err: error, finding: finding.id }, 'a finding was not taken and will be handed on again');
      }
    }
    return all;
  }

  async function rest(ms: number, signal: AbortSignal): Promise<void> {
    await ports.clock.sleep(ms, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
  }

  return { task, wake: () => woken.abort(), position: () => next };
}

function toEvent(record: StoredRecord): ObservedEvent | undefined {
  const parsed = eventSchema.safeParse(parseJson(record.payload));
  if (!parsed.success) return undefined;
  const { kind, activity, severity, data, time } = parsed.data;
  return {
    index: record.index,
    reporter: record.deviceId,
    receivedAt: record.receivedAt,
    time,
    kind,
    activity,
    severity,
    data,
  };
}

/** Whom a device accuses besides itself. */
function accusedIn({ reporter, data }: ObservedEvent): string | undefined {
  const { subject } = data;
  const others = typeof subject === 'string' && subject !== '' && subject !== reporter && reporter !== controlReporter;
  return others ? subject : undefined;
}

/** Ingest refuses what is not JSON; a record that got there another way is no event, and must not stop the loop. */
function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return undefined;
  }
}
