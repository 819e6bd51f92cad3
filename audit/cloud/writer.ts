// Group commit into the log: while one transaction runs the next submissions gather, from all streams and the control
// plane itself. Answers come after the commit, in the order of submission.
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Database } from '../../store/database.ts';
import { transactionBytes, transactionRecords } from '../limits.ts';
import { appendAll, type Outcome, type Submission } from './append.ts';
import type { FreshEntry } from './entry.ts';
import type { AuditTables } from './migrations.ts';

export interface LogWriter {
  /** Resolves after the commit; rejects when the database failed, and then it is unknown whether it was stored. */
  submit(submission: Submission): Promise<Outcome>;
  /** Records that wait or are being stored. */
  readonly pending: number;
  /** Resolves when nothing waits. */
  idle(): Promise<void>;
}

export interface LogWriterOptions {
  readonly db: Database;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** After each commit, in log order. Must not throw. */
  readonly onStored: (entries: readonly FreshEntry[]) => void;
}

interface Waiting {
  readonly submission: Submission;
  readonly records: number;
  readonly bytes: number;
  readonly answer: PromiseWithResolvers<Outcome>;
}

export function createLogWriter({ db, trustDomain, clock, log, onStored }: LogWriterOptions): LogWriter {
  let waiting: Waiting[] = [];
  let pending = 0;
  let draining: Promise<void> | undefined;

  async function drain(): Promise<void> {
    // What arrives in the same turn of the event loop shares a transaction.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      const count = groupLength(waiting);
      const group = waiting.slice(0, count);
      waiting = waiting.slice(count);
      await commit(group);
      pending -= group.reduce((sum, one) => sum + one.records, 0);
    }
    draining = undefined;
  }

  async function commit(group: readonly Waiting[]): Promise<void> {
    const submissions = group.map((one) => one.submission);
    let outcomes: readonly Outcome[];
    try {
      outcomes = await db.transaction<AuditTables, Outcome[]>(
        (trx) => appendAll(trx, db.dialect, trustDomain, submissions, Math.trunc(clock.now())),
        // The lock on the tree's row orders the writers of all replicas; a serializable snapshot would only conflict.
        { isolation: 'read committed' },
      );
    } catch (error) {
      log.warn({ err: error, submissions: group.length }, 'the log could not be written');
      for (const one of group) one.answer.reject(error);
      return;
    }
    for (const [at, one] of group.entries()) one.answer.resolve(outcomes[at] as Outcome);
    const stored = outcomes.flatMap((outcome) => ('stored' in outcome ? outcome.stored : []));
    if (stored.length > 0) onStored(stored);
  }

  return {
    submit(submission) {
      const answer = Promise.withResolvers<Outcome>();
      const size = sizeOf(submission);
      waiting.push({ submission, ...size, answer });
      pending += size.records;
      draining ??= drain();
      return answer.promise;
    },
    get pending() {
      return pending;
    },
    idle: () => draining ?? Promise.resolve(),
  };
}

function sizeOf(submission: Submission): { records: number; bytes: number } {
  if (submission.from === 'control') return { records: 1, bytes: submission.payload.length };
  const { batch } = submission;
  return { records: batch.length, bytes: batch.reduce((sum, record) => sum + record.payload.length, 0) };
}

function groupLength(waiting: readonly Waiting[]): number {
  let records = 0;
  let bytes = 0;
  const end = waiting.findIndex((one, at) => {
    records += one.records;
    bytes += one.bytes;
    return at > 0 && (records > transactionRecords || bytes > transactionBytes);
  });
  return end === -1 ? waiting.length : end;
}
