// Elements of the sets that every table has: who is contained, and what no containment and no island mode ends.
import { plainAddress } from './addresses.ts';
import { addressType, ending, families, pathType, resolvers, wantedOf } from './build.ts';
import type { Build } from './build.ts';
import type { FirewallState, Opening } from './openings.ts';
import { baseSets, containmentSets } from './plan.ts';
import type { Containment, Family, FirewallPlan } from './plan.ts';
import type { Wanted } from './sets.ts';

/** How a peer in this state is held back whatever else the plan says; undefined when its grants alone decide. */
function containmentFor(state: string | undefined): Containment | undefined {
  if (state === 'quarantined') return 'quarantined';
  return state === 'revoked' || state === 'decommissioned' ? 'revoked' : undefined;
}

/** Elements of the sets that every table has. */
export function addBaseSets(build: Build, states: FirewallState['states']): void {
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

export function peersOf({ neighbourhood, openings }: Build): FirewallPlan['peers'] {
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
