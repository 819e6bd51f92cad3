// Compiles a bundle's slice, the states of the devices and what this host is into one firewall plan. Pure: the same
// input gives the same plan, byte for byte.
import type { Slice, SliceFirewallRule } from '../../policy/bundle/index.ts';
import { cidrFamily, mergedRanges, neighbourhoodOf, plainAddress } from './addresses.ts';
import type { Neighbourhood, PeerAddress, PlainAddress } from './addresses.ts';
import { chainsOf } from './chains.ts';
import type { FamilySets, PacketRule } from './chains.ts';
import { firewallErrors } from './errors.ts';
import { MAX_RULES_PER_CHAIN } from './limits.ts';
import { earlier, isContained, openingsOf } from './openings.ts';
import type { FirewallState, Opening, Openings } from './openings.ts';
import { containmentSets, MAX_EPOCH } from './plan.ts';
import type { Chain, Containment, ControlEndpoint, Family, FirewallPlan } from './plan.ts';
import { SetRegistry } from './sets.ts';
import type { Wanted } from './sets.ts';

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
    registry: new SetRegistry(),
    neighbourhood: neighbourhoodOf(known),
    openings,
    control: host.controlEndpoints.map((endpoint) => ({ ...endpoint, address: plainAddress(endpoint.address).text })),
    contained: isContained(state.states[known.device]),
    proxyPorts: proxyPortsOf(known, host, warnings),
  };
  const observed = observedServices(build, state.now);
  const sets = { 4: familySets(4, build, state.states), 6: familySets(6, build, state.states) };
  const services = (wanted: Wanted[]): string | undefined =>
    build.registry.shared('observed', ['inet_proto', 'inet_service'], wanted);
  const observedProxied = byListenPort(observed, services);
  containmentOf(build, state.states);
  const chains = chainsOf({
    epoch: state.epoch,
    families: sets,
    observed: services(observed.filter((entry) => entry.listenPort === undefined).map((entry) => entry.wanted)),
    observedProxied,
  });
  refuseLongChains(chains);
  const nextChange = observed.map((entry) => entry.wanted.until).reduce(earlier, openings.nextChange);
  return {
    format: 1,
    device: known.device,
    epoch: state.epoch,
    compiledAt: state.now,
    sets: build.registry.definitions(),
    chains,
    control: [...build.control],
    own: build.neighbourhood.own.map((entry) => entry.text),
    ordersSequence: state.ordersSequence,
    divertedFamilies: families.filter((family) => sets[family].proxied.length > 0 || observedProxied.length > 0),
    peers: peersOf(build),
    places: Object.fromEntries(known.firewall.map((rule) => [`firewall:${rule.id}`, rule.place])),
    warnings: [...openings.warnings, ...warnings],
    ...(nextChange === undefined ? {} : { nextChange }),
  };
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

interface Build {
  readonly slice: Slice;
  readonly host: HostConfig;
  readonly registry: SetRegistry;
  readonly neighbourhood: Neighbourhood;
  readonly openings: Openings;
  readonly control: readonly ControlEndpoint[];
  readonly contained: boolean;
  /** Listening port of the proxy by interface name; `undefined` for an interface that needs one and has none. */
  readonly proxyPorts: ReadonlyMap<string, number | undefined>;
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

/** Modbus never reaches its server but through a proxy; an interface without one stays closed. */
function proxyPortsOf(slice: Slice, host: HostConfig, warnings: string[]): Map<string, number | undefined> {
  const listening = new Map(host.proxies.map((proxy) => [proxy.interface, proxy.listenPort]));
  const ports = new Map<string, number | undefined>();
  for (const service of slice.interfaces.filter((entry) => entry.device === slice.device)) {
    const listenPort = listening.get(service.name);
    if (listenPort === undefined && service.protocol !== 'modbus') continue;
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

/** The wanted elements by the proxy they go through; those without one are left out. */
function byListenPort(
  entries: readonly Observed[],
  set: (wanted: Wanted[]) => string | undefined,
): { listenPort: number; set: string }[] {
  const proxied = entries.flatMap(({ listenPort, wanted }) =>
    listenPort === undefined ? [] : [{ listenPort, wanted }],
  );
  return [...Map.groupBy(proxied, (entry) => entry.listenPort)]
    .sort(([a], [b]) => a - b)
    .flatMap(([listenPort, group]) => {
      const name = set(group.map((entry) => entry.wanted));
      return name === undefined ? [] : [{ listenPort, set: name }];
    });
}

function familySets(family: Family, build: Build, states: FirewallState['states']): FamilySets {
  const { registry, openings } = build;
  const set =
    (purpose: string) =>
    (wanted: readonly Wanted[]): string | undefined =>
      registry.shared(purpose, [addressType[family], 'inet_proto', 'inet_service'], wanted);
  const served = openings.served.filter((opening) => opening.family === family);
  const reached = openings.reached.filter((opening) => opening.family === family);
  const control = build.control.filter((endpoint) => plainAddress(endpoint.address).family === family);
  const withProxy = served.map((opening) => ({
    listenPort: build.proxyPorts.get(opening.interface),
    wanted: wantedOf(opening),
    behindProxy: build.proxyPorts.has(opening.interface),
  }));
  return {
    ...whoSets(family, build, states),
    control: set('control plane')(control.map((it) => ({ key: [it.address, it.transport, String(it.port)] }))),
    served: set('served')(withProxy.filter((entry) => !entry.behindProxy).map((entry) => entry.wanted)),
    proxied: byListenPort(withProxy, set('behind a proxy')),
    reached: set('reached')(reached.map(wantedOf)),
    islandServed: set('island served')(served.filter((opening) => opening.island).map(wantedOf)),
    islandReached: set('island reached')(reached.filter((opening) => opening.island).map(wantedOf)),
    linked: registry.shared(
      'linked by a grant',
      [addressType[family]],
      [...served, ...reached].map((opening) => ({ ...wantedOf(opening), key: [opening.address] })),
    ),
    dns: set('name service')(
      resolvers(family, build).flatMap((it) =>
        ['tcp', 'udp'].map((transport) => ({ key: [it.text, transport, '53'] })),
      ),
    ),
    rules: packetRules(family, build),
  };
}

function resolvers(family: Family, build: Build): PlainAddress[] {
  const dns = build.contained ? [] : (build.host.dns ?? []);
  return dns.map(plainAddress).filter((it) => it.family === family);
}

type WhoSets = Pick<FamilySets, 'inventory' | 'identified' | 'expectedMac' | 'expectedAddress' | 'contained'>;

/** Sets that say whose an address is, and where it may come from. */
function whoSets(family: Family, build: Build, states: FirewallState['states']): WhoSets {
  const { registry, neighbourhood } = build;
  const address = addressType[family];
  const mine = (entry: PlainAddress): boolean => entry.family === family;
  const keys = (entries: readonly PlainAddress[]): Wanted[] => entries.map((entry) => ({ key: [entry.text] }));
  const own = neighbourhood.own.filter(mine);
  const peers = [...neighbourhood.peers.values()].flat().filter(mine);
  const near = peers.flatMap((entry) => entry.interfaces.map((name) => ({ ...entry, name })));
  const control = build.control.map((endpoint) => plainAddress(endpoint.address)).filter(mine);
  return {
    inventory: registry.shared('inventory', [address], keys([...own, ...near])),
    identified: registry.shared(
      'identified',
      [address],
      keys([...own, ...peers, ...resolvers(family, build), ...control]),
    ),
    expectedMac: registry.shared(
      'expected',
      ['ifname', 'ether_addr', address],
      near.flatMap((entry) => (entry.mac === undefined ? [] : [{ key: [entry.name, entry.mac, entry.text] }])),
    ),
    expectedAddress: registry.shared(
      'expected without mac',
      ['ifname', address],
      near.flatMap((entry) => (entry.mac === undefined ? [{ key: [entry.name, entry.text] }] : [])),
    ),
    contained: registry.shared('contained', [address], keys(containedPeers(build, states).filter(mine))),
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

/**
 * One rule per rule and family over one set of its prefixes, denies before the grants and allows after them. A contained
 * device keeps its denies only.
 */
function packetRules(family: Family, build: Build): PacketRule[] {
  return build.slice.firewall.flatMap((rule): PacketRule[] => {
    const { verdict, direction, transport, ports } = rule;
    if (verdict === 'pass' || direction === 'through' || transport === 'sctp' || transport === 'udplite') return [];
    if (rule.observe === true || (verdict === 'allow' && (build.contained || isConditional(rule)))) return [];
    const cidrs = rule.peers.filter((cidr) => cidrFamily(cidr) === family);
    const peers = build.registry.shared(
      `firewall rule ${rule.id}`.replaceAll(/[^a-z0-9 ]/g, ' '),
      [addressType[family]],
      mergedRanges(cidrs, family).map((key) => ({ key: [key] })),
      true,
    );
    if (peers === undefined) return [];
    return [
      { id: `firewall:${rule.id}`, verdict, direction, transport, peers, ...(ports === undefined ? {} : { ports }) },
    ];
  });
}

/** Not yet compiled: an allow under a condition stays closed, a deny holds without it. */
function isConditional(rule: SliceFirewallRule): boolean {
  const { tier, workload, rate, maxConnections, conditions, notBefore, until } = rule;
  return tier === 'admin' || (workload ?? rate ?? maxConnections ?? conditions ?? notBefore ?? until) !== undefined;
}

/** How a peer in this state is held back whatever else the plan says; undefined when its grants alone decide. */
function containmentFor(state: string | undefined): Containment | undefined {
  if (state === 'quarantined') return 'quarantined';
  return state === 'revoked' || state === 'decommissioned' ? 'revoked' : undefined;
}

function containmentOf(build: Build, states: FirewallState['states']): void {
  for (const kind of ['revoked', 'quarantined'] as const) {
    const held = [...build.neighbourhood.peers]
      .filter(([device]) => containmentFor(states[device]) === kind)
      .flatMap(([, addresses]) => addresses)
      // The control plane stays reachable: its address is in no containment set, whoever claims it.
      .filter((entry) => !build.control.some((endpoint) => endpoint.address === entry.text));
    for (const family of families) {
      const keys = held.filter((entry) => entry.family === family).map((entry) => entry.text);
      build.registry.dynamic(containmentSets[kind][family], addressType[family], keys);
    }
    const macs = held.flatMap((entry) => (entry.mac === undefined ? [] : [entry.mac]));
    build.registry.dynamic(containmentSets[kind].mac, 'ether_addr', macs);
  }
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
