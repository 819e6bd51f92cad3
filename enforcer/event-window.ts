// Identical events become one with a count. The first leaves at once, so that detection does not wait; what follows
// within the window is counted and leaves at its end. Different events are bounded: above the bound they are counted
// under a coarser key, so that a scan of every register cannot fill memory or the spool.
import type { EmitEvent, NewEvent } from '../audit/spool/index.ts';
import type { Clock } from '../runtime/clock.ts';

export interface Keyed {
  readonly key: string;
  /** Made only for the first of a window: what follows is counted. */
  readonly event: () => NewEvent;
}

export interface Occurrence extends Keyed {
  /** Taken when there are too many different keys. */
  readonly coarse: () => Keyed;
}

export interface EventWindow {
  readonly add: (occurrence: Occurrence) => void;
  /** Sends the counts of windows that have ended, or of all. */
  readonly flush: (all?: boolean) => void;
}

/** A window: the first has left, what follows is counted here. */
export interface Counter {
  further: number;
}

export interface Counters {
  /** Sends the event, and opens a window for what follows; `closed` is told when it has ended. */
  readonly open: (event: NewEvent, closed: () => void) => Counter;
  readonly flush: (all?: boolean) => void;
}

interface Window extends Counter {
  readonly event: NewEvent;
  readonly closed: () => void;
  started: number;
}

export function createCounters(
  emit: EmitEvent,
  clock: Clock,
  windowMs: number,
  onLost: (error: unknown) => void,
): Counters {
  const windows = new Set<Window>();

  const send = async (event: NewEvent, count: number): Promise<void> => {
    try {
      await emit({ ...event, data: { ...event.data, count } });
    } catch (error) {
      // The spool counts what it has to drop; an enforcement point does not wait for it.
      onLost(error);
    }
  };

  return {
    open(event, closed) {
      const window = { event, closed, started: clock.monotonic(), further: 0 };
      windows.add(window);
      void send(event, 1);
      return window;
    },
    flush(all = false) {
      const now = clock.monotonic();
      for (const window of windows) {
        if (!all && now - window.started < windowMs) continue;
        if (window.further > 0) void send(window.event, window.further);
        if (all || window.further === 0) {
          windows.delete(window);
          window.closed();
        } else {
          // Still going on: another window, so that a steady stream is one event a window.
          window.started = now;
          window.further = 0;
        }
      }
    },
  };
}

export function createEventWindow(
  emit: EmitEvent,
  clock: Clock,
  windowMs: number,
  maxDistinct: number,
  onLost: (error: unknown) => void,
): EventWindow {
  const counters = createCounters(emit, clock, windowMs, onLost);
  const exact = new Map<string, Counter>();
  const coarse = new Map<string, Counter>();

  const count = (windows: Map<string, Counter>, { key, event }: Keyed): void => {
    const open = windows.get(key);
    if (open !== undefined) open.further++;
    else
      windows.set(
        key,
        counters.open(event(), () => windows.delete(key)),
      );
  };

  return {
    add(occurrence) {
      if (exact.size < maxDistinct || exact.has(occurrence.key)) count(exact, occurrence);
      else count(coarse, occurrence.coarse());
    },
    flush: (all) => counters.flush(all),
  };
}
