// Waivers take a problem out of what stops or warns, never out of the report. One that ended excuses nothing any more.
import { WAIVER_NOTICE_MS } from '../../limits.ts';
import type { Problems } from '../problems.ts';
import type { Repository, Waiver } from '../repository.ts';
import { excuses } from '../waiver.ts';

/** Call after every other rule. `now` in milliseconds since the epoch. */
export function applyWaivers(repository: Repository, problems: Problems, now: number): void {
  const valid = repository.waivers.filter(({ until }) => until > now);
  const byRule = Map.groupBy(valid, ({ rule }) => rule);
  const used = new Set<Waiver>();
  problems.waive((problem) => {
    const found = byRule.get(problem.rule)?.find((waiver) => excuses(waiver, problem));
    if (found !== undefined) used.add(found);
    return found;
  });
  for (const waiver of valid) {
    const { id, until, grant, interface: name, excuses: where } = waiver;
    if (!used.has(waiver)) {
      const place = waiver.at(grant !== undefined ? 'grant' : name !== undefined ? 'interface' : 'at');
      problems.add('POLICY_WAIVER_UNUSED', place, `${waiver.rule} says nothing about ${grant ?? name ?? where}`);
    } else if (until - now < WAIVER_NOTICE_MS) {
      const day = new Date(until).toISOString();
      problems.add('POLICY_WAIVER_ENDING', waiver.at('until'), `waiver ${id} of ${waiver.owner} ends ${day}`);
    }
  }
}
