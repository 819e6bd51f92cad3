// Access Evaluation and Access Evaluations (Authorization API 1.0): every one goes through `authorize`, by itself.
import type { Slice } from '../../../policy/bundle/index.ts';
import { clientReasons, type Decision, type Engine } from '../../../policy/engine/index.ts';
import { type AuthzPorts, authorize } from '../authorize.ts';
import type { Answer } from '../question.ts';
import { maxEvaluations } from './limits.ts';
import { type MappingOptions, questionOf } from './mapping.ts';
import { type Entities, evaluationSchema, evaluationsSchema, parse } from './messages.ts';
import { type ObligationBody, obligationBodies } from './obligations.ts';
import { createTurns } from './turns.ts';

export interface InForce {
  readonly slice: Slice;
  readonly engine: Pick<Engine, 'operationsOf' | 'digest'>;
}

export interface EvaluationPorts extends AuthzPorts {
  /** The bundle in force; undefined without one. */
  readonly inForce: () => InForce | undefined;
  /** Whether an order contains this device: quarantined, recovering, revoked or decommissioned. */
  readonly isContained: (device: string) => boolean;
}

/** A Decision (section Decision). */
export interface DecisionBody {
  readonly decision: boolean;
  readonly context?: {
    /** Code of the decision, of `Reason`. */
    readonly reason?: string;
    readonly rule?: string;
    readonly operation?: string;
    /** Hex SHA-256 of the policy's manifest. */
    readonly bundle?: string;
    /** Set in observe mode: why the policy itself denies. */
    readonly observed?: string;
    /** By HTTP status: for people; tells nothing of the policy. */
    readonly reason_user?: Readonly<Record<string, string>>;
    /** By HTTP status: for operators, never for users. */
    readonly reason_admin?: Readonly<Record<string, string>>;
    readonly obligations?: readonly ObligationBody[];
    readonly error?: { readonly status: number; readonly message: string };
  };
}

export interface EvaluationsBody {
  readonly evaluations: readonly DecisionBody[];
}

export type Outcome<T> =
  | { readonly ok: true; readonly body: T }
  | { readonly ok: false; readonly status: 400 | 413; readonly fault: string };

/** POST /access/v1/evaluation. Never rejects. */
export async function evaluation(
  ports: EvaluationPorts,
  options: MappingOptions,
  message: unknown,
): Promise<Outcome<DecisionBody>> {
  const parsed = parse(evaluationSchema, message);
  if (!parsed.ok) return { ok: false, status: 400, fault: parsed.fault };
  return { ok: true, body: await evaluate(ports, options, parsed.value) };
}

const stopsAt = { execute_all: undefined, deny_on_first_deny: false, permit_on_first_permit: true } as const;

/**
 * POST /access/v1/evaluations. Without evaluations it is a single one. One after the other, as `deny_on_first_deny` and
 * `permit_on_first_permit` need it; what is wrong with one of them is a denial of that one.
 */
export async function evaluations(
  ports: EvaluationPorts,
  options: MappingOptions,
  message: unknown,
): Promise<Outcome<DecisionBody | EvaluationsBody>> {
  const parsed = parse(evaluationsSchema, message);
  if (!parsed.ok) return { ok: false, status: 400, fault: parsed.fault };
  const { evaluations: items, options: wanted, ...defaults } = parsed.value;
  if (items.length === 0) return await evaluation(ports, options, message);
  if (items.length > maxEvaluations)
    return { ok: false, status: 413, fault: `more than ${maxEvaluations} evaluations` };
  const decided: DecisionBody[] = [];
  const othersTurn = createTurns();
  for (const item of items) {
    await othersTurn();
    const body = await evaluateItem(ports, options, defaults, item);
    decided.push(body);
    if (body.decision === stopsAt[wanted.evaluations_semantic]) break;
  }
  return { ok: true, body: { evaluations: decided } };
}

async function evaluateItem(
  ports: EvaluationPorts,
  options: MappingOptions,
  defaults: object,
  item: unknown,
): Promise<DecisionBody> {
  // A default is replaced as a whole (section Default values).
  const isObject = typeof item === 'object' && item !== null && !Array.isArray(item);
  const parsed = isObject
    ? parse(evaluationSchema, { ...defaults, ...item })
    : { ok: false as const, fault: 'not an object' };
  if (parsed.ok) return await evaluate(ports, options, parsed.value);
  return { decision: false, context: { error: { status: 400, message: parsed.fault } } };
}

async function evaluate(ports: EvaluationPorts, options: MappingOptions, entities: Entities): Promise<DecisionBody> {
  const answer = await authorize(ports, questionOf(entities, options, ports.inForce()?.engine));
  return decisionBody(ports, answer, entities.context.supported_obligations);
}

function decisionBody(
  { isContained }: EvaluationPorts,
  { decision, subject }: Answer,
  supported: readonly string[] | undefined,
): DecisionBody {
  const { allow, reason, rule, operation, bundle, observed } = decision;
  const contained = !allow && subject !== '' && isContained(subject) ? subject : undefined;
  const obligations = obligationBodies(decision, contained, supported);
  return {
    decision: allow,
    context: {
      reason,
      ...(rule === '' ? {} : { rule }),
      ...(operation === '' ? {} : { operation }),
      ...(bundle === '' ? {} : { bundle }),
      ...(observed === undefined ? {} : { observed }),
      ...(allow ? {} : reasons(decision)),
      ...(obligations.length === 0 ? {} : { obligations }),
    },
  };
}

function reasons({ reason, condition, rule, place }: Decision) {
  const user = clientReasons[reason];
  const status = user === clientReasons.fault ? '503' : '403';
  const admin = [
    reason,
    ...(condition === undefined ? [] : [condition]),
    ...(rule === '' ? [] : [`${rule} (${place})`]),
  ];
  return { reason_user: { [status]: user }, reason_admin: { [status]: admin.join(': ') } };
}
