// Answers that wait for something (evidence, the disk) behind a real Envoy, by either carrier: many questions at once, clients
// that go away before, and answers after the deadline of the filter.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { checkTransports, serveAuthz } from '../../enforcer/authz/index.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { keptConnection, startLoad } from './load.ts';
import { openPlant } from './plant.ts';

for (const transport of checkTransports) {
  test(`a real Envoy waits for answers over ${transport}`, async (t) => {
    if (!requires(t, 'envoy', 'curl')) return;
    await using plant = await openPlant();
    const { ports, enforcerAddress } = plant;
    let waits = 0;
    const enforcer = await serveAuthz(
      {
        ...ports,
        identify: (peer) => {
          const known = ports.identify(peer);
          return waits === 0 ? known : delay(waits).then(() => known);
        },
      },
      () => true,
      { grpc: [enforcerAddress], forwardAuthSocket: undefined, transport },
    );
    t.after(async () => await enforcer.close(0));
    const envoy = await plant.envoy('http.yaml', undefined, 'shipped');
    const stat = async (name: string) => await envoy.stat(`http.hmi-web.ext_authz.edgeward.${name}`);

    for (const answer of ['at once', 'later']) {
      await t.test(`questions at once, answered ${answer}`, async () => {
        waits = answer === 'later' ? 5 : 0;
        await using load = startLoad(plant, 64);
        await until('a thousand answers', () => Promise.resolve((load.statuses.get(200) ?? 0) > 500));
        await load.stop();
        assert.deepEqual(new Set(load.statuses.keys()), new Set([200, 403]));
      });
    }

    await t.test('clients that go away before the answer', async () => {
      waits = 20;
      const { request, close } = keptConnection(plant);
      t.after(close);
      for (let round = 0; round < 10; round++) {
        await Promise.all(Array.from({ length: 20 }, async (_, index) => await request(`/status/${index}`, true)));
      }
      await until('Envoy cancels', async () => ((await envoy.stat('cluster.edgeward.upstream_rq_tx_reset')) ?? 0) > 0);
      waits = 0;
      assert.equal(await request('/status'), 200);
    });

    await t.test('an answer after the deadline of the filter is none', async () => {
      waits = 1_000;
      plant.reached.splice(0);
      assert.equal((await plant.ask('/status')).status, 503);
      waits = 0;
      assert.equal((await plant.ask('/admin')).status, 403);
      await delay(1_000);
      assert.deepEqual(plant.reached, []);
    });

    assert.equal(await stat('failure_mode_allowed'), 0);
    assert.equal(await stat('invalid'), 0);
  });
}
