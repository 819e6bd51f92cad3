// What had to be dropped, counted until there is room to say so. The loss record is an event like others, so the next
// signed chain head signs it too.
import { hash } from 'node:crypto';
import type { NewEvent } from './event.ts';
import type { SpoolState } from './state.ts';

export type LossReason = Exclude<SpoolState['losses']['reason'], ''>;

const none: SpoolState['losses'] = { total: 0, recorded: 0, firstMs: 0, lastMs: 0, digest: '', reason: '' };

export class Losses {
  #now: SpoolState['losses'];

  constructor(stored: SpoolState['losses'] = none) {
    this.#now = stored;
  }

  /** Dropped and in no loss record yet. */
  get unrecorded(): number {
    return this.#now.total - this.#now.recorded;
  }

  get total(): number {
    return this.#now.total;
  }

  note(payload: Uint8Array, atMs: number, reason: LossReason): void {
    const before = this.#now;
    const first = this.unrecorded === 0;
    const digest = hash('sha256', Buffer.concat([Buffer.from(before.digest, 'hex'), payload]), 'hex');
    this.#now = {
      total: before.total + 1,
      recorded: before.recorded,
      firstMs: first ? atMs : before.firstMs,
      lastMs: atMs,
      digest,
      reason,
    };
  }

  /**
   * The record of what is not recorded yet. `total` tells records of the same loss apart, which a crash between
   * writing one and remembering that can make.
   */
  event(afterSequence: number): NewEvent {
    const { total, firstMs, lastMs, digest, reason } = this.#now;
    return {
      kind: 'log',
      activity: 'lost',
      severity: 'high',
      data: {
        count: this.unrecorded,
        total,
        first_ms: firstMs,
        last_ms: lastMs,
        digest,
        reason,
        sequence: afterSequence,
      },
    };
  }

  /** A durable record tells the first `total` losses. */
  recorded(total: number): void {
    const complete = total === this.#now.total;
    this.#now = { ...this.#now, recorded: total, ...(complete ? { digest: '', reason: '' } : {}) };
  }

  snapshot(): SpoolState['losses'] {
    return this.#now;
  }
}
