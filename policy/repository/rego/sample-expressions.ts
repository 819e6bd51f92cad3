// Expressions of Rego for each group of built-in functions and for the language itself, the inputs they read, and one
// package that has them all: what the differential test asks opa and the engine.
import * as fc from 'fast-check';
import type { builtIns } from './capabilities.ts';

const word = fc.stringMatching(/^[a-cA-C \-./:]{0,6}$/);
const text = fc.oneof(
  word,
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.constantFrom('', 'ß', 'ÄÖ', '日本', 'a\tb\n', '"\\'),
);
const integer = fc.oneof(
  fc.integer({ min: -5, max: 5 }),
  fc.integer(),
  fc.constantFrom(2 ** 31, 2 ** 53 - 1, -(2 ** 53 - 1)),
);
const number = fc.oneof(
  integer,
  fc.integer({ min: -4_000, max: 4_000 }).map((value) => value / 8),
);
const scalar = fc.oneof(fc.constant(null), fc.boolean(), number, text);
const list = (of: fc.Arbitrary<unknown>) => fc.array(of, { maxLength: 5 });
const object = (of: fc.Arbitrary<unknown>) =>
  fc.dictionary(fc.constantFrom('a', 'b', 'c', 'ä', 'x/y', ''), of, { maxKeys: 4 });
const value = fc.oneof(scalar, list(scalar), object(scalar), list(object(scalar)), object(list(scalar)));
const cidr = fc
  .tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 }), fc.ipV6(), fc.integer({ min: 0, max: 128 }), fc.boolean())
  .map(([four, bits, six, more, is4]) => (is4 ? `${four}/${bits}` : `${six}/${more}`));
const address = fc.oneof(fc.ipV4(), fc.ipV6(), cidr, fc.constantFrom('10.1.2.3', '10.0.0.0/8', '::1', 'x', ''));
const pattern = fc.constantFrom(
  'a',
  '^a+$',
  '[a-c]*b',
  '(a|b)c?',
  '^$',
  '.',
  '\\d+',
  '[',
  '(?i)B',
  'ß',
  '^[^/]+/b$',
  'a{2,3}',
  '\\p{L}',
);

/** One input has all that any expression below reads. */
export const expressionInput = fc.record({
  i: integer,
  j: integer,
  n: number,
  m: number,
  s: text,
  t: text,
  ns: list(number),
  ss: list(text),
  tt: list(text),
  v: value,
  w: value,
  vs: list(value),
  ws: list(scalar),
  o: object(value),
  p: object(scalar),
  ip: address,
  net: cidr,
  re: pattern,
  small: fc.integer({ min: -3, max: 12 }),
  shift: fc.integer({ min: 0, max: 40 }),
  json: fc.oneof(fc.json({ maxDepth: 2 }), text, fc.constantFrom('{"a":1}', '[1,2.50]', '1e3', ' [] ', 'tru')),
  graph: fc.dictionary(
    fc.constantFrom('a', 'b', 'c', 'd'),
    fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 3 }),
  ),
});

/** Expressions by the group of built-ins they show (capabilities.ts), and of the language itself. */
export const expressions: Readonly<Record<keyof typeof builtIns | 'language', readonly string[]>> = {
  comparison: [
    'input.v == input.w',
    'input.v != input.w',
    'input.v < input.w',
    'input.v <= input.w',
    'input.v > input.w',
    'input.v >= input.w',
    'input.vs == input.ws',
    'input.v == input.v',
    '[x | x := input.v]',
    '[x | x = input.w]',
  ],
  numbers: [
    'input.i + input.j',
    'input.n - input.m',
    'input.n * input.m',
    'input.small / 4',
    'input.i % input.j',
    'abs(input.n)',
    'ceil(input.n)',
    'floor(input.n)',
    'round(input.n)',
    'numbers.range(input.small, 3)',
    'to_number(input.s)',
    'to_number(input.v)',
    'to_number(input.json)',
  ],
  bits: [
    'bits.and(input.shift, input.small)',
    'bits.or(input.shift, 5)',
    'bits.xor(input.shift, 9)',
    'bits.negate(input.shift)',
    'bits.lsh(input.shift, 3)',
    'bits.rsh(input.shift, 2)',
    'bits.lsh(1, input.shift)',
  ],
  aggregates: [
    'count(input.v)',
    'count(input.s)',
    'sum(input.ns)',
    'product(input.ns)',
    'max(input.vs)',
    'min(input.vs)',
    'max({x | some x in input.ws})',
    'sort(input.vs)',
    'sort({x | some x in input.ss})',
  ],
  sets: [
    'sort({x | some x in input.ss} & {x | some x in input.tt})',
    'sort({x | some x in input.ss} | {x | some x in input.tt})',
    'sort({x | some x in input.ss} - {x | some x in input.tt})',
    'sort(union({{x | some x in input.ss}, {x | some x in input.tt}}))',
    'sort(intersection({{x | some x in input.ss}, {x | some x in input.tt}}))',
    'input.v in input.vs',
    'input.s in {x | some x in input.ss}',
    '"a", input.w in input.o',
    'sort(intersection(set()))',
    'sort({x | some x in input.ws})',
  ],
  arrays: [
    'array.concat(input.vs, input.ws)',
    'array.reverse(input.vs)',
    'array.slice(input.vs, input.small, 3)',
    'array.slice(input.vs, 1, input.small)',
    'array.flatten(input.vs)',
  ],
  objects: [
    'object.get(input.o, "a", "none")',
    'object.get(input.o, ["a", "b"], 7)',
    'sort(object.keys(input.o))',
    'object.remove(input.o, ["a", "b"])',
    'object.filter(input.o, ["a", "c"])',
    'object.union(input.o, input.p)',
    'object.union_n([input.o, input.p, {"z": 1}])',
    'json.filter(input.o, ["a/b", "c"])',
    'json.remove(input.o, ["a/b", "c"])',
    'json.remove(input.o, input.ss)',
  ],
  types: [
    'is_array(input.v)',
    'is_boolean(input.v)',
    'is_null(input.v)',
    'is_number(input.v)',
    'is_object(input.v)',
    'is_set({x | some x in input.ws})',
    'is_string(input.v)',
    'type_name(input.v)',
  ],
  strings: [
    'concat(input.s, input.ss)',
    'contains(input.s, input.t)',
    'endswith(input.s, input.t)',
    'startswith(input.s, input.t)',
    'lower(input.s)',
    'upper(input.s)',
    'split(input.s, input.t)',
    'strings.replace_n({"a": "b", "b": "c"}, input.s)',
    'strings.reverse(input.s)',
    'substring(input.s, input.small, 2)',
    'substring(input.s, 1, input.small)',
    '$"{input.s}: {input.i} {input.v}"',
  ],
  trimming: [
    'trim(input.s, input.t)',
    'trim_left(input.s, input.t)',
    'trim_right(input.s, input.t)',
    'trim_prefix(input.s, input.t)',
    'trim_suffix(input.s, input.t)',
    'trim_space(input.s)',
    'trim(input.s, " ")',
  ],
  patterns: [
    'regex.match(input.re, input.s)',
    'regex.match(input.t, input.s)',
    'regex.is_valid(input.re)',
    'regex.is_valid(input.s)',
    'regex.find_all_string_submatch_n(input.re, input.s, -1)',
  ],
  networks: [
    'net.cidr_contains(input.net, input.ip)',
    'net.cidr_intersects(input.net, input.ip)',
    'net.cidr_contains("10.0.0.0/8", input.ip)',
    'net.cidr_contains(input.ip, input.net)',
  ],
  encoding: ['json.unmarshal(input.json)', 'base64.encode(input.s)', 'base64url.encode(input.s)'],
  graphs: [
    'sort(graph.reachable(input.graph, {"a"}))',
    'sort(graph.reachable(input.graph, ["b", "c"]))',
    'sort({path | walk(input.o, [path, _])})',
    'sort([x | walk(input.vs, [_, x]); is_string(x)])',
  ],
  language: [
    '[x | some x in input.vs; not x in input.ws]',
    '{k: v | some k, v in input.o}',
    'every x in input.ns { x < 100 }',
    'data.diff.table[input.s]',
    'data.diff.list[input.small]',
    'input.o.a.b',
    'sort({x | x := input.vs[_].a})',
    'helper(input.i)',
    'chosen',
    'input.missing',
    'count([1 | some a in input.vs; some b in input.vs; a == b])',
  ],
};

export const table = { table: { a: 1, b: [2], '': {} }, list: [0, 'one', null, [3]] };

/** One rule for each expression, asked by its number: what one of them runs into is no matter of the others. */
export function packageOf(lines: readonly string[]): string {
  const rules = lines.map((line, index) => {
    const [head, condition] = line.startsWith('every ') ? ['true', `; ${line}`] : [line, ''];
    return `decision := ${head} if { input.ask == ${index}${condition} }`;
  });
  return `package diff

${rules.join('\n\n')}

helper(x) := "positive" if x > 0

helper(x) := "zero" if x == 0

default chosen := "nothing"

chosen := "text" if is_string(input.v)
else := "list" if is_array(input.v)
`;
}
