// Who speaks is who has the certificate, and nobody by leaving TLS away: OpenSSL's own client with SVIDs and without, through
// the proxies as an edge wires them, to a real Modbus server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { generateKey, parseCertificate } from '../../identity/index.ts';
import { requires } from '../support/capabilities.ts';
import { testAuthority } from '../support/certificates.ts';
import { createTestAuthority, type TestAuthority, type TestSvid } from '../support/pki.ts';
import { startMosquitto } from '../support/mosquitto.ts';
import { run } from '../support/netns-process.ts';
import { until } from '../support/until.ts';
import type { Slice, SliceOperation } from '../../policy/bundle/index.ts';
import { type IdentifiedEdge, openIdentifiedEdge, svidSlice } from './identified-edge.ts';
import { startModbusServer } from './modbus-server.ts';
import { brokerSlice } from './mqtt-world.ts';
import { openssl, opensslWith, rootFile, svidFiles } from './svid-client.ts';
import { rawClient, readRegisters, recordingServer, writeRegister } from './wire.ts';

const gateway = 'spiffe://plant.example/device/gateway-1';
const serialOf = ({ der }: Pick<TestSvid, 'der'>): string => parseCertificate(der).serialHex;

/** Reads one register by the client; the function code of the answer, undefined when there is none. */
async function ask(client: {
  write(bytes: Buffer): void;
  read(count: number): Promise<Buffer>;
}): Promise<number | undefined> {
  client.write(readRegisters(7, 5));
  const header = await client.read(8);
  if (header.length < 8) return undefined;
  await client.read(header.readUInt16BE(4) - 2);
  return header.readUInt8(7);
}

async function edgeAtRecorder(
  t: TestContext,
): Promise<IdentifiedEdge & { readonly server: Awaited<ReturnType<typeof recordingServer>> }> {
  const server = await recordingServer();
  t.after(async () => await server[Symbol.asyncDispose]());
  return Object.assign(await openIdentifiedEdge(t, server.port), { server });
}

const refusals = ({ events }: IdentifiedEdge): unknown[] =>
  events.filter(({ activity }) => activity === 'refuse').map(({ data }) => data.code);

test('an SVID opens what a grant of binding svid grants, through to a real server; the write is refused as ever', async (t) => {
  if (!requires(t, 'openssl')) return;
  await using server = await startModbusServer();
  const edge = await openIdentifiedEdge(t, server.port);
  const client = opensslWith(
    t,
    edge.port,
    edge.authority.issue(gateway),
    '-CAfile',
    rootFile(t, edge.authority.root),
    '-verify_return_error',
  );
  client.write(readRegisters(1, 5));
  assert.deepEqual([...(await client.read(11))], [0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 7]);
  client.write(writeRegister(2, 50, 99));
  assert.deepEqual([...(await client.read(9))], [0, 2, 0, 0, 0, 3, 1, 0x86, 1]);
  assert.equal(await server.register(50), 7);
  const denied = edge.events.find(({ activity }) => activity === 'deny')?.data;
  assert.partialDeepStrictEqual(denied, { subject: 'gateway-1', source_ip: '127.0.0.1' });
});

test('no downgrade: from the right address in plain the same grant opens nothing, and the server sees no byte', async (t) => {
  const edge = await edgeAtRecorder(t);
  await using client = await rawClient(edge.port);
  await client.send(readRegisters(1, 5), writeRegister(2, 10, 1));
  assert.deepEqual([(await client.answer())?.functionCode, (await client.answer())?.functionCode], [0x83, 0x86]);
  assert.equal(edge.server.accepted(), 0);
  assert.deepEqual(
    edge.events.map(({ activity, data }) => [activity, data.reason, data.subject]),
    [
      ['deny', 'binding', 'gateway-1'],
      ['deny', 'binding', 'gateway-1'],
    ],
  );
});

test('and no upgrade: a grant by address is not opened by a certificate', async (t) => {
  if (!requires(t, 'openssl')) return;
  const edge = await edgeAtRecorder(t);
  edge.slice = { ...edge.slice, grants: edge.slice.grants.map((grant) => ({ ...grant, binding: 'ip' })) };
  assert.equal(await ask(opensslWith(t, edge.port, edge.authority.issue(gateway))), 0x83);
  await using plain = await rawClient(edge.port);
  await plain.send(readRegisters(1, 5));
  assert.equal((await plain.answer())?.functionCode, 3);
});

test('behind NAT the certificate counts; the event names the device of the address too', async (t) => {
  if (!requires(t, 'openssl')) return;
  const edge = await edgeAtRecorder(t);
  const client = opensslWith(t, edge.port, edge.authority.issue(gateway), '-bind', '127.0.0.2:0');
  assert.equal(await ask(client), 3);
  assert.partialDeepStrictEqual(edge.events[0], {
    activity: 'allow',
    data: { subject: 'gateway-1', source_ip: '127.0.0.2', address_subject: 'gateway-2' },
  });
  assert.equal(edge.proxies.close('gateway-2'), 0, 'its streams are those of its certificate');
  assert.equal(edge.proxies.close('gateway-1'), 1);
  await client.ended;
});

type Forge = (authority: TestAuthority) => TestSvid;
const selfSigned: Forge = () => {
  const { der, chain, key } = testAuthority('nobody').issue(gateway);
  return { der, chainPem: chain, keyPem: key, keys: generateKey() };
};
const notLetIn: readonly (readonly [what: string, svid: Forge, code: string])[] = [
  ['of another authority', () => createTestAuthority('plant.example').issue(gateway), 'IDENTITY_ISSUER_UNKNOWN'],
  [
    'of another trust domain',
    () => createTestAuthority('other.example').issue('spiffe://other.example/device/gateway-1'),
    'IDENTITY_TRUST_DOMAIN_MISMATCH',
  ],
  ['signed by itself', selfSigned, 'IDENTITY_ISSUER_UNKNOWN'],
  [
    'that has expired',
    (authority) => authority.issue(gateway, { now: Date.now() - 3 * 86_400_000, ttlSeconds: 3_600 }),
    'IDENTITY_EXPIRED',
  ],
  [
    'of an operator',
    (authority) => authority.issue('spiffe://plant.example/operator/ann', { now: Date.now() }),
    'SUBJECT_NOT_A_DEVICE',
  ],
  [
    'of a workload',
    (authority) => authority.issue(`${gateway}/workload/web`, { now: Date.now() }),
    'SUBJECT_NOT_A_DEVICE',
  ],
];

for (const [what, svid, code] of notLetIn) {
  test(`a certificate ${what} is refused with an event`, async (t) => {
    if (!requires(t, 'openssl')) return;
    // Long enough ago that a certificate can have expired.
    const authority = createTestAuthority('plant.example', Date.now() - 5 * 86_400_000);
    const server = await recordingServer();
    t.after(async () => await server[Symbol.asyncDispose]());
    const edge = await openIdentifiedEdge(t, server.port, { authority });
    edge.renew(authority.issue('spiffe://plant.example/device/plc-1', { now: Date.now() }));
    assert.equal(
      await ask(opensslWith(t, edge.port, authority.issue(gateway, { now: Date.now() }))),
      3,
      'the probe sees who is let in',
    );
    assert.equal(await ask(opensslWith(t, edge.port, svid(authority))), undefined);
    assert.deepEqual(refusals(edge), [code]);
    assert.equal(server.accepted(), 1);
  });
}

test('without a certificate, with TLS 1.2, and after revocation nobody is let in', async (t) => {
  if (!requires(t, 'openssl')) return;
  const edge = await edgeAtRecorder(t);
  const svid = edge.authority.issue(gateway);
  assert.equal(await ask(openssl(t, edge.port)), undefined);
  assert.equal(await ask(opensslWith(t, edge.port, svid, '-tls1_2')), undefined);
  edge.revoke(serialOf(svid));
  assert.equal(await ask(opensslWith(t, edge.port, svid)), undefined);
  assert.deepEqual(refusals(edge), ['PROXY_TLS_PEER', 'PROXY_TLS_HANDSHAKE', 'IDENTITY_REVOKED']);
  assert.equal(edge.server.accepted(), 0);
});

test('the edge shows its own SVID, and a client that expects another device can tell', async (t) => {
  if (!requires(t, 'openssl')) return;
  const edge = await edgeAtRecorder(t);
  const shown = async (): Promise<string> => {
    const { chainPem, keyPem } = edge.authority.issue(gateway);
    const socket = connectTls({
      port: edge.port,
      host: '127.0.0.1',
      cert: chainPem,
      key: keyPem,
      ca: edge.authority.rootPem,
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    const { raw } = socket.getPeerCertificate();
    socket.destroy();
    return parseCertificate(raw).serialHex;
  };
  assert.equal(await shown(), serialOf(edge.own()));
  const before = opensslWith(t, edge.port, edge.authority.issue(gateway));
  assert.equal(await ask(before), 3);
  const renewed = edge.authority.issue('spiffe://plant.example/device/plc-1');
  edge.renew(renewed);
  assert.equal(await shown(), serialOf(renewed), 'who connects anew sees the renewed one');
  assert.equal(await ask(before), 3, 'and who is connected goes on');
});

const ends: readonly (readonly [
  what: string,
  end: (edge: IdentifiedEdge, svid: TestSvid) => void,
  code: string | undefined,
])[] = [
  ['revocation of its certificate', (edge, svid) => edge.revoke(serialOf(svid)), 'IDENTITY_REVOKED'],
  [
    'revocation of the authority above it',
    (edge) => edge.revoke(parseCertificate(edge.authority.intermediate).serialHex),
    'IDENTITY_REVOKED',
  ],
  ['the end of its certificate', (edge) => ((edge.now += 2 * 86_400_000), edge.proxies.recheck()), 'IDENTITY_EXPIRED'],
  [
    'roots that are gone',
    (edge) => edge.renew(edge.own(), [createTestAuthority('plant.example').root]),
    'IDENTITY_ISSUER_UNKNOWN',
  ],
  ['an order against its device', (edge) => void edge.proxies.close('gateway-1'), undefined],
];

for (const [what, end, code] of ends) {
  test(`${what} cuts an open stream on both sides at once, and no other`, async (t) => {
    if (!requires(t, 'openssl')) return;
    const edge = await edgeAtRecorder(t);
    const svid = edge.authority.issue(gateway);
    const client = opensslWith(t, edge.port, svid);
    await using plain = await rawClient(edge.port, '127.0.0.1', '127.0.0.9');
    await plain.send(readRegisters(1, 5));
    assert.equal((await plain.answer())?.functionCode, 0x83);
    assert.equal(await ask(client), 3);
    assert.equal(edge.server.connections().length, 1);
    end(edge, svid);
    await client.ended;
    await until(
      'the server’s side is closed',
      async () => await Promise.resolve(edge.server.connections().length === 0),
    );
    assert.deepEqual(refusals(edge), code === undefined ? [] : [code]);
    assert.equal(plain.isClosed(), false);
  });
}

test('a certificate that ends while nobody asks ends its stream without being looked for', async (t) => {
  if (!requires(t, 'openssl')) return;
  const edge = await edgeAtRecorder(t);
  const client = opensslWith(t, edge.port, edge.authority.issue(gateway));
  assert.equal(await ask(client), 3);
  edge.now += 2 * 86_400_000;
  await client.ended;
  assert.deepEqual(refusals(edge), ['IDENTITY_EXPIRED']);
});

test('states count for certificates as for addresses: who is revoked or unknown is let to nothing', async (t) => {
  if (!requires(t, 'openssl')) return;
  const edge = await edgeAtRecorder(t);
  for (const state of ['revoked', 'decommissioned', 'unknown', 'quarantined'] as const) {
    edge.states.set('gateway-1', state);
    assert.equal(await ask(opensslWith(t, edge.port, edge.authority.issue(gateway))), 0x83, state);
  }
  assert.equal(edge.server.accepted(), 0);
});

test('slow and silent hellos hold up nobody', async (t) => {
  if (!requires(t, 'openssl')) return;
  const edge = await edgeAtRecorder(t);
  const slow = await Promise.all(
    Array.from({ length: 12 }, async (_, index) => {
      const client = await rawClient(edge.port, '127.0.0.1', `127.0.1.${index + 1}`);
      await client.send(Buffer.from([0x16, 3, 1].slice(0, 1 + (index % 3))));
      return client;
    }),
  );
  assert.equal(await ask(opensslWith(t, edge.port, edge.authority.issue(gateway))), 3);
  await using plain = await rawClient(edge.port);
  await plain.send(readRegisters(1, 5));
  assert.equal((await plain.answer())?.functionCode, 0x83);
  for (const client of slow) await client[Symbol.asyncDispose]();
});

const [service] = svidSlice.interfaces;
const [grant] = svidSlice.grants;
if (service === undefined || grant === undefined) throw new Error('the slice has both');
const operation: SliceOperation = {
  name: 'status',
  protocol: 'http',
  methods: ['GET'],
  paths: ['/status'],
  class: 'normal',
  island: false,
};
/** gateway-1 may look at /status with its SVID. */
const webSlice: Slice = {
  ...svidSlice,
  interfaces: [{ ...service, name: 'web', protocol: 'http', operations: [operation] }],
  grants: [{ ...grant, interface: 'web', operations: ['status'] }],
};

test('curl with an SVID is served by a plain HTTP server as far as the grant goes, and without one not at all', async (t) => {
  if (!requires(t, 'curl')) return;
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.end('fine');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const edge = await openIdentifiedEdge(t, (server.address() as AddressInfo).port, {
    slice: webSlice,
    interface: 'web',
  });
  const { chain, key } = svidFiles(t, edge.authority.issue(gateway));
  const curl = async (...args: readonly string[]): Promise<string> =>
    await new Promise((resolve) => {
      execFile('curl', ['-sk', '--max-time', '10', '-o', '-', '-w', '%{http_code}', ...args], (_, stdout) =>
        resolve(stdout),
      );
    });
  const at = `127.0.0.1:${edge.port}`;
  const svid = ['--cert', chain, '--key', key];
  assert.equal(await curl(...svid, `https://${at}/status`), 'fine200');
  assert.match(await curl(...svid, '-X', 'DELETE', `https://${at}/status`), /403$/);
  assert.match(await curl(`http://${at}/status`), /403$/, 'from the right address, in plain');
  assert.equal(await curl(`https://${at}/status`), '000', 'no certificate, no answer');
  assert.deepEqual(seen, ['GET /status']);
});

test('HTTP/2 under an SVID, as gRPC speaks it, reaches a server that speaks it in plain', async (t) => {
  const server = createHttp2Server((_, response) => response.end('fine')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const edge = await openIdentifiedEdge(t, (server.address() as AddressInfo).port, {
    slice: webSlice,
    interface: 'web',
  });
  const { chainPem: cert, keyPem: key } = edge.authority.issue(gateway);
  const session = connectHttp2(`https://127.0.0.1:${edge.port}`, { cert, key, rejectUnauthorized: false });
  t.after(() => session.destroy());
  const status = async (path: string): Promise<unknown> => {
    const request = session.request({ ':path': path });
    const [headers] = (await once(request, 'response')) as [Record<string, unknown>];
    request.resume();
    return headers[':status'];
  };
  assert.deepEqual([await status('/status'), await status('/other')], [200, 403]);
});

test('mosquitto_pub with an SVID publishes as its device and as no other; from the same address in plain it does not connect', async (t) => {
  if (!requires(t, 'mosquitto', 'mosquitto-clients')) return;
  await using broker = await startMosquitto();
  const slice: Slice = {
    ...brokerSlice,
    devices: svidSlice.devices,
    grants: brokerSlice.grants.map((grant) => ({ ...grant, subjects: ['gateway-1'], binding: 'svid' })),
  };
  const edge = await openIdentifiedEdge(t, broker.port, { slice, interface: 'broker', device: 'broker-1' });
  const { chain, key } = svidFiles(t, edge.authority.issue(gateway));
  const svid = ['--cert', chain, '--key', key, '--cafile', rootFile(t, edge.authority.root), '--tls-alpn', 'mqtt'];
  // --insecure: the certificate is verified, but names no host.
  const publish = async (id: string, ...more: readonly string[]): Promise<number | null> => {
    const message = ['-t', 'plant/gateway-1/temperature', '-m', '21', '-q', '1', '-i', id];
    const { code } = await run([
      'mosquitto_pub',
      '-h',
      '127.0.0.1',
      '-p',
      String(edge.port),
      '-V',
      '5',
      ...message,
      ...more,
    ]);
    return code;
  };
  assert.equal(await publish('gateway-1', ...svid, '--insecure'), 0);
  await broker.waitForLog(/Received PUBLISH from gateway-1 .*plant\/gateway-1\/temperature/);
  assert.notEqual(await publish('gateway-2', ...svid, '--insecure'), 0, 'the client id is bound to the device');
  assert.notEqual(await publish('gateway-1'), 0);
  assert.equal([...broker.log().matchAll(/Received PUBLISH/g)].length, 1);
  assert.equal([...broker.log().matchAll(/New client connected/g)].length, 1);
});
