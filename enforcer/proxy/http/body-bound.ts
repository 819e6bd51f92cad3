// How long a body may become whose length nobody said before.
import type { SliceInterface } from '../../../policy/bundle/index.ts';
import type { Decision } from '../../../policy/engine/index.ts';

/** Octets up to which the decision stands; beyond them it is asked for again. Infinity where it has no bound. */
export function bodyBound(entry: SliceInterface | undefined, { operation, observed }: Decision): number {
  if (observed !== undefined) return Infinity;
  const found = entry?.operations.find(({ name }) => name === operation);
  if (found?.protocol !== 'http') return 0;
  return found.maxBodyBytes ?? Infinity;
}
