// Start, end, daily window and days of grants, denies and firewall rules: rules that can never hold from now on, windows that restrict
// nothing.
import { weekdayNames } from '../../bundle/conditions.ts';
import { calendarAt } from '../../engine/calendar.ts';
import type { Problems } from '../problems.ts';
import type { Deny, FirewallRule, Grant, Repository } from '../repository.ts';

/** `now` in milliseconds since the epoch. */
export function lintPeriods(repository: Repository, problems: Problems, now: number): void {
  for (const grant of repository.grants) lintPeriod(grant, problems, now, { grant: grant.id });
  for (const rule of [...repository.denies, ...repository.firewall]) lintPeriod(rule, problems, now);
}

function lintPeriod(
  rule: Grant | Deny | FirewallRule,
  problems: Problems,
  now: number,
  about?: { grant: string },
): void {
  const { timeWindow, weekdays } = rule.conditions ?? {};
  const { notBefore, until } = rule;
  // An end that has passed is POLICY_UNTIL_PASSED.
  if (until === undefined || until > now) {
    const { open, changesAt } = calendarAt({ notBefore, until, timeWindow, weekdays }, now);
    if (!open && changesAt === undefined) {
      const message = `${rule.id} holds at no moment from now on: no window opens before it ends`;
      problems.add('POLICY_NEVER_IN_FORCE', rule.at('id'), message, about);
    }
  }
  if (timeWindow?.fromMinute === 0 && timeWindow.toMinute === 1_440) {
    const message = '00:00-24:00 is the whole day';
    problems.add('POLICY_CONDITION_MOOT', rule.at('conditions', 'timeWindow'), message, about);
  }
  if (weekdays !== undefined && weekdayNames.every((day) => weekdays.includes(day))) {
    problems.add('POLICY_CONDITION_MOOT', rule.at('conditions', 'weekdays'), 'these are all days of the week', about);
  }
}
