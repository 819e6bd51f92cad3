// The counts behind a Usage, in memory and bounded. A rate keeps the time of each use in its window, which is what makes
// it exact: one counter for each fixed window lets twice the rate through around a border.
import { MAX_USE_KEYS, MAX_USE_TIMES, USE_SWEEP_MS } from './limits.ts';
import type { Usage, UseAnswer, UseLimit } from './usage.ts';

/** `time` is in milliseconds of one clock. A time before the last use counts as the time of that use. */
export interface UseCounts extends Usage {
  /** Uses spent, by `UseLimit.uses.key` and subject. */
  readonly spent: () => Iterable<UseCount>;
  readonly spentOf: (key: string, subject: string) => number;
  /** What is spent never becomes less. */
  readonly restoreSpent: (entry: UseCount) => void;
  /** The uses that a rate still counts, by `UseLimit.rate.key` and subject. */
  readonly windows: () => Iterable<UseWindow>;
  readonly windowOf: (key: string, subject: string) => UseWindow | undefined;
  readonly setWindow: (entry: UseWindow) => void;
}

export interface UseCount {
  readonly key: string;
  readonly subject: string;
  readonly count: number;
}

export interface UseWindow {
  readonly key: string;
  readonly subject: string;
  readonly perMs: number;
  /** Milliseconds, oldest first. */
  readonly times: readonly number[];
}

interface Window extends UseWindow {
  readonly times: number[];
}

/** Ids and keys hold no space. */
const nameOf = (key: string, subject: string): string => `${key} ${subject}`;

export function createUseCounts(bounds = { keys: MAX_USE_KEYS, times: MAX_USE_TIMES }): UseCounts {
  const spent = new Map<string, { readonly key: string; readonly subject: string; count: number }>();
  const windows = new Map<string, Window>();
  /** Times in all windows together. */
  let kept = 0;
  let sweptAt = -Infinity;

  /** The end of the window, and how many of its times are before it. Only a use moves it: a clock set back finds it there. */
  const windowAt = ({ times, perMs }: Window, now: number): { at: number; before: number } => {
    const at = Math.max(now, times.at(-1) ?? now);
    const oldest = times.findIndex((time) => time > at - perMs);
    return { at, before: oldest === -1 ? times.length : oldest };
  };

  const hasRoom = (now: number): boolean => {
    if (windows.size < bounds.keys && kept < bounds.times) return true;
    // A look over everything, so not for every request that finds no room.
    if (Math.abs(now - sweptAt) < USE_SWEEP_MS) return false;
    sweptAt = now;
    for (const [name, window] of windows) {
      if (windowAt(window, now).before < window.times.length) continue;
      kept -= window.times.length;
      windows.delete(name);
    }
    return windows.size < bounds.keys && kept < bounds.times;
  };

  const look = ({ rate, uses }: UseLimit, subject: string, now: number): UseAnswer => {
    if (uses !== undefined) {
      const count = spent.get(nameOf(uses.key, subject))?.count;
      if (count !== undefined && count >= uses.count) return 'uses';
      if (count === undefined && spent.size >= bounds.keys) return 'unavailable';
    }
    if (rate === undefined) return 'taken';
    if (!Number.isFinite(now)) return 'unavailable';
    const window = windows.get(nameOf(rate.key, subject));
    if (window === undefined) return hasRoom(now) ? 'taken' : 'unavailable';
    if (window.times.length - windowAt(window, now).before >= rate.count) return 'rate';
    return kept < bounds.times || hasRoom(now) ? 'taken' : 'unavailable';
  };

  return {
    look,
    take(limit, subject, now) {
      const answer = look(limit, subject, now);
      if (answer !== 'taken') return answer;
      const { rate, uses } = limit;
      if (uses !== undefined) {
        const name = nameOf(uses.key, subject);
        const entry = spent.get(name);
        if (entry === undefined) spent.set(name, { key: uses.key, subject, count: 1 });
        else entry.count++;
      }
      if (rate !== undefined) {
        const { key, perMs } = rate;
        const name = nameOf(key, subject);
        const window = windows.get(name) ?? { key, subject, perMs, times: [] };
        const { at, before } = windowAt(window, now);
        window.times.splice(0, before);
        window.times.push(at);
        windows.set(name, window);
        kept += 1 - before;
      }
      return 'taken';
    },
    spent: () => spent.values(),
    spentOf: (key, subject) => spent.get(nameOf(key, subject))?.count ?? 0,
    restoreSpent({ key, subject, count }) {
      const name = nameOf(key, subject);
      spent.set(name, { key, subject, count: Math.max(count, spent.get(name)?.count ?? 0) });
    },
    windows: () => windows.values(),
    windowOf: (key, subject) => windows.get(nameOf(key, subject)),
    setWindow({ key, subject, perMs, times }) {
      const name = nameOf(key, subject);
      kept += times.length - (windows.get(name)?.times.length ?? 0);
      windows.set(name, { key, subject, perMs, times: [...times] });
    },
  };
}

/** Counts in memory, by the time of the requests: for simulation and replay. */
export function simulatedUsage(): Usage {
  const { take, look } = createUseCounts();
  return { take, look };
}
