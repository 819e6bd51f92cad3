// Who and what a search looks at: what the grants and break-glass profiles of the slice name, by an index that is made once
// for each bundle. Every candidate is then asked of the engine, so it has to hold nothing back, and may hold too many.
import type { Slice } from '../../../policy/bundle/index.ts';

export interface Candidates {
  /** Devices that might be allowed something on an interface of this name, sorted. */
  readonly subjects: (interfaceName: string) => readonly string[];
  /** Interfaces on which this device might be allowed something, sorted. */
  readonly interfaces: (subject: string) => readonly { readonly name: string; readonly device: string }[];
  /** Operations of the interfaces of this name, in the order of the policy. */
  readonly operations: (interfaceName: string) => readonly string[];
}

const known = new WeakMap<Slice, Candidates>();

export function candidatesOf(slice: Slice): Candidates {
  const found = known.get(slice) ?? indexOf(slice);
  known.set(slice, found);
  return found;
}

function indexOf({ interfaces, grants, devices, breakGlass = [] }: Slice): Candidates {
  const subjects = new Map<string, Set<string>>();
  const granted = new Map<string, Set<string>>();
  // What people may open by break-glass stands in for a grant.
  for (const grant of [...grants, ...breakGlass]) {
    for (const subject of grant.subjects) {
      add(subjects, grant.interface, subject);
      add(granted, subject, keyOf(grant.interface, grant.device));
    }
  }
  // In observe mode everybody is let through, whoever holds a grant.
  const observed = new Set(interfaces.filter((entry) => entry.observeUntil !== undefined).map(({ name }) => name));
  const everybody = sorted([...devices.map(({ id }) => id), ...granted.keys()]);
  const sortedSubjects = new Map([...subjects].map(([name, ids]) => [name, sorted(ids)]));
  const served = interfaces
    .map(({ name, device }) => ({ name, device }))
    .toSorted((a, b) => compare(keyOf(a.name, a.device), keyOf(b.name, b.device)));
  return {
    subjects: (name) => (observed.has(name) ? everybody : (sortedSubjects.get(name) ?? [])),
    interfaces: (subject) => {
      const own = granted.get(subject);
      return served.filter(({ name, device }) => observed.has(name) || own?.has(keyOf(name, device)) === true);
    },
    operations: (name) => [
      ...new Set(
        interfaces.filter((entry) => entry.name === name).flatMap((entry) => entry.operations.map((one) => one.name)),
      ),
    ],
  };
}

/** Ids hold no slash. */
const keyOf = (name: string, device: string): string => `${name}/${device}`;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const sorted = (ids: Iterable<string>): string[] => [...new Set(ids)].sort(compare);

function add(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([value]));
  else set.add(value);
}
