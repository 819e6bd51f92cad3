// Bulk transfers take turns: one budget of bytes per second for the chunks of all streams, and few loads at a time.
// Orders have neither, so that a quarantine never waits behind a bundle.
import type { Clock } from '../../../runtime/clock.ts';
import { createRateLimit } from '../../../runtime/rate-limit.ts';

export interface Pacing {
  /** Takes `bytes` of the budget: 0 when they may go now, else milliseconds to wait before asking again. */
  take(bytes: number): number;
  /** Runs `load` when fewer than the allowed number run. First come, first served. */
  turn<T>(load: () => Promise<T>): Promise<T>;
}

export function createPacing(
  clock: Clock,
  limits: { readonly bytesPerSecond: number; readonly burstBytes: number; readonly loads: number },
): Pacing {
  const budget = createRateLimit({ burst: limits.burstBytes, perSecond: limits.bytesPerSecond, maxKeys: 1 }, clock);
  const waiting: (() => void)[] = [];
  let running = 0;
  return {
    take: (bytes) => budget.take('chunks', bytes),
    async turn(load) {
      if (running >= limits.loads) await new Promise<void>((resolve) => waiting.push(resolve));
      else running += 1;
      try {
        return await load();
      } finally {
        const next = waiting.shift();
        // The place goes straight to the next, so that nobody can slip in between.
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}
