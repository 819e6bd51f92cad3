// "Must never" and "always": statements over every request of a scope, asked of the engine cell by cell. In a never,
// doubt counts as a match, as in a deny: also what may only reach a named operation, also what observe mode lets
// through. A scope that is too large to ask is a failure, not a pass.
import { formatPlace } from '../../../runtime/errors.ts';
import type { Slice } from '../../bundle/slice.ts';
import type { Decision } from '../../engine/index.ts';
import type { SliceEngine } from '../decide.ts';
import { givenDefaults } from '../format/tests.ts';
import { MAX_CELLS } from '../../limits.ts';
import type { Invariant, Repository } from '../repository.ts';
import { changesSomething } from './operation-cells.ts';
import { defaultBinding, describeQuestion, testEntry, testYaml, type Question } from './question.ts';
import { forEachCell, spaceOf, type Cell, type Space } from './space.ts';
import type { Narrowing } from './surroundings.ts';

export interface InvariantResult {
  readonly name: string;
  /** `file:line:column` of the statement. */
  readonly place: string;
  readonly kind: Invariant['kind'];
  readonly ok: boolean;
  /** Requests of the scope that were asked; each stands for all that no rule can tell from it. */
  readonly asked: number;
  /** Counting every subject that gets the same answers. */
  readonly standsFor: number;
  /** True when the requests asked stand for every request of the scope. */
  readonly exact: boolean;
  /** What they do not stand for, in words. */
  readonly gaps: readonly string[];
  readonly violation?: Violation;
  /** Why it could not be asked at all. */
  readonly fault?: string;
}

export interface Violation {
  /** The request, in words. */
  readonly request: string;
  /** Subjects that get the same answer. */
  readonly subjects: readonly string[];
  readonly decision: Decision;
  /** The request with the answer that the invariant wants, as an entry of tests/*.yaml. */
  readonly test: object;
  /** The same as text. */
  readonly yaml: string;
}

/** `now`: requests from then on, milliseconds since the epoch. */
export function checkInvariant(
  repository: Repository,
  invariant: Invariant,
  engine: SliceEngine,
  slices: ReadonlyMap<string, Slice>,
  now: number,
): InvariantResult {
  const base = { name: invariant.name, place: formatPlace(invariant.at()), kind: invariant.kind };
  const entry = repository.interfaces.find(({ name }) => name === invariant.interface);
  const spaces = (entry?.devices ?? []).flatMap((device) => {
    const slice = slices.get(device);
    if (slice === undefined) return [];
    return [
      {
        slice,
        space: spaceOf(engine, [slice], invariant.interface, device, scopeOf(repository, invariant, entry, now)),
      },
    ];
  });
  const gaps = [...new Set(spaces.flatMap(({ space }) => space.gaps))];
  const nothing = { ...base, ok: false, asked: 0, standsFor: 0, exact: false, gaps };
  const cells = spaces.reduce((sum, { space }) => sum + space.cells, 0);
  if (cells > MAX_CELLS) {
    const fault = `${cells} requests, more than ${MAX_CELLS}; narrow it by states, attestation, bindings or subjects`;
    return { ...nothing, fault };
  }
  const count = { asked: 0, standsFor: 0 };
  let violation: Violation | undefined;
  for (const { slice, space } of spaces) {
    violation ??= firstViolation(invariant, space, slice, engine, count);
  }
  // A statement about nothing holds always, and says nothing.
  if (count.asked === 0) return { ...nothing, fault: 'no request is in its scope' };
  const result = { ...base, ...count, ok: violation === undefined, exact: gaps.length === 0, gaps };
  return violation === undefined ? result : { ...result, violation };
}

function scopeOf(
  repository: Repository,
  invariant: Invariant,
  entry: Repository['interfaces'][number] | undefined,
  now: number,
) {
  const all = invariant.subjects === 'all';
  const subjects = invariant.subjects === 'all' ? repository.devices.map(({ id }) => id) : invariant.subjects;
  return { subjects, strangers: all && invariant.kind === 'never', now, narrowing: narrowingOf(invariant, entry) };
}

/** What an always does not say is as a test has it; what a never does not say is anything. */
function narrowingOf(invariant: Invariant, entry: Repository['interfaces'][number] | undefined): Narrowing {
  const { kind, states, attestation, bindings, freshness, timeWindow } = invariant;
  if (kind === 'never') return { states, attestation, bindings, freshness, timeWindow };
  const binding = defaultBinding(entry?.protocol === 'http' ? { http: { method: '', path: '' } } : {});
  return {
    states: states ?? ['trusted'],
    attestation: attestation ?? [givenDefaults.attestation],
    bindings: bindings ?? [binding],
    freshness: freshness ?? ['fresh'],
    timeWindow,
    calm: true,
  };
}

function firstViolation(
  invariant: Invariant,
  space: Space,
  slice: Slice,
  engine: SliceEngine,
  count: { asked: number; standsFor: number },
): Violation | undefined {
  const isInScope = scopeTest(invariant, slice, engine);
  // A device does not ask itself over the network.
  const others = new Map(
    space.groups.map(({ members }) => [members, members.filter((member) => member !== space.device)]),
  );
  let violation: Violation | undefined;
  forEachCell(space, (cell) => {
    if (!isInScope(cell)) return undefined;
    const members = others.get(cell.members) ?? [];
    if (members.length === 0) return undefined;
    count.asked += 1;
    count.standsFor += members.length;
    const decision = engine.decide(slice, cell.request, cell.freshness);
    if (decision.allow === (invariant.kind === 'always')) return undefined;
    violation = violationOf(invariant, cell.question(), members, decision);
    return 'stop';
  });
  return violation;
}

function scopeTest({ kind, operations }: Invariant, slice: Slice, engine: SliceEngine): (cell: Cell) => boolean {
  // Operations are the same objects in every cell of a space.
  const known = new Map<object, boolean>();
  const isIn = ({ request }: Cell): boolean => {
    if (operations === 'all' || operations === 'writes' || operations === 'reads') {
      const named = kind === 'never' || (engine.operationsOf(slice, request)?.sure.length ?? 0) > 0;
      return named && (operations === 'all' || changesSomething(request.operation) === (operations === 'writes'));
    }
    const found = engine.operationsOf(slice, request);
    const names = kind === 'never' ? found?.possible : found?.sure;
    return names?.some((name) => operations.includes(name)) === true;
  };
  return (cell) => {
    const { operation } = cell.request;
    const answer = known.get(operation) ?? isIn(cell);
    known.set(operation, answer);
    return answer;
  };
}

function violationOf(
  invariant: Invariant,
  question: Question,
  subjects: readonly string[],
  decision: Decision,
): Violation {
  const wanted = { allow: invariant.kind === 'always' };
  const witness = { ...question, given: { ...question.given, subject: subjects[0] ?? question.given.subject } };
  return {
    request: describeQuestion(witness),
    subjects,
    decision,
    test: testEntry(invariant.name, witness, wanted),
    yaml: testYaml(invariant.name, witness, wanted),
  };
}

/** Lines for a terminal. */
export function formatInvariantResult(result: InvariantResult): string {
  const { name, place, kind, ok, asked, standsFor, gaps, violation, fault } = result;
  const counted = `${kind} in ${asked} requests${standsFor === asked ? '' : ` that stand for ${standsFor}`}`;
  const notes = gaps.map((gap) => `         not exact: ${gap}`);
  if (ok) return [`ok       ${name} (${counted})`, ...notes].join('\n');
  if (violation === undefined) return [`FAILED   ${place}: ${name}: ${fault ?? 'not asked'}`, ...notes].join('\n');
  const { decision, request, subjects, yaml } = violation;
  const by = decision.rule === '' ? '' : ` by ${decision.rule} at ${decision.place}`;
  const observed = decision.observed === undefined ? '' : `, observe mode lets through what is ${decision.observed}`;
  return [
    `FAILED   ${place}: ${name}: ${decision.allow ? 'allowed' : 'denied'} (${decision.reason}${observed})${by}`,
    `         ${request}`,
    ...(subjects.length > 1
      ? [`         the same for ${subjects.slice(1, 8).join(', ')}${subjects.length > 8 ? ', …' : ''}`]
      : []),
    '         as a test:',
    ...yaml
      .trimEnd()
      .split('\n')
      .map((line) => `           ${line}`),
    ...notes,
  ].join('\n');
}
