// How often each limited grant was used on this device, durably: a use is on disk before the request it was taken for
// goes on, so neither a restart, kill -9 nor a new bundle gives one back; a power cut may lose some. Rates run on the
// monotonic clock, which no clock setting reaches.
import { join } from 'node:path';
import type { EmitEvent } from '../../audit/spool/index.ts';
import { createUseCounts, type UseAnswer, type UseLimit } from '../../policy/engine/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { FileSystem } from '../../store/files.ts';
import { noRequestUsage, type RequestUsage } from '../request-usage.ts';
import { MAX_JOURNAL_BYTES, MAX_UNWRITTEN_WINDOW_MS, MAX_WAITING_USES, REPAIR_MS } from './limits.ts';
import { openUseJournal, type UseJournal, type UseRecord, type UseSnapshot } from './use-journal.ts';

export interface UseLedger {
  /** For one request: however often it is judged, it takes once of each limit. */
  claim(): RequestUsage;
}

export interface UseLedgerOptions {
  readonly fs: FileSystem;
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** The trusted clock: dates uses for the next start. */
  readonly time: () => { readonly now: number; readonly trusted: boolean };
  readonly emit: EmitEvent;
  readonly log: Logger;
}

/** Opens `<stateDir>/usage`. Damage is reported and denies whatever has a limit; it does not keep the edge from starting. */
export async function openUseLedger(options: UseLedgerOptions): Promise<UseLedger> {
  try {
    const journal = await openUseJournal(options.fs, join(options.stateDir, 'usage'));
    const ledger = new Ledger(journal, options);
    await ledger.start();
    return ledger;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    options.log.error({ err: error }, 'the counts of use cannot be read: grants with a limit are denied');
    void options
      .emit({ kind: 'process', activity: 'usage-lost', severity: 'high', data: { message } })
      .catch((cause: unknown) => options.log.error({ err: cause }, 'an event of the counts of use was lost'));
    return { claim: () => noRequestUsage };
  }
}

/** The uses of a rate as they go to disk, beside the times that the counts keep; both trimmed together. */
interface Dated {
  readonly key: string;
  readonly subject: string;
  readonly perMs: number;
  at: (number | null)[];
  /** How many of them, from the end, were taken since the start. */
  taken: number;
}

interface Batch {
  readonly records: UseRecord[];
  readonly written: Promise<boolean>;
  readonly settle: (written: boolean) => void;
}

class Ledger implements UseLedger {
  readonly #journal: UseJournal;
  readonly #options: UseLedgerOptions;
  readonly #counts = createUseCounts();
  readonly #dated = new Map<string, Dated>();
  readonly #startedAt: number;
  /** Uses of before the start whose age is not known yet, because nobody knows the time. */
  #undated = true;
  #waiting: Batch | undefined;
  #writing = false;
  #broken = false;
  #triedAt = -Infinity;

  constructor(journal: UseJournal, options: UseLedgerOptions) {
    this.#journal = journal;
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
    const { snapshot, since } = journal.found;
    for (const { key, subject, spent } of snapshot.uses) this.#counts.restoreSpent({ key, subject, count: spent });
    for (const { key, subject, perMs, at } of snapshot.rates) this.#datedOf(key, subject, perMs).at.push(...at);
    for (const record of since) {
      if (record.kind === 'uses') {
        this.#counts.restoreSpent({ key: record.key, subject: record.subject, count: record.spent });
      } else this.#datedOf(record.key, record.subject, record.perMs).at.push(record.at);
    }
    this.#dateRestored();
  }

  /** A fresh snapshot, so that a torn line is not written after. Without room for it, uses are denied until there is. */
  async start(): Promise<void> {
    this.#writing = true;
    await this.#fold();
    this.#writing = false;
  }

  /** Almost no request meets a limited grant: what it took is kept from the first one on. */
  claim(): RequestUsage {
    let taken: Set<string> | undefined;
    let written: Set<Promise<boolean>> | undefined;
    const nameOf = ({ rate, uses }: UseLimit, subject: string): string => [rate?.key, uses?.key, subject].join(' ');
    const has = (name: string): boolean => taken?.has(name) ?? false;
    const again = (limit: UseLimit, subject: string): UseAnswer =>
      has(nameOf(limit, subject)) ? 'taken' : 'unavailable';
    return {
      look: (limit, subject) => (has(nameOf(limit, subject)) ? 'taken' : this.#check(limit, subject)),
      take: (limit, subject) => {
        const name = nameOf(limit, subject);
        if (has(name)) return 'taken';
        const answer = this.#check(limit, subject);
        if (answer !== 'taken') return answer;
        const batch = this.#take(limit, subject);
        (taken ??= new Set()).add(name);
        if (batch !== undefined) (written ??= new Set()).add(batch.written);
        return 'taken';
      },
      recorded: () =>
        written === undefined ? undefined : Promise.all(written).then((all) => all.every((done) => done)),
      settled: { look: again, take: again },
    };
  }

  #check(limit: UseLimit, subject: string): UseAnswer {
    if (this.#broken) {
      this.#repairSoon();
      return 'unavailable';
    }
    if (this.#undated && this.#options.time().trusted) this.#dateRestored();
    if ((this.#waiting?.records.length ?? 0) >= MAX_WAITING_USES) return 'unavailable';
    const now = this.#options.clock.monotonic();
    const { rate } = limit;
    // What a window of before the start held was not written, so it counts as full.
    if (rate !== undefined && !isWritten(rate) && now - this.#startedAt < rate.perMs) return 'rate';
    return this.#counts.look(limit, subject, now);
  }

  /** The batch that has to reach the disk; undefined for a rate that stays in memory. */
  #take(limit: UseLimit, subject: string): Batch | undefined {
    const { rate, uses } = limit;
    this.#counts.take(limit, subject, this.#options.clock.monotonic());
    const records: UseRecord[] = [];
    if (uses !== undefined) {
      records.push({ kind: 'uses', key: uses.key, subject, spent: this.#counts.spentOf(uses.key, subject) });
    }
    if (rate !== undefined && isWritten(rate)) {
      const { key, perMs } = rate;
      const { now, trusted } = this.#options.time();
      const at = trusted ? Math.trunc(now) : null;
      records.push({ kind: 'rate', key, subject, perMs, at });
      const dated = this.#datedOf(key, subject, perMs);
      dated.at.push(at);
      dated.taken++;
      this.#trim(dated);
    }
    if (records.length === 0) return undefined;
    const batch = (this.#waiting ??= newBatch());
    batch.records.push(...records);
    void this.#write();
    return batch;
  }

  async #write(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    while (this.#waiting !== undefined) {
      const batch = this.#waiting;
      this.#waiting = undefined;
      const written = !this.#broken && (await this.#tried(() => this.#journal.append(batch.records)));
      batch.settle(written);
      if (written && this.#journal.size() > MAX_JOURNAL_BYTES) await this.#fold();
    }
    this.#writing = false;
  }

  #repairSoon(): void {
    const now = this.#options.clock.monotonic();
    if (this.#writing || now - this.#triedAt < REPAIR_MS) return;
    this.#triedAt = now;
    this.#writing = true;
    void this.#fold().then(() => {
      this.#writing = false;
    });
  }

  async #fold(): Promise<void> {
    if (await this.#tried(() => this.#journal.fold(this.#snapshot()))) this.#broken = false;
  }

  /** After any failure nobody knows what is on disk: nothing is taken until a whole snapshot was written. */
  async #tried(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      this.#options.log.error({ err: error }, 'uses cannot be recorded: grants with a limit are denied');
      this.#broken = true;
      return false;
    }
  }

  #snapshot(): UseSnapshot {
    for (const [name, dated] of this.#dated) {
      if (this.#counts.windowOf(dated.key, dated.subject) === undefined) this.#dated.delete(name);
      else this.#trim(dated);
    }
    const rates = [...this.#dated.values()].filter(({ at }) => at.length > 0);
    return {
      uses: [...this.#counts.spent()].map(({ key, subject, count }) => ({ key, subject, spent: count })),
      rates: rates.map(({ key, subject, perMs, at }) => ({ key, subject, perMs, at })),
    };
  }

  /** Of before the start, each use is as old as trusted time says; while nobody knows the time, as new as the start. */
  #dateRestored(): void {
    const { now, trusted } = this.#options.time();
    const monotonic = this.#options.clock.monotonic();
    for (const dated of this.#dated.values()) {
      const times = this.#counts.windowOf(dated.key, dated.subject)?.times ?? [];
      this.#trim(dated);
      const restored = dated.at.length - dated.taken;
      const ages = dated.at.slice(0, restored).map((at) => {
        if (!trusted || at === null) return this.#startedAt;
        return Math.min(this.#startedAt, monotonic - Math.max(0, now - at));
      });
      const since = dated.taken === 0 ? [] : times.slice(-dated.taken);
      this.#counts.setWindow({ ...dated, times: [...ages.toSorted((a, b) => a - b), ...since] });
    }
    this.#undated = !trusted;
  }

  #datedOf(key: string, subject: string, perMs: number): Dated {
    const name = `${key} ${subject}`;
    const dated = this.#dated.get(name) ?? { key, subject, perMs, at: [], taken: 0 };
    this.#dated.set(name, dated);
    return dated;
  }

  /** Forgets the dates of uses that the counts have forgotten. */
  #trim(dated: Dated): void {
    const window = this.#counts.windowOf(dated.key, dated.subject);
    if (window === undefined) return;
    dated.at = dated.at.slice(dated.at.length - Math.min(dated.at.length, window.times.length));
    dated.taken = Math.min(dated.taken, dated.at.length);
  }
}

function isWritten(rate: NonNullable<UseLimit['rate']>): boolean {
  return rate.perMs > MAX_UNWRITTEN_WINDOW_MS;
}

function newBatch(): Batch {
  let settle: (written: boolean) => void = () => undefined;
  const written = new Promise<boolean>((resolve) => {
    settle = resolve;
  });
  return { records: [], written, settle };
}
