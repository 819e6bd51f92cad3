// The firewall of one host: what may be asked of it, and the order in which that is done. Rules belong to the kernel, not to
// this process.
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import { apply } from './apply.ts';
import type { FlowAccess } from './flows/index.ts';
import { block, pardon, sawBlock, setIsland } from './held.ts';
import { nftTable } from './kernel.ts';
import type { KernelTable } from './kernel.ts';
import { replace } from './load.ts';
import type { Memory, Parts } from './memory.ts';
import { contain } from './orders.ts';
import { MAX_EPOCH } from './plan.ts';
import type { Containment, ControlEndpoint, FirewallPlan } from './plan.ts';
import { repair } from './repair.ts';
import { restore } from './restore.ts';
import { removeProxyRoutes } from './routes.ts';
import type { RunCommand } from './run.ts';
import { statusOf } from './status.ts';
import type { FirewallStatus } from './status.ts';
import type { TableState } from './table.ts';
import { viewOf } from './view.ts';
import type { FirewallView } from './view.ts';
import { Evidence } from './watch/evidence.ts';
import type { Notice } from './watch/notices.ts';
import { tellOthers } from './watch/tell-others.ts';
import { watchTable } from './watch/watch-table.ts';

export interface FirewallParts {
  readonly run: RunCommand;
  /** Default: the nft program, through `run`. */
  readonly kernel?: KernelTable;
  readonly fs: FileSystem;
  /** Folder for `firewall.json`; has to exist. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly emit: EmitEvent;
  /** Endpoints that a plan has to leave reachable, as they are known when it is applied or restored. */
  readonly control: () => readonly ControlEndpoint[];
  /**
   * Called before a candidate goes live, to see what this host reaches; its result is called afterwards, within CONFIRM_MS,
   * and says whether that is still reached. A rejection counts as no. Default: what the plan itself says is believed.
   */
  readonly confirm?: () => Promise<(signal: AbortSignal) => Promise<boolean>>;
  /** Network namespace that is watched; default the process's own. */
  readonly namespace?: string;
  /** Milliseconds for which the kernel keeps a candidate live; default CONFIRM_MS. */
  readonly confirmMs?: number;
  /**
   * Ends what proxies and authz hold open for a device, and says how many; the kernel cannot reset the far leg of a
   * proxied connection.
   */
  readonly closeStreams: (deviceId: string) => number;
  /** Wall clock of the receipts, milliseconds since the epoch; default: that of `clock`. */
  readonly trustedNow?: () => number;
  /** Ends flows and reads when they were seen, of the host whose rules these are. */
  readonly flows: FlowAccess;
}

export interface ContainmentOrder {
  readonly device: string;
  /** undefined takes the device out of both sets: its grants decide again, as the plan in force has them. */
  readonly containment: Containment | undefined;
  /** The signed order's number: a plan compiled before it does not undo it, one that knows it decides by itself. */
  readonly sequence: number;
  /** Streams that whoever gives the order has closed already; for the receipt. */
  readonly streams?: number;
}

export interface Firewall {
  /**
   * Replaces the rules by the plan's. On failure the rules of before stay in force; FIREWALL_UNCONFIRMED when the control
   * plane was not reached under the new ones, whose denies stay then. `heard`: what `heard()` said when the plan was
   * compiled; orders after it are put on top. Default: only orders whose sequence the plan does not know are.
   */
  apply(plan: FirewallPlan, heard?: number): Promise<void>;
  /** How many orders were given so far. For `apply`. */
  heard(): number;
  /**
   * Before any network: the last good plan, or `lockdown` when there is none, it is damaged, or the kernel refuses it.
   * Says which.
   */
  restore(lockdown: FirewallPlan): Promise<'last-good' | 'lockdown'>;
  /**
   * Cuts a peer now, without a new plan, and ends what it has open. Resolves, when that is done and its receipt recorded,
   * with the milliseconds until the kernel had cut it; orders for others need not wait for it. undefined when the plan
   * names no such peer. A release into `recovering` is a new plan, not an order here:
   * only a plan knows what that state leaves open.
   */
  contain(order: ContainmentOrder): Promise<number | undefined>;
  /** Island mode, with the kernel's own timer for its end; kept over plans, not over a restart of this process. */
  island(mode: IslandMode): Promise<void>;
  /**
   * Addresses that orders block, all of them, with their ends in milliseconds since the epoch; and those to be forgotten,
   * ordered or learned. Never this device's or the control plane's.
   */
  block(ordered: ReadonlyMap<string, number>, pardoned: readonly string[]): Promise<void>;
  /** Forgets what a packet led to; false when there was nothing. Throws FIREWALL_BLOCK_ORDERED. */
  pardon(request: { readonly address: string; readonly by: string; readonly reason: string }): Promise<boolean>;
  /** A packet met a rule that blocks its source: told as an event, once. */
  readonly sawBlock: (address: string, rule: string) => void;
  /** Epoch for the next plan: flows that were established before it are judged again. */
  nextEpoch(): number;
  /** The plan in force. */
  current(): FirewallPlan | undefined;
  /** What the kernel holds by this process's word: plans, slots, candidate; undefined before the first. */
  state(): TableState | undefined;
  /**
   * Looks for foreign changes of the table; records what it found, loads the plan again, and returns the finding. `take`
   * says what was noticed: where that is only this firewall's own doing, nothing is looked at. Default: it looks.
   */
  repair(take?: () => Notice): Promise<string | undefined>;
  /** Looks when the kernel tells of a commit, and every few seconds; never rejects but for a bug. */
  readonly watch: Task;
  status(): Promise<FirewallStatus>;
  /** The same, with every rule and set of the table in words. */
  show(): Promise<FirewallView>;
  /** Takes the rules out of the kernel, for uninstalling; the plan on disk stays. */
  remove(): Promise<void>;
}

export interface IslandMode {
  readonly on: boolean;
  /** Milliseconds until the kernel ends it by itself; absent for never. */
  readonly leaseMs?: number;
}

export function createFirewall(given: FirewallParts): Firewall {
  const trustedNow = given.trustedNow ?? (() => given.clock.now());
  // One time for all that ends: the one that plans are compiled with.
  const clock: Clock = {
    now: () => trustedNow(),
    monotonic: () => given.clock.monotonic(),
    sleep: async (ms, signal) => await given.clock.sleep(ms, signal),
  };
  const parts: Parts = { ...given, clock, kernel: given.kernel ?? nftTable(given.run), trustedNow };
  const { kernel } = parts;
  const memory: Memory = {
    loaded: undefined,
    orders: [],
    heard: 0,
    slot: 2,
    countedSince: 0,
    ending: new Map(),
    island: undefined,
    blocked: new Map(),
    learned: new Map(),
    evidence: new Evidence(parts),
    clockOffset: 0,
    armedAt: 0,
    others: undefined,
    found: undefined,
    isUnsure: false,
    epoch: undefined,
  };
  /** Transactions one after the other; plans one after the other too, so that an order need not wait for a proof. */
  const transaction = queue();
  const planned = queue();
  /** What is left to do of containments: not on the way of the next order. */
  const concluded = queue();
  const look = (take?: () => Notice): Promise<string | undefined> =>
    transaction(() => repair(parts, memory, (state, kept) => replace(parts, memory, state, kept), take));
  return {
    apply: (plan, heard) => planned(() => apply(parts, memory, transaction, { plan, heard })),
    heard: () => memory.heard,
    restore: (lockdown) => planned(() => transaction(() => restore(parts, memory, lockdown))),
    contain: (order) => {
      memory.heard += 1;
      return contain(parts, memory, { transaction, concluded }, { ...order, number: memory.heard });
    },
    island: (mode) => transaction(() => setIsland(parts, memory, mode)),
    block: (ordered, pardoned) => transaction(() => block(parts, memory, ordered, pardoned)),
    pardon: (request) => transaction(() => pardon(parts, memory, request)),
    sawBlock: (address, rule) => sawBlock(parts, memory, address, rule),
    nextEpoch: () => nextEpoch(memory, clock),
    current: () => newest(memory.loaded?.state),
    state: () => memory.loaded?.state,
    repair: look,
    watch: watchTable({
      ...parts,
      repair: look,
      elsewhere: tellOthers(parts, (found) => {
        memory.others = found;
      }),
    }),
    status: () =>
      transaction(async () => statusOf(memory.loaded, await kernel.read(), clock.now(), kernel, memory.others)),
    show: () =>
      transaction(async () => {
        const [listing, now] = [await kernel.read(), clock.now()];
        const status = statusOf(memory.loaded, listing, now, kernel, memory.others);
        return viewOf(memory.loaded?.state, listing, status, now);
      }),
    remove: () =>
      transaction(async () => {
        await kernel.remove();
        await removeProxyRoutes(parts.run);
        memory.loaded = undefined;
      }),
  };
}

const newest = (state: TableState | undefined): FirewallPlan | undefined =>
  state === undefined ? undefined : (state.candidate ?? state.live).plan;

/** Runs one operation after the other, also after one that failed. */
function queue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
}

/**
 * Never one that was given out before, also when its plan was refused: the kernel may hold flows that it admitted. Nor one
 * that a process before this one may have used and not saved: counting from the clock's seconds passes all that ever
 * counted by ones.
 */
function nextEpoch(memory: Memory, clock: Clock): number {
  const { state } = memory.loaded ?? {};
  const layers = state === undefined ? [] : [state.live, state.candidate, ...state.closing];
  const epochs = layers.flatMap((layer) => (layer === undefined ? [] : [layer.plan.epoch]));
  const before = memory.epoch ?? Math.floor(clock.now() / 1000) % MAX_EPOCH;
  memory.epoch = (Math.max(before, ...epochs) % MAX_EPOCH) + 1;
  return memory.epoch;
}
