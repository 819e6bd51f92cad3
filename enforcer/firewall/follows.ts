// Which plan may follow another by changed elements alone, in one transaction and without a proof that the control plane
// is still reached: one that has the same rules and believes the same neighbours.
import { shapeOf } from './change.ts';
import { baseSets } from './plan.ts';
import type { FirewallPlan, Ruleset, SetDefinition } from './plan.ts';

/** Sets whose elements decide before the control plane is let through, or say where it is. */
const guarded: readonly RegExp[] = [
  /^inventory[46]$/,
  /^expected/,
  ...Object.values(baseSets.control).map((name) => new RegExp(`^${name}$`)),
];

export function followsByElements(before: FirewallPlan, after: FirewallPlan): boolean {
  return (
    sameSets(before.base, after.base) &&
    sameShape(before.denies, after.denies) &&
    sameShape(before.generation, after.generation)
  );
}

function sameShape(before: Ruleset, after: Ruleset): boolean {
  return sameSets(before.sets, after.sets) && JSON.stringify(before.chains) === JSON.stringify(after.chains);
}

function sameSets(before: readonly SetDefinition[], after: readonly SetDefinition[]): boolean {
  return (
    before.length === after.length &&
    before.every((set, at) => {
      const other = after[at];
      if (other === undefined || shapeOf(set) !== shapeOf(other)) return false;
      return !isGuarded(set) || JSON.stringify(set.elements) === JSON.stringify(other.elements);
    })
  );
}

const isGuarded = ({ name }: SetDefinition): boolean => guarded.some((pattern) => pattern.test(name));
