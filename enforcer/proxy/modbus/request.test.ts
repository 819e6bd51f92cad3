// Every function that carries addresses, decoded; contradictions and what the specification forbids told apart.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decodeRequest } from './request.ts';

const decoded = (...pdu: number[]): unknown => {
  const request = decodeRequest(1, Buffer.from(pdu));
  switch (request.kind) {
    case 'request':
      return request.operations.map(({ functionCode, address, quantity, values }) => [
        functionCode,
        address,
        quantity,
        ...values,
      ]);
    case 'illegal':
      return request.exception;
    case 'malformed':
      return 'malformed';
  }
};

test('request: reads', () => {
  for (const code of [1, 2, 3, 4]) assert.deepEqual(decoded(code, 0, 107, 0, 3), [[code, 107, 3]]);
  assert.deepEqual(decoded(3, 0xff, 0xff, 0, 1), [[3, 65_535, 1]]);
  assert.equal(decoded(3, 0, 0, 0, 0), 3);
  assert.equal(decoded(3, 0, 0, 0, 126), 3);
  assert.deepEqual(decoded(1, 0, 0, 7, 0xd0), [[1, 0, 2_000]]);
  assert.equal(decoded(1, 0, 0, 7, 0xd1), 3);
  assert.equal(decoded(3, 0xff, 0xff, 0, 2), 2, 'past the last register');
  assert.equal(decoded(3, 0, 0, 0), 'malformed');
  assert.equal(decoded(3, 0, 0, 0, 1, 0), 'malformed');
});

test('request: single writes', () => {
  assert.deepEqual(decoded(5, 0, 9, 0xff, 0), [[5, 9, 1, 1]]);
  assert.deepEqual(decoded(5, 0, 9, 0, 0), [[5, 9, 1, 0]]);
  assert.equal(decoded(5, 0, 9, 0, 1), 3);
  assert.deepEqual(decoded(6, 0, 9, 1, 2), [[6, 9, 1, 258]]);
  assert.deepEqual(decoded(22, 0, 9, 0xf2, 0, 0, 0x25), [[22, 9, 1, 0xf200, 0x25]]);
  for (const code of [5, 6, 22]) assert.equal(decoded(code, 0, 9, 0), 'malformed');
  assert.equal(decoded(6, 0, 9, 1, 2, 3), 'malformed');
});

test('request: multiple writes', () => {
  assert.deepEqual(decoded(15, 0, 19, 0, 10, 2, 0xcd, 0x01), [[15, 19, 10, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0]]);
  assert.equal(decoded(15, 0, 19, 0, 10, 1, 0xcd), 'malformed', 'fewer bytes than coils');
  assert.equal(decoded(15, 0, 19, 0, 10, 2, 0xcd), 'malformed', 'fewer bytes than stated');
  assert.equal(decoded(15, 0, 19, 0, 0, 0), 3);
  assert.deepEqual(decoded(16, 0, 1, 0, 2, 4, 0, 10, 1, 2), [[16, 1, 2, 10, 258]]);
  assert.equal(decoded(16, 0, 1, 0, 1, 4, 0, 10, 1, 2), 'malformed', 'more values than registers');
  assert.equal(decoded(16, 0, 1, 0, 2, 4, 0, 10, 1, 2, 9), 'malformed', 'a byte at the end');
  assert.equal(decoded(16, 0xff, 0xff, 0, 2, 4, 0, 10, 1, 2), 2);
  assert.equal(decoded(16, 0, 1, 0, 200, 0), 3);
  assert.equal(decoded(16, 0, 1), 'malformed');
});

test('request: reading and writing at once is two operations, the write first', () => {
  assert.deepEqual(decoded(23, 0, 3, 0, 6, 0, 14, 0, 1, 2, 0, 255), [
    [23, 14, 1, 255],
    [23, 3, 6],
  ]);
  assert.equal(decoded(23, 0, 3, 0, 6, 0, 14, 0, 1, 4, 0, 255), 'malformed');
  assert.equal(decoded(23, 0, 3, 0, 0, 0, 14, 0, 1, 2, 0, 255), 3);
  assert.equal(decoded(23, 0, 3, 0, 6, 0, 14, 0, 0, 0), 3);
  assert.equal(decoded(23, 0xff, 0xff, 0, 6, 0, 14, 0, 1, 2, 0, 255), 2);
  assert.equal(decoded(23, 0, 3), 'malformed');
});

test('request: other functions have no address; 0 and what has the bit of an exception are none', () => {
  for (const code of [7, 8, 11, 17, 20, 21, 24, 43, 90, 127]) assert.deepEqual(decoded(code, 1, 2, 3), [[code, 0, 0]]);
  for (const code of [0, 128, 131, 255]) assert.equal(decoded(code, 1), 1);
});

test('request: any bytes decode without a fault, and a request never says more registers than it has bytes for', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 253 }),
      fc.constantFrom(1, 3, 5, 6, 15, 16, 22, 23, 0),
      (bytes, code) => {
        const pdu = Buffer.from(bytes);
        if (code > 0) pdu[0] = code;
        const request = decodeRequest(1, pdu);
        if (request.kind !== 'request') return;
        for (const { address, quantity, values, functionCode } of request.operations) {
          assert.ok(address + quantity <= 0x10000);
          if ([6, 16].includes(functionCode)) assert.equal(values.length, quantity);
          assert.ok(values.every((value) => value >= 0 && value <= 0xffff));
        }
      },
    ),
    { numRuns: 3_000 },
  );
});
