// Selections of a Sigma rule compiled to predicates over one flat event. Case-insensitive by default, `*` and `?` are
// wildcards in plain values, `\` escapes; regular expressions run on a linear-time engine (re2js), never on RegExp.
import ipaddr from 'ipaddr.js';
import { RE2JS } from 're2js';
import type { Place } from '../../runtime/errors.ts';
import { ruleInvalid } from './errors.ts';
import type { FieldMap, Scalar, Selection } from './sigma-rule.ts';

export type FieldValue = string | number | boolean | readonly string[] | readonly number[];
/** Field names to values; an absent field is absent, not empty. */
export type FlatEvent = Readonly<Record<string, FieldValue>>;
export type Predicate = (event: FlatEvent) => boolean;

/** Where something below the selection stands in its file. */
export type PlaceOf = (...path: readonly (string | number)[]) => Place;

type ValueTest = (value: string | number | boolean) => boolean;

export function compileSelection(selection: Selection, placeOf: PlaceOf): Predicate {
  if (!Array.isArray(selection)) return compileFieldMap(selection, placeOf);
  if (selection.length === 0) throw ruleInvalid(placeOf(), 'an empty selection matches nothing');
  if (selection.every((entry) => typeof entry === 'object')) {
    const maps = selection.map((entry, n) => compileFieldMap(entry, (...path) => placeOf(n, ...path)));
    return (event) => maps.some((matches) => matches(event));
  }
  return compileKeywords(selection);
}

function compileKeywords(keywords: readonly (string | number)[]): Predicate {
  const tests = keywords.map((keyword) => wildcard(`*${String(keyword)}*`, false));
  return (event) => Object.values(event).some((value) => tests.some((matches) => anyValue(value, matches)));
}

function compileFieldMap(map: FieldMap, placeOf: PlaceOf): Predicate {
  const fields = Object.entries(map).map(([key, wanted]) => compileField(key, wanted, placeOf(key)));
  if (fields.length === 0) throw ruleInvalid(placeOf(), 'an empty selection matches everything');
  return (event) => fields.every((matches) => matches(event));
}

function compileField(key: string, wanted: Scalar | Scalar[], place: Place): Predicate {
  const [field = '', ...modifiers] = key.split('|');
  if (field === '') throw ruleInvalid(place, `${key}: expected a field name before the modifiers`);
  const all = modifiers.includes('all');
  const cased = modifiers.includes('cased');
  const kinds = modifiers.filter((modifier) => modifier !== 'all' && modifier !== 'cased');
  if (kinds.length > 1) throw ruleInvalid(place, `${key}: modifiers ${kinds.join(' and ')} do not combine`);
  const kind = kinds[0] ?? 'equals';
  if (kind === 'exists') {
    if (typeof wanted !== 'boolean') throw ruleInvalid(place, `${key}: expected true or false`);
    return (event) => Object.hasOwn(event, field) === wanted;
  }
  const values = Array.isArray(wanted) ? wanted : [wanted];
  if (values.length === 0) throw ruleInvalid(place, `${key}: an empty list matches nothing`);
  const tests = values.map((value) => (value === null ? undefined : compileValue(kind, value, cased, key, place)));
  const one = (test: ValueTest | undefined, event: FlatEvent): boolean => {
    const value = Object.hasOwn(event, field) ? event[field] : undefined;
    if (test === undefined) return value === undefined || value === '';
    return value !== undefined && anyValue(value, test);
  };
  return all ? (event) => tests.every((test) => one(test, event)) : (event) => tests.some((test) => one(test, event));
}

const anyValue = (value: FieldValue, test: ValueTest): boolean =>
  Array.isArray(value) ? value.some((item: string | number) => test(item)) : test(value as string | number | boolean);

function compileValue(
  kind: string,
  value: string | number | boolean,
  cased: boolean,
  key: string,
  place: Place,
): ValueTest {
  const text = String(value);
  switch (kind) {
    case 'equals':
      return typeof value === 'string' ? wildcard(text, cased) : (found) => String(found) === text;
    case 'contains':
      return wildcard(`*${text}*`, cased);
    case 'startswith':
      return wildcard(`${text}*`, cased);
    case 'endswith':
      return wildcard(`*${text}`, cased);
    case 're':
      return regularExpression(text, key, place);
    case 'cidr':
      return cidr(text, key, place);
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte':
      return comparison(kind, value, key, place);
    default:
      throw ruleInvalid(place, `${key}: modifier "${kind}" is not evaluated here`);
  }
}

function regularExpression(text: string, key: string, place: Place): ValueTest {
  try {
    const pattern = RE2JS.compile(text);
    return (found) => pattern.matcher(String(found)).find();
  } catch (cause) {
    throw ruleInvalid(place, `${key}: not a regular expression in RE2 syntax: ${text}`, cause);
  }
}

function cidr(text: string, key: string, place: Place): ValueTest {
  try {
    const [network, bits] = ipaddr.parseCIDR(text);
    return (found) => {
      if (!ipaddr.isValid(String(found))) return false;
      const address = ipaddr.process(String(found));
      return address.kind() === network.kind() && address.match(network, bits);
    };
  } catch (cause) {
    throw ruleInvalid(place, `${key}: not a CIDR: ${text}`, cause);
  }
}

function comparison(
  kind: 'gt' | 'gte' | 'lt' | 'lte',
  value: string | number | boolean,
  key: string,
  place: Place,
): ValueTest {
  const bound = Number(value);
  if (!Number.isFinite(bound)) throw ruleInvalid(place, `${key}: expected a number, found ${String(value)}`);
  const compare = {
    gt: (a: number) => a > bound,
    gte: (a: number) => a >= bound,
    lt: (a: number) => a < bound,
    lte: (a: number) => a <= bound,
  };
  return (found) => typeof found === 'number' && compare[kind](found);
}

/** Matches a Sigma value with `*`, `?` and `\` escapes in time linear in the text for each literal part. */
export function wildcard(pattern: string, cased: boolean): ValueTest {
  const parts = splitPattern(cased ? pattern : pattern.toLowerCase());
  return (found) => matchParts(parts, cased ? String(found) : String(found).toLowerCase());
}

/** Literal runs between stars; a literal is a list of characters, null standing for `?`. */
type Part = readonly (string | null)[];

function splitPattern(pattern: string): Part[] {
  const parts: (string | null)[][] = [[]];
  const last = (): (string | null)[] => parts.at(-1) as (string | null)[];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern.charAt(at);
    const next = pattern.charAt(at + 1);
    if (character === '\\' && (next === '*' || next === '?' || next === '\\')) {
      last().push(next);
      at++;
    } else if (character === '*') parts.push([]);
    else last().push(character === '?' ? null : character);
  }
  return parts;
}

function matchParts(parts: readonly Part[], text: string): boolean {
  const first = parts[0] as Part;
  if (parts.length === 1) return text.length === first.length && partAt(first, text, 0);
  if (!partAt(first, text, 0)) return false;
  const tail = parts.at(-1) as Part;
  const end = text.length - tail.length;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    let found = at;
    while (found + part.length <= end && !partAt(part, text, found)) found++;
    if (found + part.length > end) return false;
    at = found + part.length;
  }
  return end >= at && partAt(tail, text, end);
}

function partAt(part: Part, text: string, at: number): boolean {
  if (at < 0 || at + part.length > text.length) return false;
  return part.every((character, index) => character === null || text.charAt(at + index) === character);
}
