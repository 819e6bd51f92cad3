import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from './fake-clock.ts';
import { createRateLimit } from './rate-limit.ts';

test('a key gets its burst at once, and then its rate', async () => {
  const clock = new FakeClock();
  const limit = createRateLimit({ burst: 3, perSecond: 2 }, clock);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => limit.take('a')),
    [0, 0, 0, 500],
  );
  assert.equal(limit.take('b'), 0);
  await clock.advance(500);
  assert.equal(limit.take('a'), 0);
  assert.equal(limit.take('a'), 500);
});

test('in no window is more granted than burst plus rate, whatever the order of calls', async () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    cost: fc.integer({ min: 1, max: 5 }),
    after: fc.nat({ max: 900 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const clock = new FakeClock(0);
      const limit = createRateLimit({ burst: 5, perSecond: 3 }, clock);
      const granted: { key: string; cost: number; at: number }[] = [];
      for (const { key, cost, after } of steps) {
        await clock.advance(after);
        if (limit.take(key, cost) === 0) granted.push({ key, cost, at: clock.now() });
      }
      for (const first of granted) {
        for (const last of granted) {
          const inside = granted.filter(({ key, at }) => key === first.key && at >= first.at && at <= last.at);
          const total = inside.reduce((sum, { cost }) => sum + cost, 0);
          assert.ok(total <= 5 + ((last.at - first.at) / 1000) * 3 + 1e-6 || last.at < first.at);
        }
      }
    }),
    { numRuns: 30 },
  );
});

test('waiting as long as told is enough', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.nat({ max: 4 }), async (cost, spent) => {
      const clock = new FakeClock();
      const limit = createRateLimit({ burst: 5, perSecond: 3 }, clock);
      for (let i = 0; i < spent; i++) limit.take('a');
      const wait = limit.take('a', cost);
      if (wait === 0) return;
      await clock.advance(wait);
      assert.equal(limit.take('a', cost), 0);
    }),
  );
});

test('more than the burst is never granted', () => {
  const limit = createRateLimit({ burst: 2, perSecond: 1 }, new FakeClock());
  assert.equal(limit.take('a', 3), Infinity);
});

test('a flood of new keys neither grows the memory nor frees a used-up key', async () => {
  const clock = new FakeClock();
  const limit = createRateLimit({ burst: 2, perSecond: 1, maxKeys: 10 }, clock);
  limit.take('attacker', 2);
  for (let i = 0; i < 1000; i++) limit.take(`flood-${i}`, 2);
  assert.ok(limit.size <= 11);
  assert.notEqual(limit.take('attacker'), 0);
  assert.notEqual(limit.take('flood-999'), 0, 'keys without a place share a bucket');
  await clock.advance(2000);
  assert.equal(limit.take('newcomer'), 0, 'rested keys made place');
});
