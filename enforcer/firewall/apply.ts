// Puts plans into the kernel and keeps them there: one transaction a plan, checked afterwards against what the kernel
// lists, the last good one on disk for the next start, and orders as single elements on top. Rules belong to the
// kernel, not to this process: when it dies, however it dies, they stay in force.
import { join } from 'node:path';
import type { EmitEvent } from '../../audit/spool/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import type { FileSystem } from '../../store/files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import { containmentChange, endFlows, withContainment } from './containment.ts';
import { firewallErrors } from './errors.ts';
import { reachesControlPlane } from './judge.ts';
import { list, load, unload } from './kernel.ts';
import { MAX_SAVED_PLAN_BYTES } from './limits.ts';
import { differenceTo } from './listing.ts';
import { MAX_EPOCH, planSchema } from './plan.ts';
import type { Containment, ControlEndpoint, FirewallPlan } from './plan.ts';
import { renderNft } from './render.ts';
import { ensureProxyRoutes, removeProxyRoutes } from './routes.ts';
import type { RunCommand } from './run.ts';
import { driftOf, statusOf } from './status.ts';
import type { FirewallStatus, Loaded } from './status.ts';

export interface FirewallParts {
  readonly run: RunCommand;
  readonly fs: FileSystem;
  /** Folder for `firewall.json`; has to exist. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly emit: EmitEvent;
  /** Endpoints that a plan has to leave reachable, as they are known when it is applied or restored. */
  readonly control: () => readonly ControlEndpoint[];
  /** Ends what proxies and authz hold open for a device; the kernel cannot reset the far leg of a proxied connection. */
  readonly closeStreams: (deviceId: string) => void;
}

export interface ContainmentOrder {
  readonly device: string;
  /** undefined takes the device out of both sets: its grants decide again, as the plan in force has them. */
  readonly containment: Containment | undefined;
  /** The signed order's number: a plan compiled before it does not undo it, one that knows it decides by itself. */
  readonly sequence: number;
}

export interface Firewall {
  /** Replaces the rules by the plan's. On failure the rules of before stay in force. */
  apply(plan: FirewallPlan): Promise<void>;
  /**
   * Before any network: the last good plan, or `lockdown` when there is none, it is damaged, or the kernel refuses it.
   * Says which.
   */
  restore(lockdown: FirewallPlan): Promise<'last-good' | 'lockdown'>;
  /**
   * Cuts a peer now, without a new plan, and ends what it has open. Resolves with the milliseconds until the kernel had
   * cut it; undefined when the plan names no such peer. A release into `recovering` is a new plan, not an order here:
   * only a plan knows what that state leaves open.
   */
  contain(order: ContainmentOrder): Promise<number | undefined>;
  /** Epoch for the next plan: flows that were established before it are judged again. */
  nextEpoch(): number;
  /** The plan in force. */
  current(): FirewallPlan | undefined;
  /** Looks for foreign changes of the table; records what it found, loads the plan again, and returns the finding. */
  repair(): Promise<string | undefined>;
  status(): Promise<FirewallStatus>;
  /** Takes the rules out of the kernel, for uninstalling; the plan on disk stays. */
  remove(): Promise<void>;
}

/** What one firewall knows between two operations. */
interface Memory {
  loaded: Loaded | undefined;
  /** Later than the plan in force was compiled. */
  orders: readonly ContainmentOrder[];
}

export function createFirewall(parts: FirewallParts): Firewall {
  const { run, clock } = parts;
  const memory: Memory = { loaded: undefined, orders: [] };
  const oneByOne = queue();
  return {
    apply: (plan) => oneByOne(() => apply(parts, memory, plan)),
    restore: (lockdown) => oneByOne(() => restore(parts, memory, lockdown)),
    contain: (order) => oneByOne(() => contain(parts, memory, order)),
    nextEpoch: () => nextEpoch(memory.loaded?.plan, clock),
    current: () => memory.loaded?.plan,
    repair: () => oneByOne(() => repair(parts, memory)),
    status: () => oneByOne(async () => statusOf(memory.loaded, await list(run), clock.now())),
    remove: () =>
      oneByOne(async () => {
        await unload(run);
        await removeProxyRoutes(run);
        memory.loaded = undefined;
      }),
  };
}

function mustReach(plan: FirewallPlan, endpoints: readonly ControlEndpoint[]): void {
  for (const endpoint of endpoints) {
    if (reachesControlPlane(plan, endpoint)) continue;
    const place = `${endpoint.transport} ${endpoint.address} port ${endpoint.port}`;
    throw firewallErrors.error('FIREWALL_CUTS_CONTROL_PLANE', `the plan would cut the control plane at ${place}`);
  }
}

/** Into the kernel, and checked there. */
async function put(parts: FirewallParts, memory: Memory, plan: FirewallPlan): Promise<void> {
  const { run, clock } = parts;
  mustReach(plan, plan.control);
  // A clock that went back must not lengthen a grant beyond what was meant when it was compiled.
  await load(run, renderNft(plan, Math.max(clock.now(), plan.compiledAt)));
  const listing = await list(run);
  const difference = listing === undefined ? 'the table is gone' : differenceTo(plan, listing, clock.now());
  if (listing === undefined || difference !== undefined) {
    if (memory.loaded !== undefined) await load(run, renderNft(memory.loaded.plan, clock.now()));
    throw firewallErrors.error('FIREWALL_DRIFT', `the kernel does not hold what was loaded: ${difference}`);
  }
  memory.loaded = { plan, fingerprint: listing.fingerprint };
  // After the rules: a host without loopback yet (early boot) must not stay without rules. Diverted packets are for
  // this host's own addresses, so they arrive without these routes too.
  await ensureProxyRoutes(run, plan.divertedFamilies).catch((error: unknown) =>
    parts.log.warn({ err: error }, 'the routes for proxied packets are missing'),
  );
}

async function apply(parts: FirewallParts, memory: Memory, plan: FirewallPlan): Promise<void> {
  const { clock, log } = parts;
  const later = memory.orders.filter((order) => order.sequence > plan.ordersSequence);
  const wanted = later.reduce((held, order) => withContainment(held, order.device, order.containment), plan);
  const started = clock.monotonic();
  mustReach(wanted, parts.control());
  await put(parts, memory, wanted);
  memory.orders = later;
  await save(parts, wanted);
  const elapsedMs = Math.round(clock.monotonic() - started);
  log.info({ epoch: plan.epoch, sets: plan.sets.length, elapsedMs }, 'firewall plan in force');
  for (const warning of plan.warnings) log.warn(warning);
}

async function restore(
  parts: FirewallParts,
  memory: Memory,
  lockdown: FirewallPlan,
): Promise<'last-good' | 'lockdown'> {
  const saved = await readSaved(parts);
  if (saved !== undefined) {
    try {
      await put(parts, memory, saved);
      return 'last-good';
    } catch (error) {
      // Another kernel or another nft than the plan was made on.
      await refuseSaved(parts, error, 'the saved firewall plan cannot be put in force');
    }
  }
  mustReach(lockdown, parts.control());
  await put(parts, memory, lockdown);
  return 'lockdown';
}

async function contain(parts: FirewallParts, memory: Memory, order: ContainmentOrder): Promise<number | undefined> {
  const { run, clock, log } = parts;
  memory.orders = [...memory.orders.filter((other) => other.device !== order.device), order];
  const before = memory.loaded;
  if (before === undefined || before.plan.peers[order.device] === undefined) return undefined;
  const started = clock.monotonic();
  const after = withContainment(before.plan, order.device, order.containment);
  const change = containmentChange(before.plan, after);
  if (change !== '') await load(run, change);
  const elapsedMs = clock.monotonic() - started;
  memory.loaded = { plan: after, fingerprint: before.fingerprint };
  if (order.containment !== undefined) {
    parts.closeStreams(order.device);
    await endFlows(run, log, after, order.device, order.containment);
  }
  await save(parts, after);
  await parts.emit({
    kind: 'firewall',
    activity: order.containment === undefined ? 'uncontain' : 'contain',
    severity: 'high',
    data: { device: order.device, state: order.containment ?? 'none', sequence: order.sequence },
  });
  return elapsedMs;
}

async function repair(parts: FirewallParts, memory: Memory): Promise<string | undefined> {
  const { loaded } = memory;
  const drift = driftOf(loaded, await list(parts.run), parts.clock.now());
  if (drift === undefined || loaded === undefined) return drift;
  await parts.emit({ kind: 'firewall', activity: 'drift', severity: 'critical', data: { message: drift } });
  await put(parts, memory, loaded.plan);
  return drift;
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

/** Without a plan the kernel may hold flows of an unknown epoch; counting from the clock's seconds passes all that ever counted by ones. */
function nextEpoch(plan: FirewallPlan | undefined, clock: Clock): number {
  const last = plan?.epoch ?? Math.floor(clock.now() / 1000) % MAX_EPOCH;
  return (last % MAX_EPOCH) + 1;
}

const savedName = 'firewall.json';

/** A full disk must not hold back a plan or an order that is already in force: it is recorded instead. */
async function save(parts: FirewallParts, plan: FirewallPlan): Promise<void> {
  const path = join(parts.directory, savedName);
  try {
    await writeDurably(parts.fs, path, Buffer.from(JSON.stringify(plan)));
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    parts.log.error({ err: error, path }, 'the firewall plan in force could not be saved for the next start');
    const { code, message } = error;
    await parts.emit({ kind: 'firewall', activity: 'unsaved', severity: 'high', data: { code, message } });
  }
}

/** The last good plan; undefined when there is none, or when it is damaged or would cut the control plane. */
async function readSaved(parts: FirewallParts): Promise<FirewallPlan | undefined> {
  const path = join(parts.directory, savedName);
  try {
    if ((await parts.fs.stat(path)) === undefined) return undefined;
    const plan = planSchema.parse(JSON.parse((await parts.fs.readFile(path, MAX_SAVED_PLAN_BYTES)).toString('utf8')));
    if (parts.control().every((endpoint) => reachesControlPlane(plan, endpoint))) return plan;
    parts.log.warn({ path }, 'the saved firewall plan names another control plane');
  } catch (cause) {
    const error = firewallErrors.error('FIREWALL_SAVED_PLAN', `${path} is not a firewall plan`, { cause });
    await refuseSaved(parts, error, 'the saved firewall plan is damaged');
  }
  return undefined;
}

async function refuseSaved(parts: FirewallParts, error: unknown, what: string): Promise<void> {
  parts.log.error({ err: error }, what);
  const code = error instanceof CodedError ? error.code : '';
  const message = error instanceof Error ? error.message : String(error);
  await parts.emit({ kind: 'firewall', activity: 'refuse', severity: 'high', data: { code, message } });
}
