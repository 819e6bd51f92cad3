// The answer to a fault in a file is its place and what was expected there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { z } from 'zod';
import { CodedError, formatPlace } from './errors.ts';
import { maxYamlBytes } from './limits.ts';
import { parseYaml, parseYamlWithPlaces, yamlFaults } from './yaml.ts';
import { editDistance } from './yaml-issues.ts';

const schema = z.strictObject({
  kind: z.enum(['plant', 'shop']),
  devices: z.array(
    z.strictObject({
      id: z.string().min(3),
      level: z.int().min(0).max(5).optional(),
      labels: z.record(z.string().regex(/^[a-z]+$/), z.string()).optional(),
      ports: z
        .record(
          z.string().refine((key) => key !== 'any', 'expected a port'),
          z.int(),
        )
        .optional(),
    }),
  ),
  address: z.union([z.ipv4(), z.ipv6()]).optional(),
  listen: z.union([z.string(), z.strictObject({ port: z.int() })]).optional(),
  interface: z
    .discriminatedUnion('protocol', [
      z.strictObject({ protocol: z.literal('modbus'), unit: z.int() }),
      z.strictObject({ protocol: z.literal('http'), paths: z.array(z.string()) }),
    ])
    .optional(),
});

function faults(text: string): string[] {
  try {
    parseYaml(text, 'f.yaml', schema);
  } catch (error) {
    assert.ok(error instanceof CodedError, String(error));
    assert.equal(error.code, 'CONFIG_INVALID');
    return yamlFaults(error).map((fault) => `${fault.place ? formatPlace(fault.place) : '?'} ${fault.message}`);
  }
  return [];
}

const valid = 'kind: plant\ndevices: []\n';

const cases: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a value of the wrong type',
    'kind: plant\ndevices:\n  - id: 12\n',
    ['f.yaml:3:9 devices[0].id: expected a text, found 12 (a number)'],
  ],
  [
    'a value out of range',
    `${valid.replace('[]', '')}  - {id: abc, level: 9}\n`,
    ['f.yaml:3:22 devices[0].level: expected at most 5, found 9 (a number)'],
  ],
  [
    'a word that is not of the list',
    'kind: plnat\ndevices: []\n',
    ['f.yaml:1:7 kind: expected one of plant, shop, found "plnat"'],
  ],
  [
    'an unknown key near a known one',
    `${valid}devcies: []\n`,
    ['f.yaml:3:1 unknown key "devcies"; did you mean "devices"?'],
  ],
  [
    'an unknown key in a list',
    'kind: plant\ndevices:\n  - id: abc\n    lable: {}\n',
    ['f.yaml:4:5 unknown key "lable" in devices[0]; did you mean "labels"?'],
  ],
  [
    'an unknown key near nothing',
    `${valid}completely_else: 1\n`,
    ['f.yaml:3:1 unknown key "completely_else"; expected one of kind, devices, address, listen, interface'],
  ],
  ['a missing key', 'devices: []\n', ['f.yaml:1:1 "kind" is missing: expected one of plant, shop']],
  [
    'a missing key in a list',
    'kind: plant\ndevices:\n  - id: abc\n  - level: 1\n',
    ['f.yaml:4:5 "id" is missing in devices[1]: expected a text'],
  ],
  ['a key without value', 'kind:\ndevices: []\n', ['f.yaml:1:1 kind: expected one of plant, shop, found nothing']],
  [
    'a bad key of a map',
    'kind: plant\ndevices:\n  - id: abc\n    labels: {A1: x}\n',
    ['f.yaml:4:14 key "A1": expected text like /^[a-z]+$/'],
  ],
  [
    'a key that a check of ours refuses',
    'kind: plant\ndevices:\n  - {id: abc, ports: {any: 1}}\n',
    ['f.yaml:3:23 key "any": expected a port'],
  ],
  [
    'no branch of a flat union',
    `${valid}address: 300.1.1.1\n`,
    ['f.yaml:3:10 address: expected an IPv4 address or an IPv6 address, found "300.1.1.1"'],
  ],
  [
    'the branch that was meant',
    `${valid}listen:\n  prot: 1\n`,
    [
      'f.yaml:4:3 "port" is missing in listen: expected a number',
      'f.yaml:4:3 unknown key "prot" in listen; did you mean "port"?',
    ],
  ],
  [
    'a wrong discriminator',
    `${valid}interface: {protocol: mqtt}\n`,
    ['f.yaml:3:23 interface.protocol: expected one of modbus, http, found "mqtt"'],
  ],
  [
    'a missing discriminator',
    `${valid}interface: {unit: 1}\n`,
    ['f.yaml:3:12 "protocol" is missing in interface: expected one of modbus, http'],
  ],
  [
    'a fault inside a discriminated branch',
    `${valid}interface: {protocol: modbus, unit: x}\n`,
    ['f.yaml:3:37 interface.unit: expected a number, found "x"'],
  ],
  [
    'several faults, in the order of the file',
    'kind: x\ndevices: 3\n',
    [
      'f.yaml:1:7 kind: expected one of plant, shop, found "x"',
      'f.yaml:2:10 devices: expected a list, found 3 (a number)',
    ],
  ],
  ['an empty file', '', ['f.yaml:1:1 expected a map, found nothing']],
  ['a list instead of a map', '- 1\n', ['f.yaml:1:1 expected a map, found a list of 1']],
  // What hides the meaning of a file.
  ['a key twice', `${valid}kind: shop\n`, ['f.yaml:3:1 expected each key once, found "kind" again']],
  [
    'a key twice in other spelling',
    `${valid}"kind": shop\n`,
    ['f.yaml:3:1 expected each key once, found "kind" again'],
  ],
  ['an alias', 'kind: &x plant\ndevices: *x\n', ['f.yaml:2:10 expected the value itself, found the alias *x']],
  ['a standard tag', 'kind: !!str plant\ndevices: []\n', ['f.yaml:1:13 expected no tag, found tag:yaml.org,2002:str']],
  [
    'a merge key',
    `${valid}<<: {a: 1}\n`,
    ['f.yaml:3:1 unknown key "<<"; expected one of kind, devices, address, listen, interface'],
  ],
  ['__proto__', `${valid}__proto__: {}\n`, ['f.yaml:3:1 expected another key, found __proto__']],
  ['a list as key', '? [a]\n: 1\n', ['f.yaml:1:3 expected a text as key']],
  ['a second document', `${valid}---\n${valid}`, ['f.yaml:3:1 expected one document, found a second']],
];

for (const [name, text, expected] of cases) test(`answer to ${name}`, () => assert.deepEqual(faults(text), expected));

test('syntax errors and unknown tags have a place too', () => {
  for (const text of [
    'devices: [\n',
    'a:\n\t- b',
    'kind: !!js/function x\n',
    'kind: !secret x\n',
    '%BAD 1\n---\na: 1\n',
    'a: "\\q"\n',
  ]) {
    assert.match(faults(text)[0] ?? '', /^f\.yaml:\d+:\d+ ./, text);
  }
});

test('nesting without end is refused, not a crash', () => {
  for (const piece of ['[', '{a: ', '- ', '? ', '[a,']) {
    assert.match(faults(piece.repeat(20_000))[0] ?? '', /levels/, piece);
  }
});

test('a file above the limit is refused before it is parsed', () => {
  assert.throws(() => parseYaml('x'.repeat(maxYamlBytes + 1), 'f.yaml', schema), { code: 'CONFIG_TOO_LARGE' });
});

test('valid files give their value, and the first of several faults says how many more', () => {
  assert.deepEqual(parseYaml(valid, 'f.yaml', schema), { kind: 'plant', devices: [] });
  assert.throws(() => parseYaml('kind: x\ndevices: 3\n', 'f.yaml', schema), { message: /found "x" \(and 1 more\)$/ });
});

const word = fc.stringMatching(/^[a-z]{1,8}$/);
const tree = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.oneof(word, fc.integer(), fc.boolean()),
    fc.array(tie('node'), { maxLength: 4 }),
    fc.dictionary(word, tie('node'), { maxKeys: 4 }),
  ),
})).node;

function leaves(
  value: unknown,
  path: readonly (string | number)[] = [],
): { path: readonly (string | number)[]; value: unknown }[] {
  if (typeof value !== 'object' || value === null) return [{ path, value }];
  return Object.entries(value).flatMap(([key, item]) =>
    leaves(item, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

test('the place of every value is where the file says it', () => {
  fc.assert(
    fc.property(tree, fc.boolean(), (value, flow) => {
      const text = stringify(value, { collectionStyle: flow ? 'flow' : 'any', lineWidth: 40 });
      const lines = text.split('\n');
      const { placeOf } = parseYamlWithPlaces(text, 'f.yaml', z.any());
      for (const leaf of leaves(value)) {
        const { line = 0, column = 0 } = placeOf(leaf.path);
        const rest = (lines[line - 1] ?? '').slice(column - 1);
        // Words like "true" or "null" are written in quotes.
        assert.ok(
          rest.replace(/^"/, '').startsWith(String(leaf.value)),
          `${JSON.stringify(leaf)} at ${line}:${column} of\n${text}`,
        );
      }
    }),
    { numRuns: 300 },
  );
});

test('any text is parsed or refused with a coded error', () => {
  const yamlish = fc.stringMatching(/^[a-c:\-?&*!|>'"%@`#{}[\], \n\t~<=.\\0-9]{0,60}$/);
  fc.assert(
    fc.property(fc.oneof(yamlish, fc.string({ unit: 'binary' })), (text) => {
      try {
        parseYaml(text, 'f.yaml', z.any());
      } catch (error) {
        assert.ok(
          error instanceof CodedError && (error.place?.line ?? 0) >= 1,
          `${String(error)} for ${JSON.stringify(text)}`,
        );
      }
    }),
    { numRuns: 2000 },
  );
});

test('edit distance counts insertions, removals, changes and swaps', () => {
  assert.deepEqual(
    [
      ['kind', 'knid'],
      ['a', ''],
      ['device', 'devices'],
      ['abc', 'xyz'],
      ['', ''],
    ].map(([a = '', b = '']) => editDistance(a, b)),
    [1, 1, 1, 3, 0],
  );
});
