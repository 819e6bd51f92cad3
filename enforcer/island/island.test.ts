// Island mode while an edge runs: what counts when, over power cuts, full disks and a kernel that refuses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { type Island, type IslandPorts, type KernelIsland, openIsland, readIsland } from './index.ts';

const stateDir = '/var/lib/edgeward';
const start = Date.UTC(2026, 5, 1);
const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};
const ann = { by: 'ann', reason: 'smoke in hall 2' };
const ordered = (sequence: number) => ({
  island: { sequence, issuedAt: start, by: 'ops', reason: 'attack' },
  rejoined: undefined,
});
const rejoin = (sequence: number, issuedAt: number) => ({ island: undefined, rejoined: { sequence, issuedAt } });

interface World {
  readonly island: Island;
  readonly events: NewEvent[];
  readonly kernel: KernelIsland[];
  readonly told: string[];
  readonly faults: { kernel: boolean };
  uptimeMs: number;
}

async function world(fs: SimulatedFiles, changes: Partial<IslandPorts> = {}, uptimeMs = 0): Promise<World> {
  const made = {
    events: [] as NewEvent[],
    kernel: [] as KernelIsland[],
    told: [] as string[],
    faults: { kernel: false },
    uptimeMs,
  };
  await fs.mkdir(stateDir);
  const island = await openIsland({
    fs,
    stateDir,
    clock: new FakeClock(start),
    position: () => ({ boot: 'boot-1', uptimeMs: made.uptimeMs, now: start + made.uptimeMs, trusted: true }),
    leaseMs: () => undefined,
    kernel: (state) => {
      if (made.faults.kernel) return Promise.reject(new Error('netlink: EBUSY'));
      made.kernel.push(state);
      return Promise.resolve();
    },
    cutStreams: () => void made.told.push('streams'),
    everywhere: () => Promise.resolve(void made.told.push('workers')),
    emit: (event) => Promise.resolve(void made.events.push(event)),
    log: silent,
    ...changes,
  });
  return Object.assign(made, { island });
}

const activities = ({ events }: World): unknown[] => events.map(({ activity, data }) => [activity, data['state']]);

test('a person enters and leaves: engine, kernel, streams, workers and log have it', async () => {
  const fs = new SimulatedFiles();
  const here = await world(fs);
  assert.equal(here.island.active(), false);
  const { entries } = await here.island.enter(ann);
  assert.deepEqual(entries, [{ cause: 'local', ...ann, since: start }]);
  assert.deepEqual([here.island.active(), here.kernel.at(-1), here.told], [true, { on: true }, ['streams', 'workers']]);
  const disk = fs.restart();
  const restarted = await world(disk);
  assert.deepEqual([restarted.island.active(), restarted.kernel], [true, [{ on: true }]]);
  await restarted.island.leave({ by: 'ben', reason: 'false alarm' });
  assert.deepEqual([restarted.island.active(), restarted.kernel.at(-1)], [false, { on: false }]);
  assert.deepEqual(activities(restarted), [['island-off', 'none']]);
  assert.equal((await world(disk.restart())).island.active(), false);
});

test('what the control plane ordered is not left locally; it ends by an order', async () => {
  const here = await world(new SimulatedFiles());
  await here.island.enter(ann);
  await here.island.follow(ordered(4));
  await assert.rejects(here.island.leave(ann), { code: 'ISLAND_ORDERED' });
  assert.equal(here.island.active(), true);
  await here.island.follow(rejoin(5, start + 1));
  assert.equal(here.island.active(), false);
  assert.deepEqual(activities(here), [
    ['island-on', 'local'],
    ['island-on', 'ordered local'],
    ['island-refuse', 'ordered local'],
    ['island-off', 'none'],
  ]);
});

test('who does not say who and why changes nothing', async () => {
  const here = await world(new SimulatedFiles());
  await assert.rejects(here.island.enter({ by: ' ', reason: 'x' }), { code: 'ISLAND_REQUEST_INVALID' });
  await assert.rejects(here.island.enter({ by: 'ann', reason: '' }), { code: 'ISLAND_REQUEST_INVALID' });
  assert.equal(here.island.active(), false);
});

test('closing counts whatever fails; opening waits for disk and kernel', async () => {
  const fs = new SimulatedFiles();
  const here = await world(fs);
  fs.setFreeBytes(10);
  await assert.rejects(here.island.enter(ann), { code: 'ISLAND_NOT_ENFORCED' });
  assert.deepEqual([here.island.active(), here.kernel.at(-1)], [true, { on: true }], 'a full disk');
  await assert.rejects(here.island.leave(ann), { code: 'ISLAND_NOT_ENFORCED' });
  assert.equal(here.island.active(), true);
  assert.deepEqual(here.kernel.at(-1), { on: true });
  fs.setFreeBytes(Infinity);
  here.faults.kernel = true;
  await assert.rejects(here.island.leave(ann), { code: 'ISLAND_NOT_ENFORCED' });
  assert.equal(here.island.active(), true, 'a kernel that refuses');
  here.faults.kernel = false;
  await here.island.leave(ann);
  here.faults.kernel = true;
  await assert.rejects(here.island.follow(ordered(1)), /EBUSY/);
  assert.equal(here.island.active(), true);
});

test('a lease is given to the kernel, and ends here by itself', async () => {
  const fs = new SimulatedFiles();
  const here = await world(fs, { leaseMs: () => 60_000 });
  await here.island.follow(ordered(1));
  assert.deepEqual(here.kernel.at(-1), { on: true, leaseMs: 60_000 });
  const disk = fs.restart();
  const restarted = await world(disk, { leaseMs: () => 60_000 }, 20_000);
  assert.deepEqual(restarted.kernel, [{ on: true, leaseMs: 40_000 }]);
  await restarted.island.follow(ordered(1));
  assert.equal(restarted.events.length, 0, 'the same order is told once');
  restarted.uptimeMs = 60_000;
  assert.equal(restarted.island.active(), false, 'whoever asks between two looks');
  const stop = new AbortController();
  const running = restarted.island.task(stop.signal);
  while (restarted.events.length === 0) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await running;
  assert.deepEqual(
    restarted.events.map(({ activity, data }) => [activity, data['source'], data['state']]),
    [['island-off', 'lease', 'none']],
  );
  const again = await world(disk.restart(), { leaseMs: () => 60_000 }, 61_000);
  await again.island.follow(ordered(1));
  assert.equal(again.island.active(), false, 'an order that is over does not begin again');
});

test('a record that nobody can read is island mode, until somebody leaves it', async () => {
  const fs = new SimulatedFiles();
  await (await world(fs)).island.enter(ann);
  const { length } = await fs.readFile(`${stateDir}/island.json`, 8_192);
  for (let bit = 3; bit < length * 8; bit += 101) {
    fs.flipBit(`${stateDir}/island.json`, bit);
    assert.equal((await readIsland(fs, stateDir)).damaged, true, `bit ${bit}`);
    fs.flipBit(`${stateDir}/island.json`, bit);
  }
  fs.flipBit(`${stateDir}/island.json`, 20);
  const after = await world(fs);
  assert.equal(after.island.active(), true);
  assert.deepEqual(
    after.events.map(({ activity, severity }) => [activity, severity]),
    [['island-on', 'critical']],
  );
  await after.island.leave(ann);
  assert.equal((await world(fs.restart())).island.active(), false);
});

test('the power is cut after every operation: what was said to be closed is closed, what was said to be open is open', async () => {
  for (const action of ['enter', 'leave'] as const) {
    let cuts = 0;
    for (let count = 1; ; count += 1) {
      const fs = new SimulatedFiles({ seed: count });
      const here = await world(fs);
      if (action === 'leave') await here.island.enter(ann);
      fs.cutAfter(count);
      const done = await succeeds(here.island[action](ann));
      const wasCut = fs.cut;
      const after = await world(fs.restart());
      if (done) assert.equal(after.island.active(), action === 'enter', `${action}, cut ${count}`);
      if (!wasCut) break;
      cuts += 1;
    }
    assert.ok(cuts >= 4, `${cuts} cuts`);
  }
});

const succeeds = async (work: Promise<unknown>): Promise<boolean> =>
  await work.then(
    () => true,
    () => false,
  );
