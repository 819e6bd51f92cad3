// What the answer has to be, said a third time and plainly: node-casbin's semantics, with each published divergence
// (divergences.ts) as a switch. With none switched on it has to agree with node-casbin, with all of them with the engine;
// a difference between the two is explained only by a divergence whose switch makes the difference.
import { Util } from 'casbin';
import { contains, parseAddress, parseNetwork } from './addresses.ts';
import { type DivergenceId, everyDivergence } from './divergences.ts';
import {
  type CompareOperator,
  type Instance,
  linksOf,
  type Matcher,
  policyLines,
  type RequestValue,
  type Term,
  termsOf,
} from './language.ts';
import type { OperatorName } from './operators.ts';
import { shapeOf, type Shape } from './request-shape.ts';

export type Answer = 'allow' | 'deny' | 'error';

/** Told of every operator whose result was looked at. */
export type Witness = (operator: OperatorName, result: boolean) => void;

export interface Spec {
  readonly answer: (request: readonly RequestValue[], on: ReadonlySet<DivergenceId>, witness?: Witness) => Answer;
  /** Columns of the lines that may be named as what decided an answer of the engine. */
  readonly deciding: (request: readonly RequestValue[], answer: Answer) => readonly (readonly string[])[];
}

interface Line {
  readonly values: readonly string[];
  /** As the reference reads the columns: quotes that survive parsing are taken off. */
  readonly unquoted: readonly string[];
  readonly effect: string;
}

interface Situation {
  readonly request: readonly RequestValue[];
  readonly line: readonly string[];
  readonly on: ReadonlySet<DivergenceId>;
  /** The line's effect is allow: what makes it match more widens access. */
  readonly allows: boolean;
  readonly memo: Map<string, boolean>;
  readonly witness: Witness;
}

/** What was read: `unknown` is decided by the reading, so that a missing attribute never helps. */
type Read = { readonly value: unknown } | 'unknown';

const MAX_VALUE = 8_192;
const MAX_LINKS = 10;
/** The reference looks for misspelt operators inside quoted texts too. */
const loneOperator = /(?<![&|])&(?!&)|(?<![&|])\|(?!\|)|&{3,}|\|{3,}/;
/** What the reference never reads inside an object: more than it means to. */
const unreadable = /^__proto__|prototype|constructor$/;

type Links = ReadonlyMap<string, readonly string[]>;

export function specify(instance: Instance): Spec {
  const effectColumn = instance.columns.indexOf('eft');
  const lines = policyLines(instance).map((values): Line => {
    const unquoted = values.map(takeOffQuotes);
    return { values, unquoted, effect: effectColumn === -1 ? 'allow' : (unquoted[effectColumn] ?? 'allow') };
  });
  const priority = instance.columns.indexOf('priority');
  if (priority !== -1) lines.sort((one, other) => Number(one.values[priority]) - Number(other.values[priority]));
  const names = [...instance.roles.keys()];
  const links = new Map(names.map((name) => [name, linkMap(linksOf(instance, name))]));
  const unquotedLinks = new Map(
    names.map((name) => [name, linkMap(linksOf(instance, name).map((line) => line.map(takeOffQuotes)))]),
  );
  const shape = shapeOf(instance);
  const textOperators = termsOf(instance.matcher).some((term) => term.kind === 'text' && loneOperator.test(term.text));

  /** In both semantics; a JavaScript value, because the reference returns what `&&` and `||` leave. */
  const evaluate = (matcher: Matcher, positive: boolean, at: Situation): unknown => {
    switch (matcher.kind) {
      case 'and': {
        const list = at.on.has('in-binds') ? -1 : matcher.parts.findIndex(isBareList);
        // The reference reads `x in (list && rest)`, and `in` wants an object.
        if (list !== -1 && list < matcher.parts.length - 1) throw new TypeError('in wants a list');
        let value: unknown;
        for (const part of matcher.parts) if (!(value = evaluate(part, positive, at))) break;
        // With the list last it reads `(rest && x) in list`, which is a boolean.
        if (list !== -1) value = Boolean(value);
        at.witness('&&', Boolean(value));
        return value;
      }
      case 'or': {
        const list = at.on.has('in-binds') ? -1 : matcher.parts.findIndex(isBareList);
        let value: unknown;
        for (const [index, part] of matcher.parts.entries()) {
          // The reference reads `(rest || x) in list`, and no list has the element true.
          if (index === list && value) value = false;
          else if (!value) value = evaluate(part, positive, at);
        }
        at.witness('||', Boolean(value));
        return value;
      }
      case 'not': {
        const result = !evaluate(matcher.part, !positive, at);
        at.witness('!', result);
        return result;
      }
      case 'compare': {
        const { operator } = matcher;
        const result =
          operator === '!='
            ? !compare('==', matcher.left, matcher.right, !positive, at)
            : compare(operator, matcher.left, matcher.right, positive, at);
        at.witness(operator, result);
        return result;
      }
      case 'in': {
        // One element in brackets is no list in the reference, and `in` wants an object then.
        if (matcher.list.length === 1 && !at.on.has('in-one')) throw new TypeError('in wants a list');
        const result = at.on.has('missing-attribute')
          ? matcher.list.some((member) => compare('==', matcher.value, member, positive, at))
          : matcher.list.map((member) => raw(member, at)).includes(raw(matcher.value, at));
        at.witness('in', result);
        return result;
      }
      case 'call': {
        const roles = (at.on.has('quotes-kept') ? links : unquotedLinks).get(matcher.name);
        const { operator, result } = call(matcher, roles, positive === at.allows, at);
        at.witness(operator, result);
        return result;
      }
      case 'value': {
        const read = known(matcher.term, at, 'boolean');
        const result = read === 'unknown' ? positive !== at.allows : read.value;
        at.witness('attribute-alone', Boolean(result));
        return result;
      }
      case 'eval': {
        const rule = instance.rules.get(at.line[instance.columns.indexOf(matcher.column)] ?? '');
        // Without lines the reference leaves eval in the matcher as a function that is not there.
        if (lines.length === 0) return undefined;
        if (rule === undefined) throw new Error('there is no such rule');
        const result = evaluate(rule, positive, at);
        at.witness('eval', Boolean(result));
        return result;
      }
    }
  };

  /** As JavaScript reads it. */
  const raw = (term: Term, at: Situation): unknown => {
    switch (term.kind) {
      case 'request': {
        let value: unknown = at.request[instance.fields.indexOf(term.field)];
        for (const name of term.path ?? []) {
          if (unreadable.test(name) && !at.on.has('attribute-names')) throw new Error('not readable');
          value = (value as Record<string, unknown>)[name];
        }
        return value;
      }
      case 'policy':
        return at.line[instance.columns.indexOf(term.column)];
      case 'text':
      case 'number':
      case 'boolean':
        return term.kind === 'text' ? term.text : term.value;
    }
  };

  /** What is missing, or of another type than `wanted`, is unknown where the divergences say so. */
  const known = (term: Term, at: Situation, wanted: 'text' | 'number' | 'boolean' | 'any'): Read => {
    const value = term.kind === 'request' && term.path !== undefined ? attribute(term, at) : raw(term, at);
    if (value === missing) return 'unknown';
    if (at.on.has('mistyped-attribute') && wanted !== 'any' && term.kind === 'request' && term.path !== undefined) {
      const type = typeof value === 'string' ? 'text' : typeof value;
      if (type !== wanted && value != null) return 'unknown';
    }
    return { value };
  };

  const attribute = (term: Extract<Term, { kind: 'request' }>, at: Situation): unknown => {
    at.witness('attribute', true);
    if (!at.on.has('missing-attribute')) return raw(term, at);
    let value: unknown = at.request[instance.fields.indexOf(term.field)];
    for (const name of term.path ?? []) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return missing;
      if (unreadable.test(name) && !at.on.has('attribute-names')) throw new Error('not readable');
      value = (value as Record<string, unknown>)[name];
    }
    if (typeof value === 'number') return Number.isFinite(value) ? value : missing;
    if (typeof value === 'string') return isUsable(value) ? value : missing;
    return typeof value === 'boolean' ? value : missing;
  };

  const compare = (operator: CompareOperator, left: Term, right: Term, positive: boolean, at: Situation): boolean => {
    const exact = positive === at.allows;
    const order = operator === '==' || operator === '!=' ? undefined : orders[operator];
    const wanted = order === undefined ? 'any' : 'number';
    const [one, other] = [known(left, at, wanted), known(right, at, wanted)];
    if (one === 'unknown' || other === 'unknown') return !exact;
    if (order !== undefined) {
      const sides = [orderable(left, one.value, at), orderable(right, other.value, at)];
      return sides.some(Number.isNaN) && at.on.has('numeric-columns')
        ? !exact
        : order(sides[0] as number, sides[1] as number);
    }
    const mixed = typeof one.value !== typeof other.value && one.value != null && other.value != null;
    if (mixed && at.on.has('mistyped-attribute')) return !exact;
    // eslint-disable-next-line eqeqeq -- what the reference does
    return one.value == other.value;
  };

  /** The reference compares two columns as texts: 10 comes before 9. */
  const orderable = (term: Term, value: unknown, at: Situation): unknown =>
    term.kind === 'policy' && at.on.has('numeric-columns') ? Number(value) : value;

  const call = (
    { name, values }: Extract<Matcher, { kind: 'call' }>,
    roles: Links | undefined,
    exact: boolean,
    at: Situation,
  ): { operator: OperatorName; result: boolean } => {
    const read = values.map((value) => known(value, at, 'text'));
    const operator = operatorOf(name, roles, values.length);
    if (read.includes('unknown')) return { operator, result: !exact };
    const found = read.map((one) => (one === 'unknown' ? undefined : one.value));
    return { operator, result: roles === undefined ? match(name, found, exact, at) : linked(name, roles, found, at) };
  };

  const match = (name: string, [value, text]: readonly unknown[], exact: boolean, at: Situation): boolean => {
    const pattern = textOf(text);
    switch (name) {
      case 'keyMatch':
        return Util.keyMatchFunc(value, pattern);
      case 'keyMatch2':
        return Util.keyMatch2Func(value, literalDots(pattern, exact, at));
      case 'keyMatch3':
        return Util.keyMatch3Func(value, literalDots(pattern, exact, at));
      case 'keyMatch4':
        return keyMatch4(value, pattern, exact, at);
      case 'keyMatch5':
        return Util.keyMatch5Func(value, literalDots(pattern, exact, at));
      case 'globMatch':
        return globMatch(value, pattern, exact, at);
      case 'regexMatch':
        return regexMatch(textOf(value), pattern, exact, at);
      case 'ipMatch':
        return ipMatch(value, pattern, exact, at);
      default:
        throw new Error(`${name} is not specified`);
    }
  };

  const matcherOver =
    (request: readonly RequestValue[], on: ReadonlySet<DivergenceId>, witness: Witness) =>
    ({ unquoted, values, effect }: Line, memo: Map<string, boolean>): unknown => {
      const line = on.has('quotes-kept') ? values : unquoted;
      return evaluate(instance.matcher, true, { request, line, on, allows: effect === 'allow', memo, witness });
    };

  return {
    answer: (request, on, witness = () => {}) => {
      if (on.has('empty-policy') && lines.length === 0) return 'deny';
      if (!isAskable(request, shape, on)) return 'deny';
      const memo = new Map<string, boolean>();
      const matches = matcherOver(request, on, witness);
      try {
        if (textOperators && !on.has('text-operators')) throw new Error('Invalid operator in matcher');
        return decide(instance, lines, (line) => matches(line, memo));
      } catch (error) {
        if (error instanceof Error) return on.has('error-denies') ? 'deny' : 'error';
        throw error;
      }
    },
    deciding: (request, answer) => {
      const matches = matcherOver(request, everyDivergence, () => {});
      const found = lines.filter((line) => matches(line, new Map()) === true);
      const those = instance.effect === 'priority' ? found.slice(0, 1) : found;
      return those.filter(({ effect }) => effect === answer).map(({ values }) => values);
    },
  };
}

const missing = Symbol('missing');

function decide(instance: Instance, lines: readonly Line[], evaluate: (line: Line) => unknown): Answer {
  const matches = (line: Line): boolean => {
    const value = evaluate(line);
    if (typeof value === 'boolean' || typeof value === 'string') return Boolean(value);
    // The reference takes a number for an effect: 1 allow, 2 nothing, 3 deny. No generated attribute holds 3.
    if (typeof value === 'number') return value === 1;
    throw new Error('matcher result should only be of type boolean, number, or string');
  };
  if (lines.length === 0) {
    // The reference asks the matcher once, with empty columns, and never about a deny.
    const matched = Boolean(evaluate({ values: [], unquoted: instance.columns.map(() => ''), effect: 'allow' }));
    return matched || instance.effect === 'deny-override' ? 'allow' : 'deny';
  }
  switch (instance.effect) {
    case 'allow-override':
      return lines.some((line) => matches(line) && line.effect === 'allow') ? 'allow' : 'deny';
    case 'deny-override':
      return lines.some((line) => matches(line) && line.effect === 'deny') ? 'deny' : 'allow';
    case 'allow-and-deny': {
      let allowed = false;
      for (const line of lines) {
        if (!matches(line)) continue;
        if (line.effect === 'deny') return 'deny';
        if (line.effect === 'allow') allowed = true;
      }
      return allowed ? 'allow' : 'deny';
    }
    case 'priority':
      return lines.find(matches)?.effect === 'allow' ? 'allow' : 'deny';
  }
}

type Order = Exclude<CompareOperator, '==' | '!='>;

/** Typed as numbers; JavaScript compares whatever is there, as the reference does. */
const orders: Readonly<Record<Order, (left: number, right: number) => boolean>> = {
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
};

function operatorOf(name: string, roles: Links | undefined, values: number): OperatorName {
  if (roles === undefined) return name as OperatorName;
  return values === 3 ? 'g-domain' : name === 'g' ? 'g' : 'g2';
}

/** The reference remembers a link that it found under the arguments joined by commas. */
function linked(name: string, links: Links, values: readonly unknown[], at: Situation): boolean {
  const key = `${name}:${String(values)}`;
  if (!at.on.has('role-memo') && at.memo.get(key) === true) return true;
  const [member, role] = [textOf(values[0] || ''), textOf(values[1] || '')];
  if (values.length > 2 && values[2] == null) throw new TypeError('a domain is missing');
  const domain = textOf(values[2]);
  const result = reaches(links, member, role, domain);
  if (result) at.memo.set(key, true);
  return result;
}

function reaches(links: Links, member: string, role: string, domain: string): boolean {
  if (member === role) return true;
  const seen = new Set([member]);
  let front = [member];
  for (let depth = 0; depth < MAX_LINKS && front.length > 0; depth++) {
    front = front.flatMap((name) => links.get(linkKey(name, domain)) ?? []).filter((name) => !seen.has(name));
    if (front.includes(role)) return true;
    for (const name of front) seen.add(name);
  }
  return false;
}

function linkMap(lines: readonly (readonly string[])[]): Links {
  const links = new Map<string, string[]>();
  for (const [member = '', role = '', domain = ''] of lines) {
    const key = linkKey(member, domain);
    links.set(key, [...(links.get(key) ?? []), role]);
  }
  return links;
}

const linkKey = (name: string, domain: string): string => JSON.stringify([name, domain]);

const takeOffQuotes = (value: string): string =>
  (value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value)
    .replaceAll('""', '"')
    .trim();

/** A pattern whose dots are dots, for the reference's own function. */
function literalDots(pattern: string, exact: boolean, at: Situation): string {
  return exact && at.on.has('literal-dot') ? pattern.replaceAll('.', '\\.') : pattern;
}

/** Parameters of one name are equal; others are not looked at (fault 12). To deny, a dot in the pattern widens all of it. */
function keyMatch4(value: unknown, pattern: string, exact: boolean, at: Situation): boolean {
  const dotted = literalDots(pattern, exact, at);
  if (!at.on.has('repeated-names')) return Util.keyMatch4Func(value, dotted);
  if (!Util.keyMatch3Func(value, dotted)) return false;
  if (!exact && pattern.includes('.')) return true;
  const parts = textOf(value).split('/');
  const seen = new Map<string, string>();
  for (const [index, segment] of pattern.split('/').entries()) {
    if (!segment.startsWith('{')) continue;
    const part = parts[index] ?? '';
    if ((seen.get(segment) ?? part) !== part) return false;
    seen.set(segment, part);
  }
  return true;
}

/** minimatch joins slashes and drops the last one; here that is done to deny only. */
function globMatch(value: unknown, pattern: string, exact: boolean, at: Situation): boolean {
  if (exact && at.on.has('glob-slashes') && /\/\/|\/$/.test(textOf(value))) return false;
  return Util.globMatch(value as string, pattern);
}

const regexes = new Map<string, RegExp>();

function regexMatch(value: string, pattern: string, exact: boolean, at: Situation): boolean {
  if (at.on.has('code-points') && /[\u{10000}-\u{10ffff}]/u.test(value)) return !exact;
  const text = exact && at.on.has('regex-whole') ? `^(?:${pattern})$` : pattern;
  let regex = regexes.get(text);
  if (regex === undefined) {
    if (regexes.size > 1_000) regexes.clear();
    regexes.set(text, (regex = new RegExp(text)));
  }
  return regex.test(value);
}

function ipMatch(value: unknown, pattern: string, exact: boolean, at: Situation): boolean {
  const address = parseAddress(textOf(value));
  const network = parseNetwork(pattern);
  if (address === undefined && at.on.has('bad-address')) return !exact;
  if (address !== undefined && network !== undefined) {
    if (at.on.has('mapped-address') && address.carries === 'mapped') return contains(network, address);
    if (at.on.has('compatible-address') && address.carries === 'compatible' && network.width === 32) return false;
    if (at.on.has('compatible-address') && network.carries === 'compatible' && address.width === 32) return false;
  }
  return Util.ipMatchFunc(value, pattern);
}

function isAskable(request: readonly RequestValue[], shape: Shape, on: ReadonlySet<DivergenceId>): boolean {
  return request.every((value, field) => {
    const kind = shape.kinds[field];
    if (on.has('bad-address') && shape.addresses.has(field) && parseAddress(textOf(value)) === undefined) return false;
    if (!on.has('unusable-value')) return true;
    if (typeof value === 'string') return (kind === undefined || kind === 'text') && isUsable(value);
    if (kind === undefined) return true;
    return kind === 'attributes' ? typeof value === 'object' && value !== null : typeof value === kind;
  });
}

/** As the reference's functions make text of what they are given. */
const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : value ? (value as number).toString() : '';

const isBareList = (part: Matcher): boolean => part.kind === 'in' && part.bare === true && part.list.length > 1;

function isUsable(value: string): boolean {
  // C0 controls, DEL and C1 controls, line and paragraph separator.
  return value !== '' && value.length <= MAX_VALUE && value.isWellFormed() && !/[\p{Cc}\u2028\u2029]/u.test(value);
}
