// Whether one rule holds whenever another does, judged on what they say. Sound rather than complete: what is not
// understood counts as different.
import { weekdayNames, type AttributeTest } from '../../bundle/conditions.ts';
import { inDailyWindow, type Calendar } from '../../engine/calendar.ts';
import type { Deny, Grant } from '../repository.ts';

type Conditions = Grant['conditions'];

/** `outer` opens, with the same duties, whenever `inner` does; subjects and operations apart. */
export function grantIncludes(outer: Grant, inner: Grant): boolean {
  return (
    (outer.binding === inner.binding || (outer.binding === 'ip' && inner.binding === 'port+mac+ip')) &&
    (outer.notBefore ?? -Infinity) <= (inner.notBefore ?? -Infinity) &&
    (outer.until ?? Infinity) >= (inner.until ?? Infinity) &&
    conditionsInclude(outer.conditions, inner.conditions) &&
    canonical(othersOf(outer)) === canonical(othersOf(inner))
  );
}

/** Fields that are looked at above, or say which requests the grant is about. */
const judged: ReadonlySet<string> = new Set(
  'id at subjects interface operations binding conditions notBefore until'.split(' '),
);

function othersOf(grant: Grant): object {
  return Object.fromEntries(Object.entries(grant).filter(([name]) => !judged.has(name)));
}

/** Conditions that hold or not, whatever was asked before. */
const stateless: ReadonlySet<string> = new Set(
  'attestation attestationMaxAgeSeconds maxRisk timeWindow weekdays attributes'.split(' '),
);

/** Grants with a budget of their own (uses, rate) add up, so that not even equal ones include each other. */
export function isCounted(grant: Grant): boolean {
  return (
    Object.keys(othersOf(grant)).some((name) => name !== 'obligations') ||
    Object.keys(grant.conditions).some((name) => !stateless.has(name))
  );
}

/** The deny matches whatever the time and the attributes are. */
export function isUnconditional(deny: Deny): boolean {
  const { id: _, at: _at, subjects: _s, interface: _i, operations: _o, ...others } = deny;
  return Object.values(others).every((value) => value === undefined);
}

/** `outer` matches whenever `inner` does; subjects and operations apart. */
export function denyIncludes(outer: Deny, inner: Deny): boolean {
  const rest = (deny: Deny): object => {
    const { id: _, at: _at, subjects: _s, operations: _o, ...others } = deny;
    return others;
  };
  return isUnconditional(outer) || canonical(rest(outer)) === canonical(rest(inner));
}

function conditionsInclude(outer: Conditions, inner: Conditions): boolean {
  return Object.keys(outer).every((name) => {
    switch (name) {
      case 'attestation':
        return inner.attestation?.every((kind) => outer.attestation?.includes(kind)) ?? false;
      case 'attestationMaxAgeSeconds':
        return (inner.attestationMaxAgeSeconds ?? Infinity) <= (outer.attestationMaxAgeSeconds ?? 0);
      case 'maxRisk':
        return (inner.maxRisk ?? Infinity) <= (outer.maxRisk ?? 0);
      case 'timeWindow':
      case 'weekdays':
        return weekIncludes(outer, inner);
      case 'attributes':
        return (outer.attributes ?? []).every((test) => inner.attributes?.some((other) => testIncludes(test, other)));
      default:
        // Another one is counted, and no such grant gets here.
        return false;
    }
  });
}

/** Every minute of a week in which `inner` holds is one of `outer`. */
function weekIncludes(outer: Calendar, inner: Calendar): boolean {
  const [wide, narrow] = [weekOf(outer), weekOf(inner)];
  return narrow.every((holds, minute) => holds === 0 || wide[minute] === 1);
}

const weekMinutes = weekdayNames.length * 1_440;
const weeks = new Map<string, Uint8Array>();

function weekOf({ timeWindow, weekdays }: Calendar): Uint8Array {
  const key = canonical({ timeWindow, weekdays });
  let week = weeks.get(key);
  if (week === undefined) {
    week = Uint8Array.from({ length: weekMinutes }, (_, minute) =>
      inDailyWindow({ timeWindow, weekdays }, minute * 60_000) ? 1 : 0,
    );
    // A repository has few different windows; garbage is not kept.
    if (weeks.size > 256) weeks.clear();
    weeks.set(key, week);
  }
  return week;
}

function testIncludes(outer: AttributeTest, inner: AttributeTest): boolean {
  if (outer.source !== inner.source || outer.name !== inner.name) return false;
  return Object.entries(outer).every(([operator, value]) => {
    switch (operator) {
      case 'source':
      case 'name':
        return true;
      case 'present':
        // Whatever is asked of an attribute, what is not known does not hold.
        return true;
      case 'in':
        return (
          inner.in?.every((one) => outer.in?.includes(one)) ?? outer.in?.some((one) => one === inner.equals) ?? false
        );
      case 'min':
        return (inner.min ?? -Infinity) >= (outer.min ?? Infinity);
      case 'max':
        return (inner.max ?? Infinity) <= (outer.max ?? -Infinity);
      default:
        return canonical(value) === canonical((inner as Record<string, unknown>)[operator]);
    }
  });
}

/** JSON with sorted keys, for comparing. */
export function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, found: unknown) =>
      typeof found === 'object' && found !== null && !Array.isArray(found)
        ? Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)))
        : found,
    ) ?? ''
  );
}
