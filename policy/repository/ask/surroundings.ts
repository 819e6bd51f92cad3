// Everything about a request but its subject and its operation, cut into values that stand for all of them: each state,
// binding and freshness, and of attestation, risk and time the values on both sides of every bound that a rule names.
import type { SliceAttribute } from '../../bundle/conditions.ts';
import type { SliceDeny, SliceGrant } from '../../bundle/slice.ts';
import { inDailyWindow, type Calendar } from '../../engine/calendar.ts';
import { attributeSchemas, compileConditions, compileDenyConditions } from '../../engine/conditions.ts';
import type { Binding, Freshness, SubjectState } from '../../engine/index.ts';
import { attributeNames, rowOf, stateTable } from '../../engine/index.ts';
import { givenDefaults, type Given } from '../format/tests.ts';
import { attributeSets, isBuiltIn, numbersAround, testsOf } from './attribute-cells.ts';
import { product } from './product.ts';
import { requestOf } from './question.ts';

export type Rule = SliceGrant | SliceDeny;

/** Circumstances of a subject at a time. */
export type Surroundings = Omit<Given, 'subject'> & { readonly time: number; readonly binding: Binding };

/** Values a question is held to; absent for all there are. */
export interface Narrowing {
  readonly states?: readonly SubjectState[] | undefined;
  readonly attestation?: readonly Given['attestation'][] | undefined;
  readonly bindings?: readonly Binding[] | undefined;
  readonly freshness?: readonly Freshness[] | undefined;
  readonly timeWindow?: TimeWindow | undefined;
  /** Only as a test that says nothing else: just attested, without risk, not reduced. */
  readonly calm?: boolean;
  readonly times?: readonly number[] | undefined;
}

type TimeWindow = NonNullable<Calendar['timeWindow']>;

const states = Object.keys(stateTable) as SubjectState[];
/** The most usual first, so that a witness is no stranger than it has to be. */
export const stateOrder: readonly SubjectState[] = ['trusted', ...states.filter((state) => state !== 'trusted')];
export const bindings: readonly Binding[] = ['svid', 'ip', 'port+mac+ip'];
export const freshnesses: readonly Freshness[] = ['fresh', 'soft-expired', 'hard-expired'];
const attestations: readonly Given['attestation'][] = ['software', 'tpm', 'idevid', 'none', 'missing'];

/**
 * All that matter for the rules given, from `now` (milliseconds since the epoch) on. What conditions read is enumerated,
 * and of all combinations under which the same rules hold one is kept: nothing else of them reaches a decision.
 * `observeUntil`: ends of observe modes. Throws ENGINE_SLICE_INVALID for a rule that does not compile.
 */
export function surroundingsOf(
  rules: Rules,
  schemas: readonly SliceAttribute[],
  now: number,
  observeUntil: readonly number[],
  narrowing: Narrowing,
): Surroundings[] {
  const { calm = false } = narrowing;
  const facts = product<Facts>(factValues([...rules.grants, ...rules.denies], schemas, now, observeUntil, narrowing));
  const truths = compileTruths(rules, schemas, observeUntil);
  const kept = new Map<boolean, readonly Facts[]>();
  return wanted(stateOrder, narrowing.states).flatMap((state) => {
    const { unattested } = rowOf(state);
    const distinct = kept.get(unattested) ?? firstOfEach(facts, (entry) => truths(entry, state));
    kept.set(unattested, distinct);
    return product<{ freshness: Freshness; binding: Binding; reduced: boolean; facts: Facts }>({
      freshness: wanted(freshnesses, narrowing.freshness),
      binding: wanted(bindings, narrowing.bindings),
      reduced: calm ? [false] : [false, true],
      facts: distinct,
    }).map(({ facts: entry, ...rest }) => ({ state, ...rest, ...entry }));
  });
}

export interface Rules {
  readonly grants: readonly SliceGrant[];
  readonly denies: readonly SliceDeny[];
}

/** What conditions read. */
type Facts = Pick<Surroundings, 'attestation' | 'attestedAgo' | 'risk' | 'attributes' | 'time'>;

/** Of each of them the values that stand for all there are. */
export function factValues(
  rules: readonly Rule[],
  schemas: readonly SliceAttribute[],
  now: number,
  observeUntil: readonly number[],
  narrowing: Narrowing = {},
): { readonly [K in keyof Facts]: readonly Facts[K][] } {
  const { calm = false } = narrowing;
  const graded =
    testsOf(rules).some((test) => isBuiltIn(test) && test.name === attributeNames.attestation) ||
    rules.some(({ conditions = {} }) => conditions.attestation !== undefined);
  const ages = agesOf(rules);
  const classes = wanted(
    attestations.filter((name) => name !== 'missing' || !calm),
    narrowing.attestation,
  );
  return {
    attestation: graded || ages.length > 0 ? classes : classes.slice(0, 1),
    attestedAgo: calm || ages.length === 0 ? [givenDefaults.attestedAgo] : ages,
    risk: calm ? [givenDefaults.risk] : risksOf(rules),
    attributes: calm ? [givenDefaults.attributes] : attributeSets(rules, schemas),
    time: narrowing.times ?? timesOf(rules, now, observeUntil, narrowing.timeWindow),
  };
}

/** Which rules hold, and which observe modes have ended, as one text. */
function compileTruths(
  { grants, denies }: Rules,
  schemas: readonly SliceAttribute[],
  observeUntil: readonly number[],
): (facts: Facts, state: SubjectState) => string {
  const known = attributeSchemas(schemas, '');
  const opens = grants.map((grant) => compileConditions(grant, known));
  const spares = denies.map((deny) => compileDenyConditions(deny, known));
  return (facts, state) => {
    const given = { ...givenDefaults, ...facts, state, subject: '' };
    const { request } = requestOf({ given, when: { interface: '', device: '', port: true } });
    const row = rowOf(state);
    return JSON.stringify([
      opens.map((conditions) => conditions.every(({ judge }) => judge(request, row) === 'holds')),
      spares.map((conditions) => conditions.some(({ judge }) => judge(request, row) === 'fails')),
      observeUntil.map((end) => facts.time < end),
    ]);
  };
}

function firstOfEach(facts: readonly Facts[], keyOf: (facts: Facts) => string): Facts[] {
  const kept = new Map<string, Facts>();
  for (const entry of facts) {
    const key = keyOf(entry);
    if (!kept.has(key)) kept.set(key, entry);
  }
  return [...kept.values()];
}

/** Conditions that are enumerated here or in attribute-cells.ts; a test holds this list against the slice's schema. */
const enumerated: ReadonlySet<string> = new Set([
  'attestation',
  'attestationMaxAgeSeconds',
  'attestationOlderThanSeconds',
  'maxRisk',
  'minRisk',
  'timeWindow',
  'weekdays',
  'attributes',
  'assume',
]);

/** Conditions of a rule that are not enumerated, by name. */
export function notEnumerated({ conditions = {} }: Rule): string[] {
  return Object.keys(conditions).filter((name) => !enumerated.has(name));
}

function wanted<T>(all: readonly T[], only: readonly T[] | undefined): readonly T[] {
  return only === undefined ? all : all.filter((value) => only.includes(value));
}

/** Milliseconds: each greatest age that is good enough, and one that is too old for all. */
function agesOf(rules: readonly Rule[]): number[] {
  const bounds = rules.flatMap(({ conditions = {} }) => [
    'attestationMaxAgeSeconds' in conditions ? conditions.attestationMaxAgeSeconds : undefined,
    'attestationOlderThanSeconds' in conditions ? conditions.attestationOlderThanSeconds : undefined,
  ]);
  const sorted = [...new Set(bounds.filter(isPresent))].sort((a, b) => a - b).map((seconds) => seconds * 1_000);
  const [last] = sorted.slice(-1);
  return last === undefined ? [] : [...sorted, last + (last < 86_400_000 ? 1_000 : 86_400_000)];
}

function risksOf(rules: readonly Rule[]): Given['risk'][] {
  const bounds = rules.flatMap(({ conditions = {} }) => [
    'maxRisk' in conditions ? conditions.maxRisk : undefined,
    'minRisk' in conditions ? conditions.minRisk : undefined,
  ]);
  const tests = testsOf(rules).filter((test) => isBuiltIn(test) && test.name === attributeNames.risk);
  const points = numbersAround([...bounds.filter(isPresent), ...tests.flatMap(({ points: named }) => named)], true);
  const risks = [...new Set(points)].filter((point) => point >= 0 && point <= 100).sort((a, b) => a - b);
  return points.length === 0 && tests.length === 0 ? [givenDefaults.risk] : [...risks, 'missing'];
}

const minuteMs = 60_000;
const dayMs = 86_400_000;

/**
 * Moments that stand for every moment from `now` on: dates cut the future into spans, windows and weekdays cut the
 * week, and each part of a week that a span reaches gives one moment.
 */
function timesOf(
  rules: readonly Rule[],
  now: number,
  observeUntil: readonly number[],
  timeWindow: TimeWindow | undefined,
): number[] {
  const calendars: Calendar[] = rules.map(({ conditions, notBefore, until }) => ({ ...conditions, notBefore, until }));
  const windows = [...calendars.map((calendar) => calendar.timeWindow), timeWindow].filter(isPresent);
  const ends = [...calendars.flatMap(({ notBefore, until }) => [notBefore, until]), ...observeUntil].filter(isPresent);
  const weekly = calendars.some(({ weekdays }) => weekdays !== undefined);
  const minutes = new Set(windows.flatMap(({ fromMinute, toMinute }) => [fromMinute, toMinute % 1_440]));
  if (weekly) minutes.add(0);
  const starts = [...new Set([now, ...ends.filter((end) => end > now)])].sort((a, b) => a - b);
  const times = starts.flatMap((start, index) => {
    const end = starts[index + 1] ?? Number.MAX_SAFE_INTEGER;
    const day = Math.floor(start / dayMs) * dayMs;
    const days = Array.from({ length: weekly ? 8 : 2 }, (_, later) => day + later * dayMs);
    const parts = [...minutes].flatMap((minute) => days.map((from) => from + minute * minuteMs));
    return [start, ...parts.filter((time) => time > start && time < end)];
  });
  return [...new Set(times)].filter((time) => inDailyWindow({ timeWindow }, time)).sort((a, b) => a - b);
}

function isPresent<T>(value: T | undefined): value is T {
  return value !== undefined;
}
