// A real Envoy with examples/envoy/http.yaml, the real engine behind it, curl before it.
import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkTransports, serveAuthz } from '../../enforcer/authz/index.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { placed } from './envoy-process.ts';
import { keptConnection } from './load.ts';
import { bundleDigest, openPlant, valuesOf } from './plant.ts';

for (const transport of checkTransports) {
  test(`Envoy with the shipped HTTP filter, asking over ${transport}`, async (t) => {
    if (!requires(t, 'envoy', 'curl')) return;
    await using plant = await openPlant();
    const { ask, reached, ports, enforcerAddress } = plant;
    const enforcer = await serveAuthz(ports, () => true, {
      grpc: [enforcerAddress],
      forwardAuthSocket: undefined,
      transport,
    });
    t.after(async () => await enforcer.close(0));
    const envoy = await plant.envoy('http.yaml');
    const counts = async () => {
      const names = ['ok', 'denied', 'error', 'failure_mode_allowed', 'invalid'];
      const values = await Promise.all(names.map((name) => envoy.stat(`http.hmi-web.ext_authz.edgeward.${name}`)));
      return Object.fromEntries(names.map((name, index) => [name, values[index]]));
    };

    await t.test('a granted request is allowed and says to the web server who asks', async () => {
      const { status, body } = await ask('/status');
      assert.deepEqual({ status, body }, { status: 200, body: 'hmi status\n' });
      const [request] = reached.splice(0);
      assert.ok(request);
      assert.deepEqual(valuesOf(request, 'x-edgeward-subject'), ['gateway-1']);
      assert.deepEqual(valuesOf(request, 'x-edgeward-decision'), ['allow']);
      assert.deepEqual(valuesOf(request, 'x-edgeward-rule'), ['grant:gateway-views']);
    });

    await t.test('what is not granted is 403 with the reason, and does not reach the web server', async () => {
      const other = await ask('/status', 'gateway-2');
      assert.deepEqual({ status: other.status, body: other.body }, { status: 403, body: 'no-grant\n' });
      assert.match(other.head, /^x-edgeward-subject: gateway-2\r$/m);
      assert.match(other.head, /^x-edgeward-decision: deny\r$/m);
      assert.equal((await ask('/admin')).status, 403);
      assert.equal((await ask('/status', 'gateway-1', ['-X', 'DELETE'])).status, 403);
      assert.deepEqual(reached, []);
    });

    await t.test('without a certificate of this trust domain there is no connection', async () => {
      assert.equal((await ask('/status', 'nobody')).status, 0);
      assert.equal((await ask('/status', 'stranger')).status, 0);
      assert.deepEqual(reached, []);
    });

    await t.test('every decision is in the access log, as the enforcer took it', async () => {
      const entries = await until('the access log', async () => {
        const written = plant.accessLog();
        return Promise.resolve(written.length >= 4 && written);
      });
      const [granted, denied] = entries;
      const { subject, decision, rule, reason, bundle, status } = granted ?? {};
      assert.deepEqual(
        { subject, decision, rule, reason, bundle, status },
        {
          subject: 'gateway-1',
          decision: 'allow',
          rule: 'grant:gateway-views',
          reason: 'granted',
          bundle: bundleDigest,
          status: 200,
        },
      );
      assert.partialDeepStrictEqual(denied, {
        subject: 'gateway-2',
        decision: 'deny',
        reason: 'no-grant',
        bundle: bundleDigest,
        status: 403,
      });
    });

    await t.test('identity headers of a client never survive', async () => {
      const forged = ['x-edgeward-subject: admin', 'X-Edgeward-Subject: root', 'x-edgeward-role: admin'];
      for (const version of ['--http1.1', '--http2']) {
        const lines = forged.flatMap((line) => ['-H', line]);
        assert.equal((await ask('/status', 'gateway-1', [version, ...lines])).status, 200);
        const [request] = reached.splice(0);
        assert.ok(request);
        assert.deepEqual(valuesOf(request, 'x-edgeward-subject'), ['gateway-1']);
        assert.deepEqual(valuesOf(request, 'x-edgeward-role'), []);
      }
      const alias = await ask('/status', 'gateway-1', ['--http1.1', '-H', 'x_edgeward_subject: admin']);
      assert.equal(alias.status, 400);
      assert.deepEqual(reached, []);
    });

    await t.test(
      'a target with two readings is denied as it was sent, and the web server gets none of another form',
      async () => {
        const twice = [
          '/status/../admin',
          '//status',
          '/status/%2e%2e/admin',
          '/status%2fadmin',
          '/status/.',
          '/status;x=1',
        ];
        for (const path of twice) {
          const { status, body } = await ask(path);
          assert.deepEqual({ path, status, body }, { path, status: 403, body: 'ambiguous\n' });
        }
        assert.deepEqual(reached, []);
        assert.equal((await ask('/status?x=/../y%2f')).status, 200);
        assert.deepEqual(
          reached.splice(0).map(({ url }) => url),
          ['/status?x=/../y%2f'],
        );
      },
    );

    await t.test('doubled and disguised headers that servers read in two ways are denied', async () => {
      const doubled: readonly (readonly string[])[] = [
        ['authorization: Bearer a', 'authorization: Bearer b'],
        ['x-forwarded-host: one.example', 'x-forwarded-host: two.example'],
        ['x-http-method-override: DELETE'],
      ];
      for (const lines of doubled) {
        const { status, body } = await ask(
          '/status',
          'gateway-1',
          lines.flatMap((line) => ['-H', line]),
        );
        assert.deepEqual({ lines, status, body }, { lines, status: 403, body: 'ambiguous\n' });
      }
      assert.deepEqual(reached, []);
      // What a browser and a proxy before us send is no reason to deny.
      const usual = ['accept-language: de', 'accept-language: en', 'x-forwarded-for: 192.0.2.7', 'cookie: a=1'];
      assert.equal(
        (
          await ask(
            '/status',
            'gateway-1',
            usual.flatMap((line) => ['-H', line]),
          )
        ).status,
        200,
      );
      reached.splice(0);
    });

    await t.test('Envoy counts as many decisions as there were, and none that it took itself', async () => {
      assert.deepEqual(await counts(), { ok: 5, denied: 12, error: 0, failure_mode_allowed: 0, invalid: 0 });
    });

    await t.test('an enforcer that is gone is 503, and one that is back allows again', async () => {
      await enforcer.close(0);
      assert.equal((await ask('/status')).status, 503);
      assert.deepEqual(reached, []);
      const again = await serveAuthz(ports, () => true, {
        grpc: [enforcerAddress],
        forwardAuthSocket: undefined,
        transport,
      });
      t.after(async () => await again.close(0));
      await until('the enforcer is asked again', async () => (await ask('/status')).status === 200);
      assert.partialDeepStrictEqual(await counts(), { failure_mode_allowed: 0, invalid: 0 });
    });
  });

  test(`what is ordered against a device counts at its next request, on a connection that it kept, over ${transport}`, async (t) => {
    if (!requires(t, 'envoy', 'curl')) return;
    await using plant = await openPlant();
    const { ports, orders, enforcerAddress } = plant;
    const enforcer = await serveAuthz(ports, () => true, {
      grpc: [enforcerAddress],
      forwardAuthSocket: undefined,
      transport,
    });
    t.after(async () => await enforcer.close(0));
    const envoy = await plant.envoy('http.yaml');
    const { request, close } = keptConnection(plant);
    t.after(close);
    assert.equal(await request('/status'), 200);
    orders.quarantined = new Set(['gateway-1']);
    assert.equal(await request('/status'), 403);
    orders.quarantined = new Set();
    assert.equal(await request('/status'), 200);
    orders.revoked = new Set([plant.serialOf('gateway-1')]);
    assert.equal(await request('/status'), 401, 'to Envoy it is still a good certificate');
    assert.equal(await envoy.stat('http.hmi-web.downstream_cx_total'), 1);
    assert.equal(plant.reached.length, 2);
  });
}

test('where Envoy lets clients without a certificate in, they are nobody: 401', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const { ask, reached, ports, enforcerAddress } = plant;
  const enforcer = await serveAuthz(ports, () => true, { grpc: [enforcerAddress], forwardAuthSocket: undefined });
  t.after(async () => await enforcer.close(0));
  await plant.envoy('http.yaml', (config) =>
    placed(config, { 'require_client_certificate: true': 'require_client_certificate: false' }),
  );
  assert.equal((await ask('/status', 'nobody')).status, 0, 'the names that are asked for ask for a certificate too');
  const roots = join(plant.folder, 'roots.yaml');
  const anyName = readFileSync(roots, 'utf8').split('match_typed_subject_alt_names')[0] ?? '';
  // Envoy reads a file again when it is moved to its place.
  writeFileSync(`${roots}.new`, anyName);
  renameSync(`${roots}.new`, roots);
  await until('Envoy has read it', async () => (await ask('/status', 'nobody')).status !== 0);
  const { status, body, head } = await ask('/status', 'nobody', ['-H', 'x-edgeward-subject: gateway-1']);
  assert.deepEqual({ status, body }, { status: 401, body: 'state\n' });
  assert.match(head, /^x-edgeward-subject: \r$/m);
  assert.deepEqual(reached, []);
});
