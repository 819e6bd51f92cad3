// Time as an argument: wall clock for what is written down, monotonic clock for how long something took.
import { setTimeout as delay } from 'node:timers/promises';
import { maxTimerMs } from './limits.ts';

export interface Clock {
  /** Milliseconds since the epoch; may jump. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, signal) {
    let left = ms;
    do {
      signal?.throwIfAborted();
      const piece = Math.min(Math.max(left, 0), maxTimerMs);
      try {
        await delay(piece, undefined, signal === undefined ? {} : { signal });
      } catch (error) {
        // The timer rejects with an AbortError of its own; callers compare with the signal's reason.
        signal?.throwIfAborted();
        throw error;
      }
      left -= piece;
    } while (left > 0);
  },
};
