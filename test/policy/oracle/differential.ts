// Asks the compiled engine, node-casbin and the specification about every case and keeps the books: what was exercised,
// what was allowed, which divergence explains which difference, and what nothing explains.
import type { CasbinModel, CasbinSource } from '../../../policy/engine/casbin/casbin-model.ts';
import type { CasbinValue } from '../../../policy/engine/casbin/value.ts';
import { CodedError } from '../../../runtime/errors.ts';
import { answerDivergences, type DivergenceId, divergences } from './divergences.ts';
import { type EffectName, type Instance, modelText, policyText, type RequestValue } from './language.ts';
import { type Exercise, effectNames, type OperatorName, operators } from './operators.ts';
import { openReference } from './reference.ts';
import { type Refusal, refusals } from './refusals.ts';
import { type Answer, specify } from './spec.ts';

/** The engine under test; mutants bring their own. */
export type CompileCasbin = (source: CasbinSource) => Enforcer;
type Enforcer = Pick<CasbinModel, 'enforce'>;

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

const everything: ReadonlySet<DivergenceId> = new Set(answerDivergences);
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

/** Asks every request of one instance and adds what was seen. */
export async function examine(instance: Instance, compileCasbin: CompileCasbin, tally: Tally): Promise<void> {
  const model = modelText(instance);
  const policy = policyText(instance);
  tally.instances++;
  const wanted = refusals.filter(({ holds }) => holds(instance));
  const compiled = compile(compileCasbin, model, policy);
  if (compiled instanceof Error || wanted.length > 0) {
    await examineRefusal(instance, compiled, wanted, tally);
    return;
  }
  const reference = await openReference(model, policy);
  const spec = specify(instance);
  for (const request of instance.requests) {
    tally.cases++;
    const seen = new Map<OperatorName, number>();
    const theirs = reference.answer(request);
    const plain = spec.answer(request, nothing, (operator, result) => {
      seen.set(operator, (seen.get(operator) ?? 0) | (result ? 1 : 2));
    });
    count(tally, instance, seen, theirs);
    const ours = ask(compiled, request);
    if (ours === 'allow') tally.allowed++;
    const expected = spec.answer(request, everything);
    const differ = (problem: string): void => void tally.differences.push({ instance, request, problem });
    if (plain !== theirs) differ(`the specification says ${plain} for node-casbin, which says ${theirs}`);
    else if (ours !== expected) differ(`node-casbin says ${theirs}, the engine ${ours}, the specification ${expected}`);
    else if (ours !== theirs) {
      const direction = ours !== 'allow' ? 'denies' : theirs === 'deny' ? 'widens' : 'answers';
      const id = explain((on) => spec.answer(request, on), ours, direction);
      if (id === undefined)
        differ(`node-casbin says ${theirs}, the engine ${ours}, and no divergence may make the difference`);
      else {
        const counts = tally.explained.get(id) ?? { denies: 0, widens: 0, answers: 0 };
        counts[direction]++;
        tally.explained.set(id, counts);
      }
    }
  }
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
  const together = new Set(everything);
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
function ask({ enforce }: Enforcer, request: readonly RequestValue[]): Answer {
  try {
    return enforce(request as readonly CasbinValue[]).allow ? 'allow' : 'deny';
  } catch {
    return 'error';
  }
}

/** A refusal counts as denying every request of the instance. */
async function examineRefusal(
  instance: Instance,
  compiled: object,
  wanted: readonly Refusal[],
  tally: Tally,
): Promise<void> {
  const fail = (problem: string): void =>
    void tally.differences.push({ instance, request: instance.requests[0] ?? [], problem });
  tally.cases += instance.requests.length;
  const names = wanted.map(({ id }) => id).join(', ');
  if (!(compiled instanceof Error)) return fail(`the engine compiles what has to be refused: ${names}`);
  if (!(compiled instanceof CodedError)) return fail(`the engine fails without a code: ${compiled.message}`);
  if (wanted.length === 0)
    return fail(`the engine refuses without a published reason: ${compiled.code} ${compiled.message}`);
  const { place } = compiled;
  // Roles are judged as a whole; everything else stands on a line.
  if (place === undefined || (place.line === undefined && compiled.code !== 'ENGINE_CASBIN_TOO_LARGE')) {
    return fail(`the refusal names no line: ${compiled.message}`);
  }
  const reason = wanted.find(({ code }) => code.includes(compiled.code));
  if (reason === undefined) return fail(`refused with ${compiled.code} "${compiled.message}", expected: ${names}`);
  tally.refused.set(reason.id, (tally.refused.get(reason.id) ?? 0) + instance.requests.length);
}

function count(tally: Tally, instance: Instance, seen: ReadonlyMap<OperatorName, number>, theirs: Answer): void {
  for (const [operator, results] of seen) add(tally.operators.get(operator), (results & 1) !== 0, (results & 2) !== 0);
  add(tally.effects.get(instance.effect), theirs === 'allow', theirs === 'deny');
}

function add(exercise: Exercise | undefined, held: boolean, failed: boolean): void {
  if (exercise === undefined) return;
  exercise.cases++;
  if (held) exercise.held++;
  if (failed) exercise.failed++;
}
