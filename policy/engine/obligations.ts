// What an enforcement point has to do with an allow (OpenID AuthZEN, obligations). One that does not know an obligation,
// or cannot fulfil it, denies.
import type { Decision, Obligation, Reason } from './request.ts';

/** What an enforcement point can fulfil: ids, and of `custom` the names. */
export interface Fulfilment {
  readonly ids: readonly Exclude<Obligation['id'], 'custom' | 'step-up'>[];
  readonly custom: readonly string[];
  /** Levels of step-up that the caller of this one request has proven; absent for none. */
  readonly levels?: readonly string[];
  /** The enforcement point makes the caller prove whatever level is asked for, before it lets the request through. */
  readonly anyLevel?: boolean;
}

/** Of an enforcement point that does not look at obligations. */
export const noFulfilment: Fulfilment = { ids: [], custom: [] };

function canFulfil({ ids, custom, levels = [], anyLevel = false }: Fulfilment, obligation: Obligation): boolean {
  switch (obligation.id) {
    case 'custom':
      return custom.includes(obligation.name);
    case 'step-up':
      return anyLevel || levels.includes(obligation.level);
    case 'log':
    case 'notification':
      return ids.includes(obligation.id);
  }
}

/** For events and refusals: `step-up`, `custom:badge`. */
export function obligationName(obligation: Obligation): string {
  return obligation.id === 'custom' ? `custom:${obligation.name}` : obligation.id;
}

/** The decision, or a denial where its allow asks for more than can be fulfilled. */
export function requireFulfilment(decision: Decision, fulfilment: Fulfilment): Decision {
  if (decision.obligations === undefined || !decision.allow) return decision;
  const [unmet, ...more] = decision.obligations.filter((obligation) => !canFulfil(fulfilment, obligation));
  if (unmet === undefined) return decision;
  const denial = {
    ...withdrawn(decision, 'obligation', `obligation ${obligationName(unmet)}`),
    unfulfilled: decision.obligations,
  };
  // Nobody is asked to prove themselves for what would be denied all the same.
  if (unmet.id !== 'step-up' || more.some(({ id }) => id !== 'step-up')) return denial;
  return { ...denial, stepUp: unmet.level };
}

/** The denial instead of an allow that an enforcement point cannot carry out; keeps the rule that had opened it. */
export function withdrawn(
  { rule, place, operation, bundle }: Decision,
  reason: Exclude<Reason, 'granted'>,
  condition?: string,
): Decision {
  const denial = { allow: false, reason, rule, place, operation, bundle };
  return condition === undefined ? denial : { ...denial, condition };
}
