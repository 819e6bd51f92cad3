// What lives long is a task: it runs until its signal aborts. The first failure stops all, within a bound.
import { systemClock, type Clock } from './clock.ts';
import { runtimeErrors } from './error-codes.ts';
import { drainMs as defaultDrainMs } from './limits.ts';
import type { Logger } from './log.ts';

export type Task = (signal: AbortSignal) => Promise<void>;

export interface RunTasksOptions {
  /** How long tasks may take to stop once asked. Default 10 s. */
  readonly drainMs?: number;
  readonly log?: Logger;
  readonly clock?: Clock;
}

/**
 * Runs all tasks until they end. A task that fails aborts the others; so does `signal`. Tasks that do not stop within
 * `drainMs` are left behind and named. Rethrows the first failure; being aborted is not a failure.
 */
export async function runTasks(
  signal: AbortSignal,
  tasks: Record<string, Task>,
  options: RunTasksOptions = {},
): Promise<void> {
  const { drainMs = defaultDrainMs, log, clock = systemClock } = options;
  const stop = new AbortController();
  const inner = AbortSignal.any([signal, stop.signal]);
  let failure: { error: unknown } | undefined;
  const running = new Set(Object.keys(tasks));

  const all = Promise.all(
    Object.entries(tasks).map(async ([name, task]) => {
      try {
        await task(inner);
        log?.debug({ task: name }, 'task ended');
      } catch (error) {
        if (!isAbort(error, inner)) {
          log?.error({ task: name, err: error }, 'task failed');
          failure ??= { error };
          stop.abort();
        }
      } finally {
        running.delete(name);
      }
    }),
  );

  const done = new AbortController();
  const drained = abortion(inner, done.signal).then((aborted) =>
    aborted ? clock.sleep(drainMs, done.signal) : undefined,
  );
  await Promise.race([all, drained.catch(() => undefined)]);
  done.abort();
  if (running.size > 0) {
    log?.error({ tasks: [...running] }, 'tasks did not stop in time');
    failure ??= {
      error: runtimeErrors.error('TASK_NOT_DRAINED', `${[...running].join(', ')} did not stop within ${drainMs} ms`),
    };
  }
  if (failure !== undefined) throw failure.error;
}

/** True when `error` only says that `signal` aborted. */
export function isAbort(error: unknown, signal: AbortSignal): boolean {
  if (!signal.aborted) return false;
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError');
}

/** Resolves true when `signal` aborts, false when `end` does first. */
function abortion(signal: AbortSignal, end: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(true);
    signal.addEventListener('abort', () => resolve(true), { once: true, signal: end });
    end.addEventListener('abort', () => resolve(false), { once: true });
  });
}

/** A task that does `work` at once and then `intervalMs` after it last ended; an error in `work` ends the task. */
export function periodically(clock: Clock, intervalMs: number, work: (signal: AbortSignal) => Promise<void>): Task {
  return async (signal) => {
    while (!signal.aborted) {
      await work(signal);
      try {
        await clock.sleep(intervalMs, signal);
      } catch (error) {
        if (!isAbort(error, signal)) throw error;
      }
    }
  };
}

export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait before try number `attempt` (0 for the first retry): exponential with full jitter, never below
 * half of `firstMs`, so that a fleet that lost its server does not come back at one moment.
 */
export function backoff(attempt: number, limits: BackoffLimits, random: () => number = Math.random): number {
  const ceiling = Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(attempt, 30));
  return Math.max(limits.firstMs / 2, random() * ceiling);
}
