// Attributes read as their schema says: missing, undefined and empty are three things, and each fault has a name.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { AttributeTest, SliceAttribute } from '../bundle/conditions.ts';
import { attributeTestFault, compileAttributeTest } from './attribute-test.ts';
import { compileReader } from './attributes.ts';
import { rowOf } from './state-table.ts';
import { ask, get, now } from './testing/sample-slice.ts';
import type { AccessRequest, Attribute } from './request.ts';

const site: SliceAttribute = { source: 'subject', name: 'site', type: 'string' };
const having = (value: unknown, more: Partial<Attribute> = {}): AccessRequest =>
  ask('web', get('/'), { attributes: { site: { value, ...more } as Attribute } });
const without = ask('web', get('/'), { attributes: {} });

const readings = (schema: SliceAttribute, request: AccessRequest): unknown[] => {
  const reader = compileReader(schema);
  return [reader.read(request), reader.fault(request)];
};

test('attributes: missing is not undefined is not empty', () => {
  assert.deepEqual(readings(site, without), [undefined, 'missing']);
  assert.deepEqual(readings(site, having(undefined)), [undefined, 'undefined']);
  assert.deepEqual(readings(site, having(null)), [undefined, 'undefined']);
  assert.deepEqual(readings(site, having('')), ['', undefined]);
  assert.deepEqual(readings({ ...site, type: 'strings' }, having([])), [[], undefined]);
  const inherited = Object.create({ site: { value: 'a' } }) as Record<string, Attribute>;
  assert.deepEqual(readings(site, ask('web', get('/'), { attributes: inherited })), [undefined, 'missing']);
});

test('attributes: stale, undated and from the future count as missing, each by its name', () => {
  const dated: SliceAttribute = { ...site, maxAgeSeconds: 60 };
  assert.deepEqual(readings(dated, having('a', { asOf: now - 60_000 })), ['a', undefined]);
  assert.deepEqual(readings(dated, having('a', { asOf: now - 60_001 })), [undefined, 'stale']);
  assert.deepEqual(readings(dated, having('a')), [undefined, 'undated']);
  assert.deepEqual(readings(dated, having('a', { asOf: Number.NaN })), [undefined, 'from the future']);
  assert.deepEqual(readings(site, having('a', { asOf: now + 3_600_000 })), [undefined, 'from the future']);
  assert.deepEqual(readings(site, having('a')), ['a', undefined], 'what has no maximum age needs no date');
});

test('attributes: a value of another type, or outside what the schema lists, counts as missing', () => {
  const rows: [Partial<SliceAttribute>, unknown, 'mistyped' | 'out of range' | undefined][] = [
    [{ type: 'string' }, 7, 'mistyped'],
    [{ type: 'string' }, 'a'.repeat(4_097), 'mistyped'],
    [{ type: 'string', values: ['a'] }, 'b', 'out of range'],
    [{ type: 'number' }, '7', 'mistyped'],
    [{ type: 'number' }, Number.POSITIVE_INFINITY, 'mistyped'],
    [{ type: 'number', range: [0, 10] }, 10.5, 'out of range'],
    [{ type: 'number', range: [0, 10] }, 10, undefined],
    [{ type: 'integer' }, 1.5, 'mistyped'],
    [{ type: 'integer' }, 2, undefined],
    [{ type: 'boolean' }, 'true', 'mistyped'],
    [{ type: 'boolean' }, false, undefined],
    [{ type: 'strings' }, 'a', 'mistyped'],
    [{ type: 'strings' }, ['a', 1], 'mistyped'],
    [{ type: 'strings' }, Array.from({ length: 257 }, () => 'a'), 'mistyped'],
    [{ type: 'strings', values: ['a'] }, ['a', 'b'], 'out of range'],
    [{ type: 'strings', values: ['a'] }, ['a'], undefined],
  ];
  for (const [change, value, expected] of rows) {
    const schema = { ...site, ...change };
    assert.equal(compileReader(schema).fault(having(value)), expected, JSON.stringify([change, value]).slice(0, 80));
  }
});

const judged = (tests: Partial<AttributeTest>, type: SliceAttribute['type'], request: AccessRequest): string[] =>
  compileAttributeTest({ source: 'subject', name: 'site', ...tests }, { ...site, type }).map(({ judge }) =>
    judge(request, rowOf('trusted')),
  );

test('attribute conditions: each operator at its edge', () => {
  const rows: [Partial<AttributeTest>, SliceAttribute['type'], unknown, string][] = [
    [{ equals: 'a' }, 'string', 'a', 'holds'],
    [{ equals: 'a' }, 'string', 'A', 'fails'],
    [{ equals: '' }, 'string', '', 'holds'],
    [{ equals: 0 }, 'number', 0, 'holds'],
    [{ equals: false }, 'boolean', false, 'holds'],
    [{ equals: false }, 'boolean', true, 'fails'],
    [{ in: ['a', 'b'] }, 'string', 'b', 'holds'],
    [{ in: ['a', 'b'] }, 'string', 'c', 'fails'],
    [{ min: 5 }, 'number', 5, 'holds'],
    [{ min: 5 }, 'number', 4.999, 'fails'],
    [{ max: 5 }, 'integer', 5, 'holds'],
    [{ max: 5 }, 'integer', 6, 'fails'],
    [{ contains: ['a', 'b'] }, 'strings', ['b', 'c', 'a'], 'holds'],
    [{ contains: ['a', 'b'] }, 'strings', ['a'], 'fails'],
    [{ present: true }, 'strings', [], 'holds'],
    [{ present: true }, 'string', '', 'holds'],
    [{ equals: 0 }, 'number', '', 'unknown'],
    [{ equals: 'a' }, 'string', ['a'], 'unknown'],
    [{ present: true }, 'string', undefined, 'unknown'],
  ];
  for (const [tests, type, value, expected] of rows) {
    assert.deepEqual(judged(tests, type, having(value)), [expected], JSON.stringify([tests, value]));
    assert.deepEqual(judged(tests, type, without), ['unknown']);
  }
  assert.deepEqual(judged({ min: 1, max: 3 }, 'number', having(4)), ['holds', 'fails']);
});

test('attribute conditions: what the type or the schema makes meaningless is refused with the operator', () => {
  const fault = (tests: Partial<AttributeTest>, schema: Partial<SliceAttribute>) =>
    attributeTestFault({ source: 'subject', name: 'site', ...tests }, { ...site, ...schema });
  assert.equal(fault({ equals: 'a' }, {}), undefined);
  assert.deepEqual(fault({}, {}), { message: 'expected one of equals, in, present' });
  const rows: [Partial<AttributeTest>, Partial<SliceAttribute>, string, RegExp][] = [
    [{ min: 1 }, {}, 'min', /min cannot be asked of a string; expected equals, in, present/],
    [{ contains: ['a'] }, {}, 'contains', /cannot be asked of a string/],
    [
      { equals: 'a' },
      { type: 'strings' },
      'equals',
      /cannot be asked of a list of strings; expected contains, present/,
    ],
    [{ equals: 7 }, {}, 'equals', /7 is never a value of this attribute; expected a string/],
    [{ in: ['a', 'c'] }, { values: ['a', 'b'] }, 'in', /"c" is never a value of this attribute; expected one of a, b/],
    [{ contains: ['c'] }, { type: 'strings', values: ['a'] }, 'contains', /"c" is never/],
    [{ max: 200 }, { type: 'number', range: [0, 100] }, 'max', /200 is never.*a number from 0 to 100/],
    [{ min: 1.5 }, { type: 'integer' }, 'min', /1.5 is never.*an integer/],
    [{ min: 3, max: 2 }, { type: 'number' }, 'min', /min at most max, found 3 and 2/],
  ];
  for (const [tests, schema, operator, message] of rows) {
    const found = fault(tests, schema);
    assert.equal(found?.operator, operator);
    assert.match(found?.message ?? '', message);
  }
});

const anyValue = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'zz'),
  fc.integer({ min: -3, max: 12 }),
  fc.double({ noNaN: false }),
  fc.boolean(),
  fc.array(fc.constantFrom('', 'a', 'b', 'zz', 7 as unknown as string), { maxLength: 4 }),
  fc.constantFrom(undefined, null, {}),
);
const anySchema: fc.Arbitrary<SliceAttribute> = fc
  .record({
    type: fc.constantFrom('string', 'number', 'integer', 'boolean', 'strings'),
    values: fc.option(fc.subarray(['', 'a', 'b'], { minLength: 1 }), { nil: undefined }),
    range: fc.option(fc.constantFrom<[number, number]>([0, 5], [-1, 10]), { nil: undefined }),
  })
  .map(({ type, values, range }) => ({
    ...site,
    type,
    ...(values !== undefined && type.startsWith('string') ? { values } : {}),
    ...(range !== undefined && (type === 'number' || type === 'integer') ? { range } : {}),
  }));
const operators: Readonly<Record<Exclude<keyof AttributeTest, 'source' | 'name'>, readonly unknown[]>> = {
  equals: ['', 'a', 'c', 0, 5, true, false],
  in: [['a'], ['', 'b'], [1, 5], ['a', 1]],
  min: [0, 3, 2.5],
  max: [3, 9, -1],
  contains: [['a'], ['a', 'b'], ['']],
  present: [true],
};
/** One or two operators, whether or not the type has them. */
const anyTest = fc
  .uniqueArray(fc.constantFrom(...(Object.keys(operators) as (keyof typeof operators)[])), {
    minLength: 1,
    maxLength: 2,
  })
  .chain((used) => fc.tuple(...used.map((name) => fc.constantFrom(...operators[name]).map((value) => [name, value]))))
  .map((entries): AttributeTest => ({ source: 'subject', name: 'site', ...Object.fromEntries(entries) }));

/** Beyond that neighbours are the same number. */
const isExact = (value: number): boolean => value % 1 === 0 && Math.abs(value) < 2 ** 53;

/** Said again from the documentation: what a value of this schema is. */
function isValue({ type, values, range }: SliceAttribute, value: unknown): boolean {
  if (type === 'boolean') return typeof value === 'boolean';
  if (type === 'string') return typeof value === 'string' && (values?.includes(value) ?? true);
  if (type === 'strings') {
    return Array.isArray(value) && value.every((item) => typeof item === 'string' && (values?.includes(item) ?? true));
  }
  if (typeof value !== 'number' || !Number.isFinite(value) || (type === 'integer' && !isExact(value))) return false;
  return range === undefined || (value >= range[0] && value <= range[1]);
}

/** All operators together, in Kleene's logic. */
function expected(entry: AttributeTest, schema: SliceAttribute, value: unknown): string {
  if (!isValue(schema, value)) return 'unknown';
  const list = Array.isArray(value) ? value : [value];
  const holds =
    (entry.equals === undefined || value === entry.equals) &&
    (entry.in === undefined || entry.in.some((one) => one === value)) &&
    (entry.min === undefined || Number(value) >= entry.min) &&
    (entry.max === undefined || Number(value) <= entry.max) &&
    (entry.contains === undefined || entry.contains.every((one) => list.includes(one)));
  return holds ? 'holds' : 'fails';
}

test('property: a condition on an attribute either is refused with its operator, or answers as the documentation says', () => {
  let [refused, held] = [0, 0];
  fc.assert(
    fc.property(anySchema, anyTest, anyValue, (schema, entry, value) => {
      const fault = attributeTestFault(entry, schema);
      if (fault !== undefined) {
        refused++;
        assert.ok(fault.message.length > 10);
        return;
      }
      const truths = compileAttributeTest(entry, schema).map(({ judge }) => judge(having(value), rowOf('trusted')));
      const all = truths.every((truth) => truth === 'holds')
        ? 'holds'
        : truths.includes('unknown')
          ? 'unknown'
          : 'fails';
      assert.equal(all, expected(entry, schema, value));
      if (all === 'holds') held++;
    }),
    { numRuns: 20_000 },
  );
  assert.ok(refused > 300 && held > 50, `${refused} ${held}`);
});
