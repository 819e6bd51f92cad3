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

interface Window {
  readonly event: NewEvent;
  readonly coarse: boolean;
  started: number;
  further: number;
}

export function createEventWindow(
  emit: EmitEvent,
  clock: Clock,
  windowMs: number,
  maxDistinct: number,
  onLost: (error: unknown) => void,
): EventWindow {
  const windows = new Map<string, Window>();
  let distinct = 0;

  const send = async (event: NewEvent, count: number): Promise<void> => {
    try {
      await emit({ ...event, data: { ...event.data, count } });
    } catch (error) {
      // The spool counts what it has to drop; an enforcement point does not wait for it.
      onLost(error);
    }
  };

  return {
    add(occurrence) {
      const coarse = !windows.has(`exact ${occurrence.key}`) && distinct >= maxDistinct;
      const { key, event: make } = coarse ? occurrence.coarse() : occurrence;
      const name = `${coarse ? 'coarse' : 'exact'} ${key}`;
      const open = windows.get(name);
      if (open !== undefined) {
        open.further++;
        return;
      }
      const event = make();
      windows.set(name, { event, coarse, started: clock.monotonic(), further: 0 });
      if (!coarse) distinct++;
      void send(event, 1);
    },
    flush(all = false) {
      const now = clock.monotonic();
      for (const [name, open] of windows) {
        if (!all && now - open.started < windowMs) continue;
        if (open.further > 0) void send(open.event, open.further);
        if (all || open.further === 0) {
          windows.delete(name);
          if (!open.coarse) distinct--;
        } else {
          // Still going on: another window, so that a steady stream is one event a window.
          open.started = now;
          open.further = 0;
        }
      }
    },
  };
}
