// Island mode said while no edge runs: on disk and in the kernel, refused what an order holds, told at the next start.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { type KernelIsland, openIsland } from '../../enforcer/island/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { changeStored, type StoredChange } from './island-without-edge.ts';

const stateDir = '/var/lib/edgeward';
const position = { boot: 'boot-1', uptimeMs: 5_000, now: Date.UTC(2026, 5, 1), trusted: false };
const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};
const ann = { by: 'root (sudo: ann)', reason: 'smoke' };

async function stopped() {
  const fs = new SimulatedFiles();
  await fs.mkdir(stateDir);
  const kernel: KernelIsland[] = [];
  const ports: StoredChange = { fs, stateDir, position, kernel: (state) => Promise.resolve(void kernel.push(state)) };
  return { fs, kernel, ports };
}

async function nextStart(fs: SimulatedFiles) {
  const events: NewEvent[] = [];
  const island = await openIsland({
    fs,
    stateDir,
    clock: new FakeClock(position.now),
    position: () => ({ ...position, uptimeMs: 9_000, trusted: true }),
    leaseMs: () => undefined,
    kernel: () => Promise.resolve(),
    cutStreams: () => undefined,
    everywhere: () => Promise.resolve(),
    emit: (event) => Promise.resolve(void events.push(event)),
    log: silent,
  });
  return { island, events };
}

test('the kernel has it at once, the next start has it and tells who did it and when, once', async () => {
  const { fs, kernel, ports } = await stopped();
  const status = await changeStored(ports, { action: 'on', ...ann });
  assert.deepEqual([status.active, kernel], [true, [{ on: true }]]);
  const disk = fs.restart();
  const { island, events } = await nextStart(disk);
  assert.equal(island.active(), true);
  assert.deepEqual(
    events.map(({ activity, data }) => [activity, data['by'], data['reason'], data['first_ms'], data['state']]),
    [['island-on', ann.by, ann.reason, position.now, 'local']],
  );
  assert.deepEqual((await nextStart(disk.restart())).events, []);
});

test('coming back needs no edge either, and both words are told', async () => {
  const { fs, kernel, ports } = await stopped();
  await changeStored(ports, { action: 'on', ...ann });
  await changeStored(ports, { action: 'off', ...ann, reason: 'false alarm' });
  assert.deepEqual(kernel.at(-1), { on: false });
  const { island, events } = await nextStart(fs.restart());
  assert.equal(island.active(), false);
  assert.deepEqual(
    events.map(({ activity, data }) => [activity, data['reason']]),
    [
      ['island-on', 'smoke'],
      ['island-off', 'false alarm'],
    ],
  );
});

test('what was ordered stays, and the kernel is not asked', async () => {
  const { fs, kernel, ports } = await stopped();
  const { island } = await nextStart(fs);
  await island.follow({ island: { sequence: 3, issuedAt: 1, by: 'ops', reason: 'attack' }, rejoined: undefined });
  await assert.rejects(changeStored(ports, { action: 'off', ...ann }), { code: 'ISLAND_ORDERED' });
  assert.deepEqual(kernel, []);
  assert.equal((await nextStart(fs.restart())).island.active(), true);
});

test('a full disk does not keep the kernel open, a kernel that refuses does not keep the disk from knowing', async () => {
  const { fs, kernel, ports } = await stopped();
  fs.setFreeBytes(10);
  await assert.rejects(changeStored(ports, { action: 'on', ...ann }), { code: 'FILE_SYSTEM_FULL' });
  assert.deepEqual(kernel, [{ on: true }]);
  fs.setFreeBytes(Infinity);
  const refusing = { ...ports, kernel: () => Promise.reject(new Error('EPERM')) };
  await assert.rejects(changeStored(refusing, { action: 'on', ...ann }), /EPERM/);
  assert.equal((await nextStart(fs.restart())).island.active(), true);
});

test('many words of people fit: the first and the last are kept', async () => {
  const { fs, ports } = await stopped();
  for (let n = 0; n < 40; n++)
    await changeStored(ports, { action: n % 2 === 0 ? 'on' : 'off', by: 'ann', reason: `${n}` });
  const { events } = await nextStart(fs.restart());
  assert.equal(events.length, 16);
  assert.deepEqual([events[0]?.data['reason'], events.at(-1)?.data['reason']], ['0', '39']);
});
