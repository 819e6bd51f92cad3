// What leads from one table to another: single elements where only they differ, whole chains and sets where those do.
// Applied as one transaction, so that packets meet one table or the other.
import type { Chain, Ruleset, SetDefinition, SetElement } from './plan.ts';

export interface SetChange {
  readonly set: SetDefinition;
  readonly elements: readonly SetElement[];
}

export interface TableChange {
  readonly addSets: readonly SetDefinition[];
  readonly addChains: readonly Chain[];
  /** Chains that are there and get these rules instead of theirs. */
  readonly fillChains: readonly Chain[];
  readonly removeElements: readonly SetChange[];
  readonly addElements: readonly SetChange[];
  readonly removeChains: readonly string[];
  readonly removeSets: readonly SetDefinition[];
}

/**
 * Throws a RangeError where a set or a hook of the same name is of another kind: names stand for one shape, and another
 * shape gets another name. Elements that packets added are in no table and stay.
 */
export function tableChange(from: Ruleset, to: Ruleset): TableChange {
  const oldSets = new Map(from.sets.map((set) => [set.name, set]));
  const newSets = new Set(to.sets.map((set) => set.name));
  const oldChains = new Map(from.chains.map((chain) => [chain.name, chain]));
  const newChains = new Set(to.chains.map((chain) => chain.name));
  const removeElements: SetChange[] = [];
  const addElements: SetChange[] = [];
  for (const set of to.sets) {
    const old = oldSets.get(set.name);
    if (old === undefined || old === set) continue;
    if (shapeOf(old) !== shapeOf(set)) throw new RangeError(`set ${set.name} would change its kind`);
    const { gone, fresh } = elementChange(old.elements, set.elements);
    if (gone.length > 0) removeElements.push({ set, elements: gone });
    if (fresh.length > 0) addElements.push({ set, elements: fresh });
  }
  return {
    addSets: to.sets.filter((set) => !oldSets.has(set.name)),
    addChains: to.chains.filter((chain) => !oldChains.has(chain.name)),
    fillChains: to.chains.filter((chain) => {
      const old = oldChains.get(chain.name);
      return old !== undefined && !sameRules(old, chain);
    }),
    removeElements,
    addElements,
    removeChains: from.chains.filter((chain) => !newChains.has(chain.name)).map((chain) => chain.name),
    removeSets: from.sets.filter((set) => !newSets.has(set.name)),
  };
}

export function isEmpty(change: TableChange): boolean {
  return Object.values(change).every((list: readonly unknown[]) => list.length === 0);
}

/** Everything of a set but its elements. */
export function shapeOf(set: SetDefinition): string {
  return JSON.stringify({ ...set, elements: [] });
}

function sameRules(old: Chain, chain: Chain): boolean {
  if (old === chain || old.rules === chain.rules) return true;
  if (old.hook !== chain.hook || old.policy !== chain.policy || old.after !== chain.after) {
    throw new RangeError(`chain ${chain.name} would change its hook`);
  }
  return JSON.stringify(old.rules) === JSON.stringify(chain.rules);
}

/** An element whose end or answer changes goes and comes again; a comment is not worth it. */
function elementChange(
  old: readonly SetElement[],
  next: readonly SetElement[],
): { gone: SetElement[]; fresh: SetElement[] } {
  const before = new Map(old.map((element) => [element.key.join(' . '), element]));
  const fresh: SetElement[] = [];
  const gone: SetElement[] = [];
  for (const element of next) {
    const key = element.key.join(' . ');
    const known = before.get(key);
    before.delete(key);
    if (known !== undefined && sameElement(known, element)) continue;
    if (known !== undefined) gone.push(known);
    fresh.push(element);
  }
  return { gone: [...gone, ...before.values()], fresh };
}

const sameElement = (a: SetElement, b: SetElement): boolean =>
  a.until === b.until &&
  a.mark === b.mark &&
  a.verdict?.kind === b.verdict?.kind &&
  a.verdict?.chain === b.verdict?.chain;
