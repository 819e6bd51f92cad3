// Bad input at an edge: bundles on its own disk that are half-written, and questions of proxies that are none.
import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createSite, type Site } from '../scenario/site.ts';
import { until } from '../support/until.ts';
import { checkByEnvoy } from '../scenario/proxies.ts';

let site: Site;
before(async () => {
  site = await createSite();
  await Promise.all([site.enroll('hmi-1'), site.enroll('gateway-1')]);
  await site.startEdge('hmi-1');
  await until('the edge decides', async () => (await ask()).allow);
});
after(async () => {
  await site.close();
});

const view = { interface: 'hmi-web', path: '/status' };
const ask = async () =>
  await checkByEnvoy(site.paths.grpcSocket('hmi-1'), { ...view, chain: site.paths.chain('gateway-1') });

/** Status of forward-auth for these headers, a list of names and values as they go out. */
function forwardAuth(headers: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath: site.paths.forwardAuthSocket('hmi-1'), path: '/', headers: ['host', 'edge', ...headers] as never },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    call.on('error', reject);
    call.end();
  });
}

test('a question that is incomplete, doubled or no certificate is never answered with an allow', async () => {
  const whole = ['x-edgeward-interface', 'hmi-web', 'x-original-method', 'GET', 'x-original-uri', '/status'];
  const certificate = [
    'x-client-verify',
    'SUCCESS',
    'x-client-cert',
    encodeURIComponent(readFileSync(site.paths.chain('gateway-1'), 'utf8')),
  ];
  assert.equal(
    await forwardAuth([...whole, ...certificate]),
    200,
    'the question is answered when nothing is wrong with it',
  );
  const questions = {
    nothing: [],
    'no method': ['x-edgeward-interface', 'hmi-web', 'x-original-uri', '/status', ...certificate],
    'two targets': [...whole, 'x-original-uri', '/status', ...certificate],
    'two certificates': [...whole, ...certificate, ...certificate],
    'a certificate that the proxy did not verify': [...whole, 'x-client-verify', 'FAILED', ...certificate.slice(2)],
    'a certificate that is none': [...whole, 'x-client-verify', 'SUCCESS', 'x-client-cert', 'abc%'],
    'another interface': [...whole.slice(2), 'x-edgeward-interface', 'unknown', ...certificate],
    'a target that two servers read differently': [
      ...whole.slice(0, 4),
      'x-original-uri',
      '/admin/..//status',
      ...certificate,
    ],
  };
  for (const [name, headers] of Object.entries(questions))
    assert.match(String(await forwardAuth(headers)), /^40[13]$/, name);
  const chain = join(site.paths.scratch, 'garbage.pem');
  writeFileSync(
    chain,
    readFileSync(site.paths.chain('gateway-1'), 'utf8').replace(/\n[A-Za-z0-9+/]{20}/, '\nAAAAAAAAAAAAAAAAAAAA'),
  );
  assert.deepEqual((await checkByEnvoy(site.paths.grpcSocket('hmi-1'), { ...view, chain })).status, 401);
});

test('a half-written bundle on disk: the last good one decides, without any everything is denied, and the cloud mends it', async () => {
  site.editFile('firewall/cell.yaml', (text) => text.replace('ports: 123', 'ports: 124'));
  await site.commit('another port');
  assert.equal((await site.publish()).version, 2);
  await until('version 2 is in force', async () => (await site.status('hmi-1')).version === 2);
  await site.stop('control');
  await site.stop('hmi-1', 'SIGKILL');
  const manifest = (name: string): string => join(site.paths.state('hmi-1'), 'policy', name);

  truncateSync(manifest('manifest.jws'), Math.floor(readFileSync(manifest('manifest.jws')).length / 2));
  await site.startEdge('hmi-1');
  const lastGood = await site.status('hmi-1');
  assert.deepEqual([lastGood.version, lastGood.serving, (await ask()).allow], [1, true, true]);
  await site.stop('hmi-1', 'SIGKILL');

  for (const name of ['manifest.jws', 'manifest.previous.jws']) truncateSync(manifest(name), 100);
  await site.startEdge('hmi-1');
  const nothing = await site.status('hmi-1');
  assert.deepEqual([nothing.version, nothing.serving, (await ask()).allow], [0, false, false]);

  await site.startControl();
  await until('version 2 is in force again', async () => (await site.status('hmi-1')).version === 2);
  await until('it decides', async () => (await ask()).allow);
  const events = await until('what was refused is in the log', async () => {
    const found = await site.events({ device: 'hmi-1', kind: 'policy' });
    const refused = found.filter(({ activity, data }) => activity === 'refuse' && data['source'] === 'disk');
    return refused.length >= 3 && refused;
  });
  for (const { severity, data } of events)
    assert.deepEqual([severity, /^(BUNDLE|IDENTITY_JWS)_/.test(String(data['code']))], ['high', true]);
});
