// A flag that one loop waits on and anybody may set. Setting it twice wakes once: the loop looks at all that changed.
import type { Clock } from '../../runtime/clock.ts';

export interface Wakeup {
  wake(): void;
  /** Resolves when woken, or after `timeoutMs`. One waiter at a time. */
  wait(timeoutMs?: number): Promise<void>;
}

export function createWakeup(clock: Clock): Wakeup {
  let set = false;
  let wakeWaiter: (() => void) | undefined;
  return {
    wake() {
      set = true;
      wakeWaiter?.();
    },
    async wait(timeoutMs) {
      if (!set) {
        const done = new AbortController();
        const woken = new Promise<void>((resolve) => {
          wakeWaiter = resolve;
        });
        const timer = timeoutMs === undefined ? undefined : clock.sleep(timeoutMs, done.signal).catch(() => undefined);
        await (timer === undefined ? woken : Promise.race([woken, timer]));
        done.abort();
        wakeWaiter = undefined;
      }
      set = false;
    },
  };
}
