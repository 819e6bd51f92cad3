// Rates and uses against a simple model: never more than allowed, whatever the clock does; never less than that either.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createUseCounts } from './usage-counts.ts';
import type { UseLimit } from './usage.ts';

const words = { rate: '', uses: '', unavailable: '' };
const rate = (count: number, perMs: number): UseLimit => ({
  rate: { key: `g@d/rate:${count}:${perMs}`, count, perMs },
  words,
});
const uses = (count: number, grant = 'g'): UseLimit => ({ uses: { key: `${grant}@d/uses:${count}`, count }, words });

test('uses: each subject has its own, and none comes back', () => {
  const counts = createUseCounts();
  const limit = uses(2);
  const take = (subject: string): string => counts.take(limit, subject, 0);
  assert.deepEqual(
    [take('a'), take('b'), take('a'), take('a'), take('b'), take('b')],
    ['taken', 'taken', 'taken', 'uses', 'taken', 'uses'],
  );
  assert.equal(counts.take(uses(3), 'a', 0), 'taken', 'another limit is another count');
});

test('a look takes nothing, and both limits are taken or none', () => {
  const counts = createUseCounts();
  const both: UseLimit = { ...rate(1, 1_000), ...uses(2), words };
  for (let index = 0; index < 5; index++) assert.equal(counts.look(both, 'a', 0), 'taken');
  assert.equal(counts.take(both, 'a', 0), 'taken');
  for (let index = 0; index < 5; index++) assert.equal(counts.take(both, 'a', 500), 'rate');
  assert.equal(counts.take(both, 'a', 1_000), 'taken', 'what the rate refused cost no use');
  assert.equal(counts.take(both, 'a', 9_000), 'uses');
});

test('a rate is a sliding window, not a counter that starts anew', () => {
  const counts = createUseCounts();
  const limit = rate(3, 1_000);
  const at = (time: number): string => counts.take(limit, 'a', time);
  assert.deepEqual([at(900), at(950), at(990), at(1_010), at(1_899)], ['taken', 'taken', 'taken', 'rate', 'rate']);
  assert.deepEqual([at(1_900), at(1_901)], ['taken', 'rate']);
});

test('a clock set back refills nothing, also when it was looked at in between', () => {
  const counts = createUseCounts();
  const limit = rate(1, 1_000);
  assert.equal(counts.take(limit, 'a', 50_000), 'taken');
  assert.equal(counts.take(limit, 'a', 10), 'rate');
  assert.equal(counts.look(limit, 'a', 60_000), 'taken');
  assert.equal(counts.take(limit, 'a', 50_999), 'rate');
  assert.equal(counts.take(limit, 'a', Number.NaN), 'unavailable');
  assert.equal(counts.take(limit, 'a', 51_000), 'taken');
});

test('memory is bounded: what has no room is denied, and what is over makes room', () => {
  const counts = createUseCounts({ keys: 2, times: 3 });
  const used = uses(9);
  assert.deepEqual(
    ['a', 'b', 'c', 'a'].map((subject) => counts.take(used, subject, 0)),
    ['taken', 'taken', 'unavailable', 'taken'],
  );
  const limit = rate(2, 1_000);
  const at = (subject: string, time: number): string => counts.take(limit, subject, time);
  assert.deepEqual([at('a', 0), at('b', 0), at('c', 0)], ['taken', 'taken', 'unavailable'], 'keys');
  assert.deepEqual([at('a', 1), at('b', 1)], ['taken', 'unavailable'], 'times');
  assert.equal(at('c', 2_000), 'taken');
});

test('restored counts go on; what is spent never becomes less', () => {
  const counts = createUseCounts();
  const [used, limit] = [uses(2), rate(2, 1_000)];
  counts.restoreSpent({ key: used.uses?.key ?? '', subject: 'a', count: 1 });
  counts.restoreSpent({ key: used.uses?.key ?? '', subject: 'a', count: 0 });
  counts.setWindow({ key: limit.rate?.key ?? '', subject: 'a', perMs: 1_000, times: [0, 500] });
  assert.deepEqual([counts.take(used, 'a', 0), counts.take(used, 'a', 0)], ['taken', 'uses']);
  assert.deepEqual([counts.take(limit, 'a', 999), counts.take(limit, 'a', 1_000)], ['rate', 'taken']);
  assert.deepEqual([...counts.spent()], [{ key: 'g@d/uses:2', subject: 'a', count: 2 }]);
  assert.deepEqual(
    [...counts.windows()].map(({ times }) => times),
    [[500, 1_000]],
  );
});

test('property: no window ever holds more than the rate, and nobody is refused below it', () => {
  const steps = fc.array(
    fc.record({ wait: fc.integer({ min: -2_000, max: 700 }), subject: fc.constantFrom('a', 'b'), look: fc.boolean() }),
    { maxLength: 60 },
  );
  let refused = 0;
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 1_500 }), (all, count, perMs) => {
      const counts = createUseCounts();
      const limit = rate(count, perMs);
      const taken: Record<string, number[]> = { a: [], b: [] };
      let clock = 10_000;
      for (const { wait, subject, look } of all) {
        clock += wait;
        const times = taken[subject] ?? [];
        // Time as the subject's uses have seen it: it does not go back.
        const now = Math.max(clock, times.at(-1) ?? clock);
        const inWindow = times.filter((time) => now - time < perMs).length;
        const answer = look ? counts.look(limit, subject, clock) : counts.take(limit, subject, clock);
        assert.equal(answer, inWindow < count ? 'taken' : 'rate');
        if (answer === 'rate') refused++;
        else if (!look) times.push(now);
      }
      for (const times of Object.values(taken)) {
        for (const [index, time] of times.entries()) {
          const later = times[index + count];
          assert.ok(later === undefined || later - time >= perMs);
        }
      }
    }),
    { numRuns: 1_000 },
  );
  assert.ok(refused > 30);
});
