// The decision order of the design, section 3, in the order of its steps. decide() and explain() run this same code;
// an explanation is the trace it leaves.
import { attribute, attributeNames, text } from './attributes.ts';
import { casbinRequests } from './casbin-request.ts';
import type { CasbinValue } from './casbin/value.ts';
import { withinWork } from './casbin/work.ts';
import type {
  CompiledDeny,
  CompiledGrant,
  CompiledInterface,
  CompiledOperation,
  CompiledPolicy,
  DenySet,
  NamedRule,
} from './compile.ts';
import type { Condition, Truth } from './conditions.ts';
import type { RegoQuestion } from './rego/input-document.ts';
import type { OperationMatch } from './operation-match.ts';
import type { AccessRequest, Binding, Decision, Obligation, Reason } from './request.ts';
import { admitsNothing, rowOf, type SafetyClass, type StateRow } from './state-table.ts';
import type { Usage, UseLimit } from './usage.ts';

/** How old the policy state is, worst first: see design, "Offline". */
export type Freshness = 'fresh' | 'soft-expired' | 'hard-expired';

export type StepName = 'interface' | 'operation' | 'state' | 'deny' | 'grant' | 'casbin' | 'rego' | 'observe';
export type Trace = (step: StepName, outcome: string, rule?: NamedRule) => void;

type Matched = Extract<OperationMatch, { kind: 'matched' }>;

interface Judgement {
  readonly reason: Reason;
  readonly rule?: NamedRule | undefined;
  readonly operation?: CompiledOperation | undefined;
  readonly condition?: string | undefined;
  readonly obligations?: readonly Obligation[] | undefined;
}

export function judge(
  policy: CompiledPolicy,
  request: AccessRequest,
  freshness: Freshness,
  digest: string,
  usage: Usage,
  trace?: Trace,
): Decision {
  const entry = findInterface(policy, request);
  if (entry === undefined) {
    trace?.('interface', 'not in the bundle, or several devices serve it and none is named');
    return decision({ reason: 'unknown-interface' }, digest);
  }
  trace?.('interface', `${entry.name} of ${entry.device}`);
  const row = rowOf(request.subject.state, request.context.island === true);
  const judgement = judgeInterface(entry, request, row, freshness, usage, trace);
  if (judgement.reason === 'granted' || !isObserved(entry, request, row, freshness)) return decision(judgement, digest);
  trace?.('observe', `observed until ${entry.observeUntil}: let through, would be ${judgement.reason}`);
  return { ...decision(judgement, digest), allow: true, reason: 'granted', observed: judgement.reason };
}

function decision({ reason, rule, operation, condition, obligations }: Judgement, bundle: string): Decision {
  const answer = {
    allow: reason === 'granted',
    reason,
    rule: rule?.rule ?? '',
    place: rule?.place ?? '',
    operation: operation?.name ?? '',
    bundle,
  };
  if (condition !== undefined) return { ...answer, condition };
  return obligations === undefined || obligations.length === 0 ? answer : { ...answer, obligations };
}

/** The one the request names by device, else this device's own, else the only one of that name. */
export function findInterface(policy: CompiledPolicy, request: AccessRequest): CompiledInterface | undefined {
  const named = policy.interfaces.get(request.resource.interface) ?? [];
  const { attributes } = request.resource;
  if (Object.hasOwn(attributes, attributeNames.device)) {
    const device = text(attribute(attributes, attributeNames.device, request.context.time)?.value);
    return named.find((entry) => entry.device === device);
  }
  return named.find((entry) => entry.device === policy.device) ?? (named.length === 1 ? named[0] : undefined);
}

/** Neither an order against the subject, nor the end of the bundle's life, is softened by observing. */
function isObserved(entry: CompiledInterface, request: AccessRequest, row: StateRow, freshness: Freshness): boolean {
  if (entry.observeUntil === undefined || freshness === 'hard-expired' || row.contained) return false;
  return request.context.time < entry.observeUntil;
}

function judgeInterface(
  entry: CompiledInterface,
  request: AccessRequest,
  row: StateRow,
  freshness: Freshness,
  usage: Usage,
  trace: Trace | undefined,
): Judgement {
  const { subject } = request;
  if (admitsNothing(row)) {
    trace?.('state', `${subject.state}: nothing at all`);
    return { reason: 'state' };
  }
  const matched = entry.match(request.operation, subject.id);
  if (matched.kind === 'ambiguous') {
    trace?.('operation', `ambiguous: ${matched.why}`);
    return { reason: 'ambiguous' };
  }
  const read = asRead(request, matched);
  trace?.('operation', `${named(entry, matched)}${read === request ? '' : `, read as ${matched.path}`}`);
  // Steps 1 and 2: what freshness and state leave of the matching operations.
  const { admitted, refusal } = admit(entry, matched, request, row, freshness, trace);
  if (admitted.length === 0 && refusal !== undefined) {
    // State and expiry explain a denial only to who holds a grant; for anybody else there was nothing to close.
    if (refusal.operation?.grants.has(subject.id) === true) return refusal;
    const denied = findDeny(entry, request, row, matched, trace);
    return denied === undefined ? { ...refusal, reason: 'no-grant' } : { reason: 'denied', rule: denied };
  }
  if (freshness === 'hard-expired' && admitted.length === 0) return { reason: 'hard-expired' };
  // Step 3.
  const denied = findDeny(entry, request, row, matched, trace);
  if (denied !== undefined) {
    trace?.('deny', 'matches', denied);
    return { reason: 'denied', rule: denied, operation: admitted[0] };
  }
  // Steps 4 and 5.
  if (admitted.length === 0) return { reason: 'unknown-operation' };
  const judgement = judgeGrants(entry, admitted, read, row, usage, trace);
  // Somebody who holds a grant that a state or an expiry closed is helped by hearing that.
  return judgement.reason === 'no-grant' && refusal?.operation?.grants.has(subject.id) === true ? refusal : judgement;
}

const named = (entry: CompiledInterface, { sure }: Matched): string =>
  sure.map((index) => entry.operations[index]?.name).join(', ') || 'none that is named';

/** Model and package hear of the path that the server will look at. */
function asRead(request: AccessRequest, { path }: Matched): AccessRequest {
  const { operation } = request;
  if (path === undefined || operation.protocol !== 'http' || operation.path === path) return request;
  return { ...request, operation: { ...operation, path } };
}

interface Admitted {
  readonly admitted: readonly CompiledOperation[];
  /** Why an operation fell out, one that is granted to the subject before others; undefined when none did. */
  readonly refusal: Judgement | undefined;
}

function admit(
  entry: CompiledInterface,
  matched: Matched,
  request: AccessRequest,
  row: StateRow,
  freshness: Freshness,
  trace: Trace | undefined,
): Admitted {
  const { context } = request;
  const reduced = isReduced(request);
  const admitted: CompiledOperation[] = [];
  let refusal: Judgement | undefined;
  for (const index of matched.sure) {
    const operation = entry.operations[index];
    if (operation === undefined) continue;
    const effective = effectiveClass(operation, matched);
    const refused = refuses(operation, effective, row, freshness, reduced);
    const reason = refused === 'state' && isIslandAlone(operation, effective, request, reduced) ? 'island' : refused;
    trace?.(
      'state',
      `${operation.name} (${effective}) for ${request.subject.state}, ${freshness}${context.island === true ? ', island mode' : ''}: ${reason ?? 'passes'}`,
    );
    if (reason === undefined) admitted.push(operation);
    else if (refusal === undefined || operation.grants.has(request.subject.id)) refusal = { reason, operation };
  }
  return { admitted, refusal };
}

/** A request that may also be a sensitive operation is sensitive, unless it is a safety operation in its own right. */
function effectiveClass(operation: CompiledOperation, matched: Matched): SafetyClass {
  const { sensitiveRivals } = operation;
  if (sensitiveRivals.size === 0) return operation.class;
  return matched.possible().some((index) => sensitiveRivals.has(index)) ? 'sensitive' : operation.class;
}

function refuses(
  operation: CompiledOperation,
  effective: SafetyClass,
  row: StateRow,
  freshness: Freshness,
  reduced: boolean,
): Reason | undefined {
  if (freshness === 'hard-expired' && effective !== 'safety') return 'hard-expired';
  if (freshness === 'soft-expired' && effective === 'sensitive') return 'soft-expired';
  const admission = row[effective];
  if (admission === 'no' || (admission === 'island' && !operation.island)) return 'state';
  return reduced && effective === 'sensitive' ? 'state' : undefined;
}

/** Without island mode the state of the subject would have admitted it. */
function isIslandAlone(
  operation: CompiledOperation,
  effective: SafetyClass,
  { subject, context }: AccessRequest,
  reduced: boolean,
): boolean {
  if (context.island !== true) return false;
  return refuses(operation, effective, rowOf(subject.state), 'fresh', reduced) === undefined;
}

/** Only an explicit false says not reduced; what is present and unclear reduces. */
function isReduced({ subject }: AccessRequest): boolean {
  if (!Object.hasOwn(subject.attributes, attributeNames.reduced)) return false;
  return subject.attributes[attributeNames.reduced]?.value !== false;
}

function findDeny(
  { denies }: CompiledInterface,
  request: AccessRequest,
  row: StateRow,
  matched: Matched,
  trace: Trace | undefined,
): NamedRule | undefined {
  const general = denyIn(denies.every, request, row, trace);
  if (general !== undefined || denies.byOperation.size === 0) return general;
  for (const index of matched.possible()) {
    const set = denies.byOperation.get(index);
    const found = set === undefined ? undefined : denyIn(set, request, row, trace);
    if (found !== undefined) return found;
  }
  return undefined;
}

function denyIn(set: DenySet, request: AccessRequest, row: StateRow, trace: Trace | undefined): NamedRule | undefined {
  const general = matchingDeny(set.everybody, request, row, trace);
  if (general !== undefined) return general;
  const own = set.bySubject.get(request.subject.id);
  return own === undefined ? undefined : matchingDeny(own, request, row, trace);
}

/** A deny matches unless one of its conditions surely fails: what cannot be known spares nobody. */
function matchingDeny(
  denies: readonly CompiledDeny[],
  request: AccessRequest,
  row: StateRow,
  trace: Trace | undefined,
): NamedRule | undefined {
  for (const deny of denies) {
    const spared = sparing(deny, request, row, trace);
    if (spared === undefined) return deny;
    trace?.('deny', `does not match, ${spared.name}: fails`, deny);
  }
  return undefined;
}

function sparing(
  deny: CompiledDeny,
  request: AccessRequest,
  row: StateRow,
  trace: Trace | undefined,
): Condition | undefined {
  for (const condition of deny.conditions) {
    const truth = condition.judge(request, row);
    if (truth === 'fails') return condition;
    if (truth === 'unknown') trace?.('deny', `${condition.name}: ${inWords(condition, truth, request)}`, deny);
  }
  return undefined;
}

/** How far a grant came before it failed; the furthest one gives the reason. A limit is a condition too, the last. */
const progress = { 'no-grant': 0, binding: 1, condition: 2, casbin: 3, rego: 4, limit: 5 } as const;

interface Failure {
  readonly reason: keyof typeof progress;
  readonly rule?: NamedRule;
  /** The condition or limit, in words. */
  readonly condition?: string;
}

interface Opened {
  readonly reason: 'opened';
  /** Of the grant and of the Rego package. */
  readonly obligations: readonly Obligation[];
}

/** What Casbin model and Rego package say of an operation. */
type Narrowed = Failure | Opened;
const narrowedByNothing: Narrowed = { reason: 'opened', obligations: [] };

interface Opening extends Pick<Opened, 'obligations'> {
  readonly rule: CompiledGrant;
  readonly operation: CompiledOperation;
}

function judgeGrants(
  entry: CompiledInterface,
  operations: readonly CompiledOperation[],
  request: AccessRequest,
  row: StateRow,
  usage: Usage,
  trace: Trace | undefined,
): Judgement {
  let best: Failure & { operation?: CompiledOperation | undefined } = { reason: 'no-grant', operation: operations[0] };
  let limited: { limit: UseLimit; opening: Opening }[] | undefined;
  for (const operation of operations) {
    const grants = request.subject.id === '' ? [] : (operation.grants.get(request.subject.id) ?? []);
    if (grants.length === 0) trace?.('grant', `none opens ${operation.name} to ${request.subject.id || 'nobody'}`);
    // Model and package do not look at the grant: they are asked once for all of them.
    let narrowed: Narrowed | undefined;
    for (const grant of grants) {
      const failure = failureOf(grant, request, row, trace);
      if (failure !== undefined) {
        if (progress[failure.reason] > progress[best.reason]) best = { ...failure, operation };
        continue;
      }
      narrowed ??= narrow(entry, operation, request, row, trace);
      if (narrowed.reason !== 'opened') {
        if (progress[narrowed.reason] > progress[best.reason]) best = { ...narrowed, operation };
        break;
      }
      const { limit, obligations: own } = grant;
      const obligations = own === undefined ? narrowed.obligations : [...own, ...narrowed.obligations];
      if (limit === undefined) return { rule: grant, operation, obligations, reason: 'granted' };
      (limited ??= []).push({ limit, opening: { rule: grant, operation, obligations } });
    }
  }
  // Taken only where nothing else would open it.
  for (const { limit, opening } of limited ?? []) {
    const answer = usage.take(limit, request.subject.id, request.context.time);
    if (answer === 'taken') return { ...opening, reason: 'granted' };
    const condition = limit.words[answer];
    trace?.('grant', `${condition}: ${answer === 'unavailable' ? 'unknown' : 'fails'}`, opening.rule);
    if (best.reason !== 'limit')
      best = { reason: 'limit', rule: opening.rule, condition, operation: opening.operation };
  }
  return best.reason === 'limit' ? { ...best, reason: 'condition' } : { ...best, reason: best.reason };
}

/** An address checked with port and MAC is more than the address a grant over `ip` asks for; a certificate is something else. */
const satisfies = (shown: Binding, asked: Binding): boolean =>
  shown === asked || (shown === 'port+mac+ip' && asked === 'ip');

/** Why the grant does not open it, before model and package are asked; undefined when it does. */
function failureOf(
  grant: CompiledGrant,
  request: AccessRequest,
  row: StateRow,
  trace: Trace | undefined,
): Failure | undefined {
  const { binding } = request.subject;
  if (!satisfies(binding, grant.binding)) {
    trace?.('grant', `asks for binding ${grant.binding}, the subject has ${binding}`, grant);
    return { reason: 'binding', rule: grant };
  }
  for (const condition of grant.conditions) {
    const truth = condition.judge(request, row);
    if (truth === 'holds') continue;
    trace?.('grant', `${condition.name}: ${inWords(condition, truth, request)}`, grant);
    return { reason: 'condition', rule: grant, condition: condition.name };
  }
  trace?.('grant', 'opens it', grant);
  return undefined;
}

/** The interface's Casbin model and Rego package, where it names them, both have to allow what a grant opened. */
function narrow(
  entry: CompiledInterface,
  operation: CompiledOperation,
  request: AccessRequest,
  row: StateRow,
  trace: Trace | undefined,
): Narrowed {
  const { casbin, rego } = entry;
  if (casbin === undefined && rego === undefined) return narrowedByNothing;
  if (request.operation.protocol !== 'named') return narrowRequest(entry, operation, request, row, trace);
  // They read requests: every one that the name stands for has to pass, and what nobody can list is refused.
  const requests = entry.requestsOf(request.operation) ?? [];
  if (requests.length === 0) {
    trace?.('operation', `${request.operation.name} stands for more requests than can be asked`);
    return casbin === undefined ? { reason: 'rego', ...(rego && { rule: rego }) } : { reason: 'casbin', rule: casbin };
  }
  const obligations = new Map<string, Obligation>();
  // One budget for all of them: it is one decision.
  return withinWork(() => {
    for (const one of requests) {
      const outcome = narrowRequest(entry, operation, { ...request, operation: one }, row, trace);
      if (outcome.reason !== 'opened') return outcome;
      for (const obligation of outcome.obligations) obligations.set(JSON.stringify(obligation), obligation);
    }
    return { reason: 'opened', obligations: [...obligations.values()] };
  });
}

function narrowRequest(
  { casbin, rego, device }: CompiledInterface,
  operation: CompiledOperation,
  request: AccessRequest,
  row: StateRow,
  trace: Trace | undefined,
): Narrowed {
  const { unattested } = row;
  const question = { request, operation: operation.name, device, unattested };
  if (casbin !== undefined) {
    const refused = casbinRefusal(casbin, question);
    trace?.('casbin', refused === undefined ? 'allows' : refused.why, refused?.rule ?? casbin);
    if (refused !== undefined) return { reason: 'casbin', rule: refused.rule };
  }
  if (rego === undefined) return narrowedByNothing;
  const verdict = rego.ask(question);
  trace?.('rego', verdict.allow ? 'allows' : `${verdict.kind}: ${verdict.why}`, rego);
  if (!verdict.allow) return { reason: 'rego', rule: rego };
  return { reason: 'opened', obligations: verdict.obligations };
}

function inWords({ why }: Condition, truth: Truth, request: AccessRequest): string {
  const reason = truth === 'unknown' ? (why?.(request) ?? '') : '';
  return reason === '' ? truth : `${truth}, ${reason}`;
}

function casbinRefusal(
  casbin: NonNullable<CompiledInterface['casbin']>,
  question: RegoQuestion,
): { rule: NamedRule; why: string } | undefined {
  const { model, rule, documentOf } = casbin;
  const questions = casbinRequests(question.request, model.request, documentOf?.(question));
  if (questions.length === 0) return { rule: casbin, why: 'nothing to ask' };
  // One budget for all registers of an access.
  return withinWork(() => {
    for (const values of questions) {
      const verdict = model.enforce(values);
      if (verdict.allow) continue;
      const place = verdict.line === 0 ? casbin.place : `${model.policyFile}:${verdict.line}`;
      return { rule: { rule, place }, why: `${verdict.why}: ${values.map(inText).join(', ')}` };
    }
    return undefined;
  });
}

const inText = (value: CasbinValue): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));
