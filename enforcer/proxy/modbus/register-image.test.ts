// What is known of registers, against a plain list of everything that was ever seen.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_IMAGE_REGISTERS } from '../limits.ts';
import { createRegisterImage } from './register-image.ts';

const server = '192.0.2.1:502';
const minute = 60_000;

test('image: the change of a write is never less than to any value of the last minute, and not known without one', () => {
  const step = fc.record({
    wait: fc.integer({ min: 0, max: 30_000 }),
    address: fc.integer({ min: 0, max: 3 }),
    value: fc.integer({ min: 0, max: 0xffff }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 0, max: 0xffff }), (steps, value) => {
      let now = 0;
      const image = createRegisterImage(() => now);
      const seen: { at: number; address: number; value: number }[] = [];
      for (const { wait, address, value: held } of steps) {
        now += wait;
        image.saw(server, 1, 'holding', address, [held]);
        seen.push({ at: now, address, value: held });
      }
      for (let address = 0; address < 4; address++) {
        const own = seen.filter((one) => one.address === address);
        const of = (age: number) => own.filter((one) => now - one.at <= age);
        // What a register had, it had until something else was seen, unless that was too long after.
        const held = (age: number) =>
          own.filter((one, index) => now - one.at <= age || isWithin(one.at, own[index + 1]?.at, age));
        const isWithin = (at: number, until: number | undefined, age: number): boolean =>
          until !== undefined && now - until <= age && until - at <= age;
        const differences = (age: number) => held(age).map((one) => Math.abs(one.value - value));
        const change = image.change(server, 1, 'holding', address, [value]);
        if (of(minute).length > 0) {
          assert.ok(change !== undefined && change >= Math.max(...differences(minute)));
          assert.deepEqual(image.last(server, 1, 'holding', address, 1), [of(minute).at(-1)?.value]);
        }
        // A step of ten seconds may hold a value for that much longer, and no more.
        if (change !== undefined) assert.ok(change <= Math.max(...differences(minute + 10_000)));
      }
    }),
  );
});

test('image: units, tables and servers are kept apart, and of several registers one that is not known leaves all unknown', () => {
  const image = createRegisterImage(() => 0);
  image.saw(server, 1, 'holding', 10, [5, 6]);
  assert.equal(image.change(server, 1, 'holding', 10, [7, 7]), 2);
  assert.equal(image.change(server, 1, 'holding', 10, [7, 7, 7]), undefined);
  assert.equal(image.change(server, 2, 'holding', 10, [7]), undefined);
  assert.equal(image.change(server, 1, 'coil', 10, [1]), undefined);
  assert.equal(image.change('192.0.2.2:502', 1, 'holding', 10, [7]), undefined);
  assert.deepEqual(image.last(server, 1, 'holding', 10, 2), [5, 6]);
});

test('image: it is bounded, and forgets what was seen longest ago', () => {
  const image = createRegisterImage(() => 0);
  image.saw(server, 1, 'holding', 0, [1]);
  for (let address = 0; address < MAX_IMAGE_REGISTERS; address++) image.saw(server, 2, 'holding', address, [1]);
  assert.equal(image.last(server, 1, 'holding', 0, 1), undefined);
  assert.deepEqual(image.last(server, 2, 'holding', 0, 1), [1]);
});

test('image: a register had its value of before until it got another, however long ago that was seen', () => {
  let now = 0;
  const image = createRegisterImage(() => now);
  image.saw(server, 1, 'holding', 0, [0]);
  now = minute - 1_000;
  image.saw(server, 1, 'holding', 0, [10]);
  // The zero was seen 71 s ago, and held until 12 s ago.
  now = minute + 11_000;
  assert.equal(image.change(server, 1, 'holding', 0, [20]), 20);
});

test('image: reading many registers does not make it forget what a written one had', () => {
  let now = 0;
  const image = createRegisterImage(() => now);
  image.saw(server, 1, 'holding', 0, [0]);
  image.wrote(server, 1, 'holding', 0, [10]);
  for (let address = 1; address <= MAX_IMAGE_REGISTERS; address++) image.saw(server, 1, 'holding', address, [1]);
  image.saw(server, 1, 'holding', 0, [10]);
  assert.equal(image.change(server, 1, 'holding', 0, [20]), 20);
});

test('image: when there were too many written ones to keep, what is only read again measures nothing for a minute', () => {
  let now = 0;
  const image = createRegisterImage(() => now);
  for (let address = 0; address <= MAX_IMAGE_REGISTERS; address++) image.wrote(server, 1, 'holding', address, [1]);
  image.saw(server, 1, 'holding', 0, [1]);
  assert.equal(image.change(server, 1, 'holding', 0, [1]), undefined);
  assert.equal(image.change(server, 1, 'holding', MAX_IMAGE_REGISTERS, [2]), 1);
  now = minute + 10_000;
  image.saw(server, 1, 'holding', 0, [1]);
  assert.equal(image.change(server, 1, 'holding', 0, [2]), 1);
});
