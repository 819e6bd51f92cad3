// Uses that a worker asks for, taken in the counts of the edge: all of one request, and on disk, or it is denied.
import type { UseLedger } from '../../../enforcer/usage/index.ts';
import type { WantedUse } from './messages.ts';

export async function takeUses(ledger: UseLedger, uses: readonly WantedUse[]): Promise<boolean> {
  const claim = ledger.claim();
  const taken = uses.every(({ limit, subject, time }) => claim.take(limit, subject, time) === 'taken');
  const written = (await claim.recorded()) ?? true;
  return taken && written;
}
