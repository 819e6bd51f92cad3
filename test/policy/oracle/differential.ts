// Asks the compiled engine, node-casbin and the specification about every case and keeps the books: what was exercised,
// what was allowed, which divergence explains which difference, and what nothing explains.
import type { CasbinModel, CasbinSource } from '../../../policy/engine/casbin/casbin-model.ts';
import type { CasbinValue } from '../../../policy/engine/casbin/value.ts';
import { CodedError } from '../../../runtime/errors.ts';
import { answerDivergences, type DivergenceId, divergences, everyDivergence } from './divergences.ts';
import { type Delta, type EffectName, type Instance, lineText, type RequestValue } from './language.ts';
import { type Exercise, effectNames, type OperatorName, operators } from './operators.ts';
import type { Asked, Question } from './question.ts';
import { type Refusal, refusals } from './refusals.ts';
import type { Answer } from './spec.ts';

/** The engine under test; mutants bring their own. */
export type CompileCasbin = (source: CasbinSource) => Enforcer;
type Enforcer = Pick<CasbinModel, 'enforce' | 'with'>;

export interface Difference {
  readonly instance: Instance;
  readonly request: readonly RequestValue[];
  readonly problem: string;
}

export interface Explained {
  /** The engine denies, node-casbin allows or throws. */
  denies: number;
  /** The engine allows, node-casbin denies. */
  widens: number;
  /** The engine allows, node-casbin throws. */
  answers: number;
}

export interface Tally {
  cases: number;
  /** By the engine, so that a generator of denials cannot pass. */
  allowed: number;
  instances: number;
  readonly operators: ReadonlyMap<OperatorName, Exercise>;
  readonly effects: ReadonlyMap<EffectName, Exercise>;
  /** Cases in which the answers differ and this divergence makes the difference. */
  readonly explained: Map<string, Explained>;
  /** Cases of instances that did not compile, by the reason that asks for it. */
  readonly refused: Map<string, number>;
  readonly differences: Difference[];
}

const nothing: ReadonlySet<DivergenceId> = new Set();
const alone = new Map(answerDivergences.map((id) => [id, new Set([id])]));

export function newTally(): Tally {
  const fresh = (): Exercise => ({ cases: 0, held: 0, failed: 0 });
  return {
    cases: 0,
    allowed: 0,
    instances: 0,
    operators: new Map(operators.map((name) => [name, fresh()])),
    effects: new Map(effectNames.map((name) => [name, fresh()])),
    explained: new Map(),
    refused: new Map(),
    differences: [],
  };
}

/** Asks one engine and adds what was seen. */
export function judge(question: Question, compileCasbin: CompileCasbin, tally: Tally): void {
  const { instance, model, policy } = question;
  tally.instances++;
  const compiled = compile(compileCasbin, model, policy);
  if (compiled instanceof Error || question.refusals.length > 0) {
    judgeRefusal(question, compiled, tally);
    return;
  }
  const { delta } = instance;
  const engine =
    delta === undefined || isRefusedFirst(instance, delta) ? compiled : byDelta(compileCasbin, model, instance, delta);
  if (typeof engine === 'string') {
    tally.differences.push({ instance, request: instance.requests[0] ?? [], problem: engine });
    return;
  }
  for (const asked of question.asked) {
    const { answer, line } = ask(engine, asked.request);
    tally.cases++;
    if (answer === 'allow') tally.allowed++;
    count(tally, instance, asked);
    const problem = problemOf(question, asked, answer, line, tally);
    if (problem !== undefined) tally.differences.push({ instance, request: asked.request, problem });
  }
}

/** Undefined where the answer is node-casbin's, or a divergence explains it, which is counted. */
function problemOf(question: Question, asked: Asked, ours: Answer, line: number, tally: Tally): string | undefined {
  const { instance, spec } = question;
  const { request, theirs, plain, expected } = asked;
  if (plain !== theirs) return `the specification says ${plain} for node-casbin, which says ${theirs}`;
  if (ours !== expected) return `node-casbin says ${theirs}, the engine ${ours}, the specification ${expected}`;
  if (line !== 0 && !names(instance, line, spec.deciding(request, ours))) {
    return `${ours} by line ${line}, which does not decide`;
  }
  if (ours === theirs) return undefined;
  const direction = ours !== 'allow' ? 'denies' : theirs === 'deny' ? 'widens' : 'answers';
  const id = explain((on) => spec.answer(request, on), ours, direction);
  if (id === undefined)
    return `node-casbin says ${theirs}, the engine ${ours}, and no divergence may make the difference`;
  const counts = tally.explained.get(id) ?? { denies: 0, widens: 0, answers: 0 };
  counts[direction]++;
  tally.explained.set(id, counts);
  return undefined;
}

/**
 * One divergence that alone makes the engine's answer, or the few that do so together and none of which can be left
 * away. Undefined where none of them may move an answer in this direction.
 */
function explain(
  answer: (on: ReadonlySet<DivergenceId>) => Answer,
  ours: Answer,
  direction: keyof Explained,
): string | undefined {
  const justified = divergences
    .filter(
      ({ widens, answers }) =>
        direction === 'denies' || (direction === 'widens' ? widens : (answers ?? widens)) !== undefined,
    )
    .map(({ id }) => id);
  const single = justified.find((id) => answer(alone.get(id) ?? nothing) === ours);
  if (single !== undefined) return single;
  const together = new Set(everyDivergence);
  for (const id of answerDivergences) {
    together.delete(id);
    if (answer(together) !== ours) together.add(id);
  }
  return justified.some((id) => together.has(id)) ? [...together].join(' + ') : undefined;
}

function compile(compileCasbin: CompileCasbin, model: string, policy: string): Enforcer | Error {
  try {
    return compileCasbin({ model, policy, modelFile: 'model.conf', policyFile: 'policy.csv' });
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}

/** Requests hold what callers without types may bring. */
function ask({ enforce }: Enforcer, request: readonly RequestValue[]): { answer: Answer; line: number } {
  try {
    const { allow, line } = enforce(request as readonly CasbinValue[]);
    return { answer: allow ? 'allow' : 'deny', line };
  } catch {
    return { answer: 'error', line: 0 };
  }
}

const names = (instance: Instance, line: number, deciding: readonly (readonly string[])[]): boolean => {
  const [type, ...values] = instance.lines[line - 1] ?? [];
  return type === 'p' && deciding.some((columns) => columns.join('\n') === values.join('\n'));
};

/** Lines of a good policy without the others, or with foreign ones, may be no policy: a chain of roles grows too long. */
function isRefusedFirst(instance: Instance, { from, foreign }: Delta): boolean {
  const first = { ...instance, lines: [...instance.lines.slice(0, from), ...foreign] };
  return refusals.some(({ holds }) => holds(first));
}

/**
 * The same policy in two steps: its first lines and some that do not belong to it, then a delta. What was wrong, where
 * the first model did not stay as it was.
 */
function byDelta(
  compileCasbin: CompileCasbin,
  model: string,
  instance: Instance,
  { from, foreign: others }: Delta,
): Enforcer | string {
  const first = instance.lines.slice(0, from).map(lineText);
  const rest = instance.lines.slice(from).map((line, index) => ({ text: lineText(line), line: from + index + 1 }));
  const foreign = others.map(lineText);
  try {
    const policy = [...first, ...foreign].join('\n');
    const base = compileCasbin({ model, policy, modelFile: 'model.conf', policyFile: 'policy.csv' });
    const before = instance.requests.map((request) => ask(base, request).answer);
    const next = base.with({ remove: foreign, add: rest });
    const after = instance.requests.map((request) => ask(base, request).answer);
    return before.join() === after.join() ? next : 'a delta changed the model that it was applied to';
  } catch (error) {
    return `a delta fails: ${String(error)}`;
  }
}

/** A refusal counts as denying every request of the instance. */
function judgeRefusal({ instance, refusals }: Question, compiled: object, tally: Tally): void {
  tally.cases += instance.requests.length;
  const problem = refusalProblem(compiled, refusals);
  if (problem !== undefined) {
    tally.differences.push({ instance, request: instance.requests[0] ?? [], problem });
    return;
  }
  const reason = reasonOf(compiled, refusals) ?? '';
  tally.refused.set(reason, (tally.refused.get(reason) ?? 0) + instance.requests.length);
}

function refusalProblem(compiled: object, refusals: readonly Refusal[]): string | undefined {
  const reasons = refusals.map(({ id }) => id).join(', ');
  if (!(compiled instanceof Error)) return `the engine compiles what has to be refused: ${reasons}`;
  if (!(compiled instanceof CodedError)) return `the engine fails without a code: ${compiled.message}`;
  const { code, message, place } = compiled;
  if (refusals.length === 0) return `the engine refuses without a published reason: ${code} ${message}`;
  // Roles are judged as a whole; everything else stands on a line.
  if (place === undefined || (place.line === undefined && code !== 'ENGINE_CASBIN_TOO_LARGE')) {
    return `the refusal names no line: ${message}`;
  }
  return reasonOf(compiled, refusals) === undefined
    ? `refused with ${code} "${message}", expected: ${reasons}`
    : undefined;
}

const reasonOf = (error: object, refusals: readonly Refusal[]): string | undefined =>
  refusals.find(({ code }) => error instanceof CodedError && code.includes(error.code))?.id;

function count(tally: Tally, instance: Instance, { seen, theirs }: Asked): void {
  for (const [operator, results] of seen) add(tally.operators.get(operator), (results & 1) !== 0, (results & 2) !== 0);
  add(tally.effects.get(instance.effect), theirs === 'allow', theirs === 'deny');
}

function add(exercise: Exercise | undefined, held: boolean, failed: boolean): void {
  if (exercise === undefined) return;
  exercise.cases++;
  if (held) exercise.held++;
  if (failed) exercise.failed++;
}
