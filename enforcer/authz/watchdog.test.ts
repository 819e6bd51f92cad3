import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { lagLimitMs, looksUntilIll, looksUntilWell, stuckMs, watchIntervalMs } from './limits.ts';
import { createWatchdog, watchEventLoop } from './watchdog.ts';

function world() {
  const clock = new FakeClock(0);
  const now = { lag: 0, oldestMs: 0, sequence: 1, queued: 0, state: 'writable' as 'writable' | 'full' };
  const changes: string[] = [];
  const { ailments, task } = createWatchdog({
    clock,
    lagMs: () => now.lag,
    admission: { status: () => ({ waiting: 3, oldestMs: now.oldestMs }) },
    spool: () => now,
    onChange: (ailment, why) => changes.push(`${ailment}${why === '' ? ' over' : ''}`),
  });
  const stop = new AbortController();
  const running = task(stop.signal);
  const looks = async (count: number): Promise<void> => await clock.advance(count * watchIntervalMs);
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  return { now, changes, ailments, looks, end };
}

test('a lag that lasts is an ailment, one that passes is none, and it ends when all is well for a while', async () => {
  const { now, changes, ailments, looks, end } = world();
  now.lag = lagLimitMs + 1;
  await looks(looksUntilIll - 1);
  now.lag = 0;
  await looks(1);
  now.lag = lagLimitMs + 1;
  await looks(looksUntilIll - 1);
  assert.deepEqual(ailments(), {}, 'looks in a row, not in all');
  await looks(1);
  assert.match(ailments()['event-loop'] ?? '', /21 ms late/);
  now.lag = 0;
  await looks(looksUntilWell - 1);
  now.lag = lagLimitMs + 1;
  await looks(1);
  now.lag = 0;
  await looks(looksUntilWell - 1);
  assert.equal(changes.length, 1, 'still ill');
  await looks(1);
  assert.deepEqual(changes, ['event-loop', 'event-loop over']);
  assert.deepEqual(ailments(), {});
  await end();
});

test('answers that do not come, and a spool that does not move while events wait', async () => {
  const { now, changes, ailments, looks, end } = world();
  now.oldestMs = stuckMs + 1;
  await looks(looksUntilIll);
  assert.deepEqual(Object.keys(ailments()), ['decisions']);
  now.oldestMs = 0;
  now.queued = 5;
  await looks(looksUntilWell);
  assert.deepEqual(ailments(), {});
  await looks(stuckMs / watchIntervalMs + looksUntilIll);
  assert.deepEqual(Object.keys(ailments()), ['spool']);
  now.sequence = 6;
  await looks(looksUntilWell);
  assert.deepEqual(changes, ['decisions', 'decisions over', 'spool', 'spool over']);
  // Idle is not stuck, and full says so itself.
  now.queued = 0;
  await looks(100);
  now.queued = 5;
  now.state = 'full';
  await looks(100);
  assert.deepEqual(ailments(), {});
  await end();
});

test('a real event loop that is kept busy is seen to lag, an idle one is not', async () => {
  const loop = watchEventLoop();
  await systemClock.sleep(200);
  loop.lagMs();
  const start = performance.now();
  while (performance.now() - start < 400) {
    const slice = performance.now();
    while (performance.now() - slice < 60);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(loop.lagMs() > lagLimitMs);
  loop.close();
});
