// Sets of what grants open, of whose an address is and where it may come from, and of services in observe mode.
import type { PeerAddress, PlainAddress } from './addresses.ts';
import { addressType, ending, pathType, resolvers, wantedOf } from './build.ts';
import type { Build, ProxyPorts } from './build.ts';
import type { FamilySets } from './generation-input.ts';
import { openedSet } from './opened.ts';
import { isContained } from './openings.ts';
import type { FirewallState } from './openings.ts';
import type { Family } from './plan.ts';
import type { Wanted } from './sets.ts';

interface Observed {
  /** undefined for what no proxy takes. */
  readonly ports: ProxyPorts | undefined;
  readonly wanted: Wanted;
}

/** Services whose denials are only noted, until the signed end date. A proxied one without a proxy stays closed. */
export function observedServices(build: Build, now: number): Observed[] {
  if (build.contained) return [];
  return build.slice.interfaces.flatMap((service) => {
    if (service.device !== build.slice.device) return [];
    if (service.observeUntil === undefined || service.observeUntil <= now) return [];
    const proxied = build.proxyPorts.has(service.name);
    const ports = build.proxyPorts.get(service.name);
    if (proxied && ports === undefined) return [];
    const key = [service.transport, String(service.port)];
    return [{ ports, wanted: { key, reason: service.name, until: service.observeUntil } }];
  });
}

export function observedSets(build: Build, observed: readonly Observed[]) {
  const set = (name: string, wanted: Wanted[]): string =>
    build.generation.add(name, 'in observe mode', ['inet_proto', 'inet_service'], wanted, ending);
  const plain = observed.filter((entry) => entry.ports === undefined).map((entry) => entry.wanted);
  return {
    observed: plain.length === 0 ? undefined : set('observed', plain),
    observedProxied: byListenPort(observed).map(({ ports, wanted }) => ({
      ...ports,
      set: set(`observed_${ports.listenPort}`, wanted),
    })),
  };
}

/** The wanted elements by the proxy they go through; those without one are left out. */
function byListenPort(entries: readonly Observed[]): { ports: ProxyPorts; wanted: Wanted[] }[] {
  const proxied = entries.flatMap(({ ports, wanted }) => (ports === undefined ? [] : [{ ports, wanted }]));
  return [...Map.groupBy(proxied, ({ ports }) => ports.listenPort)]
    .sort(([a], [b]) => a - b)
    .flatMap(([, [first, ...more]]) =>
      first === undefined ? [] : [{ ports: first.ports, wanted: [first, ...more].map(({ wanted }) => wanted) }],
    );
}

/** Sets of what grants open, and of whose an address is and where it may come from. */
export type GrantSets = Pick<
  FamilySets,
  | 'inventory'
  | 'expectedMac'
  | 'expectedAddress'
  | 'served'
  | 'proxied'
  | 'opened'
  | 'reached'
  | 'linked'
  | 'dns'
  | 'contained'
>;

export function grantSets(family: Family, build: Build, state: FirewallState): GrantSets {
  const { generation, openings } = build;
  const path = (name: string, purpose: string, wanted: readonly Wanted[]): string =>
    generation.add(name, purpose, pathType(family), wanted, ending);
  const served = openings.served.filter((opening) => opening.family === family);
  const reached = openings.reached.filter((opening) => opening.family === family && opening.workload === undefined);
  const withProxy = served.filter((opening) => build.proxyPorts.has(opening.interface));
  const withoutProxy = served.filter((opening) => !build.proxyPorts.has(opening.interface));
  const throughProxies = withProxy.map((opening) => ({
    ports: build.proxyPorts.get(opening.interface),
    wanted: wantedOf(opening),
  }));
  const dns = resolvers(family, build).flatMap((it) =>
    ['tcp', 'udp'].map((transport) => ({ key: [it.text, transport, '53'] })),
  );
  return {
    ...whoSets(family, build, state.states),
    opened: openedSet(family, build, withProxy, state),
    served: path(`served${family}`, 'served', withoutProxy.map(wantedOf)),
    proxied: byListenPort(throughProxies).map(({ ports, wanted }) => ({
      ...ports,
      set: path(`proxied${family}_${ports.listenPort}`, 'behind a proxy', wanted),
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
