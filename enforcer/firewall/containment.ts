// An order between two plans: a peer's addresses enter or leave a containment set as single elements, and what it still
// has open ends. The set alone cuts it, in both directions and at once; the rest keeps a flow from waking up again when
// the containment ends.
import { plainAddress } from './addresses.ts';
import { containmentSets } from './plan.ts';
import type { Containment, Family, FirewallPlan, SetDefinition } from './plan.ts';
import type { FlowTarget } from './flows/index.ts';

const kinds: readonly Containment[] = ['revoked', 'quarantined'];

/** Element keys a device adds to each containment set. The control plane's address is never among them. */
function keysOf(plan: FirewallPlan, device: string, kind: Containment): Map<string, string[]> {
  const keys = new Map<string, string[]>();
  const peer = plan.peers[device];
  for (const address of peer?.addresses ?? []) {
    if (plan.control.some((endpoint) => endpoint.address === address)) continue;
    const set = containmentSets[kind][plainAddress(address).family];
    keys.set(set, [...(keys.get(set) ?? []), address]);
  }
  if (peer !== undefined && peer.macs.length > 0) keys.set(containmentSets[kind].mac, [...peer.macs]);
  return keys;
}

const containmentNames = new Set<string>(Object.values(containmentSets).flatMap((sets) => Object.values(sets)));

/** The plan with a device in exactly the containment given, or in none. */
export function withContainment(plan: FirewallPlan, device: string, kind: Containment | undefined): FirewallPlan {
  const change = (set: SetDefinition): SetDefinition => {
    if (!containmentNames.has(set.name)) return set;
    const mine = new Set(kinds.flatMap((each) => keysOf(plan, device, each).get(set.name) ?? []));
    const wanted = kind === undefined ? [] : (keysOf(plan, device, kind).get(set.name) ?? []);
    const others = set.elements.map((element) => element.key[0] ?? '').filter((key) => !mine.has(key));
    const keys = [...others, ...wanted].sort();
    const isSame = keys.length === set.elements.length && keys.every((key, at) => key === set.elements[at]?.key[0]);
    return isSame ? set : { ...set, elements: keys.map((key) => ({ key: [key] })) };
  };
  return { ...plan, base: plan.base.map(change) };
}

/** What a contained device may have open under any of the plans: everything but island operations when it is quarantined. */
export function flowTarget(plans: readonly FirewallPlan[], device: string, kind: Containment): FlowTarget {
  const keys = plans.map((plan) => keysOf(plan, device, kind));
  const texts = [4, 6].flatMap((family) =>
    keys.flatMap((all) => all.get(containmentSets[kind][family as Family]) ?? []),
  );
  const ports = plans.flatMap((plan) => plan.peers[device]?.islandPorts ?? []);
  return {
    addresses: [...new Set(texts)].map(plainAddress),
    sparedPorts: kind === 'quarantined' ? [...new Set(ports)] : [],
  };
}

/** Whether the plan holds the device in a containment set. */
export function isContainedBy(plan: FirewallPlan, device: string): boolean {
  return kinds.some((kind) =>
    [...keysOf(plan, device, kind)].some(([name, keys]) =>
      plan.base.some((set) => set.name === name && set.elements.some((element) => keys.includes(element.key[0] ?? ''))),
    ),
  );
}
