// Everything on the edge that decides and enforces, on top of the first rules: orders and policy from disk, then the points
// that answer.
import {
  type Activation,
  createActivation,
  createDecide,
  createHolds,
  createSafety,
  freshnessOf,
  openOrdersStore,
  type OrdersStore,
  sparing,
  STATE_MAX_AGE_MS,
} from '../../enforcer/activation/index.ts';
import { type BreakGlass, openBreakGlass } from '../../enforcer/break-glass/index.ts';
import { type Island, openIsland, sparedSubjects } from '../../enforcer/island/index.ts';
import { isPlainAddress, plansOf, watchDenials } from '../../enforcer/firewall/index.ts';
import { openUseLedger, type UseLedger } from '../../enforcer/usage/index.ts';
import { knownFeatures, openBundle, type Slice } from '../../policy/bundle/index.ts';
import { type AccessRequest, compileSlice, type Engine } from '../../policy/engine/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Task } from '../../runtime/tasks.ts';
import { openBearerTokens } from './bearer-tokens.ts';
import { serveBreakGlass } from './break-glass-socket.ts';
import { openBrokers } from './brokers.ts';
import { edgePaths } from './config.ts';
import type { EdgeCore } from './core.ts';
import { type EdgeFirewall, openEdgeFirewall } from './firewall.ts';
import { openLearned } from './learned.ts';
import { createConnectionGuard, type ConnectionGuard } from './connection-guard.ts';
import type { FirewallMode, FirstRules } from './first-rules.ts';
import { serveLocalOrders } from './local-socket.ts';
import { createProxies, type Proxies } from './proxies.ts';
import { proxyIdentity } from './proxy-identity.ts';
import { remoteProxies } from './remote-proxies.ts';
import { openRequestPoints, type RequestPoints } from './request-points.ts';
import { openResolvedNames, type ResolvedNames } from './resolved-names.ts';
import { openStandbyLink, type StandbyLink } from './standby-link.ts';
import { createSubjects, type Subjects } from './subjects.ts';
import { openWorkers, type Workers } from './workers/index.ts';

export interface Enforcement {
  readonly orders: OrdersStore;
  readonly activation: Activation<Engine>;
  readonly firewall: EdgeFirewall;
  /** How packets are filtered in fact, and what our own listeners refused for want of a kernel that does. */
  readonly filtering: Pick<FirstRules, 'mode' | 'degraded'> & Pick<ConnectionGuard, 'counts'>;
  readonly authz: Pick<RequestPoints, 'close'>;
  readonly glass: BreakGlass;
  readonly island: Island;
  readonly workers: Workers;
  /** Whether a verified bundle is in force that is not past hard expiry. */
  readonly serving: () => boolean;
  readonly health: RequestPoints['health'];
  readonly standby: Pick<StandbyLink, 'status' | 'opens'>;
  readonly tasks: Readonly<Record<string, Task>>;
}

/** The parts meet here before all of them exist: a proxy asks the engine, the firewall ends connections of a proxy. */
interface Late {
  usage?: UseLedger;
  orders?: OrdersStore;
  activation?: Activation<Engine>;
  glass?: BreakGlass;
  island?: Island;
  subjects?: Subjects;
  proxies?: Proxies;
  points?: RequestPoints;
  workers?: Workers;
}

function opened<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the edge is still starting');
  return part;
}

export async function openEnforcement(core: EdgeCore, rules: FirstRules): Promise<Enforcement> {
  const { config, log, emit, trusted, stored } = core;
  const late: Late = {};
  const slice = (): Slice | undefined => late.activation?.current()?.bundle.slice;
  const decide = createDecide(
    () => late.activation?.current(),
    () => trusted.time(),
    () => late.glass?.openings() ?? [],
    // Nothing is decided before it is known.
    () => late.island?.active() ?? true,
  );
  const safety = createSafety({
    current: () => late.activation?.current(),
    time: () => trusted.time(),
    island: () => late.island?.active() ?? true,
  });
  const guard = createConnectionGuard({
    mode: rules.mode,
    state: () => rules.firewall?.state(),
    slice,
    now: () => trusted.now(),
  });
  const learned = await openLearned({
    ...stored,
    config,
    slice,
    now: () => trusted.now(),
    clock: systemClock,
  });
  const brokers = await openBrokers({ config, stored, slice, clock: systemClock, emit, log });
  const proxies = createProxies({
    config,
    transparent: rules.mode === 'enforce',
    admits: guard.admits,
    onThrough: learned.saw,
    emit,
    log,
    decide: sparing(decide, safety),
    safety,
    usage: () => opened(late.usage).claim(),
    subjectOf: (address) => opened(late.subjects).fromAddress(address, slice()),
    subjectOfChain: (chain) => opened(late.subjects).fromChain(chain).subject,
    identity: proxyIdentity(core.own, () => opened(late.subjects)),
    slice,
    loginOf: brokers.loginOf,
    now: () => trusted.now(),
  });
  late.proxies = proxies;
  const closeStreams = (device: string): number => proxies.close(device);
  await rules.attach({ emit, closeStreams, now: () => trusted.now() });
  const names = await openResolvedNames({
    ...stored,
    config,
    clock: systemClock,
    now: () => trusted.now(),
    random: Math.random,
    control: () => rules.hostNow(core.deviceId).controlEndpoints.map(({ address }) => address),
  });
  const firewall = openEdgeFirewall({
    rules,
    deviceId: core.deviceId,
    clock: systemClock,
    trusted,
    log,
    orders: () => opened(late.orders),
    closeStreams,
    resolved: (known) => names.addresses(known),
  });
  const orders = await openOrdersStore({
    ...stored,
    clock: trusted,
    deviceId: core.deviceId,
    stateMaxAgeMs: STATE_MAX_AGE_MS,
    isPlainAddress,
    onIsland: async (said) => await opened(late.island).follow(said),
    onBlocks: async (blocks, pardons) => await firewall.blocks(blocks, pardons),
    onChange: async (change) => {
      late.points?.recheck();
      proxies.recheck();
      await firewall.contain(change);
    },
  });
  late.orders = orders;
  const tokens = await openBearerTokens({
    config,
    trustDomain: core.trustDomain,
    now: () => trusted.now(),
    fs: stored.fs,
    log,
  });
  late.subjects = createSubjects(core.own, orders, () => trusted.now(), rules.mode === 'enforce', tokens);
  const activation = await openActivation(core, firewall, orders);
  late.activation = activation;
  const island = await openIsland({
    fs: stored.fs,
    stateDir: stored.stateDir,
    clock: systemClock,
    position: () => ({ boot: core.boot.id, uptimeMs: core.boot.uptimeMs(), ...trusted.time() }),
    leaseMs: () => leaseOf(slice()),
    kernel: async (state) => await firewall.island(state),
    cutStreams: () => cutStreams(slice(), closeStreams),
    everywhere: async () => await late.workers?.subjectsChanged(),
    emit,
    log,
  });
  late.island = island;
  // Who is contained is known before anything is opened again.
  await orders.enforce();
  await activation.startFromDisk();
  const usage = await openUseLedger({ ...stored, clock: systemClock, time: () => trusted.time() });
  late.usage = usage;
  const glass = await openGlass(core, activation, orders);
  late.glass = glass;
  const points = await openRequestPoints({
    config,
    index: 1,
    log,
    emit,
    spool: core.spool,
    decide,
    usage: () => usage.claim(),
    subjects: late.subjects,
    active: () => activation.current(),
    time: () => trusted.time(),
    remote: remoteProxies(core, orders),
  });
  late.points = points;
  const workers = openWorkers({ core, activation, orders, usage, glass, island });
  late.workers = workers;
  const standby = openStandbyLink(core, rules.mode, () => proxies.allowedPeers(), slice);
  const tickets = await serveBreakGlass(glass, edgePaths(config).breakGlassSocket);
  const local = await serveLocalOrders(
    { island, pardon: async (request) => await firewall.pardon(request), learned },
    config,
  );
  await proxies.listen();
  rules.proxiesListen();
  firewall.refresh();
  return {
    orders,
    activation,
    firewall,
    filtering: { ...rules, counts: guard.counts },
    authz: {
      close: async (graceMs) => {
        tickets.close();
        local.close();
        await Promise.all([points.close(graceMs), workers.close()]);
      },
    },
    glass,
    island,
    workers,
    serving: points.serving,
    health: points.health,
    standby,
    tasks: {
      glass: glass.task,
      island: island.task,
      proxies: proxies.task,
      brokers: brokers.task,
      ...standby.tasks,
      learned: learned.task,
      ...points.tasks,
      workers: workers.task,
      ...(tokens === undefined ? {} : { tokens: tokens.task }),
      ...firewallTasks(core, firewall, rules.mode),
      ...nameTask(names, firewall, slice),
    },
  };
}

const leaseOf = (slice: Slice | undefined): number | undefined =>
  slice?.island?.leaseSeconds === undefined ? undefined : slice.island.leaseSeconds * 1_000;

/** Of peers that island mode leaves nothing; the others' requests are judged one by one, and their streams go on. */
function cutStreams(slice: Slice | undefined, close: (device: string) => void): void {
  const spared = new Set(slice === undefined ? [] : sparedSubjects(slice));
  for (const { id } of slice?.devices ?? []) if (!spared.has(id)) close(id);
}

async function openGlass(
  { stored, boot, trusted, deviceId }: EdgeCore,
  activation: Activation<Engine>,
  orders: OrdersStore,
): Promise<BreakGlass> {
  return await openBreakGlass({
    ...stored,
    clock: systemClock,
    boot,
    deviceId,
    time: () => trusted.time(),
    policy: () => {
      const active = activation.current();
      if (active === undefined) return undefined;
      const { slice, digest, manifest } = active.bundle;
      return { slice, digest, freshness: freshnessOf(manifest, trusted.time()) };
    },
    ownState: () => orders.subjectState(deviceId).state,
  });
}

function portRequest(
  grant: { binding: AccessRequest['subject']['binding']; interface: string },
  subject: Omit<AccessRequest['subject'], 'binding'>,
  time: number,
): AccessRequest {
  return {
    subject: { ...subject, binding: grant.binding },
    operation: { protocol: 'port' },
    resource: { interface: grant.interface, attributes: {} },
    context: { time, source: 'packet', connection: '', attributes: {} },
  };
}

async function openActivation(
  core: EdgeCore,
  firewall: EdgeFirewall,
  orders: OrdersStore,
): Promise<Activation<Engine>> {
  const { trusted } = core;
  return await createActivation<Engine>({
    ...core.stored,
    openBundle,
    compile: (bundle, before) => compileSlice(bundle.slice, { digest: bundle.digest, ...bundle.manifest }, before),
    deviceId: core.deviceId,
    clock: core.trusted,
    knownFeatures,
    applyFirewall: async (slice, next) => {
      const holds = createHolds(next, () => trusted.time());
      const { manifest, publisherKeyId: publisher } = next.bundle;
      const { version, commit, author = '' } = manifest;
      await firewall.applySlice(slice, { version, commit, author, publisher }, (grant, subject) =>
        holds(grant.id, portRequest(grant, { id: subject, ...orders.subjectState(subject) }, trusted.now())),
      );
    },
  });
}

function nameTask(names: ResolvedNames, firewall: EdgeFirewall, slice: () => Slice | undefined): Record<string, Task> {
  if (firewall.firewall === undefined) return {};
  return { names: names.follow(slice, () => firewall.refresh()) };
}

function firewallTasks(
  { emit, log }: EdgeCore,
  { firewall: kernel, task }: EdgeFirewall,
  mode: FirewallMode,
): Record<string, Task> {
  if (kernel === undefined) return {};
  // In no kernel there is nothing to log, and nobody else to change it.
  if (mode !== 'enforce') return { replan: task };
  return {
    replan: task,
    denials: watchDenials({
      emit,
      clock: systemClock,
      log,
      plans: () => plansOf(kernel.state()),
      blocked: kernel.sawBlock,
    }),
    drift: kernel.watch,
  };
}
