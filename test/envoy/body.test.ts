// The variant of examples/envoy/http.yaml that sends bodies: whole or not at all.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkTransports, serveAuthz } from '../../enforcer/authz/index.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { placed } from './envoy-process.ts';
import { openPlant } from './plant.ts';
import { startStub } from './stub-enforcer.ts';

const limit = 16_384;
const withBody = (config: string): string => placed(config, { '# with_request_body:': 'with_request_body:' });

test('a body is asked about whole, and one beyond the limit is 413 whatever else fails', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const { ask, reached } = plant;
  const stub = await startStub(plant.enforcerAddress);
  t.after(stub.close);
  stub.answer = () => Buffer.from('0a020800', 'hex');
  const envoy = await plant.envoy('http.yaml', withBody);
  const file = (name: string, size: number): string => {
    const path = join(plant.folder, name);
    writeFileSync(path, 'x'.repeat(size));
    return path;
  };
  const post = async (path: string, chunked: boolean) =>
    await ask('/status', 'gateway-1', [
      '--http1.1',
      '--data-binary',
      `@${path}`,
      '-H',
      'expect:',
      ...(chunked ? ['-H', 'transfer-encoding: chunked'] : []),
    ]);
  const fits = file('fits', limit - 1);
  const long = file('long', limit + 1);

  for (const chunked of [false, true]) {
    const how = chunked ? 'chunked' : 'of a known length';
    await t.test(`${how}: the enforcer sees every byte that the web server sees`, async () => {
      stub.asked.splice(0);
      reached.splice(0);
      assert.equal((await post(fits, chunked)).status, 200);
      assert.equal(stub.asked[0]?.attributes?.request?.http?.rawBody.length, limit - 1);
      assert.equal(reached[0]?.body.length, limit - 1);
    });

    await t.test(`${how}: beyond the limit nobody is asked and nothing reaches the web server`, async () => {
      stub.asked.splice(0);
      reached.splice(0);
      assert.equal((await post(long, chunked)).status, 413);
      assert.deepEqual({ asked: stub.asked.length, reached: reached.length }, { asked: 0, reached: 0 });
    });
  }

  await t.test('413 while the enforcer fails too, and no failure is let through', async () => {
    stub.answer = () => 'reset';
    assert.equal((await post(long, true)).status, 413);
    assert.equal((await post(fits, true)).status, 503);
    assert.equal(await envoy.stat('http.hmi-web.ext_authz.edgeward.failure_mode_allowed'), 0);
  });
});

test('the enforcer takes the question with the longest body', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const { ports, enforcerAddress } = plant;
  const enforcer = await serveAuthz(ports, () => true, { grpc: [enforcerAddress], forwardAuthSocket: undefined });
  t.after(async () => await enforcer.close(0));
  await plant.envoy('http.yaml', withBody);
  const body = join(plant.folder, 'body');
  writeFileSync(body, 'x'.repeat(limit - 1));
  // With headers as long as the snippet lets them be.
  const headers = Array.from({ length: 4 }, (_, index) => ['-H', `x-filler-${index}: ${'y'.repeat(7_000)}`]).flat();
  const { status } = await plant.ask('/status', 'gateway-1', ['--data-binary', `@${body}`, ...headers]);
  assert.equal(status, 200);
  const target = `/status?${'z'.repeat(2_000)}`;
  assert.equal((await plant.ask(target, 'gateway-1', ['--data-binary', `@${body}`, ...headers])).status, 200);
});

test('of a body that Envoy cuts off nothing is allowed, by either carrier', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const { ports, enforcerAddress, reached } = plant;
  const partial = {
    'allow_partial_message: false, pack_as_bytes: true': 'allow_partial_message: true, pack_as_bytes: true',
  };
  await plant.envoy('http.yaml', (config) => placed(withBody(config), partial));
  const fits = join(plant.folder, 'fits');
  const long = join(plant.folder, 'long');
  writeFileSync(fits, 'x'.repeat(limit - 1));
  writeFileSync(long, 'x'.repeat(limit + 1));
  const post = async (path: string, version = '--http2') =>
    await plant.ask('/status', 'gateway-1', [version, '--data-binary', `@${path}`]);
  for (const transport of checkTransports) {
    const enforcer = await serveAuthz(ports, () => true, {
      grpc: [enforcerAddress],
      forwardAuthSocket: undefined,
      transport,
    });
    try {
      await until('the enforcer is asked', async () => (await post(fits)).status === 200);
      reached.splice(0);
      // Over HTTP/2 this Envoy says `x-envoy-auth-partial-body: false` of it: its length tells.
      for (const version of ['--http1.1', '--http2']) {
        const { status, body } = await post(long, version);
        assert.deepEqual(
          { transport, version, status, body },
          { transport, version, status: 403, body: 'ambiguous\n' },
        );
      }
      assert.deepEqual(reached, []);
    } finally {
      await enforcer.close(0);
    }
  }
});
