import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson } from './canonical-json.ts';

const json = fc.jsonValue({ maxDepth: 6 }).filter((value) => JSON.stringify(value).isWellFormed());

test('canonical JSON means the same as JSON', () => {
  fc.assert(
    fc.property(json, (value) => assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value)))),
  );
});

test('it does not depend on the order in which keys were set', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, item]) => [key, shuffled(item)] as const);
    return Object.fromEntries(entries.toReversed());
  };
  fc.assert(fc.property(json, (value) => assert.equal(canonicalJson(shuffled(value)), canonicalJson(value))));
});

test('it is a fixed point: what it writes is what it writes of what it wrote', () => {
  fc.assert(
    fc.property(json, (value) => {
      const text = canonicalJson(value);
      assert.equal(canonicalJson(JSON.parse(text)), text);
    }),
  );
});

test('the examples of RFC 8785', () => {
  // Section 3.2.2 and 3.2.3; appendix B for numbers.
  const sorted = { '€': 1, '\r': 2, '\ufb33': 3, '1': 4, '😀': 5, '\u0080': 6, ö: 7 };
  assert.equal(canonicalJson(sorted), '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}');
  assert.equal(
    canonicalJson({
      numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 1e-27, -0],
      string: '€$\u000f\nA\'B"\\\\"/',
      literals: [null, true, false],
    }),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27,0],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
});

test('what JSON cannot say is refused with its place', () => {
  const deep: unknown[] = [];
  let inner = deep;
  for (let level = 0; level < 100; level++) inner.push((inner = []));
  const refused: [unknown, RegExp][] = [
    [undefined, /^\$: undefined/],
    [{ a: [1, undefined] }, /^\$\.a\[1\]/],
    // oxlint-disable-next-line no-sparse-arrays
    [[1, , 2], /^\$\[1\]/],
    [Number.NaN, /NaN/],
    [-Infinity, /Infinity/],
    [10n, /bigint/],
    ['\ud800', /surrogate/],
    [{ '\udfff': 1 }, /surrogate/],
    [new Date(0), /Date/],
    [new Uint8Array(2), /Uint8Array/],
    [new Map(), /Map/],
    [() => 1, /function/],
    [deep, /deeper/],
  ];
  for (const [value, message] of refused)
    assert.throws(() => canonicalJson(value), { code: 'CANONICAL_JSON_INVALID', message });
});

test('a key named __proto__ is a key like others', () => {
  assert.equal(canonicalJson(JSON.parse('{"__proto__":1,"a":2}')), '{"__proto__":1,"a":2}');
});
