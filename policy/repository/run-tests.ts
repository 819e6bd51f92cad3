// Runs the repository's tests: each given/when/then becomes an access request, decided over the slice of the device
// that serves the interface; each invariant is asked of every request in its scope.
import type { Decision, ExplanationStep } from '../engine/index.ts';
import { obligationName } from '../engine/obligations.ts';
import type { Slice } from '../bundle/slice.ts';
import { formatPlace } from '../../runtime/errors.ts';
import { checkInvariant, formatInvariantResult, type InvariantResult } from './ask/invariants.ts';
import { requestOf, type Question } from './ask/question.ts';
import { buildSlices } from './build.ts';
import type { SliceEngine } from './decide.ts';
import type { Expectation } from './format/tests.ts';
import type { PolicyTest, Repository } from './repository.ts';

export interface TestResult {
  readonly name: string;
  /** `file:line:column` of the test, or of its row in a table. */
  readonly place: string;
  readonly ok: boolean;
  /** Whose slice decided. */
  readonly device: string;
  readonly expected: Expectation;
  readonly decision: Decision;
  /** What differs from what was expected, in words; empty when nothing does. */
  readonly differences: readonly string[];
}

export interface TestReport {
  readonly ok: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly results: readonly TestResult[];
  readonly invariants: readonly InvariantResult[];
}

/** `now` is the time of requests that give none, milliseconds since the epoch. */
export function runPolicyTests(
  repository: Repository,
  engine: SliceEngine,
  now: number,
  slices: ReadonlyMap<string, Slice> = buildSlices(repository),
): TestReport {
  const results = repository.tests.map((test) => runTest(repository, test, engine, now, slices));
  const invariants = repository.invariants.map((entry) => checkInvariant(repository, entry, engine, slices, now));
  const all = [...results, ...invariants];
  const passed = all.filter(({ ok }) => ok).length;
  return { ok: passed === all.length, passed, failed: all.length - passed, results, invariants };
}

export function runTest(
  repository: Repository,
  test: PolicyTest,
  engine: SliceEngine,
  now: number,
  slices: ReadonlyMap<string, Slice>,
): TestResult {
  const question = questionOf(repository, test, now);
  const slice = slices.get(question.when.device);
  const { decision, differences } =
    slice === undefined
      ? { decision: undecided, differences: [`no device serves ${test.when.interface}`] }
      : answer(question, test.expected, engine, slice);
  return {
    name: test.name,
    place: formatPlace(test.at()),
    ok: differences.length === 0,
    device: question.when.device,
    expected: test.expected,
    decision,
    differences,
  };
}

/** The question of a test, with the device that answers it. Reading made sure that without `device` there is one. */
export function questionOf(repository: Repository, { given, when }: PolicyTest, now: number): Question {
  const device = when.device ?? repository.interfaces.find((entry) => entry.name === when.interface)?.devices[0] ?? '';
  return { given: { ...given, time: given.time ?? now }, when: { ...when, device } };
}

const undecided: Decision = { allow: false, reason: 'no-bundle', rule: '', place: '', operation: '', bundle: '' };

function answer(
  question: Question,
  expected: Expectation,
  engine: SliceEngine,
  slice: Slice,
): { decision: Decision; differences: readonly string[] } {
  const { request, freshness } = requestOf(question);
  const decision = engine.decide(slice, request, freshness);
  const differences = differencesOf(decision, expected);
  if (expected.explain === undefined) return { decision, differences };
  const { steps } = engine.explain(slice, request, freshness);
  const missing = missingStep(steps, expected.explain);
  return { decision, differences: missing === undefined ? differences : [...differences, missing] };
}

function differencesOf(decision: Decision, expected: Expectation): string[] {
  const { allow, reason, rule, operation, condition, obligations } = expected;
  const due = (decision.obligations ?? []).map((entry) => obligationName(entry));
  const wanted = (what: string, value: string | undefined, found: string): string[] =>
    value === undefined || value === found ? [] : [`expected ${what} ${value || 'none'}, found ${found || 'none'}`];
  return [
    ...(decision.allow === allow ? [] : [`expected ${allow ? 'allow' : 'deny'}`]),
    ...wanted('reason', reason, decision.reason),
    ...wanted('rule', rule, decision.rule),
    ...wanted('operation', operation, decision.operation),
    ...wanted('condition', condition, decision.condition ?? ''),
    ...wanted('obligations', obligations?.toSorted().join(' and '), due.sort().join(' and ')),
  ];
}

/** The first expected step that does not come after the ones before it. */
function missingStep(
  steps: readonly ExplanationStep[],
  expected: NonNullable<Expectation['explain']>,
): string | undefined {
  let at = 0;
  for (const { step, rule, outcome } of expected) {
    const found = steps.findIndex(
      (candidate, index) =>
        index >= at &&
        candidate.step === step &&
        (rule === undefined || candidate.rule === rule) &&
        (outcome === undefined || candidate.outcome.includes(outcome)),
    );
    if (found === -1) {
      const wanted = [step, rule, outcome].filter((part) => part !== undefined).join(' ');
      const told = steps.map((each) => [each.step, each.rule, each.outcome].filter((part) => part !== '').join(' '));
      return `expected the step "${wanted}", the explanation is: ${told.join(' > ')}`;
    }
    at = found + 1;
  }
  return undefined;
}

/** Lines for a terminal: all of it, or only what failed. */
export function formatTestReport(report: TestReport, which: 'all' | 'failed' = 'all'): string {
  const shown = <T extends { readonly ok: boolean }>(all: readonly T[]): readonly T[] =>
    which === 'all' ? all : all.filter(({ ok }) => !ok);
  const lines = [
    ...shown(report.results).map(formatTestResult),
    ...shown(report.invariants).map(formatInvariantResult),
  ];
  if (which === 'failed') return lines.join('\n');
  return [...lines, `${report.passed} passed, ${report.failed} failed`].join('\n');
}

/** One line for a terminal. */
export function formatTestResult(result: TestResult): string {
  if (result.ok) return `ok       ${result.name}`;
  const { decision, differences } = result;
  const by = decision.rule === '' ? '' : ` by ${decision.rule} at ${decision.place}`;
  const found = `${decision.allow ? 'allow' : 'deny'} (${decision.reason})${by}`;
  return `FAILED   ${result.place}: ${result.name}: ${differences.join(', ')}, ${result.device} decides ${found}`;
}
