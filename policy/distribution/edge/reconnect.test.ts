import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconnectDelayMs } from './reconnect.ts';

test('never before the spread, at most twice the longest pause, which a small fleet keeps short', () => {
  const delays = (spreadMs: number, random: number) =>
    [0, 1, 2, 3, 4, 5, 50].map((attempt) => reconnectDelayMs(attempt, spreadMs, () => random));
  assert.deepEqual(delays(500, 0), [500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
  assert.deepEqual(delays(4_000, 0.5), [6_000, 12_000, 24_000, 45_000, 45_000, 45_000, 45_000]);
  assert.deepEqual(
    delays(300_000, 0),
    Array.from({ length: 7 }, () => 300_000),
  );
});
