// The rules of a repository by the device that they concern, so that a slice costs what it holds and not what the fleet
// holds. Everything is kept in the order of the repository, which is the order in the slices.
import type {
  BreakGlassProfile,
  Deny,
  FirewallRule,
  Grant,
  Interface,
  Island,
  Meter,
  Repository,
  Trap,
} from './repository.ts';

export interface Catalogue {
  /** Interfaces that a device serves, or may reach by a grant. */
  interfacesOf(device: string): readonly CatalogueInterface[];
  firewallOf(device: string): readonly FirewallRule[];
  trapsOf(device: string): readonly Trap[];
  metersOf(device: string): readonly Meter[];
  /** At most one. */
  islandOf(device: string): readonly Island[];
}

/** An interface with every rule about it. */
export interface CatalogueInterface {
  readonly entry: Interface;
  readonly grants: readonly Ordered<Grant>[];
  readonly denies: readonly Ordered<Deny>[];
  readonly breakGlass: readonly Ordered<BreakGlassProfile>[];
}

/** A rule with its place among its kind in the repository. */
export interface Ordered<R> {
  readonly rule: R;
  readonly order: number;
}

export function indexCatalogue(repository: Repository): Catalogue {
  const grants = byInterface(repository.grants);
  const denies = byInterface(repository.denies);
  const breakGlass = byInterface(repository.breakGlass);
  const interfaces = repository.interfaces.map((entry) => ({
    entry,
    grants: grants.get(entry.name) ?? [],
    denies: denies.get(entry.name) ?? [],
    breakGlass: breakGlass.get(entry.name) ?? [],
  }));
  const concerned = listByDevice(interfaces, ({ entry, grants: own }) => [
    ...entry.devices,
    ...(entry.devices.length === 0 ? [] : own.flatMap(({ rule }) => rule.subjects)),
  ]);
  const of = <E extends { readonly devices: readonly string[] }>(entries: readonly E[]) => {
    const lists = listByDevice(entries, ({ devices }) => devices);
    return (device: string): readonly E[] => lists.get(device) ?? [];
  };
  return {
    interfacesOf: (device) => concerned.get(device) ?? [],
    firewallOf: of(repository.firewall),
    trapsOf: of(repository.traps),
    metersOf: of(repository.meters),
    islandOf: of(repository.island),
  };
}

const memberSets = new WeakMap<readonly string[], ReadonlySet<string>>();

/** Selectors that choose the same devices share one list (InventoryIndex), and so one set. The list never changes. */
export function memberSet(list: readonly string[]): ReadonlySet<string> {
  let set = memberSets.get(list);
  if (set === undefined) memberSets.set(list, (set = new Set(list)));
  return set;
}

function byInterface<R extends { readonly interface: string }>(rules: readonly R[]): Map<string, Ordered<R>[]> {
  return Map.groupBy(
    rules.map((rule, order) => ({ rule, order })),
    ({ rule }) => rule.interface,
  );
}

/** Entries of each device, each once, in their order. */
function listByDevice<E>(entries: readonly E[], devicesOf: (entry: E) => readonly string[]): Map<string, E[]> {
  const lists = new Map<string, E[]>();
  for (const entry of entries) {
    for (const device of devicesOf(entry)) {
      const list = lists.get(device);
      if (list === undefined) lists.set(device, [entry]);
      else if (list.at(-1) !== entry) list.push(entry);
    }
  }
  return lists;
}
