// What a policy repository says where it chooses devices (format/scalars.ts): all of them, ids, or labels that all have
// to be equal.
import type { SliceDevice } from '../bundle/slice.ts';
import type { SelectorOrAll } from '../repository/format/scalars.ts';

export type { SelectorOrAll } from '../repository/format/scalars.ts';

/** One text for all spellings of a selector: the order of labels and ids, and repeated ids, do not count. */
export function selectorKey(selector: SelectorOrAll): string {
  if (selector === 'all') return 'all';
  if (Array.isArray(selector)) return JSON.stringify([...new Set(selector)].sort());
  return JSON.stringify({ labels: labelsOf(selector) });
}

/** The definition of membership: what every index has to agree with. */
export function selects(selector: SelectorOrAll, device: Pick<SliceDevice, 'id' | 'labels'>): boolean {
  if (selector === 'all') return true;
  if (Array.isArray(selector)) return selector.includes(device.id);
  return labelsOf(selector).every(([name, value]) => hasLabel(device, name, value));
}

/** Labels are looked up as own members: a label named `constructor` is no other device's label. */
function hasLabel({ labels }: Pick<SliceDevice, 'labels'>, name: string, value: string): boolean {
  return Object.hasOwn(labels, name) && labels[name] === value;
}

export function labelsOf(selector: Exclude<SelectorOrAll, 'all' | readonly string[]>): [string, string][] {
  return Object.entries(selector.labels).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** One label as a key of an index. */
export const labelKey = (name: string, value: string): string => `${name}\n${value}`;
