// How this process fares: who waits is bounded, what ails is said, and systemd hears that the event loop turns.
import {
  type Admission,
  type Ailment,
  createAdmission,
  createWatchdog,
  type CountingLog,
  watchEventLoop,
} from '../../enforcer/authz/index.ts';
import type { Spool } from '../../audit/spool/index.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { sdNotify } from '../../runtime/linux.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Task } from '../../runtime/tasks.ts';

export interface Health {
  readonly admission: Admission;
  /** What ails, with words for people; empty when nothing does. */
  readonly ailments: () => Readonly<Partial<Record<Ailment, string>>>;
  readonly tasks: Readonly<Record<string, Task>>;
}

/** `spool` is what this process writes to; undefined where another one does. */
export function openHealth(
  log: Logger,
  spool: Pick<Spool, 'status'> | undefined,
  decisions: Pick<CountingLog, 'shed'>,
): Health {
  const admission = createAdmission(systemClock, decisions.shed);
  const loop = watchEventLoop();
  const watchdog = createWatchdog({
    clock: systemClock,
    lagMs: () => loop.lagMs(),
    admission,
    spool: () => spool?.status() ?? elsewhere,
    onChange: (ailment, why) => {
      if (why === '') log.info({ ailment }, 'this process is well again');
      else log.error({ ailment, why }, 'this process is not well, health is NOT_SERVING');
    },
  });
  const systemd = systemdWatchdog(process.env, systemClock, (error) =>
    log.warn({ err: error }, 'systemd could not be told that this process lives'),
  );
  const watch: Task = async (signal) => {
    await watchdog.task(signal);
    loop.close();
  };
  return { admission, ailments: watchdog.ailments, tasks: { watch, ...(systemd === undefined ? {} : { systemd }) } };
}

const elsewhere = { sequence: 0, queued: 0, state: 'writable' } as const;

/**
 * Tells systemd's watchdog (sd_watchdog_enabled(3)) that the event loop turns, three times as often as it has to hear it.
 * A loop that is blocked for good says nothing: systemd ends the process and starts it again, and meanwhile every proxy
 * denies. undefined where no watchdog waits for this process.
 */
export function systemdWatchdog(
  environment: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  onLost: (error: unknown) => void,
  notify: (state: string, socket: string) => unknown = sdNotify,
  pid: number = process.pid,
): Task | undefined {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds = '', WATCHDOG_PID: of = String(pid) } = environment;
  if (socket === undefined || of !== String(pid) || !/^[1-9]\d{3,14}$/.test(microseconds)) return undefined;
  return async (signal) => {
    while (!signal.aborted) {
      try {
        notify('WATCHDOG=1', socket);
      } catch (error) {
        onLost(error);
      }
      await clock.sleep(Number(microseconds) / 3_000, signal).catch(() => undefined);
    }
  };
}
