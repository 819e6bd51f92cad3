// The answer of a Rego package: `decision`, an object with the set (or list) `deny` of reasons in words, and where it
// asks for something the set (or list) `obligations`. Only that, and only with nothing in `deny`, allows.
import { MAX_OBLIGATIONS, obligationSchema, type Obligation } from '../../bundle/conditions.ts';
import { MAX_REGO_DENIES, MAX_REGO_DENY_LENGTH } from '../limits.ts';
import type { RegoVerdict } from './rego-package.ts';

/** `resultSet` is what opa answers for the entrypoint: a list with one object `{result}`, or empty for undefined. */
export function readDecision(resultSet: unknown): RegoVerdict {
  if (!Array.isArray(resultSet)) return malformed('no result set');
  if (resultSet.length === 0) return { allow: false, kind: 'undefined', why: 'decision is undefined for this request' };
  const [first] = resultSet as unknown[];
  if (resultSet.length !== 1 || !isObject(first) || !Object.hasOwn(first, 'result'))
    return malformed('several results');
  const decision = first['result'];
  if (!isObject(decision)) return malformed('decision is not an object');
  const unknown = Object.keys(decision).find((key) => key !== 'deny' && key !== 'obligations');
  if (unknown !== undefined)
    return malformed(`decision has ${JSON.stringify(unknown.slice(0, 64))}, which is not known`);
  const { deny } = decision;
  if (!Array.isArray(deny)) return malformed('decision.deny is not a set or list');
  if (deny.length > MAX_REGO_DENIES) return malformed(`decision.deny has more than ${MAX_REGO_DENIES} entries`);
  const reasons = deny.filter((entry) => typeof entry === 'string' && entry.length <= MAX_REGO_DENY_LENGTH);
  if (reasons.length < deny.length) {
    return malformed(`decision.deny holds something else than texts of at most ${MAX_REGO_DENY_LENGTH} characters`);
  }
  if (reasons.length > 0) return { allow: false, kind: 'denied', why: inOrder(reasons).join('; ') };
  const obligations = readObligations(decision['obligations']);
  return obligations === undefined
    ? malformed('decision.obligations is not a set or list of known obligations, as grants have them')
    : { allow: true, obligations };
}

function readObligations(value: unknown): readonly Obligation[] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > MAX_OBLIGATIONS) return undefined;
  const read = value.map((entry) => obligationSchema.safeParse(entry));
  return read.every(({ success }) => success) ? read.flatMap(({ data }) => data ?? []) : undefined;
}

/** opa writes a set in no order; the same denial reads the same. */
function inOrder(reasons: readonly string[]): string[] {
  return reasons.toSorted((a, b) => (a < b ? -1 : 1));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(why: string): RegoVerdict {
  return { allow: false, kind: 'malformed', why };
}
