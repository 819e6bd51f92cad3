// The enforcer is killed, hangs, or has no bundle while requests keep coming: nothing is allowed that the engine did not allow.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { checkTransports } from '../../enforcer/authz/index.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { enforcersOf } from './enforcers.ts';
import { startLoad } from './load.ts';
import { openPlant, type Reached, valuesOf } from './plant.ts';

for (const transport of checkTransports) {
  test(`killed under load and started again: what reached the web server, the engine allowed (${transport})`, async (t) => {
    if (!requires(t, 'envoy', 'curl')) return;
    await using plant = await openPlant();
    await using enforcers = enforcersOf(plant, transport);
    let enforcer = await enforcers.start(plant.enforcerAddress);
    const envoy = await plant.envoy('http.yaml', undefined, 'shipped');
    await until('the enforcer is asked', async () => (await plant.ask('/status')).status === 200);
    await using load = startLoad(plant);
    const more = async (status: number, by: number) => {
      const before = load.statuses.get(status) ?? 0;
      await until(`${by} more answers ${status}`, () =>
        Promise.resolve((load.statuses.get(status) ?? 0) >= before + by),
      );
    };
    for (let round = 0; round < 2; round++) {
      await more(200, 100);
      await enforcers.kill(enforcer);
      await more(503, 50);
      const passed = plant.reached.length;
      await more(503, 50);
      assert.equal(plant.reached.length, passed, 'nothing passes while there is nobody to ask');
      enforcer = await enforcers.start(plant.enforcerAddress);
    }
    await more(200, 100);
    await load.stop();
    mustBeAllowed(plant.reached, enforcers.allowed());
    assert.deepEqual(new Set(load.statuses.keys()), new Set([200, 403, 503]));
    assert.equal(await envoy.stat('http.hmi-web.ext_authz.edgeward.failure_mode_allowed'), 0);
    assert.equal(await envoy.stat('http.hmi-web.ext_authz.edgeward.invalid'), 0);
  });
}

test('an enforcer that hangs denies in time, and what it says too late allows nothing', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  await using enforcers = enforcersOf(plant);
  const enforcer = await enforcers.start(plant.enforcerAddress);
  const envoy = await plant.envoy('http.yaml', undefined, 'shipped');
  assert.equal((await plant.ask('/status/before')).status, 200);
  enforcer.kill('SIGSTOP');
  const hung = await Promise.all(['/status/1', '/status/2', '/status/3'].map(async (path) => await plant.ask(path)));
  assert.deepEqual(
    hung.map(({ status }) => status),
    [503, 503, 503],
  );
  await until('health notices', async () => (await envoy.stat('cluster.edgeward.membership_healthy')) === 0);
  assert.equal((await plant.ask('/status/4')).status, 503);
  enforcer.kill('SIGCONT');
  await until('the enforcer is asked again', async () => (await plant.ask('/status/after')).status === 200);
  await delay(100);
  const late = plant.reached.filter(({ url }) => /^\/status\/\d$/.test(url));
  assert.deepEqual(late, []);
  mustBeAllowed(plant.reached, enforcers.allowed());
});

test('NOT_SERVING takes the enforcer out: nobody is asked, everybody is denied, until it serves again', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  await using enforcers = enforcersOf(plant);
  const enforcer = await enforcers.start(plant.enforcerAddress);
  const envoy = await plant.envoy('http.yaml', undefined, 'shipped');
  assert.equal((await plant.ask('/status/before')).status, 200);
  enforcer.kill('SIGUSR1');
  await until('Envoy takes it out', async () => (await envoy.stat('cluster.edgeward.membership_healthy')) === 0);
  for (const path of ['/status/1', '/status/2']) assert.equal((await plant.ask(path)).status, 503);
  assert.deepEqual(
    [...enforcers.allowed()].filter((path) => path !== ''),
    ['/status/before'],
    'it was not even asked',
  );
  assert.equal(await envoy.stat('cluster.edgeward.lb_healthy_panic'), 0);
  enforcer.kill('SIGUSR1');
  await until('Envoy asks it again', async () => (await plant.ask('/status/after')).status === 200);
  mustBeAllowed(plant.reached, enforcers.allowed());
});

function mustBeAllowed(reached: readonly Reached[], allowed: ReadonlySet<string>): void {
  const passed = reached.filter(({ url }) => url.startsWith('/status/'));
  assert.deepEqual(
    passed.filter((request) => !allowed.has(request.url)).map(({ url }) => url),
    [],
  );
  assert.equal(reached.filter(({ url }) => url.startsWith('/admin')).length, 0);
  for (const request of reached) assert.deepEqual(valuesOf(request, 'x-edgeward-decision'), ['allow']);
}
