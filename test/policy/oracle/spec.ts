// What the answer has to be, said a third time and plainly: node-casbin's semantics, with each published divergence
// (divergences.ts) as a switch. With none switched on it has to agree with node-casbin, with all of them with the engine;
// a difference between the two is explained only by a divergence whose switch makes the difference.
import { Util } from 'casbin';
import { contains, parseAddress, parseNetwork } from './addresses.ts';
import type { DivergenceId } from './divergences.ts';
import {
  type Instance,
  linksOf,
  type Matcher,
  policyLines,
  type RequestValue,
  type Term,
  termsOf,
} from './language.ts';
import type { OperatorName } from './operators.ts';

export type Answer = 'allow' | 'deny' | 'error';

/** Told of every operator whose result was looked at. */
export type Witness = (operator: OperatorName, result: boolean) => void;

export interface Spec {
  readonly answer: (request: readonly RequestValue[], on: ReadonlySet<DivergenceId>, witness?: Witness) => Answer;
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
}

const MAX_VALUE = 8_192;
const MAX_LINKS = 10;
/** The reference looks for misspelt operators inside quoted texts too. */
const loneOperator = /(?<![&|])&(?!&)|(?<![&|])\|(?!\|)|&{3,}|\|{3,}/;

type Links = ReadonlyMap<string, readonly string[]>;

export function specify(instance: Instance): Spec {
  const effectColumn = instance.columns.indexOf('eft');
  const lines = policyLines(instance).map((values): Line => {
    const unquoted = values.map(takeOffQuotes);
    return { values, unquoted, effect: effectColumn === -1 ? 'allow' : (unquoted[effectColumn] ?? 'allow') };
  });
  const names = [...instance.roles.keys()];
  const links = new Map(names.map((name) => [name, linkMap(linksOf(instance, name))]));
  const unquotedLinks = new Map(
    names.map((name) => [name, linkMap(linksOf(instance, name).map((line) => line.map(takeOffQuotes)))]),
  );
  const addresses = addressFields(instance);
  const textOperators = termsOf(instance.matcher).some((term) => term.kind === 'text' && loneOperator.test(term.text));
  const usable = (request: readonly RequestValue[], on: ReadonlySet<DivergenceId>): boolean =>
    !(on.has('unusable-value') && request.some((value) => !isUsable(value))) &&
    !(on.has('bad-address') && addresses.some((field) => parseAddress(textOf(request[field])) === undefined));

  const evaluate = (matcher: Matcher, positive: boolean, at: Situation, witness: Witness): boolean => {
    switch (matcher.kind) {
      case 'and': {
        const list = at.on.has('in-binds') ? -1 : matcher.parts.findIndex(isBareList);
        // The reference reads `x in (list && rest)`, and `in` wants an object.
        if (list !== -1 && list < matcher.parts.length - 1) throw new TypeError('in wants a list');
        const result = matcher.parts.every((part) => evaluate(part, positive, at, witness));
        witness('&&', result);
        return result;
      }
      case 'or': {
        const holds = (part: Matcher): boolean => evaluate(part, positive, at, witness);
        const list = at.on.has('in-binds') ? -1 : matcher.parts.findIndex(isBareList);
        // The reference reads `(rest || x) in list`, and no list has the element true.
        const result =
          list === -1
            ? matcher.parts.some(holds)
            : (!matcher.parts.slice(0, list).some(holds) && matcher.parts.slice(list, list + 1).some(holds)) ||
              matcher.parts.slice(list + 1).some(holds);
        witness('||', result);
        return result;
      }
      case 'not': {
        const result = !evaluate(matcher.part, !positive, at, witness);
        witness('!', result);
        return result;
      }
      case 'compare': {
        const result = compare(matcher.operator, read(matcher.left, at), read(matcher.right, at));
        witness(matcher.operator, result);
        return result;
      }
      case 'in': {
        const value = read(matcher.value, at);
        const members = matcher.list.map((member) => read(member, at));
        // One element in brackets is no list in the reference, and `in` wants an object then.
        if (matcher.list.length === 1 && !at.on.has('in-one')) throw new TypeError('in wants a list');
        const result = members.includes(value);
        witness('in', result);
        return result;
      }
      case 'call': {
        const { operator, result } = call(matcher, positive, at);
        witness(operator, result);
        return result;
      }
      case 'value':
        return Boolean(read(matcher.term, at));
    }
  };

  const read = (term: Term, at: Situation): unknown => {
    switch (term.kind) {
      case 'request': {
        let value: unknown = at.request[instance.fields.indexOf(term.field)];
        for (const name of term.path ?? []) value = (value as Record<string, unknown>)[name];
        return value;
      }
      case 'policy':
        return at.line[instance.columns.indexOf(term.column)];
      case 'text':
        return term.text;
      case 'number':
        return term.value;
    }
  };

  const call = (
    matcher: Extract<Matcher, { kind: 'call' }>,
    positive: boolean,
    at: Situation,
  ): { operator: OperatorName; result: boolean } => {
    const values = matcher.values.map((value) => read(value, at));
    const text = values.map((value) => textOf(value));
    const [value = '', pattern = '', domain] = text;
    const roles = (at.on.has('quotes-kept') ? links : unquotedLinks).get(matcher.name);
    if (roles !== undefined) {
      const operator = domain !== undefined ? 'g-domain' : matcher.name === 'g' ? 'g' : 'g2';
      return { operator, result: linked(matcher.name, roles, text, at) };
    }
    const exact = positive === at.allows;
    switch (matcher.name) {
      case 'keyMatch':
        return { operator: 'keyMatch', result: Util.keyMatchFunc(value, pattern) };
      case 'keyMatch2':
        return { operator: 'keyMatch2', result: Util.keyMatch2Func(value, literalDots(pattern, exact, at)) };
      case 'keyMatch3':
        return { operator: 'keyMatch3', result: Util.keyMatch3Func(value, literalDots(pattern, exact, at)) };
      case 'regexMatch':
        return { operator: 'regexMatch', result: regexMatch(value, pattern, exact, at) };
      case 'ipMatch':
        return { operator: 'ipMatch', result: ipMatch(value, pattern, at) };
      default:
        throw new Error(`${matcher.name} is not specified`);
    }
  };

  return {
    answer: (request, on, witness = () => {}) => {
      if (on.has('empty-policy') && lines.length === 0) return 'deny';
      if (!usable(request, on)) return 'deny';
      const situation = { request, on, memo: new Map<string, boolean>() };
      const matches = ({ unquoted, values, effect }: Line): boolean =>
        evaluate(
          instance.matcher,
          true,
          { ...situation, line: on.has('quotes-kept') ? values : unquoted, allows: effect === 'allow' },
          witness,
        );
      try {
        if (textOperators && !on.has('text-operators')) throw new Error('Invalid operator in matcher');
        return decide(instance, lines, matches);
      } catch (error) {
        if (error instanceof Error) return on.has('error-denies') ? 'deny' : 'error';
        throw error;
      }
    },
  };
}

function decide(instance: Instance, lines: readonly Line[], matches: (line: Line) => boolean): Answer {
  if (lines.length === 0) {
    // The reference asks the matcher once, with empty columns, and never about a deny.
    const matched = matches({ values: [], unquoted: instance.columns.map(() => ''), effect: 'allow' });
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
  }
}

function compare(operator: string, left: unknown, right: unknown): boolean {
  // Texts and numbers alone so far, never mixed: what JavaScript would coerce does not compile.
  switch (operator) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    default:
      throw new Error(`${operator} is not specified`);
  }
}

/** The reference remembers a link that it found under the arguments joined by commas. */
function linked(name: string, links: Links, values: readonly string[], at: Situation): boolean {
  const key = `${name}:${values.join(',')}`;
  if (!at.on.has('role-memo') && at.memo.get(key) === true) return true;
  const result = reaches(links, values);
  if (result) at.memo.set(key, true);
  return result;
}

function reaches(links: Links, [member = '', role = '', domain = '']: readonly string[]): boolean {
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

const regexes = new Map<string, RegExp>();

function regexMatch(value: string, pattern: string, exact: boolean, at: Situation): boolean {
  const flags = at.on.has('code-points') ? 'u' : '';
  const text = exact && at.on.has('regex-whole') ? `^(?:${pattern})$` : pattern;
  let regex = regexes.get(flags + text);
  if (regex === undefined) {
    if (regexes.size > 1_000) regexes.clear();
    regexes.set(flags + text, (regex = new RegExp(text, flags)));
  }
  return regex.test(value);
}

function ipMatch(value: string, pattern: string, at: Situation): boolean {
  const address = parseAddress(value);
  const network = parseNetwork(pattern);
  if (address !== undefined && network !== undefined) {
    if (at.on.has('mapped-address') && address.carries === 'mapped') return contains(network, address);
    if (at.on.has('compatible-address') && address.carries === 'compatible' && network.width === 32) return false;
    if (at.on.has('compatible-address') && network.carries === 'compatible' && address.width === 32) return false;
  }
  return Util.ipMatchFunc(value, pattern);
}

/** Fields that some ipMatch reads. */
function addressFields(instance: Instance): number[] {
  const fields = callsOf(instance.matcher)
    .filter(({ name }) => name === 'ipMatch')
    .flatMap(({ values }) => (values[0]?.kind === 'request' ? [instance.fields.indexOf(values[0].field)] : []));
  return [...new Set(fields)];
}

function callsOf(matcher: Matcher): Extract<Matcher, { kind: 'call' }>[] {
  switch (matcher.kind) {
    case 'and':
    case 'or':
      return matcher.parts.flatMap(callsOf);
    case 'not':
      return callsOf(matcher.part);
    case 'call':
      return [matcher];
    case 'compare':
    case 'in':
    case 'value':
      return [];
  }
}

/** What is no text is not looked up: fields that functions read hold texts so far. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

const isBareList = (part: Matcher): boolean => part.kind === 'in' && part.bare === true && part.list.length > 1;

function isUsable(value: RequestValue): boolean {
  if (typeof value !== 'string') return false;
  // C0 controls, DEL and C1 controls, line and paragraph separator.
  return value !== '' && value.length <= MAX_VALUE && !/[\p{Cc}\u2028\u2029]/u.test(value);
}

export const readsPolicy = (instance: Instance): boolean =>
  termsOf(instance.matcher).some(({ kind }) => kind === 'policy');
