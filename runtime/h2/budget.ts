// What a peer may cost without asking anything: tokens that come back with time and with every call it completes.

export interface BudgetLimits {
  readonly burst: number;
  readonly perSecond: number;
  /** Tokens that a completed call gives back. */
  readonly perCall: number;
}

export class Budget {
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
