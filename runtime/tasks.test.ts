import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from './errors.ts';
import { FakeClock } from './fake-clock.ts';
import { backoff, isAbort, periodically, runTasks, type Task } from './tasks.ts';

const untilAborted =
  (onStop: () => void | Promise<void> = () => undefined): Task =>
  async (signal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
    await onStop();
  };

test('the first failure stops the others and is rethrown', async () => {
  const stopped: string[] = [];
  const failure = new Error('disk on fire');
  await assert.rejects(
    runTasks(new AbortController().signal, {
      a: untilAborted(() => void stopped.push('a')),
      b: async () => {
        throw failure;
      },
      c: untilAborted(() => {
        stopped.push('c');
        throw new Error('second');
      }),
    }),
    (error) => error === failure,
  );
  assert.deepEqual(stopped.toSorted(), ['a', 'c']);
});

test('being asked to stop is not a failure, also for tasks that reject with the reason', async () => {
  const stop = new AbortController();
  const clock = new FakeClock();
  const running = runTasks(stop.signal, { a: untilAborted(), b: (signal) => clock.sleep(1e9, signal) });
  stop.abort();
  await running;
});

test('tasks that end by themselves end the run when all have', async () => {
  await runTasks(new AbortController().signal, { a: async () => undefined, b: async () => undefined });
});

test('a task that does not stop is left behind and named', async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const stuck = Promise.withResolvers<void>();
  const running = runTasks(stop.signal, { fine: untilAborted(), stuck: () => stuck.promise }, { drainMs: 5000, clock });
  const outcome = assert.rejects(
    running,
    (error) => error instanceof CodedError && error.code === 'TASK_NOT_DRAINED' && error.message.startsWith('stuck '),
  );
  stop.abort();
  await clock.advance(4999);
  await clock.advance(1);
  await outcome;
  stuck.resolve();
});

test('a signal that is aborted before the start stops the tasks too', async () => {
  await runTasks(AbortSignal.abort(), { a: async (signal) => signal.throwIfAborted() });
});

test('periodically works at once, then after each interval, until asked to stop', async () => {
  const clock = new FakeClock(0);
  const stop = new AbortController();
  const at: number[] = [];
  const task = periodically(clock, 1000, async () => void at.push(clock.now()))(stop.signal);
  await clock.advance(2500);
  stop.abort();
  await task;
  assert.deepEqual(at, [0, 1000, 2000]);
});

test('periodically ends with the error of its work', async () => {
  const clock = new FakeClock();
  const failing = periodically(clock, 1000, async () => {
    throw new Error('no');
  });
  await assert.rejects(failing(new AbortController().signal), /no/);
});

test('backoff stays within its limits, and spreads a fleet over the whole of them', () => {
  fc.assert(
    fc.property(fc.nat({ max: 5000 }), fc.double({ min: 0, max: 0.999999, noNaN: true }), (attempt, random) => {
      const wait = backoff(attempt, { firstMs: 100, maxMs: 30_000 }, () => random);
      assert.ok(wait >= 50 && wait <= 30_000);
    }),
  );
  assert.equal(
    backoff(3, { firstMs: 100, maxMs: 30_000 }, () => 1),
    800,
  );
  assert.equal(
    backoff(60, { firstMs: 100, maxMs: 30_000 }, () => 1),
    30_000,
  );
});

test('isAbort tells the end of a signal from a failure that happened to come after it', () => {
  const stop = new AbortController();
  assert.equal(isAbort(new DOMException('x', 'AbortError'), stop.signal), false);
  stop.abort(new Error('reason'));
  assert.equal(isAbort(stop.signal.reason, stop.signal), true);
  assert.equal(isAbort(new Error('ENOSPC'), stop.signal), false);
});
