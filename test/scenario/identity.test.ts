// Identities while they live: renewed over the stream with a new key, revoked everywhere at once.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  certificatesFromPem,
  createCsr,
  deviceId,
  exportPkcs8Pem,
  generateKey,
  parseCertificate,
} from '../../identity/index.ts';
import { AuditIngestService } from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { Health, HealthCheckResponse_ServingStatus } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { createGrpcClient } from '../../runtime/grpc.ts';
import { appendFileSync, readFileSync } from 'node:fs';
import { hello, identityOf, openStream, tlsOf } from './device-stream.ts';
import { checkByEnvoy } from './proxies.ts';
import { freePort } from '../support/free-ports.ts';
import { collect } from '../support/grpc-loopback.ts';
import { createSite, type Site } from './site.ts';
import { until } from '../support/until.ts';

let site: Site;
before(async () => {
  site = await createSite();
  await Promise.all([site.enroll('plc-1'), site.enroll('gateway-1'), site.enroll('hmi-1')]);
});
after(async () => {
  await site.close();
});

const renewal = (csrDer: Uint8Array) => ({ message: { case: 'renew', value: { requestId: 1n, csrDer } } }) as const;

test('a device renews over the stream with a new key, and both certificates are good until the old one ends', async () => {
  const keys = generateKey();
  let chain: Uint8Array[];
  {
    await using stream = openStream(site.addresses.edges, identityOf(site, 'plc-1'));
    stream.say(hello());
    await stream.next('welcome');
    stream.say(renewal(createCsr(keys)));
    const { result } = await stream.next('renewed');
    assert.equal(result.case, 'certificate');
    chain = result.case === 'certificate' ? result.value.certificateChainDer : [];
  }
  const leaf = parseCertificate(Buffer.from(chain[0] ?? []));
  const [old] = certificatesFromPem(readFileSync(site.paths.chain('plc-1'), 'utf8'));
  assert.equal(leaf.spiffeId?.uri, deviceId('plant.example', 'plc-1').uri);
  assert.ok(leaf.publicKey.equals(keys.publicKey), 'the certificate is for the new key');
  assert.notEqual(leaf.serialHex, parseCertificate(old ?? Buffer.alloc(0)).serialHex);
  for (const identity of [tlsOf(site, { key: exportPkcs8Pem(keys.privateKey), chain }), identityOf(site, 'plc-1')]) {
    await using stream = openStream(site.addresses.edges, identity);
    stream.say(hello());
    await stream.next('welcome');
  }
  const renewed = (await site.events({ kind: 'device' })).find(({ activity }) => activity === 'renew');
  assert.equal(renewed?.data['serial'], leaf.serialHex);
});

test('a renewal for another name or with the key of another device is refused and audited as grave', async () => {
  await using stream = openStream(site.addresses.edges, identityOf(site, 'gateway-1'));
  stream.say(hello());
  stream.say(renewal(createCsr(generateKey(), 'spiffe://plant.example/device/plc-1')));
  const other = (await stream.next('renewed')).result;
  assert.equal(other.case === 'error' && other.value.code, 'CA_NAME_MISMATCH');
  const same = generateKey();
  stream.say(renewal(createCsr(same)));
  assert.equal((await stream.next('renewed')).result.case, 'certificate');
  await using again = openStream(site.addresses.edges, identityOf(site, 'plc-1'));
  again.say(hello());
  again.say(renewal(createCsr(same)));
  const stolen = (await again.next('renewed')).result;
  assert.equal(stolen.case === 'error' && stolen.value.code, 'CA_KEY_IN_USE');
  const refusals = (await site.events({ kind: 'device' })).filter(({ activity }) => activity === 'renew_refuse');
  assert.deepEqual(
    refusals.map(({ severity, data }) => [severity, data['device'], data['code']]),
    [
      ['high', 'gateway-1', 'CA_NAME_MISMATCH'],
      ['high', 'plc-1', 'CA_KEY_IN_USE'],
    ],
  );
});

test('revocation ends the stream at once, and neither the control plane nor an edge takes the certificate again', async () => {
  const remote = `127.0.0.1:${await freePort()}`;
  appendFileSync(
    site.paths.edgeConfig('hmi-1'),
    `authz: {tls: {listen: "${remote}", proxies: [spiffe://plant.example/device/gateway-1]}}\n`,
  );
  await Promise.all([site.startEdge('hmi-1'), site.startEdge('gateway-1')]);
  const view = { interface: 'hmi-web', path: '/status', chain: site.paths.chain('gateway-1') };
  const asked = async () => await checkByEnvoy(site.paths.grpcSocket('hmi-1'), view);
  await until('gateway-1 is served', async () => (await asked()).allow);
  const proxy = createGrpcClient(Health, remote, {
    ...identityOf(site, 'gateway-1'),
    verifyServer: ([leaf]) =>
      assert.equal(parseCertificate(leaf ?? Buffer.alloc(0)).spiffeId?.uri, deviceId('plant.example', 'hmi-1').uri),
  });
  assert.equal((await proxy.check({})).status, HealthCheckResponse_ServingStatus.SERVING, 'as a proxy it is answered');
  const watching = collect(proxy.watch({})).then(
    () => 'ended',
    (error: { code: string }) => error.code,
  );

  // Last of all: its edge comes back after a while, and takes the place of this one.
  await using stream = openStream(site.addresses.edges, identityOf(site, 'gateway-1'));
  stream.say(hello());
  await stream.next('welcome');
  const started = performance.now();
  await site.operators.revokeDevice({ deviceId: 'gateway-1', reason: 'stolen' });
  const reason = await stream.ended;
  assert.ok(performance.now() - started < 5_000, 'at once');
  assert.match((reason as { code?: string }).code ?? '', /^(STREAM_DISCONNECTED|RPC_UNAVAILABLE|RPC_CANCELLED)$/);

  const refused = await until('the panel refuses it', async () => {
    const answer = await asked();
    return !answer.allow && answer.subject === '' && answer;
  });
  assert.equal(refused.status, 401);
  assert.equal(await watching, 'RPC_UNAVAILABLE', 'what was open ends');
  await assert.rejects(proxy.check({}), { code: 'RPC_UNAVAILABLE' });
  proxy.close();
  await until(
    'its edge is not let in again',
    async () => (await site.status('gateway-1')).stream.lastError?.code === 'IDENTITY_REVOKED',
  );
  const ingest = createGrpcClient(AuditIngestService, site.addresses.edges, identityOf(site, 'gateway-1'));
  const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) };
  await assert.rejects(collect(ingest.deliver(silent)), { code: 'IDENTITY_REVOKED' });
  ingest.close();
  assert.equal(await site.stateOf('gateway-1'), 'decommissioned');

  const events = await until('the refusals are in the log', async () => {
    const found = await site.events();
    const byPanel = ['deny', 'refuse'].every((verb) =>
      found.some(
        ({ device, kind, activity, data }) =>
          device === 'hmi-1' && kind === 'authz' && activity === verb && /revoked/.test(String(data['message'])),
      ),
    );
    return byPanel && found;
  });
  const codes = events
    .filter(({ kind, activity }) => kind === 'admin' && activity === 'refuse')
    .map(({ data }) => data['code']);
  assert.ok(codes.includes('IDENTITY_REVOKED'));
});
