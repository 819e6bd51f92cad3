// A clock that only moves when a test says so; 400 days offline are one call.
import type { Clock } from './clock.ts';

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

export class FakeClock implements Clock {
  #wall: number;
  #elapsed = 0;
  readonly #sleepers = new Set<Sleeper>();

  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#wall = startMs;
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  /** How many sleeps wait; a test that advances too early finds none. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason as Error);
      };
      const sleeper: Sleeper = {
        due: this.#elapsed + Math.max(ms, 0),
        wake: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Moves both clocks on, waking sleepers in the order they are due and letting each react before the next wakes. */
  async advance(ms: number): Promise<void> {
    const target = this.#elapsed + ms;
    await settle();
    for (let next = this.#next(target); next !== undefined; next = this.#next(target)) {
      this.#wall += Math.max(next.due - this.#elapsed, 0);
      this.#elapsed = Math.max(next.due, this.#elapsed);
      this.#sleepers.delete(next);
      next.wake();
      await settle();
    }
    this.#wall += target - this.#elapsed;
    this.#elapsed = target;
  }

  /** Sets the wall clock alone, as somebody who changes the time of a host does; sleeps are not affected. */
  set(ms: number): void {
    this.#wall = ms;
  }

  #next(target: number): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (sleeper.due > target) continue;
      // Of those due at once, the one that slept first: a Set keeps the order of insertion.
      if (first === undefined || sleeper.due < first.due) first = sleeper;
    }
    return first;
  }
}

/** Lets promise chains and already finished I/O run; a few turns cover chains that pass through the event loop. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
