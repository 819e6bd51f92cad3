// What a peer may cost without asking anything: tokens that come back with time and with every call it completes.

import { ConnectionFault } from './protocol.ts';

export interface BudgetLimits {
  readonly burst: number;
  readonly perSecond: number;
  /** Tokens that a completed call gives back. */
  readonly perCall: number;
}

class Budget {
  readonly #limits: BudgetLimits;
  #tokens: number;
  #at: number;

  constructor(limits: BudgetLimits, nowMs: number) {
    this.#limits = limits;
    this.#tokens = limits.burst;
    this.#at = nowMs;
  }

  /** False when it is used up. */
  take(nowMs: number): boolean {
    const { burst, perSecond } = this.#limits;
    this.#tokens = Math.min(this.#tokens + ((nowMs - this.#at) / 1000) * perSecond, burst);
    this.#at = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  earn(): void {
    this.#tokens = Math.min(this.#tokens + this.#limits.perCall, this.#limits.burst);
  }
}

/** The budgets of one peer, and the time of what it has just sent. */
export class PeerBudgets {
  nowMs: number;
  readonly #frames: Budget;
  readonly #resets: Budget;

  constructor(frames: BudgetLimits, resets: BudgetLimits, nowMs: number) {
    this.nowMs = nowMs;
    this.#frames = new Budget(frames, nowMs);
    this.#resets = new Budget(resets, nowMs);
  }

  /** For a frame that asks nothing. Throws ENHANCE_YOUR_CALM. */
  spendFrame(): void {
    if (this.#frames.take(this.nowMs)) return;
    throw new ConnectionFault('ENHANCE_YOUR_CALM', 'too many frames that ask nothing');
  }

  /** For a stream that is reset. Throws ENHANCE_YOUR_CALM. */
  spendReset(): void {
    if (this.#resets.take(this.nowMs)) return;
    throw new ConnectionFault('ENHANCE_YOUR_CALM', 'too many streams that are reset');
  }

  /** A call has been answered. */
  earn(): void {
    this.#frames.earn();
    this.#resets.earn();
  }
}
