import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { systemdWatchdog } from './health.ts';

const environment = { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' };

test('systemd hears three times in its interval that the loop turns, also after a time when it could not', async () => {
  const clock = new FakeClock(0);
  const heard: string[] = [];
  const lost: unknown[] = [];
  let broken = false;
  const notify = (state: string, socket: string): void => {
    if (broken) throw new Error('ENOENT');
    heard.push(`${state} ${socket}`);
  };
  const task = systemdWatchdog(environment, clock, (error) => lost.push(error), notify, 7);
  assert.ok(task);
  const stop = new AbortController();
  const running = task(stop.signal);
  await clock.advance(29_000);
  assert.deepEqual(
    heard,
    Array.from({ length: 3 }, () => 'WATCHDOG=1 /run/systemd/notify'),
  );
  broken = true;
  await clock.advance(10_000);
  broken = false;
  await clock.advance(10_000);
  assert.deepEqual([heard.length, lost.length], [4, 1]);
  stop.abort();
  await running;
});

test('nobody is told where no watchdog waits for this process', () => {
  const clock = new FakeClock(0);
  const { NOTIFY_SOCKET: _, ...without } = environment;
  const none = [without, { ...environment, WATCHDOG_PID: '8' }, { ...environment, WATCHDOG_USEC: '0' }, {}];
  for (const each of none) {
    assert.equal(
      systemdWatchdog(each, clock, () => undefined, assert.fail, 7),
      undefined,
    );
  }
});
