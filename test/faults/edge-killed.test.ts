// kill -9 of an edge while the control plane is away: it comes back from its own disk.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createSite, type Site } from '../scenario/site.ts';
import { until } from '../support/until.ts';
import { checkByEnvoy } from '../scenario/proxies.ts';
import { delivered, startLoad, storedOnce } from './load.ts';

let site: Site;
before(async () => {
  site = await createSite();
  await Promise.all([site.enroll('hmi-1'), site.enroll('gateway-1')]);
  await site.startEdge('hmi-1');
});
after(async () => {
  await site.close();
});

const ask = async (path: string) =>
  await checkByEnvoy(site.paths.grpcSocket('hmi-1'), {
    interface: 'hmi-web',
    path,
    chain: site.paths.chain('gateway-1'),
  });
const floorOnDisk = (): number =>
  (JSON.parse(readFileSync(join(site.paths.state('hmi-1'), 'clock.json'), 'utf8')) as { floor: number }).floor;

test('an edge that was killed decides from its last verified bundle without network, and what it promised is delivered later', async () => {
  const began = Date.now();
  await until('the edge decides', async () => (await ask('/status')).allow);
  const { bundle, spool } = await site.status('hmi-1');
  assert.ok(floorOnDisk() >= began - 60_000, 'signed time raised the floor');
  await site.stop('control');
  const load = startLoad(site, 'hmi-1');
  await until('some decisions without the cloud', async () => load.decided.length > 50);
  const decided = await load.stop();
  // Decisions of this interface are not waited for; the group commit puts them on disk within milliseconds.
  await until(
    'they are on disk',
    async () => (await site.status('hmi-1')).spool.sequence >= spool.sequence + decided.length,
  );
  await site.stop('hmi-1', 'SIGKILL');
  await assert.rejects(ask('/status'), 'nobody answers, so the proxy denies');

  await site.startEdge('hmi-1');
  assert.deepEqual(
    [(await ask('/status')).allow, (await ask('/admin/users')).status],
    [true, 403],
    'the first answers',
  );
  const again = await site.status('hmi-1');
  assert.deepEqual([again.serving, again.bundle, again.stream.connected], [true, bundle, false]);
  assert.equal(again.clock.trusted, true, 'signed time of this boot counts on');
  assert.ok(again.clock.floor >= began - 60_000, 'the floor is kept');

  await site.startControl();
  await delivered(site, 'hmi-1');
  const events = await storedOnce(site, 'hmi-1', decided);
  const starts = events.filter(({ kind, activity }) => kind === 'process' && activity === 'start');
  assert.equal(starts.length, 2);
  assert.ok(
    events.some(
      ({ kind, activity, data }) => kind === 'policy' && activity === 'activate' && data['source'] === 'disk',
    ),
  );
});

test('the floor of the clock falls at no restart and rises with signed time alone', async () => {
  const before = floorOnDisk();
  await site.stop('hmi-1');
  await site.startEdge('hmi-1');
  await until('signed time is heard', async () => (await site.status('hmi-1')).stream.connected);
  const { clock } = await site.status('hmi-1');
  assert.ok(clock.floor >= before);
  assert.ok(clock.floor <= Date.now() + 1_000, 'never ahead of the control plane');
  assert.ok(Math.abs(clock.localSkewMs ?? Infinity) < 10_000);
});
