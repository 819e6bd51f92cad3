// The decision engine of one bundle. Compiled once, immutable; decide() never throws: one catch turns a fault of ours
// into a denial with reason `fault`.
import type { Slice } from '../bundle/slice.ts';
import { type CompiledGrant, compilePolicy, type CompiledPolicy } from './compile.ts';
import { findInterface, judge, type Freshness, type StepName } from './judge.ts';
import type { AccessRequest, Decision, Opening, Reason } from './request.ts';
import { runSelfTest, type SelfTestReport } from './self-test.ts';
import { unusedUsage, type Usage } from './usage.ts';

export interface EngineMeta {
  /** Hex SHA-256 of the manifest; every decision carries it. */
  readonly digest: string;
  /** Milliseconds since the epoch, from the manifest. */
  readonly softExpiry: number;
  readonly hardExpiry: number;
}

export interface ExplanationStep {
  readonly step: StepName | 'bundle' | 'fault';
  readonly outcome: string;
  /** Empty when no rule is concerned. */
  readonly rule: string;
  readonly place: string;
}

export interface Explanation {
  readonly decision: Decision;
  readonly steps: readonly ExplanationStep[];
}

export interface NamedOperations {
  readonly sure: readonly string[];
  /** A superset of `sure`: in a deny, doubt counts as a match. */
  readonly possible: readonly string[];
}

export interface Engine {
  readonly digest: string;
  /** Device the bundle was built for. */
  readonly device: string;
  /**
   * `freshness` is the caller's: a cold boot without trusted time is soft-expired whatever the clock says. The expiry
   * dates of the bundle can only make it worse. Without `usage` limits of use are judged as if nothing had been used
   * yet: for one question about the policy. Whoever lets requests through has to count.
   */
  readonly decide: (request: AccessRequest, freshness: Freshness, usage?: Usage) => Decision;
  /** What it would decide if the subject held this one grant: another that opens the same says nothing about it. */
  readonly decideAlone: (grant: string, request: AccessRequest, freshness: Freshness) => Decision;
  /**
   * What it would decide if the opening were the only grant of its subject: it takes the place of the grants and of their
   * conditions and limits, and of nothing else. The state of the subject, denies, Casbin and Rego say what they always say.
   */
  readonly decideOpened: (opening: Opening, request: AccessRequest, freshness: Freshness) => Decision;
  /** Takes nothing from `usage`. */
  readonly explain: (request: AccessRequest, freshness?: Freshness, usage?: Usage) => Explanation;
  /** Named operations of the interface that the request surely and possibly is an instance of; undefined without the interface. */
  readonly operationsOf: (request: AccessRequest) => NamedOperations | undefined;
  /** Asks the vectors that came with the bundle. */
  readonly selfTest: () => SelfTestReport;
}

/** What an engine was compiled to, for the engine after it. */
const policies = new WeakMap<Engine, CompiledPolicy>();

/**
 * Throws a CodedError ENGINE_*, with place, for a policy that cannot be expressed. `before`, usually the engine in force,
 * saves compiling what did not change; it stays as it is.
 */
export function compileSlice(slice: Slice, meta: EngineMeta, before?: Engine): Engine {
  const policy = compilePolicy(slice, before === undefined ? undefined : policies.get(before));
  const { digest } = meta;
  const decide = (request: AccessRequest, freshness: Freshness, usage: Usage = unusedUsage): Decision => {
    try {
      return judge(policy, request, worstFreshness(freshness, request.context.time, meta), digest, usage);
    } catch {
      return refusal('fault', digest);
    }
  };
  const decideAlone = (grant: string, request: AccessRequest, freshness: Freshness): Decision => {
    try {
      const worst = worstFreshness(freshness, request.context.time, meta);
      return judge(withGrant(policy, grant, request), request, worst, digest, unusedUsage);
    } catch {
      return refusal('fault', digest);
    }
  };
  const decideOpened = (opening: Opening, request: AccessRequest, freshness: Freshness): Decision => {
    try {
      const worst = worstFreshness(freshness, request.context.time, meta);
      const assumed = opening.afterHardExpiry ? 'fresh' : worst;
      const decision = judge(withOpening(policy, opening, request), request, assumed, digest, unusedUsage);
      // What observe mode lets through is judged by the age of the bundle, not by what an opening assumes.
      return decision.observed === undefined ? decision : refusal('no-grant', digest);
    } catch {
      return refusal('fault', digest);
    }
  };
  const engine: Engine = {
    digest,
    device: policy.device,
    decide,
    decideAlone,
    decideOpened,
    explain: (request, freshness = 'fresh', usage = unusedUsage) => explain(policy, meta, request, freshness, usage),
    operationsOf: (request) => operationsOf(policy, request),
    selfTest: () => runSelfTest(slice.selfTest, slice.grants, meta.softExpiry, decide),
  };
  policies.set(engine, policy);
  return engine;
}

/** The interface of the request with no other grant of its subject; everything else as it is. */
function withGrant(policy: CompiledPolicy, grant: string, request: AccessRequest): CompiledPolicy {
  const entry = findInterface(policy, request);
  if (entry === undefined) return policy;
  const { id } = request.subject;
  const operations = entry.operations.map((operation) => {
    const own = (operation.grants.get(id) ?? []).filter(({ rule }) => rule === `grant:${grant}`);
    return { ...operation, grants: new Map(own.length === 0 ? [] : [[id, own]]) };
  });
  return { ...policy, interfaces: new Map([[entry.name, [{ ...entry, operations }]]]) };
}

const openingPrefix = 'break-glass:';

/** How an opening is named in decisions and records. */
export const openingRule = (profile: string, ticket: string): string => `${openingPrefix}${profile}/${ticket}`;
export const isOpening = (rule: string): boolean => rule.startsWith(openingPrefix);

/** Every use is on disk before the request goes on, and loud. */
const everyUse = [{ id: 'log' }, { id: 'notification' }] as const;

/** The interface of the request with the opening as its only grant; everything else as it is. */
function withOpening(policy: CompiledPolicy, opening: Opening, request: AccessRequest): CompiledPolicy {
  const entry = findInterface(policy, request);
  const { rule, place, binding, subject } = opening;
  const grant: CompiledGrant = { rule, place, binding, conditions: [], limit: undefined, obligations: everyUse };
  const concerned = entry?.name === opening.interface && entry.device === opening.device;
  if (entry === undefined || !concerned) return { ...policy, interfaces: new Map() };
  const operations = entry.operations.map((operation) => ({
    ...operation,
    grants: new Map(opening.operations.includes(operation.name) ? [[subject, [grant]]] : []),
  }));
  return { ...policy, interfaces: new Map([[entry.name, [{ ...entry, operations }]]]) };
}

/** The answer before any bundle was verified (step 1). */
export function noBundleDecision(): Decision {
  return refusal('no-bundle', '');
}

/** Fresh, soft-expired or hard-expired by the dates alone; a time that is no number is as bad as can be. */
export function freshnessAt(time: number, meta: Pick<EngineMeta, 'softExpiry' | 'hardExpiry'>): Freshness {
  if (!(time < meta.hardExpiry)) return 'hard-expired';
  return time < meta.softExpiry ? 'fresh' : 'soft-expired';
}

const order: readonly Freshness[] = ['fresh', 'soft-expired', 'hard-expired'];

function worstFreshness(stated: Freshness, time: number, meta: EngineMeta): Freshness {
  const stateIndex = order.indexOf(stated);
  if (stateIndex === -1) return 'hard-expired';
  return order[Math.max(stateIndex, order.indexOf(freshnessAt(time, meta)))] ?? 'hard-expired';
}

function explain(
  policy: CompiledPolicy,
  meta: EngineMeta,
  request: AccessRequest,
  stated: Freshness,
  { look }: Usage,
): Explanation {
  const steps: ExplanationStep[] = [];
  try {
    const freshness = worstFreshness(stated, request.context.time, meta);
    steps.push({ step: 'bundle', outcome: freshness, rule: '', place: '' });
    const decision = judge(policy, request, freshness, meta.digest, { take: look, look }, (step, outcome, rule) => {
      steps.push({ step, outcome, rule: rule?.rule ?? '', place: rule?.place ?? '' });
    });
    return { decision, steps };
  } catch (error) {
    const outcome = error instanceof Error ? error.message : 'a fault';
    return {
      decision: refusal('fault', meta.digest),
      steps: [...steps, { step: 'fault', outcome, rule: '', place: '' }],
    };
  }
}

function operationsOf(policy: CompiledPolicy, request: AccessRequest): NamedOperations | undefined {
  const entry = findInterface(policy, request);
  if (entry === undefined) return undefined;
  const matched = entry.match(request.operation, request.subject.id);
  if (matched.kind === 'ambiguous') return { sure: [], possible: entry.operations.map(({ name }) => name) };
  const names = (indexes: readonly number[]): string[] => indexes.map((index) => entry.operations[index]?.name ?? '');
  return { sure: names(matched.sure), possible: names(matched.possible()) };
}

function refusal(reason: Exclude<Reason, 'granted'>, bundle: string): Decision {
  return { allow: false, reason, rule: '', place: '', operation: '', bundle };
}
