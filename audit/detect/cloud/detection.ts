// The loop that judges the log: reads what is stored in index order, observes, records findings, hands new ones on, and
// only then moves its cursor. What fails is judged again; findings and responses are idempotent.
import type { Clock } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/log.ts';
import type { Task } from '../../../runtime/tasks.ts';
import { eventSchema } from '../../spool/event.ts';
import type { Detector, ObservedEvent } from '../detector.ts';
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
  readonly findings: Findings;
  /** Rules of the current release; replaced as a whole when a policy is published. */
  readonly detector: () => Detector;
  /** Up to `limit` records from log index `from` on, in order. */
  readonly read: (from: number, limit: number) => Promise<readonly StoredRecord[]>;
  /** A new or grown finding; resolves when the response has been decided. */
  readonly onFinding: (finding: Finding, isNew: boolean) => Promise<void>;
}

const batchSize = 500;
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

export function createDetection(ports: DetectionPorts): Detection {
  let next = 0;
  let woken = new AbortController();

  const task: Task = async (signal) => {
    next = await ports.findings.cursor();
    while (!signal.aborted) {
      woken = new AbortController();
      const done = await round().catch((error: unknown) => {
        ports.log.error({ err: error }, 'detection failed and will try again');
        return undefined;
      });
      if (done === batchSize) continue;
      await rest(done === undefined ? retryMs : idleMs, signal);
    }
  };

  async function round(): Promise<number> {
    const records = await ports.read(next, batchSize);
    for (const record of records) await judge(record);
    const last = records.at(-1);
    if (last !== undefined) {
      await ports.findings.saveCursor(last.index + 1);
      next = last.index + 1;
    }
    return records.length;
  }

  async function judge(record: StoredRecord): Promise<void> {
    const event = observe(record);
    if (event === undefined) return;
    for (const detection of ports.detector().observe(event)) {
      const { finding, isNew } = await ports.findings.record(detection);
      await ports.onFinding(finding, isNew);
    }
  }

  async function rest(ms: number, signal: AbortSignal): Promise<void> {
    await ports.clock.sleep(ms, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
  }

  return { task, wake: () => woken.abort(), position: () => next };
}

function observe(record: StoredRecord): ObservedEvent | undefined {
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

/** Ingest refuses what is not JSON; a record that got there another way is no event, and must not stop the loop. */
function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return undefined;
  }
}
