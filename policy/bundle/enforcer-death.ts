// What an enforcement point does for an interface while the enforcer is dead.
import { z } from 'zod';

export const enforcerDeathSchema = z.enum(['closed', 'hold', 'open']);
export type EnforcerDeath = z.infer<typeof enforcerDeathSchema>;

interface Dying {
  readonly onEnforcerDeath: EnforcerDeath;
  /** End of the waiver that opens it; milliseconds since the epoch. */
  readonly openUntil?: number | undefined;
}

/** `open` goes with the end of its waiver, and nothing else does. */
export const isEnforcerDeath = ({ onEnforcerDeath, openUntil }: Dying): boolean =>
  (onEnforcerDeath === 'open') === (openUntil !== undefined);

/**
 * `now` in milliseconds since the epoch. A waiver that has ended opens nothing: the interface is `closed` from then on; while
 * the time is not trusted, it may have ended: say Infinity.
 */
export function enforcerDeathOf({ onEnforcerDeath, openUntil }: Dying, now: number): EnforcerDeath {
  if (onEnforcerDeath !== 'open') return onEnforcerDeath;
  return openUntil !== undefined && now < openUntil ? 'open' : 'closed';
}
