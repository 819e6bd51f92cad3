// Which devices a selector chooses, without looking at all of them: an inverted index from each label to its devices.
// Selectors that say the same get the same list, so that whoever works on lists can know them by identity.
import type { SliceDevice } from '../bundle/slice.ts';
import { labelKey, labelsOf, selectorKey, type SelectorOrAll } from './selector.ts';

export interface InventoryIndex {
  /** Ids of all devices, sorted. */
  readonly ids: readonly string[];
  /** Ids that a selector chooses, sorted, each once; ids that the inventory does not hold are left out. Shared and frozen. */
  choose(selector: SelectorOrAll): string[];
  /** How many devices have a label: what a selector that names it can choose at most. */
  countOf(name: string, value: string): number;
}

/** Devices with different ids. */
export function indexInventory(devices: Iterable<Pick<SliceDevice, 'id' | 'labels'>>): InventoryIndex {
  const byId = new Map([...devices].map((device) => [device.id, device]));
  const ids = [...byId.keys()].sort();
  const postings = new Map<string, string[]>();
  // In the order of ids, so that every list is sorted as it grows.
  for (const id of ids) {
    for (const [name, value] of Object.entries(byId.get(id)?.labels ?? {})) {
      const key = labelKey(name, value);
      const list = postings.get(key);
      if (list === undefined) postings.set(key, [id]);
      else list.push(id);
    }
  }
  const chosen = new Map<string, string[]>();

  const choose = (selector: SelectorOrAll): string[] => {
    if (selector === 'all') return ids;
    if (Array.isArray(selector)) return [...new Set(selector)].filter((id) => byId.has(id)).sort();
    const labels = labelsOf(selector);
    const lists = labels
      .map(([name, value]) => postings.get(labelKey(name, value)) ?? [])
      .sort((a, b) => a.length - b.length);
    const [fewest = ids] = lists;
    if (lists.length < 2) return fewest;
    return fewest.filter((id) => {
      const has = byId.get(id)?.labels ?? {};
      return labels.every(([name, value]) => has[name] === value);
    });
  };

  return {
    ids,
    choose(selector) {
      const key = selectorKey(selector);
      let list = chosen.get(key);
      if (list === undefined) {
        list = choose(selector);
        Object.freeze(list);
        chosen.set(key, list);
      }
      return list;
    },
    countOf: (name, value) => postings.get(labelKey(name, value))?.length ?? 0,
  };
}
