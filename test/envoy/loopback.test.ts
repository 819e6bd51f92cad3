// examples/envoy/loopback.yaml in place of the cluster of http.yaml: two enforcers on loopback ports, one cluster.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { freePorts } from '../support/free-ports.ts';
import { until } from '../support/until.ts';
import { enforcersOf } from './enforcers.ts';
import { placed, snippet, withCluster } from './envoy-process.ts';
import { startLoad } from './load.ts';
import { openPlant } from './plant.ts';

test('two enforcers over TCP share the questions, and one alone answers all of them', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  await using enforcers = enforcersOf(plant);
  const [one = 0, other = 0] = await freePorts(2);
  const first = await enforcers.start(`127.0.0.1:${one}`);
  await enforcers.start(`127.0.0.1:${other}`);
  const cluster = placed(snippet('loopback.yaml'), { '9191': String(one), '9192': String(other) });
  const envoy = await plant.envoy('http.yaml', (config) => withCluster(config, cluster));
  const asked = async (port: number): Promise<number> => {
    const text = await envoy.admin('/clusters');
    return Number(new RegExp(`edgeward::127\\.0\\.0\\.1:${port}::rq_success::(\\d+)`).exec(text)?.[1] ?? 0);
  };
  await until('both are healthy', async () => (await envoy.stat('cluster.edgeward.membership_healthy')) === 2);
  await using load = startLoad(plant, 8);
  await until('both are asked', async () => (await asked(one)) > 20 && (await asked(other)) > 20);
  await enforcers.kill(first);
  await until('the dead one is out', async () => (await envoy.stat('cluster.edgeward.membership_healthy')) === 1);
  await load.stop();
  for (let count = 0; count < 20; count++) assert.equal((await plant.ask('/status')).status, 200);
  const allowed = enforcers.allowed();
  assert.deepEqual(
    plant.reached.filter(({ url }) => !allowed.has(url)),
    [],
  );
  assert.equal(await envoy.stat('http.hmi-web.ext_authz.edgeward.failure_mode_allowed'), 0);
});
