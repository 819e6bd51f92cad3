// Puts plans into the kernel and keeps them there. A plan that differs from the one before in elements only follows it in
// one transaction. Any other becomes a candidate beside it: live at once, proven by reaching the control plane, and then
// confirmed; otherwise the kernel falls back by itself, however this process died. What a candidate denies stays denied.
// Rules belong to the kernel, not to this process.
import type { EmitEvent } from '../../audit/spool/index.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import { tableChange } from './change.ts';
import { type Learned, withLearned } from './blocks.ts';
import { flowTarget, isContainedBy, withContainment } from './containment.ts';
import { firewallErrors } from './errors.ts';
import type { FlowAccess } from './flows/index.ts';
import { block, heldBeside, pardon, sawBlock, setIsland, withKept } from './held.ts';
import { controlPlaneCut } from './judge.ts';
import { type KernelTable, nftTable } from './kernel.ts';
import { CONFIRM_MARGIN_MS, CONFIRM_MS, MAX_KEPT_DENIES, MAX_UNCONFIRMED_PLANS } from './limits.ts';
import { differenceTo } from './listing.ts';
import type { Listing } from './listing.ts';
import { MAX_EPOCH } from './plan.ts';
import type { Containment, ControlEndpoint, FirewallPlan } from './plan.ts';
import { conclude, type Cut } from './receipt.ts';
import { ensureProxyRoutes, removeProxyRoutes } from './routes.ts';
import type { RunCommand } from './run.ts';
import { type ReadPlans, readSaved, refuseSaved, save } from './saved.ts';
import { repair } from './repair.ts';
import { settledReading } from './settled-reading.ts';
import { statusOf } from './status.ts';
import type { FirewallStatus, Loaded } from './status.ts';
import { followsByElements } from './follows.ts';
import { type Found, foundBeyond, withFound, withoutDevice } from './found.ts';
import { viewOf } from './view.ts';
import type { FirewallView } from './view.ts';
import { stateOf, tableOf } from './table.ts';
import type { Layer, TableState } from './table.ts';
import type { Kept } from './watch/blocked.ts';
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

/** `number`: in the order in which this process heard them; a state that is no order's has no sequence of its own. */
type HeardOrder = ContainmentOrder & { readonly number: number };

/** What one firewall knows between two operations. */
export interface Memory {
  loaded: Loaded | undefined;
  /** Later than the plan in force was compiled. */
  orders: readonly HeardOrder[];
  /** How many there were. */
  heard: number;
  /** Of the next candidate. */
  slot: number;
  /** When the table was loaded whole: from then on accepted packets are remembered. */
  countedSince: number;
  /** Devices that were cut and whose flows are still being ended. */
  readonly ending: Map<string, Promise<unknown>>;
  /** By order or a person; by order; by packets. */
  island: TableState['island'];
  blocked: ReadonlyMap<string, number>;
  learned: Learned;
  /** What was changed by others since the last event about it. */
  readonly evidence: Evidence;
  /** Wall clock against monotonic clock when the table's timers were made. */
  clockOffset: number;
  others: readonly string[] | undefined;
  /** Contained in the kernel at the start, and not on the disk. */
  found: Found | undefined;
  /** A change was sent and its answer lost: the kernel may hold something else than `loaded`. */
  isUnsure: boolean;
  /** When the candidate went live, by the monotonic clock. */
  armedAt: number;
  /** The last epoch that was given out. */
  epoch: number | undefined;
}

export interface Parts extends FirewallParts {
  readonly kernel: KernelTable;
  readonly trustedNow: () => number;
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

/** The plans whose generations may answer for a packet, the newest first. */
const answering = (state: TableState | undefined): FirewallPlan[] =>
  state === undefined ? [] : [...(state.candidate === undefined ? [] : [state.candidate.plan]), state.live.plan];

function mustReach(plan: FirewallPlan, endpoints: readonly ControlEndpoint[]): void {
  for (const endpoint of endpoints) {
    const cut = controlPlaneCut(plan, endpoint);
    if (cut === undefined) continue;
    const place = `${endpoint.transport} ${endpoint.address} port ${endpoint.port}`;
    const { rule, path } = cut.verdict;
    const chains = path.map(({ chain, index }) => `${chain} rule ${index + 1}`).join(', ');
    throw firewallErrors.error(
      'FIREWALL_CUTS_CONTROL_PLANE',
      `the plan would cut the control plane at ${place}: its ${cut.packet} ends at ${rule || 'the policy of the hook'} (${chains})`,
    );
  }
}

/** A clock that went back must not lengthen a grant beyond what was meant when it was compiled. */
const timeFor = ({ clock }: Parts, state: TableState): number =>
  Math.max(clock.now(), (state.candidate ?? state.live).plan.compiledAt);

/** From nothing that is known, or from what somebody changed: the whole table anew. */
async function replace(parts: Parts, memory: Memory, state: TableState, kept?: Kept): Promise<void> {
  const { clock, kernel } = parts;
  const table = tableOf(state);
  const whole = kept === undefined ? await withKept(parts, memory, table) : withLearned(table, kept);
  memory.clockOffset = clock.now() - clock.monotonic();
  await kernel.replace(whole, timeFor(parts, state));
  memory.countedSince = parts.trustedNow();
  await verify(parts, memory, state);
}

/** The next state in one transaction, and checked in the kernel where rules changed. */
async function move(parts: Parts, memory: Memory, loaded: Loaded, state: TableState, how: 'rules' | 'elements') {
  const { kernel } = parts;
  // The answer to the change before was lost: what leads from one state to the next would leave out what did not arrive.
  if (memory.isUnsure) return await replace(parts, memory, state);
  memory.isUnsure = true;
  try {
    await kernel.change(tableChange(tableOf(loaded.state), tableOf(state)), timeFor(parts, state));
  } catch (error) {
    memory.isUnsure = !isRefusal(error);
    throw error;
  }
  if (how === 'elements') {
    memory.loaded = { ...loaded, state };
    memory.isUnsure = false;
  } else await verify(parts, memory, state);
}

/** The kernel's own word that it changed nothing. */
const isRefusal = (error: unknown): boolean => error instanceof CodedError && error.code === 'FIREWALL_KERNEL_REFUSED';

/** Reads back what the kernel holds; when it is something else, the state of before is loaded again. */
async function verify(parts: Parts, memory: Memory, state: TableState): Promise<void> {
  const { kernel, clock } = parts;
  const { listing, difference } = await settledReading(
    await readBack(kernel),
    () => readBack(kernel),
    (read) => (read === undefined ? 'the table is gone' : differenceTo(tableOf(state), read, timeFor(parts, state))),
  );
  if (listing === undefined || difference !== undefined) {
    if (memory.loaded !== undefined) {
      await kernel.replace(await withKept(parts, memory, tableOf(memory.loaded.state)), clock.now());
    }
    throw notHeld(`${difference}`);
  }
  const { fingerprint, definitions } = listing;
  memory.loaded = { state, fingerprint, definitions };
  memory.isUnsure = false;
  // After the rules: a host without loopback yet (early boot) must not stay without rules. Diverted packets are for
  // this host's own addresses, so they arrive without these routes too.
  const { divertedFamilies } = (state.candidate ?? state.live).plan;
  await ensureProxyRoutes(parts.run, divertedFamilies).catch((error: unknown) =>
    parts.log.warn({ err: error }, 'the routes for proxied packets are missing'),
  );
}

/** What was loaded. That it is not shown does not mean that it was refused. */
async function readBack(kernel: KernelTable): Promise<Listing | undefined> {
  try {
    return await kernel.read();
  } catch (cause) {
    throw isRefusal(cause) ? notHeld('it is not shown', cause) : cause;
  }
}

const notHeld = (why: string, cause?: unknown): Error =>
  firewallErrors.error('FIREWALL_DRIFT', `the kernel does not hold what was loaded: ${why}`, { cause });

type Transaction = <T>(work: () => Promise<T>) => Promise<T>;

interface Compiled {
  readonly plan: FirewallPlan;
  /** Orders that had been given when it was compiled; absent where only their sequences say so. */
  readonly heard: number | undefined;
}

async function apply(parts: Parts, memory: Memory, transaction: Transaction, compiled: Compiled): Promise<void> {
  const { clock, log } = parts;
  const { plan } = compiled;
  const started = clock.monotonic();
  // Before it is asked what the plan needs: what is left of the last candidate decides about that.
  await transaction(() => settle(parts, memory));
  // Containment waits for no proof: only plans do, one after the other.
  const asks = needsProof(memory, plan) ? await parts.confirm?.() : undefined;
  await endedOfReleased(memory, plan);
  const step = await transaction(() => begin(parts, memory, compiled));
  if (step === 'candidate') {
    // A candidate that nobody was prepared for is one that nobody proves.
    const proven = asks === undefined ? parts.confirm === undefined : await proveReachable(parts, asks);
    try {
      await transaction(() => (proven ? confirm(parts, memory) : fallBack(parts, memory)));
    } catch (error) {
      await transaction(() => settle(parts, memory));
      throw error;
    }
  }
  const elapsedMs = Math.round(clock.monotonic() - started);
  log.info({ epoch: plan.epoch, step, elapsedMs }, 'firewall plan in force');
  for (const warning of plan.warnings) log.warn(warning);
}

/** Whether the plan comes as a candidate: it has other rules, or it knows better than denies that were kept. */
function needsProof({ loaded }: Memory, plan: FirewallPlan): boolean {
  if (loaded === undefined) return false;
  const { live, closing } = loaded.state;
  return closing.some((layer) => layer.plan.bundle < plan.bundle) || !followsByElements(live.plan, plan);
}

/** The first transaction of a plan: the whole change, or a candidate that has to be confirmed. */
async function begin(
  parts: Parts,
  memory: Memory,
  { plan, heard = Infinity }: Compiled,
): Promise<'first' | 'elements' | 'candidate'> {
  const { clock } = parts;
  // Whichever says so: a sequence is known before its order was given here, and device states have none.
  const later = memory.orders.filter((order) => order.sequence > plan.ordersSequence || order.number > heard);
  const ordered = later.reduce((held, order) => withContainment(held, order.device, order.containment), plan);
  const wanted = withFound(ordered, memory.found);
  mustReach(wanted, parts.control());
  mustReach(wanted, wanted.control);
  const { loaded } = memory;
  if (loaded === undefined) {
    await replace(parts, memory, { ...stateOf(wanted), ...heldBeside(parts, memory, wanted) });
    memory.orders = later;
    await save(parts, { live: wanted, closing: [] });
    return 'first';
  }
  // What the kernel did not take when it was said comes with the plan.
  const { island: _island, blocked: _blocked, ...others } = loaded.state;
  const state: TableState = { ...others, ...heldBeside(parts, memory, wanted) };
  if (!needsProof(memory, wanted)) {
    await move(parts, memory, loaded, { ...state, live: { ...state.live, plan: wanted } }, 'elements');
    memory.orders = later;
    await saveState(parts, memory);
    return 'elements';
  }
  const kept = withoutSameDenies(state.closing, wanted);
  // Whoever published a newer bundle may have corrected what kept the others from being confirmed.
  const isNewer = kept.every((layer) => layer.plan.bundle < wanted.bundle);
  if (kept.length >= (isNewer ? MAX_KEPT_DENIES : MAX_UNCONFIRMED_PLANS)) {
    throw firewallErrors.error(
      'FIREWALL_UNCONFIRMED',
      `${kept.length} plans in a row could not be confirmed; no further one is tried`,
    );
  }
  const { slot } = memory;
  memory.slot += 1;
  // On disk first: after a crash the next start closes what this candidate denies.
  await save(parts, { live: state.live.plan, closing: [...state.closing.map((layer) => layer.plan), wanted] });
  const until = Math.max(clock.now(), wanted.compiledAt) + (parts.confirmMs ?? CONFIRM_MS);
  const candidate = { plan: wanted, slot, until };
  memory.armedAt = clock.monotonic();
  try {
    await move(parts, memory, loaded, { ...state, candidate }, 'rules');
  } catch (error) {
    await saveState(parts, memory);
    throw error;
  }
  memory.orders = later;
  return 'candidate';
}

async function proveReachable(
  { confirmMs = CONFIRM_MS, log }: Parts,
  ask: (signal: AbortSignal) => Promise<boolean>,
): Promise<boolean> {
  try {
    return await ask(AbortSignal.timeout(Math.max(1, confirmMs - 2 * CONFIRM_MARGIN_MS)));
  } catch (error) {
    log.warn({ err: error }, 'the control plane was not reached under the new rules');
    return false;
  }
}

async function confirm(parts: Parts, memory: Memory): Promise<void> {
  const { loaded } = memory;
  const candidate = loaded?.state.candidate;
  if (loaded === undefined || candidate === undefined) throw unconfirmed('another plan took its place');
  const { clock, confirmMs = CONFIRM_MS } = parts;
  // By the clock that the kernel counts with, whatever the time of day became meanwhile.
  if (clock.monotonic() - memory.armedAt > confirmMs - CONFIRM_MARGIN_MS) return await fallBack(parts, memory);
  const { plan, slot } = candidate;
  const { candidate: _, ...rest } = loaded.state;
  // What a newer bundle denies stays denied, though it could not be confirmed; a plan of that bundle knows it by itself.
  const closing = rest.closing.filter((layer) => layer.plan.bundle > plan.bundle);
  await move(parts, memory, loaded, { ...rest, live: { plan, slot }, closing }, 'rules');
  await saveState(parts, memory);
}

/**
 * A candidate that was neither confirmed nor taken back, because the kernel refused that or its answer was lost: the kernel
 * falls back by itself, and what the candidate denies stays denied under every plan that follows. The whole table, because
 * nobody knows which half the kernel holds.
 */
async function settle(parts: Parts, memory: Memory): Promise<void> {
  const state = memory.loaded?.state;
  if (state?.candidate === undefined) return;
  await replace(parts, memory, fallen(state));
  await saveState(parts, memory);
}

function fallen({ candidate, ...rest }: TableState): TableState {
  if (candidate === undefined) return rest;
  const { plan, slot } = candidate;
  return { ...rest, closing: [...withoutSameDenies(rest.closing, plan), { plan, slot }] };
}

/** The same bundle tried again closes nothing that it did not close before. */
function withoutSameDenies(closing: readonly Layer[], { bundle, denies }: FirewallPlan): readonly Layer[] {
  const text = JSON.stringify(denies);
  return closing.filter(({ plan }) => plan.bundle > bundle || JSON.stringify(plan.denies) !== text);
}

/** Back to the generation of before; the candidate's denies stay. Throws FIREWALL_UNCONFIRMED. */
async function fallBack(parts: Parts, memory: Memory): Promise<never> {
  const { loaded } = memory;
  if (loaded?.state.candidate !== undefined) {
    await move(parts, memory, loaded, fallen(loaded.state), 'rules');
    await saveState(parts, memory);
  }
  const error = unconfirmed('the control plane was not reached under the new rules');
  const { code, message } = error;
  await parts.emit({ kind: 'firewall', activity: 'fall-back', severity: 'high', data: { code, message } });
  throw error;
}

const unconfirmed = (why: string) =>
  firewallErrors.error('FIREWALL_UNCONFIRMED', `${why}: the rules of before are in force again, with its denies`);

const saveState = async (parts: Parts, { loaded }: Memory): Promise<void> => {
  if (loaded === undefined) return;
  // An order may be saved while a candidate waits for its proof: its denies are not forgotten.
  const { live, closing } = fallen(loaded.state);
  await save(parts, { live: live.plan, closing: closing.map((layer) => layer.plan) });
};

async function restore(parts: Parts, memory: Memory, lockdown: FirewallPlan): Promise<'last-good' | 'lockdown'> {
  const saved = await readSaved(parts);
  // What cannot be read is somebody else's table, and goes.
  const listing = await parts.kernel.read().catch(() => undefined);
  const keep = async (plan: FirewallPlan): Promise<FirewallPlan> => {
    memory.found = foundBeyond(listing, plan, parts.control());
    if (memory.found === undefined) return plan;
    const values = [...memory.found.keys].flatMap(([set, keys]) => keys.map((key) => `${key} (${set})`));
    const message = 'contained in the kernel and not on the disk: stays so until the orders here are newer';
    parts.log.warn({ values }, message);
    await parts.emit({ kind: 'firewall', activity: 'keep', severity: 'high', data: { message, values } });
    return withFound(plan, memory.found);
  };
  const closing = (saved?.closing ?? []).map((plan, at) => ({ plan, slot: at + 2 }));
  let refused = true;
  for (const { live: plan, isClosing, isLess } of attemptsOf(saved)) {
    if (isLess && !refused) continue;
    try {
      if (plan === undefined) mustReach(lockdown, parts.control());
      const live = await keep(plan ?? lockdown);
      const state = { live: { plan: live, slot: 1 }, closing: isClosing ? closing : [] };
      await replace(parts, memory, { ...state, ...heldBeside(parts, memory, live) });
      memory.slot = state.closing.length + 2;
      return plan === undefined ? 'lockdown' : 'last-good';
    } catch (error) {
      // Another kernel or another nft than the plan was made on.
      refused = isRefusal(error);
      await refuseSaved(parts, error, 'the saved firewall plan cannot be put in force');
    }
  }
  mustReach(lockdown, parts.control());
  await replace(parts, memory, { ...stateOf(await keep(lockdown)), ...heldBeside(parts, memory, lockdown) });
  if (!refused && closing.length > 0) comeLater(memory, closing);
  return 'lockdown';
}

/** What these deny is put in force with the next change or look: a fault says nothing about whether the kernel takes it. */
function comeLater(memory: Memory, closing: readonly Layer[]): void {
  if (memory.loaded === undefined) return;
  memory.loaded = { ...memory.loaded, state: { ...memory.loaded.state, closing } };
  memory.slot = closing.length + 2;
  memory.isUnsure = true;
}

interface Attempt {
  /** Absent for lock-down. */
  readonly live?: FirewallPlan;
  /** With what was never confirmed. */
  readonly isClosing: boolean;
  /** Only where the kernel has refused more: other faults say nothing about what was in force. */
  readonly isLess?: true;
}

/**
 * What was never confirmed stays closed also where the last good plan cannot be had. A candidate that this kernel refuses
 * was never in force: nothing that it denies has to stay.
 */
function attemptsOf({ live, closing }: ReadPlans = { closing: [] }): Attempt[] {
  const isClosing = closing.length > 0;
  return [
    ...(live === undefined ? [] : [{ live, isClosing }]),
    ...(live === undefined || !isClosing ? [] : [{ live, isClosing: false, isLess: true as const }]),
    ...(isClosing ? [{ isClosing }] : []),
  ];
}

/** A flow that has not been forgotten yet must not wake up when its peer is released. */
async function endedOfReleased({ ending }: Memory, plan: FirewallPlan): Promise<void> {
  const released = [...ending].filter(([device]) => !isContainedBy(plan, device));
  await Promise.all(released.map(([, done]) => done));
}

interface Queues {
  readonly transaction: Transaction;
  readonly concluded: Transaction;
}

async function contain(
  parts: Parts,
  memory: Memory,
  { transaction, concluded }: Queues,
  order: HeardOrder,
): Promise<number | undefined> {
  const { device, containment } = order;
  if (containment === undefined) return await release(parts, memory, transaction, order);
  const cutting = transaction(() => cutOff(parts, memory, { ...order, containment }));
  const ending = cutting.then(async (cut) => {
    if (cut !== undefined) await concluded(() => conclude({ ...parts, now: parts.trustedNow }, cut));
  });
  const over = ending.catch(() => undefined);
  memory.ending.set(device, over);
  const saving = cutting.then(() => transaction(() => saveState(parts, memory)));
  try {
    await Promise.all([ending, saving]);
    return (await cutting)?.elapsedMs;
  } finally {
    await over;
    if (memory.ending.get(device) === over) memory.ending.delete(device);
  }
}

async function cutOff(
  parts: Parts,
  memory: Memory,
  order: HeardOrder & { readonly containment: Containment },
): Promise<Cut | undefined> {
  const { device, containment, sequence } = order;
  const plans = answering(memory.loaded?.state);
  const elapsedMs = await carryOut(parts, memory, order);
  if (elapsedMs === undefined) return undefined;
  return {
    device,
    containment,
    sequence,
    at: Math.round(parts.trustedNow()),
    elapsedMs,
    target: flowTarget(plans, device, containment),
    streams: (order.streams ?? 0) + parts.closeStreams(device),
    countedSince: memory.countedSince,
  };
}

async function release(
  parts: Parts,
  memory: Memory,
  transaction: Transaction,
  order: HeardOrder,
): Promise<number | undefined> {
  const { device, sequence } = order;
  await memory.ending.get(device);
  const elapsedMs = await transaction(async () => {
    const elapsed = await carryOut(parts, memory, order);
    if (elapsed !== undefined) await saveState(parts, memory);
    return elapsed;
  });
  if (elapsedMs === undefined) return undefined;
  const data = { device, state: 'none', sequence };
  await parts.emit({ kind: 'firewall', activity: 'uncontain', severity: 'high', data });
  return elapsedMs;
}

/** The elements of an order, into the kernel; milliseconds it took. undefined when the plan names no such peer. */
async function carryOut(parts: Parts, memory: Memory, order: HeardOrder): Promise<number | undefined> {
  const { clock } = parts;
  memory.orders = [...memory.orders.filter((other) => other.device !== order.device), order];
  const before = memory.loaded;
  for (const plan of answering(before?.state)) memory.found = withoutDevice(memory.found, plan, order.device);
  // A candidate that names it no more may fall back to a plan that does.
  const isKnown = answering(before?.state).some((plan) => plan.peers[order.device] !== undefined);
  if (before === undefined || !isKnown) return undefined;
  const started = clock.monotonic();
  await move(parts, memory, before, contained(before.state, order), 'elements');
  return clock.monotonic() - started;
}

function contained(state: TableState, { device, containment, sequence }: ContainmentOrder): TableState {
  const { live, candidate } = state;
  const next = (plan: FirewallPlan): FirewallPlan => ({
    ...withContainment(plan, device, containment),
    ordersSequence: Math.max(plan.ordersSequence, sequence),
  });
  return {
    ...state,
    live: { ...live, plan: next(live.plan) },
    ...(candidate === undefined ? {} : { candidate: { ...candidate, plan: next(candidate.plan) } }),
  };
}

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
