// Says when this process should not be asked: its event loop lags, decisions or the spool are stuck. Health is then
// NOT_SERVING and readiness false; with hysteresis, so that neither flaps. The policy's own reasons are for `serving`.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { SpoolStatus } from '../../audit/spool/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Task } from '../../runtime/tasks.ts';
import { lagLimitMs, looksUntilIll, looksUntilWell, stuckMs, watchIntervalMs } from './limits.ts';
import type { Admission } from './overload.ts';

export type Ailment = 'event-loop' | 'decisions' | 'spool';

export interface Watchdog {
  /** What ails, with words for people; empty when nothing does. */
  readonly ailments: () => Readonly<Partial<Record<Ailment, string>>>;
  readonly task: Task;
}

export interface WatchdogPorts {
  readonly clock: Clock;
  /** Milliseconds that the event loop was late, in the mean since the last call. */
  readonly lagMs: () => number;
  readonly admission: { readonly status: () => Pick<ReturnType<Admission['status']>, 'waiting' | 'oldestMs'> };
  readonly spool: () => Pick<SpoolStatus, 'sequence' | 'queued' | 'state'>;
  /** Told when an ailment begins, and with '' when it has ended. */
  readonly onChange: (ailment: Ailment, why: string) => void;
}

export function createWatchdog({ clock, lagMs, admission, spool, onChange }: WatchdogPorts): Watchdog {
  const ill = new Map<Ailment, string>();
  const streaks = new Map<Ailment, number>();
  let looked = clock.monotonic();
  let moved = { sequence: -1, at: clock.monotonic() };

  /** One look: `why` is empty when all is well. An ailment begins and ends after some looks that agree. */
  const look = (ailment: Ailment, why: string): void => {
    const known = ill.has(ailment);
    if ((why !== '') === known) {
      streaks.delete(ailment);
      if (known) ill.set(ailment, why);
      return;
    }
    const streak = (streaks.get(ailment) ?? 0) + 1;
    streaks.set(ailment, streak);
    if (streak < (known ? looksUntilWell : looksUntilIll)) return;
    streaks.delete(ailment);
    if (known) ill.delete(ailment);
    else ill.set(ailment, why);
    onChange(ailment, why);
  };

  const lookAround = (): void => {
    const now = clock.monotonic();
    // A loop that had no turn between two looks shows in how late this one is.
    const lag = Math.max(lagMs(), now - looked - watchIntervalMs);
    looked = now;
    look('event-loop', lag > lagLimitMs ? `the event loop is ${Math.round(lag)} ms late` : '');
    const { waiting, oldestMs } = admission.status();
    look('decisions', oldestMs > stuckMs ? `${waiting} answers wait, one for ${Math.round(oldestMs)} ms` : '');
    const { sequence, queued, state } = spool();
    if (sequence !== moved.sequence || queued === 0) moved = { sequence, at: now };
    // A full spool refuses by itself, where policy asks for it.
    const still = state === 'writable' ? now - moved.at : 0;
    look('spool', still > stuckMs ? `nothing was written for ${Math.round(still)} ms, ${queued} events wait` : '');
  };

  return {
    ailments: () => Object.fromEntries(ill),
    async task(signal) {
      while (!signal.aborted) {
        await clock.sleep(watchIntervalMs, signal).catch(() => undefined);
        if (!signal.aborted) lookAround();
      }
    },
  };
}

/** The lag of this process's event loop for `lagMs`. */
export function watchEventLoop(): { readonly lagMs: () => number; readonly close: () => void } {
  const resolution = 10;
  const histogram = monitorEventLoopDelay({ resolution });
  histogram.enable();
  return {
    lagMs() {
      const mean = histogram.count === 0 ? 0 : histogram.mean / 1e6;
      histogram.reset();
      return Math.max(0, mean - resolution);
    },
    close: () => void histogram.disable(),
  };
}
