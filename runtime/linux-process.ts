// Another process of this host, held by a descriptor (pidfd_open(2)): whatever is done with it can never hit a later process
// with the same number.
import { readFileSync } from 'node:fs';
import { check, libc, linuxErrors } from './linux.ts';

// The same numbers on every architecture.
const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;
const SIGKILL = 9;
const NO_SIGNAL = 0;

export interface HeldProcess extends Disposable {
  readonly pid: number;
  /** Also for one that is stopped; false for one that has ended, even before its parent has asked how. */
  isAlive(): boolean;
  /** Ends it at once. Throws LINUX_PERMISSION; content when it has ended. */
  kill(): void;
}

/**
 * Clock ticks after boot at which the process started (proc_pid_stat(5), field 22); undefined when there is none, or it has
 * ended and only waits for its parent.
 */
export function processStart(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The name in parentheses may hold anything, also a parenthesis.
  const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || state === 'X' ? undefined : rest[18];
}

/** The process with this number that started then; undefined when there is none (any more). Throws LINUX_CALL. */
export function holdProcess(pid: number, startedAt: string): HeldProcess | undefined {
  if (!Number.isInteger(pid) || pid < 1) return undefined;
  const fd = Number(libc().syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0));
  if (fd < 0) {
    if (libc().errnoName() === 'ESRCH') return undefined;
    check(fd, `pidfd_open ${pid}`);
  }
  // Asked after it is held: whoever has the number from now on is not what the descriptor stands for.
  const isSame = (): boolean => processStart(pid) === startedAt;
  if (!isSame()) {
    libc().close(fd);
    return undefined;
  }
  const signal = (number: number): boolean => {
    if (Number(libc().syscall(SYS_PIDFD_SEND_SIGNAL, fd, number, 0, 0)) === 0) return true;
    if (libc().errnoName() === 'ESRCH') return false;
    throw linuxErrors.error('LINUX_PERMISSION', `signal ${number} to process ${pid}: ${libc().errnoName()}`);
  };
  return {
    pid,
    isAlive: () => signal(NO_SIGNAL) && isSame(),
    kill: () => void signal(SIGKILL),
    [Symbol.dispose]: () => void libc().close(fd),
  };
}
