// Recorded decisions asked again: which answers would this policy change? A record holds the request and the answer, not
// the state or the attestation of the subject, so a change is certain only when it holds in every circumstance that
// could have been; what hangs on the circumstances is listed apart.
import type { Slice } from '../../bundle/slice.ts';
import type { Operation, Reason } from '../../engine/index.ts';
import { slicesToAsk } from '../build.ts';
import type { SliceEngine } from '../decide.ts';
import { givenDefaults } from '../format/tests.ts';
import type { Repository } from '../repository.ts';
import { writtenValues } from './modbus-cells.ts';
import { defaultBinding, describeOperation, requestOf, whenOf } from './question.ts';
import type { RecordedDecision } from './recorded.ts';
import { surroundingsOf } from './surroundings.ts';

export interface Replayed {
  readonly subject: string;
  readonly interface: string;
  readonly device: string;
  /** The request, in words. */
  readonly request: string;
  readonly recorded: { readonly allow: boolean; readonly reason: Reason; readonly rule: string };
  /** The answer now, to a subject in the usual circumstances. */
  readonly now: { readonly allow: boolean; readonly reason: Reason; readonly rule: string; readonly place: string };
  readonly verdict: 'same' | 'changed' | 'depends';
  /** How often it was recorded, and where first (`file:line`). */
  readonly count: number;
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
  'condition',
  'binding',
  'rego',
  'obligation',
  'fault',
]);

export function replay(
  repository: Repository,
  engine: SliceEngine,
  decisions: readonly RecordedDecision[],
): ReplayReport {
  const slices = slicesToAsk(repository, new Set(repository.interfaces.flatMap(({ devices }) => devices)));
  const groups = Map.groupBy(
    decisions.filter(({ request }) => request !== undefined),
    ({ device, subject, interface: name, allow, reason, rule, request }) =>
      JSON.stringify([device, subject, name, allow, reason, rule, request]),
  );
  const replayed = [...groups.values()].flatMap((group) => {
    const [first] = group;
    const count = group.reduce((sum, one) => sum + one.count, 0);
    return first?.request === undefined
      ? []
      : [replayOne(slices.get(first.device), engine, first, first.request, count)];
  });
  const of = (verdict: Replayed['verdict']): Replayed[] => replayed.filter((one) => one.verdict === verdict);
  const changed = of('changed');
  return {
    ok: changed.length === 0,
    decisions: decisions.length,
    same: of('same').length,
    changed,
    depends: of('depends'),
    withoutRequest: decisions.filter(({ request }) => request === undefined).length,
  };
}

function replayOne(
  slice: Slice | undefined,
  engine: SliceEngine,
  recorded: RecordedDecision,
  request: Operation,
  count: number,
): Replayed {
  const { subject, device, interface: name, allow, reason, rule, place } = recorded;
  const { usual, any, every } = answers(slice, engine, recorded, request);
  const base = {
    subject,
    interface: name,
    device,
    request: describeOperation(whenOf(name, device, request)),
    recorded: { allow, reason, rule },
    now: usual,
    count,
    place,
  };
  return { ...base, verdict: verdictOf(allow, reason, usual.allow, any, every) };
}

function verdictOf(was: boolean, reason: Reason, usual: boolean, any: boolean, every: boolean): Replayed['verdict'] {
  if (was) return any ? (usual ? 'same' : 'depends') : 'changed';
  if (!any) return 'same';
  if (every) return 'changed';
  return circumstantial.has(reason) || !usual ? 'depends' : 'changed';
}

interface Answers {
  readonly usual: Replayed['now'];
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
    const { allow, reason, rule, place, observed } = engine.decide(slice, question.request, question.freshness);
    return { allow: allow && observed === undefined, reason: observed ?? reason, rule, place };
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

/** Values of a write are not recorded: each that makes a difference. */
function written(request: Operation, operations: Slice['interfaces'][number]['operations']): Operation[] {
  if (request.protocol !== 'modbus') return [request];
  const known = operations.filter((operation) => operation.protocol === 'modbus');
  const sets = writtenValues(request.functionCode, known, request.quantity);
  return sets.map((values) => ({ ...request, values }));
}

/** Lines for a terminal. */
export function formatReplay({ decisions, same, changed, depends, withoutRequest }: ReplayReport): string {
  const line = (word: string, one: Replayed): string => {
    const was = `${one.recorded.allow ? 'allow' : 'deny'} (${one.recorded.reason})`;
    const by = one.now.rule === '' ? '' : ` by ${one.now.rule} at ${one.now.place}`;
    const is = `${one.now.allow ? 'allow' : 'deny'} (${one.now.reason})${by}`;
    return `${word} ${one.place}: ${one.subject}, ${one.request} on ${one.interface} of ${one.device}, ${one.count} times: was ${was}, is ${is}`;
  };
  return [
    ...changed.map((one) => line('CHANGED ', one)),
    ...depends.map((one) => line('depends ', one)),
    `${decisions} recorded decisions: ${same} requests get the same answer, ${changed.length} another, ` +
      `${depends.length} depend on a state or attestation that the record does not hold` +
      (withoutRequest === 0 ? '' : `; ${withoutRequest} records stand for many requests`),
  ].join('\n');
}
