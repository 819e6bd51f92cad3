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
import type { Listing } from './listing.ts';
import { containmentSets, MAX_EPOCH, planSchema } from './plan.ts';
import type { Containment, ControlEndpoint, FirewallPlan } from './plan.ts';
import { renderNft } from './render.ts';
import { ensureProxyRoutes, removeProxyRoutes } from './routes.ts';
import type { RunCommand } from './run.ts';

export interface FirewallParts {
  readonly run: RunCommand;
  readonly fs: FileSystem;
  /** Folder for `firewall.json`; has to exist. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly emit: EmitEvent;
  /** Endpoints that every plan has to leave reachable. */
  readonly control: readonly ControlEndpoint[];
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

export interface FirewallStatus {
  readonly loaded: boolean;
  readonly epoch: number;
  readonly compiledAt: number;
  /** Where the kernel's table is not the plan's; undefined when it is. */
  readonly drift: string | undefined;
  /** What stays reachable whatever the policy says, beside loopback. */
  readonly failsafe: readonly ControlEndpoint[];
  readonly contained: Readonly<Record<Containment, readonly string[]>>;
  /** Packets dropped since the plan was loaded, by rule id. */
  readonly denied: Readonly<Record<string, number>>;
  /** Packets that opened a flow since the plan was loaded. */
  readonly admitted: number;
  readonly warnings: readonly string[];
  readonly nextChange: number | undefined;
}

export interface Firewall {
  /** Replaces the rules by the plan's. On failure the rules of before stay in force. */
  apply(plan: FirewallPlan): Promise<void>;
  /** Before any network: the last good plan, or `lockdown` when there is none or it is damaged. Says which. */
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

/** What is known about the table in the kernel after a successful change. */
interface Loaded {
  readonly plan: FirewallPlan;
  readonly fingerprint: string;
}

export function createFirewall(parts: FirewallParts): Firewall {
  const { run, clock, log } = parts;
  let loaded: Loaded | undefined;
  let orders: readonly ContainmentOrder[] = [];
  const oneByOne = queue();

  const put = async (plan: FirewallPlan): Promise<void> => {
    for (const endpoint of [...parts.control, ...plan.control]) {
      if (reachesControlPlane(plan, endpoint)) continue;
      const place = `${endpoint.transport} ${endpoint.address} port ${endpoint.port}`;
      throw firewallErrors.error('FIREWALL_CUTS_CONTROL_PLANE', `the plan would cut the control plane at ${place}`);
    }
    // A clock that went back must not lengthen a grant beyond what was meant when it was compiled.
    await load(run, renderNft(plan, Math.max(clock.now(), plan.compiledAt)));
    const listing = await list(run);
    const difference = listing === undefined ? 'the table is gone' : differenceTo(plan, listing, clock.now());
    if (listing === undefined || difference !== undefined) {
      if (loaded !== undefined) await load(run, renderNft(loaded.plan, clock.now()));
      throw firewallErrors.error('FIREWALL_DRIFT', `the kernel does not hold what was loaded: ${difference}`);
    }
    loaded = { plan, fingerprint: listing.fingerprint };
    // After the rules: a host without loopback yet (early boot) must not stay without rules. Diverted packets are for
    // this host's own addresses, so they arrive without these routes too.
    await ensureProxyRoutes(run, plan.divertedFamilies).catch((error: unknown) =>
      log.warn({ err: error }, 'the routes for proxied packets are missing'),
    );
  };

  const apply = async (plan: FirewallPlan): Promise<void> => {
    const later = orders.filter((order) => order.sequence > plan.ordersSequence);
    const wanted = later.reduce((with_, order) => withContainment(with_, order.device, order.containment), plan);
    const started = clock.monotonic();
    await put(wanted);
    orders = later;
    await save(parts, wanted);
    const elapsedMs = Math.round(clock.monotonic() - started);
    log.info({ epoch: plan.epoch, sets: plan.sets.length, elapsedMs }, 'firewall plan in force');
    for (const warning of plan.warnings) log.warn(warning);
  };

  const contain = async (order: ContainmentOrder): Promise<number | undefined> => {
    orders = [...orders.filter((other) => other.device !== order.device), order];
    const before = loaded?.plan;
    if (before === undefined || before.peers[order.device] === undefined) return undefined;
    const started = clock.monotonic();
    const after = withContainment(before, order.device, order.containment);
    const change = containmentChange(before, after);
    if (change !== '') await load(run, change);
    const elapsedMs = clock.monotonic() - started;
    loaded = { plan: after, fingerprint: loaded?.fingerprint ?? '' };
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
  };

  return {
    apply: (plan) => oneByOne(() => apply(plan)),
    restore: (lockdown) =>
      oneByOne(async () => {
        const saved = await readSaved(parts);
        if (saved !== undefined) {
          await put(saved);
          return 'last-good';
        }
        await put(lockdown);
        return 'lockdown';
      }),
    contain: (order) => oneByOne(() => contain(order)),
    nextEpoch: () => nextEpoch(loaded?.plan, clock),
    current: () => loaded?.plan,
    repair: () =>
      oneByOne(async () => {
        const drift = driftOf(loaded, await list(run), clock.now());
        if (drift === undefined || loaded === undefined) return drift;
        await parts.emit({ kind: 'firewall', activity: 'drift', severity: 'critical', data: { message: drift } });
        await put(loaded.plan);
        return drift;
      }),
    status: () => oneByOne(async () => statusOf(loaded, await list(run), clock.now())),
    remove: () =>
      oneByOne(async () => {
        await unload(run);
        await removeProxyRoutes(run);
        loaded = undefined;
      }),
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
  if ((await parts.fs.stat(path)) === undefined) return undefined;
  try {
    const plan = planSchema.parse(JSON.parse((await parts.fs.readFile(path, MAX_SAVED_PLAN_BYTES)).toString('utf8')));
    if (parts.control.every((endpoint) => reachesControlPlane(plan, endpoint))) return plan;
    parts.log.warn({ path }, 'the saved firewall plan names another control plane');
  } catch (cause) {
    const error = firewallErrors.error('FIREWALL_SAVED_PLAN', `${path} is not a firewall plan`, { cause });
    parts.log.error({ err: error }, 'the saved firewall plan is damaged');
    const { code, message } = error;
    await parts.emit({ kind: 'firewall', activity: 'refuse', severity: 'high', data: { code, message } });
  }
  return undefined;
}

function driftOf(loaded: Loaded | undefined, listing: Listing | undefined, now: number): string | undefined {
  if (loaded === undefined)
    return listing === undefined ? undefined : 'a table is loaded that this process did not load';
  if (listing === undefined) return 'the table is gone';
  const difference = differenceTo(loaded.plan, listing, now);
  if (difference !== undefined) return difference;
  return listing.fingerprint === loaded.fingerprint ? undefined : 'a rule was changed in place';
}

function statusOf(loaded: Loaded | undefined, listing: Listing | undefined, now: number): FirewallStatus {
  const denied: Record<string, number> = {};
  let admitted = 0;
  for (const rule of listing?.rules ?? []) {
    const id = rule.log.replace(/^ew:/, '');
    if (id !== '') denied[id] = (denied[id] ?? 0) + rule.packets;
    else if (/ mark \d+ accept$/.test(rule.signature) && !rule.signature.includes('tproxy')) admitted += rule.packets;
  }
  const plan = loaded?.plan;
  const members = (kind: Containment): string[] =>
    Object.entries(plan?.peers ?? {})
      .filter(([, peer]) => peer.addresses.some((address) => isMember(plan, kind, address)))
      .map(([device]) => device);
  return {
    loaded: listing !== undefined,
    epoch: plan?.epoch ?? 0,
    compiledAt: plan?.compiledAt ?? 0,
    drift: driftOf(loaded, listing, now),
    failsafe: plan?.control ?? [],
    contained: { revoked: members('revoked'), quarantined: members('quarantined') },
    denied,
    admitted,
    warnings: plan?.warnings ?? [],
    nextChange: plan?.nextChange,
  };
}

function isMember(plan: FirewallPlan | undefined, kind: Containment, address: string): boolean {
  const names = new Set<string>([containmentSets[kind][4], containmentSets[kind][6]]);
  return (plan?.sets ?? []).some(
    (set) => names.has(set.name) && set.elements.some((element) => element.key[0] === address),
  );
}
