// kill -9 of the control plane while an edge delivers.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
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

test('nothing acknowledged is lost and nothing is stored twice when the control plane is killed, again and again', async () => {
  const question = { interface: 'hmi-web', path: '/status', chain: site.paths.chain('gateway-1') };
  await until('the edge decides', async () => (await checkByEnvoy(site.paths.grpcSocket('hmi-1'), question)).allow);
  const load = startLoad(site, 'hmi-1');
  let acknowledged = 0;
  for (let round = 0; round < 3; round += 1) {
    await until(
      'deliveries are under way',
      async () => (await site.status('hmi-1')).spool.acknowledged > acknowledged + 20,
    );
    await site.stop('control', 'SIGKILL');
    ({ acknowledged } = (await site.status('hmi-1')).spool);
    await delay(300);
    await site.startControl();
  }
  const decided = await load.stop();
  assert.ok(decided.length > 100);
  await delivered(site, 'hmi-1');
  const events = await storedOnce(site, 'hmi-1', decided);
  assert.ok(events.length >= acknowledged);
  assert.equal((await site.status('hmi-1')).spool.lost, 0);
  // The cloud's own chain holds as well: each index once, in order.
  const all = await site.events();
  const first = all[0]?.index ?? -1;
  assert.deepEqual(
    all.map(({ index }) => index),
    all.map((_, position) => first + position),
  );
});
