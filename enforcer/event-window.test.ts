// Identical events become one with a count; different ones are bounded; nothing is left uncounted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '../audit/spool/index.ts';
import { FakeClock } from '../runtime/fake-clock.ts';
import { createEventWindow, type EventWindow } from './event-window.ts';

const event = (name: string): NewEvent => ({ kind: 'modbus', activity: 'deny', data: { path: name } });
const add = (window: EventWindow, name: string): void =>
  window.add({ key: name, event: () => event(name), coarse: () => ({ key: 'rest', event: () => event('rest') }) });

function setUp(maxDistinct = 10): { window: EventWindow; clock: FakeClock; sent: () => [string, number][] } {
  const clock = new FakeClock();
  const events: NewEvent[] = [];
  const emit = async (sent: NewEvent): Promise<void> => {
    events.push(sent);
    await Promise.resolve();
  };
  const window = createEventWindow(emit, clock, 1_000, maxDistinct, (error) => assert.fail(String(error)));
  return {
    window,
    clock,
    sent: () => events.splice(0).map(({ data }) => [String(data['path']), Number(data['count'])]),
  };
}

test('window: the first leaves at once, the rest of the window as one count', async () => {
  const { window, clock, sent } = setUp();
  for (let time = 0; time < 5; time++) add(window, 'a');
  assert.deepEqual(sent(), [['a', 1]]);
  await clock.advance(999);
  window.flush();
  assert.deepEqual(sent(), []);
  await clock.advance(1);
  window.flush();
  assert.deepEqual(sent(), [['a', 4]]);
});

test('window: a steady stream is one event a window; after a quiet one the next leaves at once', async () => {
  const { window, clock, sent } = setUp();
  for (let second = 0; second < 3; second++) {
    for (let time = 0; time < 10; time++) add(window, 'a');
    await clock.advance(1_000);
    window.flush();
  }
  assert.deepEqual(sent(), [
    ['a', 1],
    ['a', 9],
    ['a', 10],
    ['a', 10],
  ]);
  add(window, 'a');
  await clock.advance(500);
  window.flush();
  assert.deepEqual(sent(), [], 'the next window has only begun');
  for (let windows = 0; windows < 2; windows++) {
    await clock.advance(1_000);
    window.flush();
  }
  assert.deepEqual(sent(), [['a', 1]]);
  add(window, 'a');
  assert.deepEqual(sent(), [['a', 1]]);
});

test('window: above the bound events are counted together, and none is lost', () => {
  const { window, sent } = setUp(3);
  for (let name = 0; name < 100; name++) add(window, `n${name}`);
  add(window, 'n0');
  window.flush(true);
  const all = sent();
  assert.equal(all.length, 6);
  assert.equal(
    all.reduce((sum, [, count]) => sum + count, 0),
    101,
  );
  add(window, 'n50');
  assert.deepEqual(sent(), [['n50', 1]], 'room again after the flush');
});

test('window: an event that is not taken is reported and does not reject into nowhere', async () => {
  const lost: unknown[] = [];
  const clock = new FakeClock();
  const failing = (): Promise<void> => Promise.reject(new Error('disk full'));
  const throwing = (): Promise<void> => {
    throw new Error('broken');
  };
  for (const emit of [failing, throwing])
    add(
      createEventWindow(emit, clock, 1, 1, (error) => lost.push(error)),
      'a',
    );
  await clock.advance(1);
  assert.equal(lost.length, 2);
});
