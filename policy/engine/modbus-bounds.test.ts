// Quantity and change of Modbus operations: by hand, and against an oracle that looks at single registers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { SliceOperation } from '../bundle/slice.ts';
import { compileModbus } from './modbus-operation.ts';
import { contains, mayOverlap } from './operation-contains.ts';
import type { Operation } from './request.ts';
import { access } from './testing/sample-slice.ts';

type Rule = Extract<SliceOperation, { protocol: 'modbus' }>;
type Request = Extract<Operation, { protocol: 'modbus' }>;

const rule = (more: Partial<Rule> = {}): Rule => ({
  name: 'x',
  protocol: 'modbus',
  functionCodes: [3, 6, 16, 22, 23, 43],
  units: [1],
  addresses: [[0, 99]],
  class: 'normal',
  island: false,
  ...more,
});

function judged(request: Operation, more: Partial<Rule>): string {
  const matched = compileModbus([rule(more)])(request, '');
  if (matched.kind === 'ambiguous') return 'ambiguous';
  if (matched.sure.length > 0) return 'sure';
  return matched.possible().length > 0 ? 'possible' : 'no';
}

const changed = (request: Operation, change: number): Operation => ({ ...request, change }) as Operation;

test('modbus: an access has at most the quantity; a longer one holds one that is denied', () => {
  const few = { maxQuantity: 10 };
  assert.equal(judged(access(3, 0, 10), few), 'sure');
  assert.equal(judged(access(3, 0, 11), few), 'possible');
  assert.equal(
    judged(
      access(
        16,
        0,
        11,
        Array.from({ length: 11 }, () => 1),
      ),
      few,
    ),
    'possible',
  );
  assert.equal(judged(access(43, 0, 0), few), 'possible', 'what it touches is not seen');
  assert.equal(judged(access(22, 0, 1, [0, 1]), { maxQuantity: 1 }), 'sure');
});

test('modbus: a write changes its registers by at most so much, as far as somebody knows', () => {
  const slow = { maxChangePerMinute: 5 };
  assert.equal(judged(changed(access(6, 0, 1, [9]), 5), slow), 'sure');
  assert.equal(judged(changed(access(6, 0, 1, [9]), 6), slow), 'no');
  assert.equal(judged(access(6, 0, 1, [9]), slow), 'possible', 'nobody knows the value before');
  assert.equal(judged(changed(access(16, 0, 2, [9, 9]), 6), slow), 'possible', 'one of the two may change by less');
  assert.equal(judged(access(3, 0, 2), slow), 'sure', 'reading changes nothing');
  assert.equal(judged(access(23, 0, 2), slow), 'sure', 'its reading half');
  assert.equal(judged(changed(access(23, 0, 1, [9]), 5), slow), 'sure');
  assert.equal(judged(access(23, 0, 1, [9]), slow), 'possible');
  assert.equal(judged(changed(access(22, 0, 1, [0, 1]), 0), slow), 'possible', 'a mask promises nothing');
  assert.equal(judged(access(43, 0, 0), slow), 'possible');
  for (const change of [-1, 0.5, 65_536, Number.NaN]) {
    assert.equal(judged(changed(access(6, 0, 1, [9]), change), slow), 'no', String(change));
  }
});

const range = fc
  .tuple(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 8 }))
  .map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);
const present = <T extends object>(all: T): T =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as T;
const bound = fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined });

const rules: fc.Arbitrary<Rule> = fc
  .record({
    functionCodes: fc.subarray([3, 6, 16, 22, 23, 43], { minLength: 1 }),
    units: fc.subarray([1, 2]),
    addresses: fc.array(range, { minLength: 1, maxLength: 2 }),
    values: fc.option(range, { nil: undefined }),
    maxQuantity: bound,
    maxChangePerMinute: bound,
  })
  .map((all) => rule(present(all) as Partial<Rule>));

const requests: fc.Arbitrary<Request> = fc
  .record({
    unit: fc.integer({ min: 0, max: 2 }),
    functionCode: fc.constantFrom(3, 6, 16, 16, 22, 23, 43),
    address: fc.integer({ min: 0, max: 8 }),
    quantity: fc.integer({ min: 1, max: 4 }),
    seed: fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 4, maxLength: 4 }),
    change: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
    half: fc.boolean(),
  })
  .map(({ seed, change, half, ...rest }): Request => {
    const { functionCode } = rest;
    const single = functionCode === 6 || functionCode === 22;
    const quantity = functionCode === 43 ? 0 : single ? 1 : rest.quantity;
    const address = functionCode === 43 ? 0 : rest.address;
    const reads = functionCode === 3 || functionCode === 43 || (functionCode === 23 && half);
    const values = reads ? [] : functionCode === 22 ? seed.slice(0, 2) : seed.slice(0, quantity);
    return { protocol: 'modbus', ...rest, address, quantity, values, ...(change === undefined ? {} : { change }) };
  });

/** Everything it touches, all of it known and inside. */
function surely(one: Rule, { unit, functionCode, address, quantity, values, change }: Request): boolean {
  if (!one.functionCodes.includes(functionCode) || (one.units.length > 0 && !one.units.includes(unit))) return false;
  const bounds = [one.values, one.maxQuantity, one.maxChangePerMinute];
  if (functionCode === 43) return bounds.every((entry) => entry === undefined);
  const touched = Array.from({ length: quantity }, (_, index) => address + index);
  if (!one.addresses.some(([low, high]) => touched.every((at) => at >= low && at <= high))) return false;
  if (one.maxQuantity !== undefined && touched.length > one.maxQuantity) return false;
  if (functionCode === 22) return one.values === undefined && one.maxChangePerMinute === undefined;
  if (values.length === 0) return true;
  const limit = one.maxChangePerMinute;
  const [low, high] = one.values ?? [0, 65_535];
  return (
    values.every((value) => value >= low && value <= high) && (limit ?? Infinity) >= (change ?? (limit ? Infinity : 0))
  );
}

/** Some register of it alone, with some change that it may have had, would surely be inside; a broadcast reaches every unit. */
function maybe(one: Rule, request: Request): boolean {
  const { functionCode, address, quantity, values, change } = request;
  const units = request.unit === 0 ? [0, 1, 2] : [request.unit];
  return units.some((unit) => {
    if (functionCode === 43)
      return surely({ ...rule({ functionCodes: one.functionCodes }), units: one.units }, { ...request, unit });
    return Array.from({ length: quantity }, (_, index) => index).some((index) => {
      const part = { protocol: 'modbus' as const, unit, functionCode, address: address + index, quantity: 1 };
      // What a mask leaves there may be any value.
      if (functionCode === 22) {
        const { values: _, maxChangePerMinute: __, ...open } = one;
        return surely(open, { ...part, values });
      }
      if (values.length === 0) return surely(one, { ...part, values: [] });
      const known = quantity === 1 && change !== undefined ? [change] : [0];
      return known.some((by) => surely(one, { ...part, values: [values[index] ?? 0], change: by }));
    });
  });
}

test('modbus: what is sure and what is possible is what an oracle over single registers says', () => {
  let [sure, possible] = [0, 0];
  fc.assert(
    fc.property(rules, requests, (one, request) => {
      const matched = compileModbus([one])(request, '');
      assert.ok(matched.kind === 'matched');
      assert.equal(matched.sure.length > 0, surely(one, request), 'sure');
      const doubt = matched.possible().length > 0;
      // Of several registers the engine does not ask which value goes into which: more is possible than the oracle says.
      if (request.quantity < 2 || !doubt) assert.equal(doubt, maybe(one, request), 'possible');
      sure += matched.sure.length;
      possible += matched.possible().length;
    }),
    { numRuns: 20_000 },
  );
  assert.ok(sure > 500 && possible > sure + 500, `${sure} sure, ${possible} possible`);
});

/** Often the same but for a bound, so that one contains the other. */
const pairs = fc
  .tuple(rules, rules, bound, bound, fc.boolean())
  .map(([one, other, maxQuantity, maxChangePerMinute, alike]): [Rule, Rule] => {
    const { maxQuantity: _, maxChangePerMinute: __, ...open } = one;
    return [one, alike ? { ...open, ...present({ maxQuantity, maxChangePerMinute }) } : other];
  });

test('modbus: an operation that contains another holds all its requests, and one that cannot overlap shares none', () => {
  let [inside, apart] = [0, 0];
  fc.assert(
    fc.property(pairs, fc.array(requests, { minLength: 20, maxLength: 20 }), ([outer, inner], asked) => {
      const [wide, overlap] = [contains(outer, inner, ''), mayOverlap(inner, outer, '')];
      for (const request of asked.filter((each) => surely(inner, each))) {
        if (wide) assert.ok(surely(outer, request), 'contained');
        const matched = compileModbus([outer])(request, '');
        if (!overlap) assert.ok(matched.kind === 'matched' && matched.possible().length === 0, 'apart');
        inside += Number(wide);
        apart += Number(!overlap);
      }
    }),
    { numRuns: 5_000 },
  );
  assert.ok(inside > 200 && apart > 200, `${inside} inside, ${apart} apart`);
});
