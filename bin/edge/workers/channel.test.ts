import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { NewEvent } from '../../../audit/spool/index.ts';
import { createDecisionLog } from '../../../enforcer/authz/index.ts';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { createChannel } from './channel.ts';
import type { FromWorker } from './messages.ts';

const event = (n: number): NewEvent => ({ kind: 'authz', activity: 'deny', data: { count: n } });
const limit = { uses: { key: 'a@b uses', count: 3 }, words: { rate: '', uses: '', unavailable: '' } };

/** A channel whose messages leave when the test says so. */
function world() {
  const sent: FromWorker[] = [];
  let leave: (() => void)[] = [];
  const channel = createChannel((message, left) => {
    sent.push(message);
    leave.push(left);
  });
  const deliver = (): void => {
    const now = leave;
    leave = [];
    for (const left of now) left();
  };
  return { channel, sent, deliver };
}

const eventsIn = (sent: readonly FromWorker[]): number =>
  sent.reduce((sum, message) => sum + (message.kind === 'events' ? message.events.length : 0), 0);
const droppedIn = (sent: readonly FromWorker[]): number =>
  sent.reduce((sum, message) => sum + (message.kind === 'events' ? message.dropped : 0), 0);

test('events of one turn travel together, and none is lost or sent twice', async () => {
  const { channel, sent, deliver } = world();
  for (let n = 0; n < 10; n++) await channel.emit(event(n));
  await turn();
  assert.equal(sent.length, 1);
  for (let n = 10; n < 15; n++) await channel.emit(event(n));
  await turn();
  assert.equal(sent.length, 1, 'while one message is under way the next one gathers');
  deliver();
  assert.deepEqual(
    sent.flatMap((message) => (message.kind === 'events' ? message.events.map(({ data }) => data['count']) : [])),
    Array.from({ length: 15 }, (_, n) => n),
  );
});

test('while the edge takes nothing memory is bounded, and every event is sent or counted as dropped', async () => {
  const { channel, sent, deliver } = world();
  await channel.emit(event(0));
  await turn();
  for (let n = 1; n < 20_000; n++) await channel.emit(event(n));
  const flushed = channel.flushed();
  deliver();
  deliver();
  await flushed;
  assert.equal(eventsIn(sent) + droppedIn(sent), 20_000);
  assert.ok(droppedIn(sent) > 10_000);
});

test('an event that has to be on disk is kept when the edge says so, and only then', async () => {
  const { channel, sent } = world();
  const kept = channel.emit(event(1), true);
  const lost = channel.emit(event(2), true);
  const ids = sent.map((message) => (message.kind === 'keep' ? message.id : 0));
  channel.answered(ids[1] ?? 0, false);
  channel.answered(ids[0] ?? 0, true);
  await kept;
  await assert.rejects(lost);
  channel.answered(99, true);
});

test('counts that the edge keeps late are counted once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { channel, sent } = world();
  const log = createDecisionLog(channel.emit, {
    clock: new FakeClock(0),
    random: randomBytes,
    allowsSampled: () => 0,
    onLost: () => undefined,
  });
  const decision = {
    allow: true,
    reason: 'granted',
    rule: 'grant:a',
    place: '',
    operation: 'view',
    bundle: 'ab',
  } as const;
  const operation = { protocol: 'port' } as const;
  log.note(
    { interface: 'web', operation, peer: {}, connection: '', source: 'ext-authz' },
    { subject: 'a', decision, message: '' },
  );
  const answer = (): void => {
    for (const message of sent.splice(0)) if (message.kind === 'keep') channel.answered(message.id, true);
  };
  const asked = (): number => sent.filter(({ kind }) => kind === 'keep').length;
  const closed = log.close();
  const first = asked();
  t.mock.timers.tick(60_000);
  await turn();
  answer();
  await closed;
  const again = log.close();
  const second = asked();
  answer();
  await again;
  assert.deepEqual([first, second], [1, 0]);
});

test('a use is taken on trust and waits for the edge; without one nothing is asked', async () => {
  const { channel, sent } = world();
  const none = channel.usage();
  assert.equal(none.recorded(), undefined);
  const usage = channel.usage();
  assert.equal(usage.settled.take(limit, 'gateway-1', 1), 'unavailable', 'what was not taken is not settled');
  assert.equal(usage.take(limit, 'gateway-1', 1), 'taken');
  const recorded = usage.recorded();
  assert.deepEqual(sent, [{ kind: 'use', id: 1, uses: [{ limit, subject: 'gateway-1', time: 1 }] }]);
  channel.answered(1, false);
  assert.equal(await recorded, false);
  assert.equal(usage.settled.take(limit, 'gateway-1', 2), 'taken');
  assert.equal(usage.settled.take(limit, 'camera-1', 2), 'unavailable');
});

test('more that waits for the disk than has room is refused at once', async () => {
  const { channel, sent } = world();
  const waiting = Array.from({ length: 2_048 }, (_, n) => channel.emit(event(n), true).catch(() => 'refused'));
  await assert.rejects(channel.emit(event(0), true));
  for (const message of sent) if (message.kind === 'keep') channel.answered(message.id, true);
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set([undefined]));
});
