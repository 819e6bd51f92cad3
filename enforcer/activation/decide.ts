// The question of every enforcement point, put to the engine in force at the freshness of its bundle.
import { type AccessRequest, type Decision, type Freshness, noBundleDecision } from '../../policy/engine/index.ts';
import type { Active } from './activate.ts';
import { freshnessOf } from './freshness.ts';
import type { TrustedTime } from './trusted-clock.ts';

interface Deciding {
  readonly decide: (request: AccessRequest, freshness: Freshness) => Decision;
}

/** Answers `no-bundle` without one. Never throws. The pointer is read once, so an answer is of one bundle. */
export function createDecide(
  current: () => Active<Deciding> | undefined,
  time: () => TrustedTime,
): (request: AccessRequest) => Decision {
  return (request) => {
    const active = current();
    if (active === undefined) return noBundleDecision();
    return active.engine.decide(request, freshnessOf(active.bundle.manifest, time()));
  };
}
