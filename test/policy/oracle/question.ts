// An instance with what node-casbin and the specification say to each of its requests: asked once, also where many
// engines are judged by it.
import { type DivergenceId, everyDivergence } from './divergences.ts';
import { type Instance, modelText, policyText, type RequestValue } from './language.ts';
import type { OperatorName } from './operators.ts';
import { openReference } from './reference.ts';
import { type Refusal, refusals } from './refusals.ts';
import { type Answer, specify, type Spec } from './spec.ts';

export interface Asked {
  readonly request: readonly RequestValue[];
  readonly theirs: Answer;
  /** What the specification says node-casbin says. */
  readonly plain: Answer;
  /** What the specification says the engine has to say. */
  readonly expected: Answer;
  /** Operators that were looked at; 1 when one was true, 2 when one was false, 3 for both. */
  readonly seen: ReadonlyMap<OperatorName, number>;
}

export interface Question {
  readonly instance: Instance;
  readonly model: string;
  readonly policy: string;
  /** Reasons for which it must not compile; then nothing is asked. */
  readonly refusals: readonly Refusal[];
  readonly spec: Spec;
  readonly asked: readonly Asked[];
}

const nothing: ReadonlySet<DivergenceId> = new Set();

export async function putQuestion(instance: Instance): Promise<Question> {
  const [model, policy, spec] = [modelText(instance), policyText(instance), specify(instance)];
  const wanted = refusals.filter(({ holds }) => holds(instance));
  if (wanted.length > 0) return { instance, model, policy, refusals: wanted, spec, asked: [] };
  const reference = await openReference(model, policy);
  const asked = instance.requests.map((request): Asked => {
    const seen = new Map<OperatorName, number>();
    const theirs = reference.answer(request);
    const plain = spec.answer(request, nothing, (operator, result) => {
      seen.set(operator, (seen.get(operator) ?? 0) | (result ? 1 : 2));
    });
    return { request, theirs, plain, expected: spec.answer(request, everyDivergence), seen };
  });
  return { instance, model, policy, refusals: [], spec, asked };
}
