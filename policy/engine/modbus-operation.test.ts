// Which Modbus requests are surely inside an operation, and which possibly touch it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { SliceOperation } from '../bundle/slice.ts';
import { compileModbus } from './modbus-operation.ts';
import { access, get } from './testing/sample-slice.ts';
import type { Operation } from './request.ts';

type ModbusOperation = Extract<SliceOperation, { protocol: 'modbus' }>;

const operation = (more: Partial<ModbusOperation> = {}): ModbusOperation => ({
  name: 'x',
  protocol: 'modbus',
  functionCodes: [3, 6, 16, 22, 23, 43, 5, 15],
  units: [1],
  addresses: [
    [10, 19],
    [20, 29],
  ],
  class: 'normal',
  island: false,
  ...more,
});

function judged(request: Operation, more: Partial<ModbusOperation> = {}): string {
  const matched = compileModbus([operation(more)])(request, '');
  if (matched.kind === 'ambiguous') return 'ambiguous';
  if (matched.sure.length > 0) return 'sure';
  return matched.possible().length > 0 ? 'possible' : 'no';
}

test('modbus: an access lies inside one range with its first and its last register', () => {
  assert.equal(judged(access(3, 10)), 'sure');
  assert.equal(judged(access(3, 10, 10)), 'sure');
  assert.equal(judged(access(3, 19, 1)), 'sure');
  assert.equal(judged(access(3, 9, 2)), 'possible');
  assert.equal(judged(access(3, 9)), 'no');
  assert.equal(judged(access(3, 29, 2)), 'possible');
  assert.equal(judged(access(3, 30)), 'no');
  // Two ranges that touch are still two ranges: the author wrote two.
  assert.equal(judged(access(3, 19, 2)), 'possible');
  assert.equal(judged(access(4, 10)), 'no');
});

test('modbus: quantities that are none, too many or past the last address are nothing', () => {
  const whole: Partial<ModbusOperation> = { addresses: [[0, 65_535]] };
  assert.equal(judged(access(3, 65_535, 1), whole), 'sure');
  assert.equal(judged(access(3, 65_535, 2), whole), 'no');
  assert.equal(judged(access(3, 65_530, 100), whole), 'no');
  for (const quantity of [0, -1, 2_001, 65_536, 1.5, Number.NaN, Infinity]) {
    assert.equal(judged(access(3, 10, quantity), whole), 'no', String(quantity));
  }
  for (const address of [-1, 65_536, 0.5, Number.NaN]) assert.equal(judged(access(3, address), whole), 'no');
  for (const code of [0, 128, 131, 255, 3.5]) assert.equal(judged(access(code, 10), { functionCodes: [code] }), 'no');
});

test('modbus: unit 0 is broadcast and reaches a deny of any unit, but is granted only by name', () => {
  assert.equal(judged(access(3, 10, 1, [], 2)), 'no');
  assert.equal(judged(access(3, 10, 1, [], 0)), 'possible');
  assert.equal(judged(access(3, 10, 1, [], 0), { units: [] }), 'sure');
  assert.equal(judged(access(3, 10, 1, [], 256), { units: [] }), 'no');
});

test('modbus: every written value lies inside the range of values', () => {
  const limited: Partial<ModbusOperation> = { values: [100, 200] };
  assert.equal(judged(access(6, 10, 1, [100]), limited), 'sure');
  assert.equal(judged(access(6, 10, 1, [99]), limited), 'no');
  assert.equal(judged(access(16, 10, 2, [100, 201]), limited), 'possible');
  assert.equal(judged(access(16, 10, 2, [100, 200]), limited), 'sure');
  assert.equal(judged(access(16, 10, 2, [100]), limited), 'possible', 'fewer values than registers');
  assert.equal(judged(access(3, 10, 2), limited), 'sure', 'reading has no values');
  assert.equal(judged(access(3, 10, 1, [150]), limited), 'no', 'reading with values is malformed');
  assert.equal(judged(access(6, 10, 1, [70_000]), { values: [0, 65_535] }), 'no');
});

test('modbus: what a mask writes is unknown; a coil is 0 or 1; other functions carry no address', () => {
  assert.equal(judged(access(22, 10, 1, [0xffff, 1])), 'sure');
  assert.equal(judged(access(22, 10, 1, [0, 1]), { values: [0, 65_535] }), 'possible');
  assert.equal(judged(access(22, 10, 1, [1]), { values: [0, 65_535] }), 'possible');
  assert.equal(judged(access(5, 10, 1, [0xff00]), { values: [0, 1] }), 'sure');
  assert.equal(judged(access(5, 10, 1, [0xff00]), { values: [0, 0] }), 'no');
  assert.equal(judged(access(23, 10, 2, [])), 'sure');
  assert.equal(judged(access(43, 0, 0)), 'sure');
  assert.equal(judged(access(43, 0, 0), { values: [0, 1] }), 'possible');
  assert.equal(judged(get('/x')), 'no');
});

test('modbus: what is sure is possible, whatever the numbers', () => {
  const range = fc
    .tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 40 }))
    .map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);
  fc.assert(
    fc.property(
      fc.array(range, { minLength: 1, maxLength: 3 }),
      fc.option(range, { nil: undefined }),
      fc.subarray([3, 5, 6, 15, 16, 22, 23, 43], { minLength: 1 }),
      fc.constantFrom(3, 5, 6, 15, 16, 22, 23, 43, 0, 200),
      fc.integer({ min: -1, max: 42 }),
      fc.integer({ min: 0, max: 6 }),
      fc.array(fc.integer({ min: 0, max: 41 }), { maxLength: 6 }),
      fc.integer({ min: 0, max: 2 }),
      (addresses, values, functionCodes, code, address, quantity, written, unit) => {
        const match = compileModbus([
          operation({ addresses, functionCodes, ...(values === undefined ? {} : { values }) }),
        ]);
        const matched = match(access(code, address, quantity, written, unit), '');
        assert.ok(matched.kind === 'matched');
        if (matched.sure.length > 0) assert.deepEqual(matched.possible(), matched.sure);
        if (matched.sure.length > 0 && code !== 43) {
          for (let at = address; at < address + quantity; at++) {
            assert.ok(
              addresses.some(([low, high]) => low <= at && at <= high),
              'a register outside every range',
            );
          }
        }
      },
    ),
    { numRuns: 5_000 },
  );
});
