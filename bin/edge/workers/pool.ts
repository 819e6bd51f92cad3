// More processes that answer authz, one socket each, for hosts with cores to spare. The edge stays the only one that writes:
// orders, states and time go to the workers, events and uses come back. A worker that does not take a change in time is
// killed, and its proxies are denied: nothing stays in force there that was taken back here.
import { type ChildProcess, fork } from 'node:child_process';
import type { EmitEvent } from '../../../audit/spool/index.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/log.ts';
import type { FromWorker, Heartbeat, Snapshot, ToWorker, WantedUse } from './messages.ts';

/** Milliseconds a worker has to take orders and anchors, and to open a bundle: the largest compiles in about a second. */
const TAKE_MS = 2_000;
const OPEN_MS = 15_000;
/** How often workers hear the time; three times missed, they deny. */
export const HEARTBEAT_MS = 1_000;
/** Milliseconds before a worker that ended is started again. */
const RESTART_MS = 1_000;

export interface WorkerPool {
  /** Resolves when every worker took it or is dead. Never rejects. */
  tell(change: Change): Promise<void>;
  /** Workers that answer requests now. */
  ready(): number;
  /** Keeps them informed of the time, and restarts those that end. */
  readonly task: (signal: AbortSignal) => Promise<void>;
  close(): Promise<void>;
}

export type Change = Without<Extract<ToWorker, { kind: 'subjects' | 'anchors' | 'policy' }>, 'id'>;
type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;

export interface WorkerPoolOptions {
  /** Sockets are numbered from 2 on: the edge itself answers on the first. */
  readonly count: number;
  readonly program: URL;
  readonly start: () => Without<Extract<ToWorker, { kind: 'start' }>, 'id' | 'index' | 'kind' | 'snapshot'>;
  readonly snapshot: () => Snapshot;
  readonly heartbeat: () => Heartbeat;
  readonly emit: EmitEvent;
  /** Whether these uses were taken and are on disk. */
  readonly use: (uses: readonly WantedUse[]) => Promise<boolean>;
  /** So many records of a worker are lost: they found no room. Undefined: what it held when it died, and nobody knows how many. */
  readonly dropped: (count: number | undefined) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createWorkerPool(options: WorkerPoolOptions): WorkerPool {
  const { count, clock, log, heartbeat } = options;
  const workers: (Worker | undefined)[] = Array.from({ length: count }, () => undefined);
  let closing = false;

  const start = (slot: number): void => {
    workers[slot] = new Worker(slot + 2, options, () => {
      workers[slot] = undefined;
    });
  };
  const alive = (): Worker[] => workers.filter((worker) => worker !== undefined);

  return {
    async tell(change) {
      // What people opened may end with the change, and so may the time be another: neither waits for the next second.
      const now = heartbeat();
      await Promise.all(
        alive().map((worker) => {
          worker.hear(now);
          return worker.take(change);
        }),
      );
    },
    ready: () => alive().filter((worker) => worker.ready).length,
    async task(signal) {
      const endedAt = workers.map(() => -Infinity);
      while (!signal.aborted) {
        for (const slot of workers.keys()) {
          if (workers[slot] !== undefined) endedAt[slot] = clock.monotonic();
          else if (clock.monotonic() - (endedAt[slot] ?? 0) >= RESTART_MS) start(slot);
        }
        for (const worker of alive()) worker.hear(heartbeat());
        await clock.sleep(HEARTBEAT_MS, signal).catch(() => undefined);
      }
      closing = true;
    },
    async close() {
      if (!closing) log.debug('authz workers are closed while their task runs');
      await Promise.all(alive().map((worker) => worker.stop()));
    },
  };
}

class Worker {
  ready = false;
  readonly #index: number;
  readonly #options: WorkerPoolOptions;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (error: string | undefined) => void>();
  readonly #ended: Promise<void>;
  #isDead = false;
  /** It has sent everything, and takes no more requests. */
  #isFlushed = false;
  #next = 1;

  constructor(index: number, options: WorkerPoolOptions, ended: () => void) {
    this.#index = index;
    this.#options = options;
    this.#child = fork(options.program, [], {
      serialization: 'advanced',
      // As bin/edgeward starts the edge.
      execArgv: ['--disallow-code-generation-from-strings', '--max-semi-space-size=2'],
      // The service manager hears of the edge alone.
      env: { ...process.env, NOTIFY_SOCKET: undefined, WATCHDOG_USEC: undefined },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message) => void this.#hear(message as FromWorker));
    this.#ended = new Promise((resolve) => {
      const end = (why: object): void => {
        options.log.error({ worker: index, ...why }, 'an authz worker ended; its proxies are denied');
        if (this.ready && !this.#isFlushed) options.dropped(undefined);
        this.ready = false;
        this.#isDead = true;
        // What waits for the dead need not wait.
        for (const settle of this.#waiting.values()) settle(undefined);
        ended();
        resolve();
      };
      this.#child.once('exit', (code, signal) => end({ code, signal }));
      this.#child.once('error', (error) => {
        if (this.#child.pid === undefined) end({ err: error });
      });
    });
    void this.#begin();
  }

  async #begin(): Promise<void> {
    const { start, snapshot } = this.#options;
    this.ready = await this.#ask(OPEN_MS, (id) => ({
      ...start(),
      kind: 'start',
      id,
      index: this.#index,
      snapshot: snapshot(),
    }));
  }

  async take(change: Change): Promise<void> {
    await this.#ask(change.kind === 'policy' ? OPEN_MS : TAKE_MS, (id) => ({ ...change, id }));
  }

  hear(heartbeat: Heartbeat): void {
    this.#send({ kind: 'heartbeat', heartbeat });
  }

  async stop(): Promise<void> {
    this.#isFlushed = await this.#ask(TAKE_MS, (id) => ({ kind: 'stop', id }));
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** True when it was taken; else the worker is dead. */
  async #ask(withinMs: number, message: (id: number) => ToWorker): Promise<boolean> {
    const id = this.#next++;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#waiting.set(id, resolve);
    const late = setTimeout(() => resolve(`took more than ${withinMs} ms`), withinMs);
    this.#send(message(id));
    const error = await promise;
    clearTimeout(late);
    this.#waiting.delete(id);
    if (error === undefined) return !this.#isDead;
    this.#options.log.error({ worker: this.#index, err: error }, 'an authz worker did not take a change and is killed');
    this.#child.kill('SIGKILL');
    await this.#ended;
    return false;
  }

  #send(message: ToWorker): void {
    // A channel that is closed belongs to a process that ends: `exit` settles what waits.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  async #hear(message: FromWorker): Promise<void> {
    const { emit, use, dropped } = this.#options;
    switch (message.kind) {
      case 'done':
        this.#waiting.get(message.id)?.(message.error);
        return;
      case 'events':
        if (message.dropped > 0) dropped(message.dropped);
        for (const event of message.events) void emit(event).catch(() => undefined);
        return;
      case 'keep':
        this.#send({ kind: 'kept', id: message.id, ok: await succeeded(emit(message.event, true)) });
        return;
      case 'use':
        this.#send({ kind: 'kept', id: message.id, ok: await use(message.uses).catch(() => false) });
    }
  }
}

async function succeeded(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch {
    return false;
  }
}
