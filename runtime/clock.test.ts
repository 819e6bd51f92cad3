import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from './clock.ts';
import { FakeClock } from './fake-clock.ts';

for (const [name, make] of [
  ['systemClock', () => systemClock],
  ['FakeClock', () => new FakeClock()],
] as const) {
  test(`${name}: an aborted sleep rejects with the reason of the signal`, async () => {
    const clock = make();
    const stop = new AbortController();
    const sleeping = clock.sleep(3_600_000, stop.signal);
    const reason = new Error('enough');
    stop.abort(reason);
    await assert.rejects(sleeping, (error) => error === reason);
    await assert.rejects(clock.sleep(0, stop.signal), (error) => error === reason);
  });
}

test('systemClock: a sleep longer than a timer can hold does not end at once', async () => {
  const stop = new AbortController();
  let ended = false;
  const sleeping = systemClock.sleep(2 ** 31 + 1000, stop.signal).finally(() => (ended = true));
  await systemClock.sleep(20);
  assert.equal(ended, false);
  stop.abort(new Error('stop'));
  await assert.rejects(sleeping, /stop/);
});

test('FakeClock: 400 days pass in one call, and what sleeps wakes in order at its time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 400 * 86_400_000 }), { maxLength: 12 }), async (delays) => {
      const clock = new FakeClock(0);
      const woken: number[] = [];
      const sleeping = delays.map(async (ms) => {
        await clock.sleep(ms);
        woken.push(clock.now());
      });
      await clock.advance(400 * 86_400_000);
      await Promise.all(sleeping);
      assert.deepEqual(
        woken,
        delays.toSorted((a, b) => a - b),
      );
      assert.equal(clock.monotonic(), 400 * 86_400_000);
    }),
    { numRuns: 25 },
  );
});

test('FakeClock: a loop that sleeps again is woken again within one advance', async () => {
  const clock = new FakeClock();
  let ticks = 0;
  const stop = new AbortController();
  const loop = (async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(1000, stop.signal);
      ticks++;
    }
  })();
  await clock.advance(10_500);
  assert.equal(ticks, 10);
  stop.abort(new Error('stop'));
  await assert.rejects(loop, /stop/);
  assert.equal(clock.sleeping, 0);
});

test('FakeClock: setting the wall clock wakes nobody and leaves the monotonic clock', async () => {
  const clock = new FakeClock(1000);
  let woken = false;
  const sleeping = clock.sleep(10).then(() => (woken = true));
  clock.set(5_000_000);
  await clock.advance(9);
  assert.equal(woken, false);
  assert.equal(clock.now(), 5_000_009);
  assert.equal(clock.monotonic(), 9);
  await clock.advance(1);
  await sleeping;
});
