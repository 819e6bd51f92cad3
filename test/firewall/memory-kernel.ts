// A kernel's table in memory that counts its own time: elements end by the kernel's clock, whatever anybody's wall clock
// says, and a transaction that does not fit what is there is refused as a whole.
import type { TableChange } from '../../enforcer/firewall/change.ts';
import { firewallErrors } from '../../enforcer/firewall/errors.ts';
import type { KernelTable } from '../../enforcer/firewall/kernel.ts';
import { canonicalKey } from '../../enforcer/firewall/keys.ts';
import type { Chain, Ruleset, SetDefinition, SetElement } from '../../enforcer/firewall/plan.ts';
import { listingOf } from '../../enforcer/firewall/simulated-table.ts';

interface Held {
  readonly element: SetElement;
  /** By the kernel's clock. */
  readonly ends: number | undefined;
}

interface HeldSet {
  readonly set: SetDefinition;
  readonly elements: Map<string, Held>;
}

interface Contents {
  readonly sets: Map<string, HeldSet>;
  readonly chains: Map<string, Chain>;
}

export interface MemoryKernel extends KernelTable {
  /** The table with ends by the kernel's clock, for judgeTable at `clock()`; undefined when there is none. */
  table(): Ruleset | undefined;
}

/**
 * `clock` is the kernel's, milliseconds. `wall` is what a process believes the time is. `before` and `after` are called
 * around every operation and may throw.
 */
export function memoryKernel(
  clock: () => number,
  wall: () => number,
  hooks: { before?: (what: 'write' | 'read') => void; after?: (what: 'write' | 'read') => void } = {},
): MemoryKernel {
  let contents: Contents | undefined;
  const write = async (next: () => Contents | undefined): Promise<void> => {
    hooks.before?.('write');
    contents = await Promise.resolve(next());
    hooks.after?.('write');
  };
  const table = (): Ruleset | undefined => contents && rulesetOf(contents, clock());
  return {
    backend: 'nft',
    table,
    replace: (ruleset, now) => write(() => made(ruleset, now, clock())),
    change: (change, now) => write(() => changed(contents, change, now, clock())),
    read: async () => {
      hooks.before?.('read');
      const held = await Promise.resolve(table());
      hooks.after?.('read');
      if (held === undefined) return undefined;
      const shift = wall() - clock();
      const sets = held.sets.map((set) => ({
        ...set,
        elements: set.elements.map((element) => shifted(element, shift)),
      }));
      return listingOf({ ...held, sets }, wall());
    },
    wrote: () => true,
    remove: () => write(() => undefined),
    close: () => undefined,
  };
}

const shifted = (element: SetElement, byMs: number): SetElement =>
  element.until === undefined ? element : { ...element, until: element.until + byMs };

const keyOf = (set: SetDefinition, element: SetElement): string => canonicalKey(set.type, element.key);

const refused = (what: string): Error => firewallErrors.error('FIREWALL_KERNEL_REFUSED', what);

function add(held: HeldSet, elements: readonly SetElement[], now: number, clock: number): void {
  for (const element of elements) {
    if (element.until !== undefined && element.until <= now) continue;
    const ends = element.until === undefined ? undefined : clock + (element.until - now);
    const key = keyOf(held.set, element);
    const known = held.elements.get(key);
    if (known !== undefined && (known.ends === undefined || known.ends > clock)) {
      // What is there keeps its time; another answer is refused.
      if (JSON.stringify(known.element.verdict) !== JSON.stringify(element.verdict))
        throw refused(`${held.set.name} ${key}`);
      if (known.element.mark !== element.mark) throw refused(`${held.set.name} ${key}`);
      continue;
    }
    held.elements.set(key, { element, ends });
  }
}

function made({ sets, chains }: Ruleset, now: number, clock: number): Contents {
  const contents: Contents = { sets: new Map(), chains: new Map(chains.map((chain) => [chain.name, chain])) };
  for (const set of sets) {
    const held: HeldSet = { set, elements: new Map() };
    add(held, set.elements, now, clock);
    contents.sets.set(set.name, held);
  }
  return contents;
}

function changed(before: Contents | undefined, change: TableChange, now: number, clock: number): Contents {
  if (before === undefined) throw refused('there is no table');
  const sets = new Map(
    [...before.sets].map(([name, { set, elements }]): [string, HeldSet] => [
      name,
      { set, elements: new Map(elements) },
    ]),
  );
  const chains = new Map(before.chains);
  const setOf = (name: string): HeldSet => {
    const held = sets.get(name);
    if (held === undefined) throw refused(`set ${name}: ENOENT`);
    return held;
  };
  for (const chain of change.addChains) {
    if (chains.has(chain.name)) throw refused(`chain ${chain.name}: its rules would be added to those that are there`);
    chains.set(chain.name, chain);
  }
  for (const set of change.addSets) {
    if (sets.has(set.name)) throw refused(`set ${set.name}: EEXIST`);
    sets.set(set.name, { set, elements: new Map() });
    add(setOf(set.name), set.elements, now, clock);
  }
  for (const { set, elements } of change.removeElements) {
    const held = setOf(set.name);
    for (const element of elements) {
      const known = held.elements.get(keyOf(set, element));
      const isThere = known !== undefined && (known.ends === undefined || known.ends > clock);
      // One that ends by itself is added first by both ways to the kernel.
      if (!isThere && element.until === undefined) throw refused(`${set.name} ${keyOf(set, element)}: ENOENT`);
      held.elements.delete(keyOf(set, element));
    }
  }
  for (const { set, elements } of change.addElements) add(setOf(set.name), elements, now, clock);
  for (const chain of change.fillChains) {
    if (!chains.has(chain.name)) throw refused(`chain ${chain.name}: ENOENT`);
    chains.set(chain.name, chain);
  }
  for (const set of change.removeSets) {
    if (!sets.delete(set.name)) throw refused(`set ${set.name}: ENOENT`);
  }
  for (const name of change.removeChains) {
    if (!chains.delete(name)) throw refused(`chain ${name}: ENOENT`);
  }
  requireReferences(sets, chains);
  return { sets, chains };
}

/** Nothing leads to what is not there. */
function requireReferences(sets: Contents['sets'], chains: Contents['chains']): void {
  const isThere = (kind: ReadonlyMap<string, unknown>, name: string, by: string): void => {
    if (!kind.has(name)) throw refused(`${by} refers to ${name}: ENOENT`);
  };
  for (const { name, rules } of chains.values()) {
    for (const { match, verdict } of rules) {
      for (const one of match) if ('set' in one) isThere(sets, one.set, name);
      if ('chain' in verdict) isThere(chains, verdict.chain, name);
      if ('map' in verdict) isThere(sets, verdict.map, name);
      if ('set' in verdict) isThere(sets, verdict.set, name);
    }
  }
  for (const { set, elements } of sets.values()) {
    for (const { element } of elements.values()) {
      if (element.verdict !== undefined) isThere(chains, element.verdict.chain, set.name);
    }
  }
}

function rulesetOf({ sets, chains }: Contents, clock: number): Ruleset {
  return {
    chains: [...chains.values()],
    sets: [...sets.values()].map(({ set, elements }) => ({
      ...set,
      elements: [...elements.values()]
        .filter(({ ends }) => ends === undefined || ends > clock)
        .map(({ element, ends }) => {
          const { until: _, ...rest } = element;
          return { ...rest, ...(ends === undefined ? {} : { until: ends }) };
        }),
    })),
  };
}
