// Blocked addresses while the enforcer runs: those that orders name, and those that packets brought into the kernel's sets
// themselves. The kernel's list is the truth; what is remembered here is for events, and for a table that somebody else
// took away.
import type { NewEvent } from '../../audit/spool/index.ts';
import { plainAddress } from './addresses.ts';
import { blockedSet, MAX_BLOCKED } from './base-chains.ts';
import { tableChange, type SetChange, type TableChange } from './change.ts';
import type { Listing } from './listing.ts';
import { blockedSets } from './plan.ts';
import type { ControlEndpoint, Family, FirewallPlan, Ruleset } from './plan.ts';
import { tableOf } from './table.ts';
import type { TableState } from './table.ts';

const families: readonly Family[] = [4, 6];

export interface LearnedBlock {
  /** Milliseconds since the epoch. */
  readonly until: number;
  /** Rule that the packet met; empty when nobody saw which. */
  readonly rule: string;
}

/** By address. */
export type Learned = ReadonlyMap<string, LearnedBlock>;

/** What the kernel holds, with the milliseconds left of each. */
export function blockedIn(listing: Listing | undefined): Map<string, number> {
  const found = new Map<string, number>();
  for (const family of families) {
    const set = listing?.sets.get(blockedSets[family]);
    for (const address of set?.elements ?? []) found.set(address, set?.expiring.get(address) ?? Infinity);
  }
  return found;
}

/** Orders never block this device, nor the control plane. */
export function allowedBlocks(
  ordered: ReadonlyMap<string, number>,
  plan: Pick<FirewallPlan, 'own' | 'control'> | undefined,
  control: readonly ControlEndpoint[],
): ReadonlyMap<string, number> {
  const spared = [...(plan?.own ?? []), ...[...(plan?.control ?? []), ...control].map(({ address }) => address)];
  const kept = new Set(spared.map((address) => plainAddress(address).text));
  return new Map([...ordered].filter(([address]) => !kept.has(address)));
}

/**
 * From one state to the next, where the kernel already holds `present`: a learned block gives way to an order about the
 * same address, a pardoned one goes, and where the set is full those go that would end soonest.
 */
export function blockChange(
  before: TableState,
  after: TableState,
  present: ReadonlyMap<string, number>,
  pardoned: readonly string[],
  now: number,
): TableChange {
  const change = tableChange(tableOf(before), tableOf(after));
  const fresh = [...(after.blocked ?? new Map<string, number>()).keys()].filter(
    (address) => before.blocked?.get(address) !== after.blocked?.get(address),
  );
  const leaving = new Set(
    [...fresh, ...pardoned.filter((address) => after.blocked?.has(address) !== true)].filter((address) =>
      present.has(address),
    ),
  );
  for (const family of families) {
    const mine = (address: string): boolean => address.includes(':') === (family === 6);
    const coming = fresh.filter((address) => mine(address) && !present.has(address)).length;
    const held = [...present].filter(([address]) => mine(address));
    const surplus = held.length + coming - MAX_BLOCKED;
    if (surplus <= 0) continue;
    const learned = held.filter(([address]) => after.blocked?.has(address) !== true && !leaving.has(address));
    for (const [address] of learned.sort((a, b) => a[1] - b[1]).slice(0, surplus)) leaving.add(address);
  }
  const known = new Set(change.removeElements.flatMap(({ elements }) => elements.map(({ key }) => key.join(' . '))));
  const removals = families.flatMap((family): SetChange[] => {
    const elements = [...leaving]
      .filter((address) => address.includes(':') === (family === 6) && !known.has(address))
      .map((address) => ({ key: [address], until: now }));
    return elements.length === 0 ? [] : [{ set: blockedSet(family, []), elements }];
  });
  return { ...change, removeElements: [...change.removeElements, ...removals] };
}

/** The table with what packets had blocked, for a table that is loaded anew. */
export function withLearned(table: Ruleset, learned: ReadonlyMap<string, number>): Ruleset {
  const names: readonly string[] = Object.values(blockedSets);
  const sets = table.sets.map((set) => {
    if (!names.includes(set.name)) return set;
    const ours = new Set(set.elements.map(({ key }) => key[0]));
    const mine = [...learned].filter(
      ([address]) => address.includes(':') === (set.name === blockedSets[6]) && !ours.has(address),
    );
    return {
      ...set,
      elements: [
        ...set.elements,
        ...mine.map(([address, until]) => ({ key: [address], ...(until === Infinity ? {} : { until }) })),
      ],
    };
  });
  return { ...table, sets };
}

/** What changed since the last look, as events; `ordered` are the control plane's own and not told. */
export function compareBlocks(
  before: Learned,
  present: ReadonlyMap<string, number>,
  ordered: ReadonlyMap<string, number>,
  now: number,
): { readonly after: Map<string, LearnedBlock>; readonly events: NewEvent[] } {
  const after = new Map<string, LearnedBlock>();
  const events: NewEvent[] = [];
  for (const [address, leftMs] of present) {
    if (ordered.has(address)) continue;
    const known = before.get(address);
    const block = known ?? { until: Math.round(now + leftMs), rule: '' };
    after.set(address, block);
    if (known === undefined) events.push(blockEvent(address, block));
  }
  for (const address of before.keys()) {
    if (!after.has(address) && !ordered.has(address)) events.push(unblockEvent(address, 'it ended'));
  }
  return { after, events };
}

export const blockEvent = (address: string, { until, rule }: LearnedBlock): NewEvent => ({
  kind: 'firewall',
  activity: 'block',
  severity: 'high',
  data: { source_ip: address, rule, until_ms: until },
});

export const unblockEvent = (address: string, reason: string, by = ''): NewEvent => ({
  kind: 'firewall',
  activity: 'unblock',
  severity: by === '' ? 'info' : 'high',
  data: { source_ip: address, reason, ...(by === '' ? {} : { by }) },
});
