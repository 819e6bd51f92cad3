// Compiles a bundle's slice, the states of the devices and what this host is into one firewall plan. Pure: the same
// input gives the same plan, byte for byte.
import { proxiedProtocols, type Slice } from '../../policy/bundle/index.ts';
import { neighbourhoodOf, plainAddress } from './addresses.ts';
import type { Neighbourhood, PeerAddress, PlainAddress } from './addresses.ts';
import { denyChains, generationChains } from './chains.ts';
import { firewallErrors } from './errors.ts';
import { epochSets, userSets } from './generation-input.ts';
import type { FamilySets, UserMaps } from './generation-input.ts';
import { groupKey } from './keys.ts';
import { MAX_RULES_PER_CHAIN } from './limits.ts';
import { earlier, isContained, openingsOf } from './openings.ts';
import type { FirewallState, Opening, Openings } from './openings.ts';
import { packetRules, type PacketRules } from './packet-rules.ts';
import { baseSets, containmentSets, MAX_EPOCH, PROXIED_BIT, WORKLOAD_MARK } from './plan.ts';
import type { Chain, Containment, ControlEndpoint, Family, FirewallPlan } from './plan.ts';
import { reflexOf } from './reflex.ts';
import { SetRegistry } from './sets.ts';
import type { Wanted } from './sets.ts';
import { groupSet, groupsOfLevel, userChain } from './workload-chains.ts';
import { levelOf, type WorkloadUser, workloadUsers } from './workloads.ts';

/** What the host's own configuration says; nothing here comes from the control plane. */
export interface HostConfig {
  /** Device id that the host was enrolled with; has to be the slice's. */
  readonly localDeviceId: string;
  /** Where the control plane is, as addresses: reachable whatever the policy says. */
  readonly controlEndpoints: readonly ControlEndpoint[];
  /** Resolvers, port 53 over UDP and TCP; closed while this device is contained. */
  readonly dns?: readonly string[];
  /** Proxies running on this host: the slice's interface and the port on 127.0.0.1 and ::1 they listen on. */
  readonly proxies: readonly { readonly interface: string; readonly listenPort: number }[];
  /** Addresses behind the names that rules name, as this host last resolved them. */
  readonly resolved?: Readonly<Record<string, readonly string[]>>;
  /** Inodes of the control groups that are there, by path; what is missing is in no set. */
  readonly cgroups?: Readonly<Record<string, string>>;
}

const families: readonly Family[] = [4, 6];
const addressType = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;

/**
 * The plan for this device. Without a slice (no verified bundle) only loopback and the control plane stay reachable.
 * Throws FIREWALL_TOO_LARGE rather than leave anything out, FIREWALL_ADDRESS for an address it cannot compare.
 */
export function compileFirewall(slice: Slice | undefined, state: FirewallState, host: HostConfig): FirewallPlan {
  if (!Number.isInteger(state.epoch) || state.epoch < 1 || state.epoch > MAX_EPOCH) {
    throw new RangeError(`epoch ${state.epoch} is outside 1 to ${MAX_EPOCH}`);
  }
  const known = slice ?? emptySlice(host.localDeviceId);
  if (known.device !== host.localDeviceId) {
    throw new RangeError(`the slice is for ${known.device}, this device is ${host.localDeviceId}`);
  }
  const warnings: string[] = [];
  const openings = openingsOf(known, state);
  const build: Build = {
    slice: known,
    host,
    base: new SetRegistry(),
    denies: new SetRegistry(),
    generation: new SetRegistry(),
    neighbourhood: neighbourhoodOf(known),
    openings,
    control: host.controlEndpoints.map((endpoint) => ({ ...endpoint, address: plainAddress(endpoint.address).text })),
    contained: isContained(state.states[known.device]),
    proxyPorts: proxyPortsOf(known, host, warnings),
    users: workloadUsers(known),
  };
  for (const { cgroup } of build.users) {
    if (cgroup === undefined || host.cgroups?.[cgroup] !== undefined) continue;
    warnings.push(`control group ${cgroup} is not there: what its workloads send is nobody's until it is`);
  }
  const observed = observedServices(build, state.now);
  epochOf(build.generation, state.epoch);
  addBaseSets(build, state.states);
  const rules = packetRules(build, state.now);
  const reflex = reflexOf(build);
  const grants = { 4: grantSets(4, build, state.states), 6: grantSets(6, build, state.states) };
  const input = {
    families: { 4: { ...grants[4], ...rules.families[4] }, 6: { ...grants[6], ...rules.families[6] } },
    ...observedSets(build, observed),
    users: userMaps(build, rules),
    ruleChains: [...rules.chains.values()],
    reflex: reflex.rules,
  };
  const denying = [...reflex.chains, ...rules.denyChains.values(), ...denyChains(input)];
  const opening = generationChains(input);
  refuseLongChains([...denying, ...opening]);
  const nextChange = observed
    .map((entry) => entry.wanted.until)
    .reduce(earlier, earlier(openings.nextChange, rules.nextChange));
  return {
    format: 2,
    device: known.device,
    epoch: state.epoch,
    compiledAt: state.now,
    base: build.base.definitions(),
    denies: { sets: build.denies.definitions(), chains: denying },
    generation: { sets: build.generation.definitions(), chains: opening },
    control: [...build.control],
    own: build.neighbourhood.own.map((entry) => entry.text),
    bundle: state.bundle ?? 0,
    ...(state.release === undefined ? {} : { release: state.release }),
    ordersSequence: state.ordersSequence,
    divertedFamilies: families.filter(
      (family) => grants[family].proxied.length > 0 || input.observedProxied.length > 0,
    ),
    peers: peersOf(build),
    places: placesOf(known),
    staged: Object.fromEntries(
      known.firewall.filter((rule) => rule.observe === true).map((rule) => [rule.id, rule.verdict]),
    ),
    warnings: [...openings.warnings, ...rules.warnings, ...warnings],
    ...(nextChange === undefined ? {} : { nextChange }),
  };
}

function placesOf(slice: Slice): FirewallPlan['places'] {
  return Object.fromEntries([
    ...slice.firewall.map((rule) => [`firewall:${rule.id}`, rule.place]),
    ...slice.denies.map((deny) => [`deny:${deny.id}`, deny.place]),
    ...slice.grants.map((grant) => [`grant:${grant.id}`, grant.place]),
    ...slice.interfaces.map((entry) => [`interface:${entry.name}`, entry.place]),
    ...(slice.traps ?? []).map((trap) => [`trap:${trap.id}`, trap.place]),
    ...(slice.meters ?? []).map((meter) => [`meter:${meter.id}`, meter.place]),
  ]);
}

/** What tells flows of this plan from older ones; elements, so that a plan can follow another without new rules. */
function epochOf(registry: SetRegistry, epoch: number): void {
  const proxied = PROXIED_BIT + epoch;
  const marks = (name: string, ...values: number[]): void => {
    const wanted = values.map((value) => ({ key: [String(value)] }));
    registry.add(name, 'flows of this epoch', ['mark'], wanted);
  };
  const map = (name: string, mark: number): void => {
    const wanted = ['ipv4', 'ipv6'].map((family) => ({ key: [family], mark }));
    registry.add(name, 'mark of new flows', ['nf_proto'], wanted, { data: 'mark' });
  };
  marks(epochSets.plain, epoch);
  marks(epochSets.proxied, proxied);
  marks(epochSets.all, epoch, proxied);
  map(epochSets.admit, epoch);
  map(epochSets.admitProxied, proxied);
}

/** Maps of the users that have workloads, and where their packets are led to them. */
function userMaps(build: Build, rules: PacketRules): UserMaps[] {
  const { users, generation, denies, openings } = build;
  if (users.length === 0) return [];
  const uids = users.flatMap(({ key, uid }) => (uid === undefined ? [] : [{ chain: key, key: [String(uid)] }]));
  const lead = (registry: SetRegistry, name: string, to: 'to' | 'deny' | 'late'): void => {
    const wanted = uids.map(({ chain, key }): Wanted => ({
      key,
      verdict: { kind: 'goto', chain: userChain(to, chain) },
    }));
    registry.add(name, 'judged by user', ['uid'], wanted, { data: 'verdict' });
  };
  generation.add(
    userSets.all,
    'users with workloads',
    ['uid'],
    uids.map(({ key }) => ({ key })),
  );
  groupSets(build);
  lead(generation, userSets.chains, 'to');
  lead(denies, userSets.denies, 'deny');
  lead(denies, userSets.lateDenies, 'late');
  const mark = [{ key: [String(WORKLOAD_MARK)] }];
  for (const registry of [generation, denies]) registry.add(userSets.mark, 'flows of workloads', ['mark'], mark);
  const marks = ['ipv4', 'ipv6'].map((family) => ({ key: [family], mark: WORKLOAD_MARK }));
  generation.add(userSets.markOf, 'flows of workloads', ['nf_proto'], marks, { data: 'mark' });
  return users.map((user) => {
    const setsOf = (family: Family) => ({
      ...rules.forUser(user, family),
      reached: generation.add(
        `reached${family}_${user.key}`,
        'reached by a workload',
        pathType(family),
        openings.reached
          .filter((path) => path.family === family && path.workload !== undefined && user.workloads.has(path.workload))
          .map(wantedOf),
        ending,
      ),
    });
    const { key, cgroup } = user;
    const group = cgroup === undefined ? {} : { group: { set: groupSet(key), level: levelOf(cgroup) } };
    return { key, ...group, families: { 4: setsOf(4), 6: setsOf(6) } };
  });
}

/** A group that is made anew is another element of the same sets. */
function groupSets({ users, host, generation, denies }: Build): void {
  const groups = users.flatMap(({ key, cgroup }) => {
    if (cgroup === undefined) return [];
    const inode = host.cgroups?.[cgroup];
    return [{ key, level: levelOf(cgroup), wanted: inode === undefined ? [] : [{ key: [groupKey(cgroup, inode)] }] }];
  });
  for (const registry of [generation, denies]) {
    for (const { key, wanted } of groups) registry.add(groupSet(key), 'control group', ['cgroupsv2'], wanted);
  }
  for (const [level, its] of Map.groupBy(groups, (group) => group.level)) {
    const all = its.flatMap(({ wanted }) => wanted);
    generation.add(groupsOfLevel(level), 'control groups with workloads', ['cgroupsv2'], all);
  }
}

/** A long list costs every packet that gets that far; it is refused, never cut off. */
function refuseLongChains(chains: readonly Chain[]): void {
  for (const chain of chains) {
    if (chain.rules.length <= MAX_RULES_PER_CHAIN) continue;
    throw firewallErrors.error(
      'FIREWALL_TOO_LARGE',
      `chain ${chain.name} would have ${chain.rules.length} rules; at most ${MAX_RULES_PER_CHAIN} keep packets fast`,
    );
  }
}

export interface Build {
  readonly slice: Slice;
  readonly host: HostConfig;
  readonly base: SetRegistry;
  readonly denies: SetRegistry;
  readonly generation: SetRegistry;
  readonly neighbourhood: Neighbourhood;
  readonly openings: Openings;
  readonly control: readonly ControlEndpoint[];
  readonly contained: boolean;
  /** Listening port of the proxy by interface name; `undefined` for an interface that needs one and has none. */
  readonly proxyPorts: ReadonlyMap<string, number | undefined>;
  readonly users: readonly WorkloadUser[];
}

function emptySlice(device: string): Slice {
  return {
    format: 1,
    trustDomain: '',
    device,
    devices: [],
    interfaces: [],
    grants: [],
    denies: [],
    firewall: [],
    casbin: [],
    selfTest: [],
  };
}

/** Some protocols never reach their server but through a proxy; an interface of theirs without one stays closed. */
function proxyPortsOf(slice: Slice, host: HostConfig, warnings: string[]): Map<string, number | undefined> {
  const listening = new Map(host.proxies.map((proxy) => [proxy.interface, proxy.listenPort]));
  const ports = new Map<string, number | undefined>();
  for (const service of slice.interfaces.filter((entry) => entry.device === slice.device)) {
    const listenPort = listening.get(service.name);
    if (listenPort === undefined && !proxiedProtocols.has(service.protocol)) continue;
    if (listenPort === undefined) {
      warnings.push(`interface ${service.name}: no proxy runs for it here, so it stays closed (${service.place})`);
    }
    if (service.onEnforcerDeath === 'open') {
      warnings.push(`interface ${service.name}: opening it when the enforcer dies is not supported (${service.place})`);
    }
    ports.set(service.name, listenPort);
  }
  return ports;
}

interface Observed {
  readonly listenPort: number | undefined;
  readonly wanted: Wanted;
}

/** Services whose denials are only noted, until the signed end date. A proxied one without a proxy stays closed. */
function observedServices(build: Build, now: number): Observed[] {
  if (build.contained) return [];
  return build.slice.interfaces.flatMap((service) => {
    if (service.device !== build.slice.device) return [];
    if (service.observeUntil === undefined || service.observeUntil <= now) return [];
    const proxied = build.proxyPorts.has(service.name);
    const listenPort = build.proxyPorts.get(service.name);
    if (proxied && listenPort === undefined) return [];
    const key = [service.transport, String(service.port)];
    return [{ listenPort, wanted: { key, reason: service.name, until: service.observeUntil } }];
  });
}

function observedSets(build: Build, observed: readonly Observed[]) {
  const set = (name: string, wanted: Wanted[]): string =>
    build.generation.add(name, 'in observe mode', ['inet_proto', 'inet_service'], wanted, ending);
  const plain = observed.filter((entry) => entry.listenPort === undefined).map((entry) => entry.wanted);
  return {
    observed: plain.length === 0 ? undefined : set('observed', plain),
    observedProxied: byListenPort(observed).map(({ listenPort, wanted }) => ({
      listenPort,
      set: set(`observed_${listenPort}`, wanted),
    })),
  };
}

/** The wanted elements by the proxy they go through; those without one are left out. */
function byListenPort(entries: readonly Observed[]): { listenPort: number; wanted: Wanted[] }[] {
  const proxied = entries.flatMap(({ listenPort, wanted }) =>
    listenPort === undefined ? [] : [{ listenPort, wanted }],
  );
  return [...Map.groupBy(proxied, (entry) => entry.listenPort)]
    .sort(([a], [b]) => a - b)
    .map(([listenPort, group]) => ({ listenPort, wanted: group.map((entry) => entry.wanted) }));
}

/** Sets of what grants open, and of whose an address is and where it may come from. */
export type GrantSets = Pick<
  FamilySets,
  'inventory' | 'expectedMac' | 'expectedAddress' | 'served' | 'proxied' | 'reached' | 'linked' | 'dns' | 'contained'
>;

/** Of sets whose elements grants want, which end. */
const ending = { timeout: true } as const;
const pathType = (family: Family) => [addressType[family], 'inet_proto', 'inet_service'] as const;

function grantSets(family: Family, build: Build, states: FirewallState['states']): GrantSets {
  const { generation, openings } = build;
  const path = (name: string, purpose: string, wanted: readonly Wanted[]): string =>
    generation.add(name, purpose, pathType(family), wanted, ending);
  const served = openings.served.filter((opening) => opening.family === family);
  const reached = openings.reached.filter((opening) => opening.family === family && opening.workload === undefined);
  const withProxy = served.filter((opening) => build.proxyPorts.has(opening.interface));
  const withoutProxy = served.filter((opening) => !build.proxyPorts.has(opening.interface));
  const throughProxies = withProxy.map((opening) => ({
    listenPort: build.proxyPorts.get(opening.interface),
    wanted: wantedOf(opening),
  }));
  const dns = resolvers(family, build).flatMap((it) =>
    ['tcp', 'udp'].map((transport) => ({ key: [it.text, transport, '53'] })),
  );
  return {
    ...whoSets(family, build, states),
    served: path(`served${family}`, 'served', withoutProxy.map(wantedOf)),
    proxied: byListenPort(throughProxies).map(({ listenPort, wanted }) => ({
      listenPort,
      set: path(`proxied${family}_${listenPort}`, 'behind a proxy', wanted),
    })),
    reached: path(`reached${family}`, 'reached', reached.map(wantedOf)),
    linked: generation.add(
      `linked${family}`,
      'linked by a grant',
      [addressType[family]],
      [...served, ...reached].map((opening) => ({ ...wantedOf(opening), key: [opening.address] })),
      ending,
    ),
    dns: path(`dns${family}`, 'name service', dns),
  };
}

function resolvers(family: Family, build: Build): PlainAddress[] {
  const dns = build.contained ? [] : (build.host.dns ?? []);
  return dns.map(plainAddress).filter((it) => it.family === family);
}

type WhoSets = Pick<GrantSets, 'inventory' | 'expectedMac' | 'expectedAddress' | 'contained'>;

function whoSets(family: Family, build: Build, states: FirewallState['states']): WhoSets {
  const { generation, neighbourhood } = build;
  const address = addressType[family];
  const mine = (entry: PlainAddress): boolean => entry.family === family;
  const keys = (entries: readonly PlainAddress[]): Wanted[] => entries.map((entry) => ({ key: [entry.text] }));
  const near = [...neighbourhood.peers.values()]
    .flat()
    .filter(mine)
    .flatMap((entry) => entry.interfaces.map((name) => ({ ...entry, name })));
  const withMac = near.flatMap((entry) =>
    entry.mac === undefined ? [] : [{ key: [entry.name, entry.mac, entry.text] }],
  );
  const withoutMac = near.flatMap((entry) => (entry.mac === undefined ? [{ key: [entry.name, entry.text] }] : []));
  const held = containedPeers(build, states).filter(mine);
  return {
    inventory: generation.add(
      `inventory${family}`,
      'inventory',
      [address],
      keys([...neighbourhood.own.filter(mine), ...near]),
    ),
    expectedMac: generation.add(`expected_mac${family}`, 'expected', ['ifname', 'ether_addr', address], withMac),
    expectedAddress: generation.add(`expected${family}`, 'expected without mac', ['ifname', address], withoutMac),
    contained: generation.add(`contained${family}`, 'contained', [address], keys(held)),
  };
}

function containedPeers(build: Build, states: FirewallState['states']): PeerAddress[] {
  return [...build.neighbourhood.peers].flatMap(([device, addresses]) =>
    isContained(states[device]) ? addresses : [],
  );
}

function wantedOf(opening: Opening): Wanted {
  return {
    key: [opening.address, opening.transport, String(opening.port)],
    reason: opening.grant,
    ...(opening.until === undefined ? {} : { until: opening.until }),
  };
}

/** How a peer in this state is held back whatever else the plan says; undefined when its grants alone decide. */
function containmentFor(state: string | undefined): Containment | undefined {
  if (state === 'quarantined') return 'quarantined';
  return state === 'revoked' || state === 'decommissioned' ? 'revoked' : undefined;
}

/** Elements of the sets that every table has. */
function addBaseSets(build: Build, states: FirewallState['states']): void {
  for (const kind of ['revoked', 'quarantined'] as const) addContainment(build, kind, states);
  for (const family of families) addSpared(family, build);
}

function addContainment(
  { base, neighbourhood, control }: Build,
  kind: Containment,
  states: FirewallState['states'],
): void {
  const held = [...neighbourhood.peers]
    .filter(([device]) => containmentFor(states[device]) === kind)
    .flatMap(([, addresses]) => addresses)
    // The control plane stays reachable: its address is in no containment set, whoever claims it.
    .filter((entry) => !control.some((endpoint) => endpoint.address === entry.text));
  for (const family of families) {
    const keys = held.filter((entry) => entry.family === family).map((entry) => ({ key: [entry.text] }));
    base.add(containmentSets[kind][family], 'changed by orders', [addressType[family]], keys);
  }
  const macs = held.flatMap((entry) => (entry.mac === undefined ? [] : [{ key: [entry.mac] }]));
  base.add(containmentSets[kind].mac, 'changed by orders', ['ether_addr'], macs);
}

/** What no containment and no island mode ends, and who is known. */
function addSpared(family: Family, build: Build): void {
  const { base, openings, neighbourhood } = build;
  const path = (name: string, purpose: string, wanted: readonly Wanted[]): string =>
    base.add(name, purpose, pathType(family), wanted, ending);
  const spared = (from: readonly Opening[], which: (opening: Opening) => boolean): Wanted[] =>
    from.filter((opening) => opening.family === family && which(opening)).map(wantedOf);
  const island = (opening: Opening): boolean => opening.island;
  const safety = (opening: Opening): boolean => opening.island || opening.safety;
  const control = build.control.filter((endpoint) => plainAddress(endpoint.address).family === family);
  const controlPaths = control.map((it) => ({ key: [it.address, it.transport, String(it.port)] }));
  path(baseSets.control[family], 'control plane', controlPaths);
  path(baseSets.islandServed[family], 'island served', spared(openings.served, island));
  path(baseSets.islandReached[family], 'island reached', spared(openings.reached, island));
  path(baseSets.safetyServed[family], 'safety served', spared(openings.served, safety));
  path(baseSets.safetyReached[family], 'safety reached', spared(openings.reached, safety));
  const known = [
    ...neighbourhood.own,
    ...[...neighbourhood.peers.values()].flat(),
    ...resolvers(family, build),
    ...control.map((endpoint) => plainAddress(endpoint.address)),
  ].filter((entry) => entry.family === family);
  base.add(
    baseSets.identified[family],
    'identified',
    [addressType[family]],
    known.map((entry) => ({ key: [entry.text] })),
  );
}

function peersOf({ neighbourhood, openings }: Build): FirewallPlan['peers'] {
  const all = [...openings.served, ...openings.reached];
  const island = Map.groupBy(
    all.filter((opening) => opening.island),
    (opening) => opening.peer,
  );
  return Object.fromEntries(
    [...neighbourhood.peers].map(([device, addresses]) => [
      device,
      {
        addresses: [...new Set(addresses.map((entry) => entry.text))],
        macs: [...new Set(addresses.flatMap((entry) => (entry.mac === undefined ? [] : [entry.mac])))],
        islandPorts: [...new Set((island.get(device) ?? []).map((opening) => opening.port))],
      },
    ]),
  );
}
