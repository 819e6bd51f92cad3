// Real worker processes: what they allow is what the edge would, at every moment, or nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Slice } from '../../policy/bundle/index.ts';
import * as keys from '../activation/world.ts';
import { openWorld, type WorkersWorld } from './world.ts';

const allow = 0;
const forbidden = 7;
const unauthenticated = 16;

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    if (await holds()) return;
    await delay(50);
  }
  assert.fail(`never: ${what}`);
}

async function open(t: TestContext, slice: Slice = keys.slice('v1'), count = 1): Promise<WorkersWorld> {
  const world = await openWorld(count, slice);
  t.after(() => world.close());
  await until('the workers are ready', () => world.pool.ready() === count);
  return world;
}

const withGrant = (change: Partial<Slice['grants'][number]>): Slice => {
  const slice = keys.slice('changed');
  return { ...slice, selfTest: [], grants: slice.grants.map((grant) => ({ ...grant, ...change })) };
};
const pids = (): number[] =>
  execFileSync('pgrep', ['-P', String(process.pid), '-f', 'workers/worker.ts'], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map(Number);

test('each worker answers on a socket of its own, and what it decided comes to the spool', async (t) => {
  const world = await open(t, keys.slice('v1'), 2);
  for (const index of [2, 3]) {
    assert.equal(await world.ask(index, '/status'), allow);
    assert.equal(await world.ask(index, '/other'), forbidden);
    assert.equal(await world.ask(index, '/status', 'stranger'), forbidden);
    assert.equal(await world.health(index), 1);
  }
  await until('all six decisions are remembered', () => world.events.length === 6);
  const allowed = world.events.filter(({ data }) => data['decision'] === 'allow');
  assert.equal(allowed.length, 2);
});

test('a quarantine is in force in every worker when the edge says that it is', async (t) => {
  const world = await open(t, keys.slice('v1'), 2);
  await world.states({ 'gateway-1': 'quarantined' });
  for (const index of [2, 3]) assert.equal(await world.ask(index, '/status'), forbidden);
  await world.states({ 'gateway-1': 'trusted' });
  for (const index of [2, 3]) assert.equal(await world.ask(index, '/status'), allow);
});

test('island mode is in force in every worker when the edge says that it is', async (t) => {
  const world = await open(t, keys.slice('v1'), 2);
  world.settings.island = true;
  await world.states({ 'gateway-1': 'trusted' });
  for (const index of [2, 3]) assert.equal(await world.ask(index, '/status'), forbidden);
  world.settings.island = false;
  await world.states({ 'gateway-1': 'trusted' });
  for (const index of [2, 3]) assert.equal(await world.ask(index, '/status'), allow);
});

test('what people had opened is closed in the worker when the edge says that what ends it is in force', async (t) => {
  const world = await open(t, withGrant({ subjects: ['camera-1'] }));
  const opening = {
    rule: 'break-glass:read/00',
    place: 'break-glass/read.yaml:1',
    subject: 'gateway-1',
    binding: 'svid',
  } as const;
  const openings = [
    { ...opening, interface: 'web', device: keys.deviceId, operations: ['read'], afterHardExpiry: false },
  ];
  for (let time = 0; time < 3; time++) {
    world.settings.openings = openings;
    await until('the worker has heard of the opening', async () => (await world.ask(2, '/status')) === allow);
    // As when an order contains this edge: no opening is told of any more, and the order goes to the workers.
    world.settings.openings = [];
    await world.states({ 'gateway-1': 'trusted', [keys.deviceId]: 'quarantined' });
    assert.equal(await world.ask(2, '/status'), forbidden);
  }
});

test('a new bundle is in force in the worker when the edge says that it is', async (t) => {
  const world = await open(t);
  assert.equal(await world.ask(2, '/status'), allow);
  await world.publish(withGrant({ subjects: ['camera-1'] }));
  assert.equal(await world.ask(2, '/status'), forbidden);
});

test('a worker that does not take an order is dead when the edge says that it is in force, and comes back with it', async (t) => {
  const world = await open(t);
  const [pid = 0] = pids();
  process.kill(pid, 'SIGSTOP');
  await world.states({ 'gateway-1': 'quarantined' });
  assert.throws(() => process.kill(pid, 0), 'it is gone');
  await until('another one is ready', () => world.pool.ready() === 1);
  assert.equal(await world.ask(2, '/status'), forbidden);
});

test('a worker that is killed is started again, with what is in force', async (t) => {
  const world = await open(t);
  await world.states({ 'gateway-1': 'quarantined' });
  process.kill(pids()[0] ?? 0, 'SIGKILL');
  await until('another one is ready', async () => (await world.ask(2, '/status')) === forbidden);
  assert.deepEqual(world.dropped, [undefined], 'what it had not sent is lost, and the record says so');
});

test('a worker that is stopped has sent everything', async (t) => {
  const counted = withGrant({});
  const world = await open(t, {
    ...counted,
    interfaces: counted.interfaces.map((one) => ({ ...one, allowsSampled: 0 })),
  });
  for (const path of ['/status', '/other']) await Promise.all(Array.from({ length: 30 }, () => world.ask(2, path)));
  await world.pool.close();
  const decided = world.events.filter(({ kind }) => kind === 'authz');
  assert.equal(
    decided.reduce((sum, { data }) => sum + Number(data['count'] ?? 1), 0),
    60,
  );
  assert.deepEqual(world.dropped, []);
});

test('a worker that hears nothing of the edge allows nothing and says that it does not serve', async (t) => {
  const world = await open(t);
  assert.equal(await world.ask(2, '/status'), allow);
  world.settings.heartbeats = false;
  await until('it denies', async () => (await world.ask(2, '/status')) === forbidden);
  assert.equal(await world.health(2), 2);
  world.settings.heartbeats = true;
  await until('it allows again', async () => (await world.ask(2, '/status')) === allow);
});

test('uses are counted by the edge: what it does not take, the worker denies', async (t) => {
  const world = await open(t, withGrant({ uses: 10 }));
  world.settings.uses = 2;
  const codes = [await world.ask(2, '/status'), await world.ask(2, '/status'), await world.ask(2, '/status')];
  assert.deepEqual(codes, [allow, allow, forbidden]);
  assert.deepEqual([...new Set(world.used.map(({ subject }) => subject))], ['gateway-1']);
});

test('where audit has to be on disk, a full disk of the edge denies in the worker too', async (t) => {
  const slice = keys.slice('durable');
  const interfaces = slice.interfaces.map((entry) => ({ ...entry, auditDurable: true }));
  const world = await open(t, { ...slice, interfaces });
  assert.equal(await world.ask(2, '/status'), allow);
  assert.equal(world.events.length, 1);
  world.settings.spoolWorks = false;
  assert.equal(await world.ask(2, '/status'), forbidden);
});

test('who has no certificate of ours is nobody', async (t) => {
  const world = await open(t);
  assert.equal(await world.ask(2, '/status', ''), unauthenticated);
});
