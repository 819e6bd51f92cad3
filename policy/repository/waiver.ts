// What a waiver is about.
import type { Place } from '../../runtime/errors.ts';
import type { RuleId } from './rules.ts';
import type { Interface, Waiver } from './repository.ts';

interface Finding {
  readonly rule: RuleId;
  readonly place: Place;
  readonly grant?: string | undefined;
  readonly interface?: string | undefined;
}

export function excuses(waiver: Waiver, finding: Finding): boolean {
  if (waiver.rule !== finding.rule) return false;
  if (waiver.grant !== undefined) return waiver.grant === finding.grant;
  if (waiver.interface !== undefined) return waiver.interface === finding.interface;
  const { file, line = 1 } = finding.place;
  return waiver.excuses === file || waiver.excuses === `${file}:${line}`;
}

/** Until when somebody answers for it that the interface fails open; undefined when nobody does. */
export function openUntilOf({ name, onEnforcerDeath, at }: Interface, waivers: readonly Waiver[]): number | undefined {
  if (onEnforcerDeath !== 'open') return undefined;
  const finding: Finding = { rule: 'POLICY_ENFORCER_DEATH_OPEN', place: at('onEnforcerDeath'), interface: name };
  const ends = waivers.filter((waiver) => excuses(waiver, finding)).map(({ until }) => until);
  return ends.length === 0 ? undefined : Math.max(...ends);
}
