// Who the kernel holds contained at a start that does not know of it from its disk: an order that came while the disk was full.
// Until the orders on this host are newer than the saved ones, such a peer stays contained under every plan.
import type { Listing } from './listing.ts';
import { containmentSets } from './plan.ts';
import type { ControlEndpoint, FirewallPlan } from './plan.ts';

export interface Found {
  /** Addresses and link-layer addresses by containment set. */
  readonly keys: ReadonlyMap<string, readonly string[]>;
  /** Plans that know the orders up to this number decide by themselves. */
  readonly sequence: number;
}

const names = Object.values(containmentSets).flatMap((sets) => Object.values(sets));

/** What the kernel holds beyond `plan`; undefined when it is nothing. Never the control plane, nor this device. */
export function foundBeyond(
  listing: Listing | undefined,
  plan: FirewallPlan,
  control: readonly ControlEndpoint[],
): Found | undefined {
  const spared = new Set([...plan.own, ...[...plan.control, ...control].map(({ address }) => address)]);
  const keys = new Map<string, string[]>();
  for (const name of names) {
    const known = new Set(plan.base.find((set) => set.name === name)?.elements.map((element) => element.key[0]));
    const more = (listing?.sets.get(name)?.elements ?? []).filter((key) => !known.has(key) && !spared.has(key));
    if (more.length > 0) keys.set(name, more);
  }
  return keys.size === 0 ? undefined : { keys, sequence: plan.ordersSequence + 1 };
}

/** The plan with these in its containment, unless its orders are newer. */
export function withFound(plan: FirewallPlan, found: Found | undefined): FirewallPlan {
  if (found === undefined || plan.ordersSequence >= found.sequence) return plan;
  const base = plan.base.map((set) => {
    const known = new Set(set.elements.map((element) => element.key[0]));
    const more = (found.keys.get(set.name) ?? []).filter((key) => !known.has(key));
    return more.length === 0 ? set : { ...set, elements: [...set.elements, ...more.map((key) => ({ key: [key] }))] };
  });
  return { ...plan, base };
}

/** After an order about a device, which is newer. */
export function withoutDevice(
  found: Found | undefined,
  plan: FirewallPlan | undefined,
  device: string,
): Found | undefined {
  const peer = plan?.peers[device];
  if (found === undefined || peer === undefined) return found;
  const its = new Set([...peer.addresses, ...peer.macs]);
  const keys = [...found.keys].map(([set, all]): [string, string[]] => [set, all.filter((key) => !its.has(key))]);
  return { ...found, keys: new Map(keys) };
}
