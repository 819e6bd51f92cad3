// examples/envoy/remote.yaml in place of the cluster of http.yaml: a real Envoy asks an enforcer on another host over mutual TLS.
import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { certificatesFromPem, parseCertificate } from '../../identity/index.ts';
import { requires } from '../support/capabilities.ts';
import type { TestSvid } from '../support/pki.ts';
import { openRemoteEdge, type RemoteEdge } from '../support/remote-edge.ts';
import { until } from '../support/until.ts';
import { type Envoy, placed, snippet, withCluster } from './envoy-process.ts';
import { startLoad } from './load.ts';
import { openPlant, type Plant } from './plant.ts';

const edge = 'spiffe://plant.example/device/edge-1';
const proxy = 'spiffe://plant.example/device/hmi-1/workload/web';

test('a real Envoy with a listed SVID is answered about its clients, and through a renewal', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const { ask, authority, reached } = plant;
  const remote = await openRemoteEdge(t, authority, plant.ports, { uri: edge, proxies: [proxy] });
  const envoy = await startAsking(plant, remote);

  await until('the enforcer is asked', async () => (await ask('/status')).status === 200);
  await t.test('the subject is the client whose certificate Envoy passes on, never Envoy', async () => {
    const other = await ask('/status', 'gateway-2');
    assert.deepEqual({ status: other.status, body: other.body }, { status: 403, body: 'no-grant\n' });
    assert.match(other.head, /^x-edgeward-subject: gateway-2\r$/m);
    assert.equal((await ask('/admin')).status, 403);
  });

  await t.test('a renewal of its SVID drops nothing', async () => {
    await using load = startLoad(plant, 8);
    const more = async (): Promise<void> => {
      const before = load.statuses.get(200) ?? 0;
      await until('more answers', () => Promise.resolve((load.statuses.get(200) ?? 0) > before + 50));
    };
    await more();
    remote.renew(authority.issue(edge));
    await more();
    await load.stop();
    assert.deepEqual(new Set(load.statuses.keys()), new Set([200, 403]));
  });

  await t.test(
    'Envoy is held back with its device: what is open ends, and nothing passes until it is released',
    async () => {
      remote.states.set('hmi-1', 'quarantined');
      assert.ok(remote.recheck() > 0);
      reached.splice(0);
      assert.equal((await ask('/status')).status, 503);
      assert.deepEqual(reached, []);
      await until('it is remembered', () => Promise.resolve(remote.events.length > 0));
      assert.partialDeepStrictEqual(remote.events[0]?.data, { subject: 'hmi-1', code: 'AUTHZ_PROXY_HELD_BACK' });
      remote.states.delete('hmi-1');
      await until('it is answered again', async () => (await ask('/status')).status === 200);
    },
  );

  await t.test('a revoked SVID ends too, and the one that replaces it is answered', async () => {
    remote.revoked = new Set([serialOf(plant)]);
    assert.ok(remote.recheck() > 0);
    reached.splice(0);
    for (let count = 0; count < 3; count++) assert.equal((await ask('/status')).status, 503);
    assert.deepEqual(reached, []);
    show(plant, authority.issue(proxy));
    await until('it is answered again', async () => (await ask('/status')).status === 200);
  });

  assert.equal(await envoy.stat('http.hmi-web.ext_authz.edgeward.failure_mode_allowed'), 0);
});

const withoutCertificate = `        tls_certificate_sds_secret_configs:
          - name: certificate
            sds_config: { path_config_source: { path: /etc/envoy/certificate.yaml }, resource_api_version: V3 }
`;

const refused: readonly [
  who: string,
  why: RegExp,
  prepare: (plant: Plant) => ((cluster: string) => string) | undefined,
][] = [
  [
    'another SVID',
    /^AUTHZ_PROXY_NOT_LISTED: .*\/workload\/other /,
    (plant) => {
      show(plant, plant.authority.issue('spiffe://plant.example/device/hmi-1/workload/other'));
      return undefined;
    },
  ],
  [
    'no certificate',
    /^PEER_REFUSED: the client has no valid certificate/,
    () => (cluster) => placed(cluster, { [withoutCertificate]: '' }),
  ],
];

for (const [who, why, prepare] of refused) {
  test(`a real Envoy with ${who} is not answered, and lets nothing through`, async (t) => {
    if (!requires(t, 'envoy', 'curl')) return;
    await using plant = await openPlant();
    const remote = await openRemoteEdge(t, plant.authority, plant.ports, { uri: edge, proxies: [proxy] });
    const edit = prepare(plant);
    await startAsking(plant, remote, edit);
    await until('it is refused', () => Promise.resolve(remote.events.length > 0));
    for (let count = 0; count < 3; count++) assert.equal((await plant.ask('/status')).status, 503);
    assert.deepEqual(plant.reached, []);
    for (const { data } of remote.events) assert.match(`${String(data.code)}: ${String(data.message)}`, why);
  });
}

test('a device that is not the enforcer is not asked, though its certificate is good', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  let asked = 0;
  const ports = { ...plant.ports, decide: () => assert.fail(`asked ${++asked} times`) };
  const uri = 'spiffe://plant.example/device/edge-10';
  const remote = await openRemoteEdge(t, plant.authority, ports, { uri, proxies: [proxy] });
  const envoy = await startAsking(plant, remote);
  await until('Envoy refuses it', async () => ((await envoy.stat('cluster.edgeward.ssl.fail_verify_san')) ?? 0) > 0);
  assert.equal((await plant.ask('/status')).status, 503);
  assert.equal(asked, 0);
  assert.deepEqual(plant.reached, []);
});

async function startAsking(
  plant: Plant,
  { port }: RemoteEdge,
  edit: (cluster: string) => string = (cluster) => cluster,
): Promise<Envoy> {
  const { folder } = plant;
  const roots = join(folder, 'enforcer-roots.yaml');
  writeFileSync(roots, placed(snippet('enforcer-roots.yaml'), { '/etc/envoy/tls': join(folder, 'tls') }));
  const cluster = placed(edit(snippet('remote.yaml')), {
    '192.0.2.10': '127.0.0.1',
    '9443': String(port),
    '/etc/envoy/enforcer-roots.yaml': roots,
  }).replaceAll('/etc/envoy/certificate.yaml', join(folder, 'certificate.yaml'));
  return await plant.envoy('http.yaml', (config) => withCluster(config, cluster));
}

/** Serial number of the SVID that Envoy shows. */
function serialOf({ folder }: Plant): string {
  const [leaf] = certificatesFromPem(readFileSync(join(folder, 'tls', 'chain.pem'), 'utf8'));
  return parseCertificate(leaf ?? Buffer.alloc(0)).serialHex;
}

function show({ folder }: Plant, svid: TestSvid): void {
  const files = { 'key.pem': svid.keyPem, 'chain.pem': svid.chainPem };
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, 'tls', name);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}
