// The HTTP/2 server of our own (runtime/h2) with a real Envoy as its client: many questions at once, clients that go away,
// and a Check that answers later.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { check } from '../../enforcer/authz/envoy/ext-authz.ts';
import { createUnaryServer, type UnaryMethod } from '../../runtime/h2/server.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { keptConnection, startLoad } from './load.ts';
import { openPlant } from './plant.ts';

const serving = Buffer.from([0x08, 0x01]);

test('a real Envoy asks the HTTP/2 server of our own', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const faults: unknown[] = [];
  let waits = 0;
  const ask: UnaryMethod = (message) => {
    // A copy: the answer may be later than the message is valid.
    const bytes = Buffer.from(message);
    if (waits === 0) return check(plant.ports, bytes);
    return delay(waits).then(async () => await check(plant.ports, bytes));
  };
  const server = createUnaryServer({
    onFault: (error) => faults.push(error),
    methods: new Map<string, UnaryMethod>([
      ['/envoy.service.auth.v3.Authorization/Check', ask],
      ['/grpc.health.v1.Health/Check', () => serving],
    ]),
  });
  await server.listen(plant.enforcerAddress);
  t.after(async () => await server.close(0));
  const envoy = await plant.envoy('http.yaml', undefined, 'shipped');
  const stat = async (name: string) => await envoy.stat(`http.hmi-web.ext_authz.edgeward.${name}`);

  await t.test('allow and deny', async () => {
    assert.equal((await plant.ask('/status')).status, 200);
    assert.equal((await plant.ask('/status', 'gateway-2')).status, 403);
  });

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
    const before = server.counters.resetsReceived;
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 20 }, async (_, index) => await request(`/status/${index}`, true)));
    }
    await until('Envoy cancels', () => Promise.resolve(server.counters.resetsReceived > before));
    waits = 0;
    assert.equal(await request('/status'), 200);
  });

  await t.test('an answer after the deadline of the filter is none', async () => {
    waits = 2_000;
    plant.reached.splice(0);
    assert.equal((await plant.ask('/status')).status, 503);
    waits = 0;
    assert.equal((await plant.ask('/admin')).status, 403);
    assert.deepEqual(plant.reached, []);
  });

  assert.deepEqual(faults, []);
  assert.equal(await stat('error'), 1, 'the one after the deadline');
  assert.equal(await stat('failure_mode_allowed'), 0);
  assert.equal(await stat('invalid'), 0);
});
