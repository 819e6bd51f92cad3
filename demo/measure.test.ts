import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containMs, missed, p99 } from './measure.ts';
import type { Poll } from './site.ts';

const polls = (count: number, change: (n: number) => Partial<Poll> = () => ({})): Poll[] =>
  Array.from({ length: count }, (_, n) => ({ at: 1_000 + n * 100, ok: true, ms: 1, ...change(n) }));

test('a failed poll is a missed one, and so is one that never happened', () => {
  assert.deepEqual(missed(polls(100), 1_000, 11_000, 100), { expected: 100, missed: 0 });
  assert.deepEqual(
    missed(
      polls(100, (n) => ({ ok: n !== 50 })),
      1_000,
      11_000,
      100,
    ),
    { expected: 100, missed: 1 },
  );
  assert.deepEqual(missed(polls(100).slice(0, 60), 1_000, 11_000, 100), { expected: 100, missed: 38 });
  assert.deepEqual(missed([], 1_000, 11_000, 100), { expected: 100, missed: 98 });
});

test('the 99th percentile is of polls that were answered', () => {
  assert.equal(p99(polls(100, (n) => ({ ms: n + 1 }))), 99);
  assert.equal(p99(polls(10, (n) => ({ ms: n === 9 ? 5_000 : 2, ok: n !== 9 }))), 2);
  assert.equal(p99([]), 0);
});

test('containment is measured only where a packet was accepted and somebody still tried', () => {
  const tries = polls(100); // 1,000 to 10,900
  assert.equal(containMs(1_500, [1_400, 1_510, 1_730], tries), 230);
  assert.throws(() => containMs(1_500, [], tries), /saw no packet/);
  assert.throws(() => containMs(1_500, [1_400], tries), /saw no packet/);
  assert.throws(() => containMs(1_500, [1_510, 1_730], tries.slice(0, 8)), /nothing on gateway-1 tried/);
  assert.throws(() => containMs(1_500, [1_510, 1_730], []), /nothing on gateway-1 tried/);
  assert.throws(() => containMs(1_500, [1_510, 6_000], tries), /4500 ms after .* at most 3000/);
});
