// End dates: none in the past, none so far ahead that an exception becomes permanent.
import { MAX_OBSERVE_MS, MAX_WAIVER_MS } from '../../limits.ts';
import type { Place } from '../../../runtime/errors.ts';
import type { Problems } from '../problems.ts';
import type { Repository } from '../repository.ts';

export function lintDates(repository: Repository, problems: Problems, now: number): void {
  const check = (what: string, until: number | undefined, place: () => Place, longest?: number): void => {
    if (until === undefined) return;
    if (until <= now) problems.add('POLICY_UNTIL_PASSED', place(), `${what} ended ${new Date(until).toISOString()}`);
    if (longest !== undefined && until - now > longest) {
      const days = Math.floor(longest / 86_400_000);
      problems.add('POLICY_PERIOD_LONG', place(), `${what} ends more than ${days} days from now`);
    }
  };
  for (const grant of repository.grants) check(`grant ${grant.id}`, grant.until, () => grant.at('until'));
  for (const deny of repository.denies) check(`deny ${deny.id}`, deny.until, () => deny.at('until'));
  for (const rule of repository.firewall) check(`rule ${rule.id}`, rule.until, () => rule.at('until'));
  for (const entry of repository.interfaces) {
    check(`observe mode of ${entry.name}`, entry.observeUntil, () => entry.at('observe', 'until'), MAX_OBSERVE_MS);
  }
  for (const waiver of repository.waivers) {
    check(`waiver ${waiver.id}`, waiver.until, () => waiver.at('until'), MAX_WAIVER_MS);
  }
}
