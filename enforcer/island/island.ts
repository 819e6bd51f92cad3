// Island mode of this device while an edge runs. It counts from the moment it is known: the engine asks `active` for every
// request, the kernel is told next, then the disk. Leaving goes the other way round: on disk, out of the kernel, and only
// then does the engine allow anything.
import type { EmitEvent, NewEventData } from '../../audit/spool/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { periodically, type Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import { islandErrors } from './errors.ts';
import { islandFile, readIsland, writeIsland } from './island-file.ts';
import {
  causesOf,
  enterLocally,
  expire,
  followOrders,
  isOrdered,
  type IslandOrders,
  type IslandRecord,
  leaveLocally,
  type Position,
  remainingMs,
} from './island-record.ts';
import { type IslandStatus, type KernelIsland, kernelStateOf, statusOf } from './island-status.ts';
import { TICK_MS } from './limits.ts';

export interface IslandPorts {
  readonly fs: FileSystem;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly position: () => Position;
  /** As the bundle in force says; undefined for none. */
  readonly leaseMs: () => number | undefined;
  /** Idempotent. Rejects when the kernel did not take it. */
  readonly kernel: (state: KernelIsland) => Promise<void>;
  /** Ends what proxies hold open and island mode does not spare. */
  readonly cutStreams: () => void;
  /** Every other process that decides has it when it resolves. Never rejects. */
  readonly everywhere: () => Promise<void>;
  readonly emit: EmitEvent;
  readonly log: Logger;
}

export interface Island {
  /** Asked for every request. */
  readonly active: () => boolean;
  status(): IslandStatus;
  /** What orders say, at start and after each. Rejects what was not enforced everywhere here; closing counts all the same. */
  follow(orders: IslandOrders): Promise<void>;
  /** A person on the device. Rejects with ISLAND_*; what rejected with ISLAND_NOT_ENFORCED counts all the same. */
  enter(who: { readonly by: string; readonly reason: string }): Promise<IslandStatus>;
  leave(who: { readonly by: string; readonly reason: string }): Promise<IslandStatus>;
  /** Ends leases. */
  readonly task: Task;
}

/** Reads what is on disk, puts it in force, and tells what was done while no edge ran. */
export async function openIsland(ports: IslandPorts): Promise<Island> {
  const stored = await readIsland(ports.fs, ports.stateDir);
  const island = new RunningIsland(ports, stored.damaged ? damagedRecord(ports.position()) : stored.record);
  await island.begin(stored);
  return island.asIsland();
}

/** What nobody can read might say that this device is in island mode, so it is, until a person or an order says otherwise. */
function damagedRecord(position: Position): IslandRecord {
  return enterLocally({}, { by: 'edge', reason: 'island.json is damaged', leaseMs: undefined }, position);
}

class RunningIsland {
  readonly #ports: IslandPorts;
  #record: IslandRecord;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: IslandPorts, record: IslandRecord) {
    this.#ports = ports;
    this.#record = record;
  }

  async begin({ untold, damaged }: Awaited<ReturnType<typeof readIsland>>): Promise<void> {
    const { log, fs, stateDir } = this.#ports;
    if (damaged) {
      log.error({ path: islandFile(stateDir) }, 'the record of island mode is damaged: this device is in island mode');
      await this.#tell('island-on', { source: 'local', by: 'edge', reason: 'island.json is damaged' }, 'critical');
    }
    for (const { at, activity, by, reason } of untold) {
      await this.#tell(activity, { source: 'local', by, reason, first_ms: at });
    }
    if (untold.length > 0 || damaged) {
      await writeIsland(fs, stateDir, this.#record, []).catch((error: unknown) =>
        log.error({ err: error }, 'the record of island mode could not be written'),
      );
    }
    if (this.#isActive()) {
      log.warn({ island: this.#status().entries }, 'this device is in island mode');
      this.#ports.cutStreams();
    }
    await this.#ports
      .kernel(this.#kernelState(this.#record))
      .catch((error: unknown) => log.error({ err: error }, 'the kernel did not take island mode'));
  }

  asIsland(): Island {
    const { clock, log } = this.#ports;
    return {
      active: () => this.#isActive(),
      status: () => this.#status(),
      follow: (orders) => this.#inTurn(() => this.#follow(orders)),
      enter: (who) => this.#inTurn(() => this.#enter(who)),
      leave: (who) => this.#inTurn(() => this.#leave(who)),
      task: periodically(clock, TICK_MS, async () => {
        await this.#inTurn(() => this.#expire()).catch((error: unknown) =>
          log.error({ err: error }, 'the end of island mode is not enforced everywhere'),
        );
      }),
    };
  }

  #isActive(): boolean {
    return remainingMs(this.#record, this.#ports.position()) !== undefined;
  }

  #status(): IslandStatus {
    return statusOf(this.#record, this.#ports.position());
  }

  async #follow(orders: IslandOrders): Promise<void> {
    const { position, leaseMs } = this.#ports;
    const before = this.#record;
    const after = expire(followOrders(before, orders, leaseMs(), position()), position());
    const failure = await this.#put(after);
    if (after.ordered !== undefined && after.ordered.sequence !== before.ordered?.sequence) {
      const { by, reason, sequence } = after.ordered;
      await this.#tell('island-on', { source: 'order', by, reason, sequence });
    }
    const left = (before.ordered ?? before.local) !== undefined && (after.ordered ?? after.local) === undefined;
    if (left) await this.#tell('island-off', { source: 'order', sequence: orders.rejoined?.sequence ?? 0 });
    if (failure !== undefined) throw failure.error;
  }

  async #enter({ by, reason }: { by: string; reason: string }): Promise<IslandStatus> {
    requireWords(by, reason);
    const { position, leaseMs, everywhere } = this.#ports;
    const failure = await this.#put(enterLocally(this.#record, { by, reason, leaseMs: leaseMs() }, position()));
    await everywhere();
    await this.#tell('island-on', { source: 'local', by, reason });
    if (failure !== undefined) throw notEnforced(failure.error);
    return this.#status();
  }

  async #leave({ by, reason }: { by: string; reason: string }): Promise<IslandStatus> {
    requireWords(by, reason);
    const { position, everywhere } = this.#ports;
    if (isOrdered(this.#record, position())) {
      await this.#tell('island-refuse', { source: 'local', by, reason });
      throw islandErrors.error('ISLAND_ORDERED', 'the control plane ordered island mode');
    }
    const wasActive = this.#isActive();
    const failure = await this.#put(leaveLocally(this.#record));
    if (failure !== undefined) throw notEnforced(failure.error);
    await everywhere();
    if (wasActive) await this.#tell('island-off', { source: 'local', by, reason });
    return this.#status();
  }

  async #expire(): Promise<void> {
    const after = expire(this.#record, this.#ports.position());
    if (after === this.#record) return;
    const failure = await this.#put(after);
    await this.#ports.everywhere();
    await this.#tell(this.#isActive() ? 'island-on' : 'island-off', { source: 'lease' });
    if (failure !== undefined) throw failure.error;
  }

  /** Closing counts at once, whatever fails; opening only when disk and kernel have taken it. */
  async #put(after: IslandRecord): Promise<{ error: unknown } | undefined> {
    const { fs, stateDir, kernel, cutStreams } = this.#ports;
    const state = this.#kernelState(after);
    // A lease that ran out is over by the clock, also while the disk takes nothing.
    if (state.on || !this.#isActive()) {
      const wasActive = this.#isActive();
      this.#record = after;
      if (state.on && !wasActive) cutStreams();
      const results = await Promise.allSettled([kernel(state), writeIsland(fs, stateDir, after, [])]);
      return failureOf(results);
    }
    try {
      await writeIsland(fs, stateDir, after, []);
      await kernel(state);
    } catch (error) {
      return { error };
    }
    this.#record = after;
    return undefined;
  }

  #kernelState(record: IslandRecord): KernelIsland {
    return kernelStateOf(record, this.#ports.position());
  }

  async #tell(activity: string, data: NewEventData, severity: 'high' | 'critical' = 'high'): Promise<void> {
    const { emit, log, position } = this.#ports;
    const state = causesOf(this.#record, position()).join(' ') || 'none';
    const left = remainingMs(this.#record, position());
    const until = left !== undefined && Number.isFinite(left) ? { until_ms: Math.round(position().now + left) } : {};
    await emit({ kind: 'order', activity, severity, data: { ...data, state, ...until } }, true).catch(
      (error: unknown) => log.error({ err: error, activity }, 'an event of island mode was lost'),
    );
  }

  /** One change at a time, whoever asks. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function requireWords(by: string, reason: string): void {
  if (by.trim() === '' || reason.trim() === '') {
    throw islandErrors.error('ISLAND_REQUEST_INVALID', 'island mode needs to know who asks, and why');
  }
}

function failureOf(results: readonly PromiseSettledResult<void>[]): { error: unknown } | undefined {
  const failed = results.find((result) => result.status === 'rejected');
  return failed === undefined ? undefined : { error: failed.reason as unknown };
}

const notEnforced = (cause: unknown): Error =>
  islandErrors.error('ISLAND_NOT_ENFORCED', 'island mode is not enforced everywhere here', { cause });
