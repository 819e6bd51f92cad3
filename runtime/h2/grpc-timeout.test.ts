// grpc-timeout: digits, unit, nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseGrpcTimeout } from './grpc-timeout.ts';

test('each unit', () => {
  const values = ['2H', '2M', '2S', '2m', '2000u', '2000000n', '0m', '99999999H'].map(parseGrpcTimeout);
  assert.deepEqual(values, [7_200_000, 120_000, 2_000, 2, 2, 2, 0, 359_999_996_400_000]);
});

test('anything else is malformed', () => {
  for (const text of [
    '',
    'm',
    '1',
    '123456789m',
    '1s',
    '-1m',
    '+1m',
    '1.5S',
    ' 1S',
    '1S ',
    '1SS',
    '1e3m',
    '٣S',
    '1\n',
  ]) {
    assert.equal(parseGrpcTimeout(text), undefined, JSON.stringify(text));
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.equal(parseGrpcTimeout(text) !== undefined, /^[0-9]{1,8}[HMSmun]$/.test(text) && !text.endsWith('\n'));
    }),
  );
});
