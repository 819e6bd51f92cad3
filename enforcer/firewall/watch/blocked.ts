// Blocked sources, which packets add and no plan knows: what others did to them by a commit is undone.
import { blockedSet } from '../base-chains.ts';
import type { SetChange, TableChange } from '../change.ts';
import { blockedSets } from '../plan.ts';
import type { Family } from '../plan.ts';
import type { BlockedChange, Commit } from './commits.ts';

/** Blocked address to the end of its time, milliseconds since the epoch; Infinity for none. */
export type Kept = ReadonlyMap<string, number>;

export interface Undo {
  /** What was blocked before these commits and still would be. */
  readonly kept: Kept;
  /** What others did, in words; undefined when they did nothing to the blocked sources. */
  readonly message: string | undefined;
  readonly change: TableChange;
}

const nothing: TableChange = {
  addSets: [],
  addChains: [],
  fillChains: [],
  removeElements: [],
  addElements: [],
  removeChains: [],
  removeSets: [],
};

/** What has to change in the kernel, which holds `present`, apart from the blocks that are `ordered`. */
export function undone(present: Kept, ordered: Kept, commits: readonly Commit[], now: number): Undo {
  // Who was there before the first of them is what counts.
  const first = new Map<string, BlockedChange>();
  for (const change of commits.flatMap((commit) => commit.blocked)) {
    if (!first.has(change.address) && !ordered.has(change.address)) first.set(change.address, change);
  }
  const kept = new Map(present);
  const gone: string[] = [];
  const back: string[] = [];
  for (const { verb, address, leftMs } of first.values()) {
    if (verb === 'added' && kept.delete(address)) gone.push(address);
    if (verb === 'removed' && leftMs !== 0 && !present.has(address)) {
      kept.set(address, leftMs === undefined ? Infinity : now + leftMs);
      back.push(address);
    }
  }
  const message =
    gone.length > 0
      ? `set ${setOf(gone[0])} has ${gone[0]}, which no packet and no order added`
      : back.length > 0
        ? `set ${setOf(back[0])} lacks ${back[0]}, which others removed`
        : undefined;
  const change = {
    ...nothing,
    removeElements: bySet(gone, () => now),
    addElements: bySet(back, (address) => kept.get(address)),
  };
  return { kept, message, change };
}

const familyOf = (address = ''): Family => (address.includes(':') ? 6 : 4);
const setOf = (address: string | undefined): string => blockedSets[familyOf(address)];

function bySet(addresses: readonly string[], until: (address: string) => number | undefined): SetChange[] {
  return ([4, 6] as const).flatMap((family): SetChange[] => {
    const elements = addresses
      .filter((address) => familyOf(address) === family)
      .map((address) => {
        const end = until(address);
        return { key: [address], ...(end === undefined || end === Infinity ? {} : { until: end }) };
      });
    return elements.length === 0 ? [] : [{ set: blockedSet(family, []), elements }];
  });
}
