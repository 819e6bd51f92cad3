// Recorded decisions asked again: which answers would this policy change? Each is asked as it was, exactly. Where the
// record does not hold the question whole (masked fields, cut ones, an older edge), a change is certain only when it holds
// in every circumstance that could have been; what hangs on the circumstances, or on uses before, is listed apart.
import type { Slice } from '../../bundle/slice.ts';
import {
  type Decision,
  isOpening,
  noUsage,
  type Operation,
  type Reason,
  requireFulfilment,
  unusedUsage,
  type Usage,
  withdrawn,
} from '../../engine/index.ts';
import { slicesToAsk } from '../build.ts';
import type { SliceEngine } from '../decide.ts';
import { givenDefaults } from '../format/tests.ts';
import type { Repository } from '../repository.ts';
import { writtenValues } from './modbus-cells.ts';
import { defaultBinding, describeOperation, requestOf, whenOf } from './question.ts';
import type { RecalledQuestion } from './recalled.ts';
import type { RecordedDecision } from './recorded.ts';
import { surroundingsOf } from './surroundings.ts';

export interface Replayed {
  readonly subject: string;
  readonly interface: string;
  readonly device: string;
  /** The request, in words. */
  readonly request: string;
  readonly recorded: { readonly allow: boolean; readonly reason: Reason; readonly rule: string };
  /** The answer now; where the record does not hold the circumstances, in the usual ones. Absent when nobody can say. */
  readonly now?: Answer;
  readonly verdict: 'same' | 'changed' | 'depends';
  /** What a verdict `depends` depends on. */
  readonly why: string;
  /** How often it was recorded, and where first (`file:line`). */
  readonly count: number;
  readonly place: string;
}

export interface Answer {
  readonly allow: boolean;
  readonly reason: Reason;
  readonly rule: string;
  readonly place: string;
}

export interface ReplayReport {
  /** No answer is certain to change. */
  readonly ok: boolean;
  readonly decisions: number;
  readonly same: number;
  readonly changed: readonly Replayed[];
  readonly depends: readonly Replayed[];
  /** Records that stand for many requests, and were not asked. */
  readonly withoutRequest: number;
}

/** Denials that hang on who asked in which state, and not on the request. */
const circumstantial: ReadonlySet<Reason> = new Set([
  'no-bundle',
  'hard-expired',
  'soft-expired',
  'state',
  'island',
  'condition',
  'binding',
  'rego',
  'obligation',
  'standby',
  'fault',
]);

export function replay(
  repository: Repository,
  engine: SliceEngine,
  decisions: readonly RecordedDecision[],
): ReplayReport {
  const slices = slicesToAsk(repository, new Set(repository.interfaces.flatMap(({ devices }) => devices)));
  return replayOn(slices, engine, decisions);
}

/** By device the slice that answers. */
export function replayOn(
  slices: ReadonlyMap<string, Slice>,
  engine: SliceEngine,
  decisions: readonly RecordedDecision[],
): ReplayReport {
  const replayed = new Map<string, Replayed>();
  let withoutRequest = 0;
  for (const one of decisions) {
    if (one.request === undefined) {
      withoutRequest++;
      continue;
    }
    const answer = replayOne(slices.get(one.device), engine, one, one.request);
    const { place: _, count, ...alike } = answer;
    const key = JSON.stringify(alike);
    const known = replayed.get(key);
    replayed.set(key, known === undefined ? answer : { ...known, count: known.count + count });
  }
  const of = (verdict: Replayed['verdict']): Replayed[] =>
    [...replayed.values()].filter((one) => one.verdict === verdict);
  const changed = of('changed');
  return {
    ok: changed.length === 0,
    decisions: decisions.length,
    same: of('same').length,
    changed,
    depends: of('depends'),
    withoutRequest,
  };
}

function replayOne(
  slice: Slice | undefined,
  engine: SliceEngine,
  recorded: RecordedDecision,
  operation: Operation,
): Replayed {
  const { subject, device, interface: name, allow, reason, rule, count, place } = recorded;
  const base = {
    subject,
    interface: name,
    device,
    request: operation.protocol === 'named' ? operation.name : describeOperation(whenOf(name, device, operation)),
    recorded: { allow, reason, rule },
    count,
    place,
  };
  const { recalled } = recorded;
  // An allow that people opened is none of the policy's.
  if (isOpening(rule)) return { ...base, verdict: 'depends', why: 'break-glass' };
  switch (recalled.kind) {
    case 'whole':
      return { ...base, ...verdictOn(allow, askAgain(slice, engine, recalled.question)) };
    case 'hidden':
      return { ...base, verdict: 'depends', why: recalled.missing };
    case 'request': {
      // Tests, and so the circumstances that they could have, know requests only.
      if (operation.protocol === 'named') return { ...base, verdict: 'depends', why: recalled.missing };
      const { usual, any, every } = answers(slice, engine, recorded, operation);
      const verdict = verdictOf(allow, reason, usual.allow, any, every);
      return { ...base, now: usual, verdict, why: verdict === 'depends' ? recalled.missing : '' };
    }
  }
}

export interface AskedAgain {
  /** As if the subject had used nothing yet. */
  readonly decision: Decision;
  /** Why the answer may have been another one; empty when it may not. */
  readonly doubt: string;
}

/** The answer of this policy to what was asked, as the enforcement point would have given it. */
export function askAgain(slice: Slice | undefined, engine: SliceEngine, question: RecalledQuestion): AskedAgain {
  const { request, freshness, fulfilment, ambiguous, client } = question;
  if (slice === undefined) return { decision: nobodyServes, doubt: '' };
  const decide = (usage: Usage): Decision => {
    const decision = requireFulfilment(engine.decide(slice, request, freshness, usage), fulfilment);
    return ambiguous === undefined || !decision.allow ? decision : withdrawn(decision, 'ambiguous', ambiguous);
  };
  const decision = decide(unusedUsage);
  // Several devices may serve an interface of that name.
  const looked = slice.interfaces.some(
    ({ name, casbin, rego }) => name === request.resource.interface && (casbin ?? rego) !== undefined,
  );
  if (!client && looked) return { decision, doubt: 'the client (masked)' };
  const used = decide(noUsage);
  const hangs = used.allow !== decision.allow || used.observed !== decision.observed;
  return { decision, doubt: hangs ? 'how often the grant had been used' : '' };
}

const nobodyServes: Decision = {
  allow: false,
  reason: 'unknown-interface',
  rule: '',
  place: '',
  operation: '',
  bundle: '',
};

function verdictOn(was: boolean, { decision, doubt }: AskedAgain): Pick<Replayed, 'now' | 'verdict' | 'why'> {
  const now = answerOf(decision);
  if (doubt !== '') return { now, verdict: 'depends', why: doubt };
  return { now, verdict: now.allow === was ? 'same' : 'changed', why: '' };
}

/** What the policy says: in observe mode what it would have denied. */
const answerOf = ({ allow, reason, rule, place, observed }: Decision): Answer => ({
  allow: allow && observed === undefined,
  reason: observed ?? reason,
  rule,
  place,
});

function verdictOf(was: boolean, reason: Reason, usual: boolean, any: boolean, every: boolean): Replayed['verdict'] {
  if (was) return any ? (usual ? 'same' : 'depends') : 'changed';
  if (!any) return 'same';
  if (every) return 'changed';
  return circumstantial.has(reason) || !usual ? 'depends' : 'changed';
}

interface Answers {
  readonly usual: Answer;
  /** Whether some circumstances allow it, and whether all do. */
  readonly any: boolean;
  readonly every: boolean;
}

function answers(
  slice: Slice | undefined,
  engine: SliceEngine,
  recorded: RecordedDecision,
  request: Operation,
): Answers {
  const { subject, device, interface: name, time } = recorded;
  const entry = slice?.interfaces.find((candidate) => candidate.name === name && candidate.device === device);
  if (slice === undefined || entry === undefined) {
    return { usual: { allow: false, reason: 'unknown-interface', rule: '', place: '' }, any: false, every: false };
  }
  const here = (rule: { readonly interface: string; readonly device: string }): boolean =>
    rule.interface === name && rule.device === device;
  const grants = slice.grants.filter((rule) => here(rule) && rule.subjects.includes(subject));
  const denies = slice.denies.filter(
    (rule) => here(rule) && (rule.subjects.length === 0 || rule.subjects.includes(subject)),
  );
  const given = { ...givenDefaults, subject, time, binding: defaultBinding(whenOf(name, device, request)) };
  const circumstances = surroundingsOf({ grants, denies }, slice.attributes ?? [], time, [], { times: [time] });
  const asked = written(request, entry.operations).map((operation) => whenOf(name, device, operation));
  const decide = (circumstance: object, when: (typeof asked)[number]) => {
    const question = requestOf({ given: { ...given, ...circumstance }, when });
    return answerOf(engine.decide(slice, question.request, question.freshness));
  };
  const all = new Set(circumstances.flatMap((circumstance) => asked.map((when) => decide(circumstance, when).allow)));
  // A grant over an address is used over an address, whatever carries it.
  const bound = grants.map(({ binding }) => ({ binding }));
  const usual = [{}, ...bound].flatMap((circumstance) => asked.map((when) => decide(circumstance, when)));
  const [first] = usual;
  const best = usual.find(({ allow }) => allow) ?? first;
  return {
    usual: best ?? { allow: false, reason: 'fault', rule: '', place: '' },
    any: all.has(true),
    every: !all.has(false),
  };
}

/** Where values of a write are not recorded each that makes a difference. */
function written(request: Operation, operations: Slice['interfaces'][number]['operations']): Operation[] {
  if (request.protocol !== 'modbus' || request.values.length > 0) return [request];
  const known = operations.filter((operation) => operation.protocol === 'modbus');
  const sets = writtenValues(request.functionCode, known, request.quantity);
  return sets.map((values) => ({ ...request, values }));
}

/** Lines for a terminal. */
export function formatReplay({ decisions, same, changed, depends, withoutRequest }: ReplayReport): string {
  const line = (word: string, one: Replayed): string => {
    const was = `${one.recorded.allow ? 'allow' : 'deny'} (${one.recorded.reason})`;
    const is = one.now === undefined ? '' : `, is ${answerText(one.now)}`;
    const why = one.why === '' ? '' : `; depends on: ${one.why}`;
    return `${word} ${one.place}: ${one.subject}, ${one.request} on ${one.interface} of ${one.device}, ${one.count} times: was ${was}${is}${why}`;
  };
  return [
    ...changed.map((one) => line('CHANGED ', one)),
    ...depends.map((one) => line('depends ', one)),
    `${decisions} recorded decisions: ${same} requests get the same answer, ${changed.length} another, ` +
      `${depends.length} depend on what the record does not hold` +
      (withoutRequest === 0 ? '' : `; ${withoutRequest} records stand for many requests`),
  ].join('\n');
}

function answerText({ allow, reason, rule, place }: Answer): string {
  return `${allow ? 'allow' : 'deny'} (${reason})${rule === '' ? '' : ` by ${rule} at ${place}`}`;
}
