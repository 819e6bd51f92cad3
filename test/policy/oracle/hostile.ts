// Input that somebody made to break the reader: named giants, and random damage to what generate.ts makes.
import { type Instance, modelText, policyText } from './language.ts';
import { generate } from './generate.ts';
import { type Draw, drawFor } from './random.ts';

export interface Hostile {
  readonly name: string;
  readonly model: string;
  readonly policy: string;
  readonly requests: readonly unknown[];
}

const MEGABYTES_10 = 10_000_000;

function modelOf(matcher: string, fields = 'sub, obj'): string {
  return `[request_definition]\nr = ${fields}\n[policy_definition]\np = sub, obj\n[role_definition]\ng = _, _
[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = ${matcher}\n`;
}

const plain = modelOf('r.sub == p.sub');
const regex = modelOf('r.sub == p.sub&&regexMatch(r.obj, p.obj)');
const roles = modelOf('g(r.sub, p.sub)');
const times = (count: number, line: (index: number) => string, by = '\n'): string =>
  Array.from({ length: count }, (_, index) => line(index)).join(by);
const repeated = (text: string): string => text.repeat(MEGABYTES_10 / text.length);
const pathOf = (segment: string, count: number): string => segment.repeat(count);

/** Each is made when its turn comes: together they would not fit. */
const giants: readonly (readonly [name: string, model: () => string, policy: () => string])[] = [
  ['brackets without end', () => modelOf(repeated('(')), () => 'p, a, b'],
  ['negations', () => modelOf(`${'!'.repeat(4_000)}g(r.sub, p.sub)`), () => 'p, a, b'],
  ['empty lines of a model', () => repeated('\n'), () => ''],
  ['sections', () => repeated('[matchers]\n'), () => ''],
  ['continued lines', () => `[matchers]\nm = ${repeated('x\\\n')}`, () => ''],
  [
    'fields',
    () =>
      modelOf(
        'r.sub == p.sub',
        times(500_000, (index) => `f${index}`, ','),
      ),
    () => 'p, a, b',
  ],
  ['ways to come true', () => modelOf(times(60, () => '(r.sub == p.sub||r.obj == p.obj)', '&&')), () => 'p, a, b'],
  ['one line', () => plain, () => repeated('p')],
  ['empty lines', () => plain, () => repeated('\n')],
  ['quotes', () => plain, () => repeated('"')],
  ['an open quote', () => plain, () => `p, "${repeated('a')}`],
  ['columns', () => plain, () => `p${repeated(', a')}`],
  ['quoted columns', () => plain, () => `p${repeated(',"a"')}`],
  ['blanks', () => plain, () => `p,"a"${repeated(' ')}x`],
  ['lines', () => plain, () => repeated('p, a, b\n')],
  ['one name with all roles', () => roles, () => times(150_000, (index) => `g, a, role${index}`)],
  [
    'one role with all members',
    () => roles,
    () => `g, staff, top\n${times(150_000, (index) => `g, u${index}, staff`)}\ng, top, all`,
  ],
  ['everybody has everybody', () => roles, () => times(250, (one) => times(250, (other) => `g, u${one}, u${other}`))],
  ['a long chain', () => roles, () => times(150_000, (index) => `g, r${index}, r${index + 1}`)],
  [
    'layers of roles',
    () => roles,
    () => times(9, (layer) => times(3_600, (n) => `g, r${layer}x${n % 60}, r${layer + 1}x${Math.floor(n / 60)}`)),
  ],
  ['regexes', () => regex, () => times(2_000, (index) => `p, a, (.*){500}x${index}`)],
  [
    'nested repetitions',
    () => regex,
    () =>
      ['(a{1000}){1000}', '((a{100}){100}){100}', '^(a+)+$', '(a*)*'.repeat(100), '(a|a)*'.repeat(100)]
        .map((text) => `p, a, "${text}"`)
        .join('\n'),
  ],
  ['nested groups', () => regex, () => `p, a, ${'('.repeat(500)}${')'.repeat(500)}`],
  [
    'stars in the middle',
    () => modelOf('keyMatch2(r.obj, p.obj)'),
    () => times(2_000, (index) => `p, a, ${pathOf('/*', 100)}/x${index}`),
  ],
  [
    'branches of a trie',
    () => modelOf('keyMatch2(r.obj, p.obj)'),
    () => times(1 << 14, (index) => `p, a, ${times(14, (bit) => ((index >> bit) & 1 ? '/:x' : '/a'), '')}/z`),
  ],
  [
    'stars of a glob',
    () => modelOf('globMatch(r.obj, p.obj)'),
    () => times(2_000, (index) => `p, a, ${'a*'.repeat(200)}${index}`),
  ],
  ['deep rules', () => modelOf('eval(p.obj)'), () => `p, a, "${'('.repeat(400)}r.sub == p.sub${')'.repeat(400)}"`],
];

const attributes = (depth: number): unknown => {
  let value: unknown = 'x';
  for (let level = 0; level < depth; level++) value = { a: value };
  return value;
};

/** Asked of every model that compiles; not one is what the types promise. */
const requests: readonly unknown[] = [
  [],
  ['a'],
  ['a', 'b', 'c'],
  ['a', 'b'],
  ['', ''],
  ['u7', pathOf('/a', 4_000)],
  ['a', pathOf('/a', 14)],
  ['a', 'a'.repeat(8_192)],
  ['a', '/'.repeat(MEGABYTES_10)],
  ['__proto__', 'constructor'],
  ['\ud800', '\udc00'],
  ['a\u0000b', 'b'],
  [undefined, null],
  [Number.NaN, Number.POSITIVE_INFINITY],
  [true, 10n],
  [Symbol('a'), (): string => 'a'],
  [['a'], [['b']]],
  [{ toString: (): string => 'a' }, new Map([['a', 'b']])],
  [attributes(100_000), attributes(3)],
  [{ __proto__: { sub: 'a' } }, Object.create(null)],
  undefined,
  null,
  'ab',
  { length: 2, 0: 'a', 1: 'b' },
];

export const giantCount = giants.length;

export function hostile(seed: number, index: number): Hostile {
  const giant = giants[index];
  if (giant !== undefined) return { name: giant[0], model: giant[1](), policy: giant[2](), requests };
  const draw = drawFor(seed, index);
  const instance = generate(seed, index);
  const damaged = (text: string): string =>
    Array.from({ length: draw.between(1, 4) }).reduce<string>((all) => damage(all, draw), text);
  return {
    name: `damage ${index}`,
    model: draw.chance(0.4) ? damaged(modelText(instance)) : modelText(instance),
    policy: draw.chance(0.4) ? damaged(policyText(instance)) : policyText(instance),
    requests: [...instance.requests.slice(0, 3), strangeRequest(instance, draw), ...draw.picks(requests.slice(9), 2)],
  };
}

const scraps = [
  '\u0000',
  '\u0085',
  '\u2028',
  '\ufeff',
  '\ud800',
  '\udfff',
  '💧',
  '"',
  '""',
  "'",
  '`',
  '(',
  ')',
  '((',
  '[',
  ']',
  '{',
  '}',
  '\\',
  '\\\n',
  '\n',
  '\r\n',
  '\r',
  ',',
  ';',
  '#',
  '=',
  '==',
  '===',
  '!',
  '!!',
  '&',
  '&&',
  '|',
  '||',
  '.',
  '..',
  ' in ',
  ' in (',
  'r.',
  'p.',
  'r2.sub',
  'p.__proto__',
  'r.constructor.name',
  '__proto__',
  'constructor',
  'toString',
  'eval(',
  'eval(p.sub)',
  'g(',
  'g2(',
  'keyMatch2(r.obj, "/:")',
  'regexMatch(r.sub, "(a*)*$")',
  '/:',
  '/{',
  '/*',
  '**',
  '1e999',
  '-0',
  '0x10',
  'NaN',
  'true',
  'priority',
  'eft',
  'some(where (p.eft == allow))',
  '[matchers]',
  '[role_definition]\ng = _, _',
  'p, ',
  'g, ',
  '%s',
  '${x}',
  '$&',
  "$'",
  '\t',
  ' '.repeat(2_000),
  'a'.repeat(2_000),
];

function damage(text: string, draw: Draw): string {
  const at = draw.below(text.length + 1);
  const length = draw.between(1, draw.chance(0.2) ? 60 : 6);
  switch (draw.below(6)) {
    case 0:
      return text.slice(0, at) + text.slice(at + length);
    case 1:
      return text.slice(0, at) + text.slice(at, at + length).repeat(draw.between(2, 40)) + text.slice(at);
    case 2: {
      const from = draw.below(text.length + 1);
      return text.slice(0, at) + text.slice(from, from + length) + text.slice(at);
    }
    case 3:
      return text.slice(0, at) + String.fromCharCode(draw.below(0x10000)) + text.slice(at + 1);
    default:
      return text.slice(0, at) + draw.pick(scraps) + text.slice(draw.chance(0.5) ? at : at + length);
  }
}

function strangeRequest(instance: Instance, draw: Draw): unknown {
  const pieces = [...scraps, '', 'alice', '/a', '10.0.0.1', '::', '::ffff:1.2.3.4', '1'.repeat(400)];
  return instance.fields.map(() =>
    draw.chance(0.8) ? draw.picks(pieces, draw.between(1, 4)).join('') : draw.pick(requests),
  );
}
