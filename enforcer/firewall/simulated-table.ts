// A table in this process and in no kernel: for edges that may not or cannot change packet rules. Plans are compiled, applied,
// confirmed and saved as ever, and judge.ts answers from them; packets pass all the same.
import type { TableChange } from './change.ts';
import type { KernelTable } from './kernel.ts';
import { elementIdentity } from './keys.ts';
import { hookSignature, ruleSignature } from './listing.ts';
import type { Listing } from './listing.ts';
import type { Ruleset, SetDefinition } from './plan.ts';

export function simulatedTable(): KernelTable {
  let table: Ruleset | undefined;
  return {
    backend: 'none',
    replace: (given) => {
      table = given;
      return Promise.resolve();
    },
    change: (change) => {
      table = changed(table ?? { sets: [], chains: [] }, change);
      return Promise.resolve();
    },
    read: () => Promise.resolve(table === undefined ? undefined : listingOf(table, Date.now())),
    wrote: () => true,
    remove: () => {
      table = undefined;
      return Promise.resolve();
    },
    close: () => undefined,
  };
}

const keyOf = ({ key }: SetDefinition['elements'][number]): string => key.join(' . ');

function changed({ sets, chains }: Ruleset, change: TableChange): Ruleset {
  const filled = new Map(change.fillChains.map((chain) => [chain.name, chain]));
  const removed = new Map(change.removeElements.map((one) => [one.set.name, new Set(one.elements.map(keyOf))]));
  const added = new Map(change.addElements.map((one) => [one.set.name, one.elements]));
  const goneSets = new Set(change.removeSets.map(({ name }) => name));
  const goneChains = new Set(change.removeChains);
  return {
    sets: [...sets, ...change.addSets]
      .filter(({ name }) => !goneSets.has(name))
      .map((set) => {
        const gone = removed.get(set.name);
        const kept = gone === undefined ? set.elements : set.elements.filter((element) => !gone.has(keyOf(element)));
        return { ...set, elements: [...kept, ...(added.get(set.name) ?? [])] };
      }),
    chains: [...chains, ...change.addChains]
      .filter(({ name }) => !goneChains.has(name))
      .map((chain) => filled.get(chain.name) ?? chain),
  };
}

/** What a kernel would list that holds exactly this table. `now` in milliseconds since the epoch. */
export function listingOf({ sets, chains }: Ruleset, now: number): Listing {
  return {
    chains: new Map(chains.map((chain) => [chain.name, hookSignature(chain)])),
    rules: chains.flatMap(({ name, rules }) =>
      rules.map((rule) => ({
        chain: name,
        signature: ruleSignature(rule),
        log: rule.log === undefined ? '' : `ew:${rule.log}`,
        admits: rule.verdict.kind === 'admit',
        packets: 0,
        bytes: 0,
      })),
    ),
    sets: new Map(
      sets.map((set) => [
        set.name,
        {
          type: `${set.type.join('.')}${set.data === undefined ? '' : `:${set.data}`}`,
          elements: set.elements.map((element) => elementIdentity(set, element)),
          expiring: new Map(
            set.elements.flatMap((element) =>
              element.until === undefined ? [] : [[elementIdentity(set, element), element.until - now]],
            ),
          ),
        },
      ]),
    ),
    signatureOf: ruleSignature,
    strange: [],
    fingerprint: '',
  };
}
