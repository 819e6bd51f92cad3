// What a stand-in lets through: operations of class `safety` that policy grants, whoever asks; and where the interface says
// `hold`, for peers that had an allowed flow when the enforcer died, what policy grants them. It counts no uses and knows no
// break-glass: what needs either is denied, a safety operation excepted, whose uses nobody can count now.
import type { SliceInterface } from '../../../policy/bundle/index.ts';
import { type AccessRequest, type Decision, noUsage } from '../../../policy/engine/index.ts';
import {
  type Abilities,
  createDecide,
  createSafety,
  freshnessOf,
  type SafetyParts,
} from '../../../enforcer/activation/index.ts';
import type { HeldPeer } from '../../../enforcer/standby/index.ts';

export interface StandbyDecideParts extends SafetyParts {
  readonly entryOf: (interfaceName: string) => Pick<SliceInterface, 'onEnforcerDeath'> | undefined;
  readonly isHeld: (peer: HeldPeer) => boolean;
}

/** `address` is that of the peer. Never throws. */
export function createStandbyDecide(
  parts: StandbyDecideParts,
): (request: AccessRequest, abilities: Abilities, address: string) => Decision {
  const { current, time, island } = parts;
  const safety = createSafety(parts);
  const whole = createDecide(current, time, () => [], island);
  const holds = (request: AccessRequest, address: string): boolean => {
    const { interface: name } = request.resource;
    if (parts.entryOf(name)?.onEnforcerDeath !== 'hold') return false;
    return parts.isHeld({ interface: name, address, subject: request.subject.id });
  };
  return (request, abilities, address) => {
    const safe = safety.decide(request, abilities.fulfilment);
    if (safe.allow) return safe;
    try {
      if (holds(request, address)) return whole(request, { ...abilities, usage: noUsage });
    } catch {
      return { ...safe, reason: 'fault' };
    }
    const active = current();
    // What only our own narrowness closed says so.
    const expired = active !== undefined && freshnessOf(active.bundle.manifest, time()) === 'hard-expired';
    return safe.reason === 'hard-expired' && !expired ? { ...safe, reason: 'standby' } : safe;
  };
}
