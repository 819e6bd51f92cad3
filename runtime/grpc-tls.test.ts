// Who is let in, who is believed, and what changes while a server runs: over real TLS with certificates of openssl.
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { EnrolmentService } from '../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { EdgeStreamService } from '../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { hasCapability, requires } from '../test/support/capabilities.ts';
import { testAuthority, type TestAuthority, type TestIdentity } from '../test/support/certificates.ts';
import { runtimeErrors } from './error-codes.ts';
import { createGrpcClient, createGrpcServer, presentedChain } from './grpc.ts';
import type { CallContext, ClientTls, GrpcServerOptions, ServerTls } from './grpc.ts';

const device = 'spiffe://plant.example/device/plc-1';
let plant: TestAuthority;
let stranger: TestAuthority;
let serverId: TestIdentity;
let deviceId: TestIdentity;

before(() => {
  if (!hasCapability('openssl')) return;
  plant = testAuthority('plant root');
  stranger = testAuthority('stranger root');
  serverId = plant.issue('spiffe://plant.example/control/stream');
  deviceId = plant.issue(device);
});

const cleanups: (() => unknown)[] = [];
const cleanUp = async (): Promise<void> => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
};
afterEach(cleanUp);
after(cleanUp);

const serverTls = (more: Partial<ServerTls> = {}): ServerTls => ({
  key: serverId.key,
  chain: serverId.chain + plant.root,
  roots: plant.root,
  ...more,
});

async function start(tls: ServerTls = serverTls(), options: GrpcServerOptions = {}) {
  const calls: CallContext[] = [];
  const server = createGrpcServer(options);
  server.addService(EnrolmentService, {
    enroll: async (_, call) => {
      calls.push(call);
      return {};
    },
  });
  server.addService(EdgeStreamService, {
    async *connect(_, call) {
      yield { message: { case: 'welcome', value: {} } };
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
    },
  });
  const port = await server.listen('127.0.0.1:0', tls);
  cleanups.push(() => server.close(0));
  return { server, port, calls };
}

function clientOf(port: number, tls: Partial<ClientTls> = {}, identity: TestIdentity | undefined = deviceId) {
  const own = identity === undefined ? {} : { key: identity.key, chain: identity.chain };
  const all = { ...own, roots: plant.root, verifyServer: () => undefined, ...tls };
  const client = createGrpcClient(EnrolmentService, `127.0.0.1:${port}`, all);
  cleanups.push(() => client.close());
  return client;
}

function guarded(name: string, work: (t: TestContext) => Promise<void>): void {
  test(name, async (t) => {
    if (requires(t, 'openssl')) await work(t);
  });
}

guarded('both sides see the chain of the other, leaf first', async () => {
  const seen: Buffer[][] = [];
  const { port, calls } = await start(serverTls({ verifyClient: (chain) => seen.push(chain) }));
  await clientOf(port, { verifyServer: (chain) => seen.push(chain) }).enroll({});
  assert.deepEqual(calls[0]?.peerCertificate, deviceId.der);
  const [byClient, byServer] = seen.toSorted((a) => (a[0]?.equals(serverId.der) ? -1 : 1));
  assert.deepEqual(byClient, [serverId.der, plant.rootDer]);
  assert.deepEqual(byServer?.[0], deviceId.der);
  assert.equal(new X509Certificate(calls[0]?.peerCertificate ?? '').subjectAltName, `URI:${device}`);
});

guarded('all calls of a connection share one connection object, other clients have others', async () => {
  const { port, calls } = await start();
  const [one, other] = [clientOf(port), clientOf(port)];
  for (const client of [one, one, other]) await client.enroll({});
  const [a, b, c] = calls.map(({ connection }) => connection);
  assert.equal(a, b);
  assert.notEqual(a, c);
});

guarded('a client without a certificate, or with one of a stranger, is not let in', async () => {
  const refusals: string[] = [];
  const { port, calls } = await start(serverTls(), {
    onRefused: ({ peer, error }) => refusals.push(`${peer} ${error.message}`),
  });
  const none = createGrpcClient(EnrolmentService, `127.0.0.1:${port}`, {
    roots: plant.root,
    verifyServer: () => undefined,
  });
  cleanups.push(() => none.close());
  await assert.rejects(none.enroll({}), { code: 'RPC_UNAVAILABLE' });
  await assert.rejects(clientOf(port, {}, stranger.issue(device)).enroll({}), { code: 'RPC_UNAVAILABLE' });
  assert.equal(calls.length, 0);
  assert.equal(refusals.length, 2);
  for (const refusal of refusals)
    assert.match(refusal, /^127\.0\.0\.1:\d+ the client has no valid certificate \([A-Z_]+\)$/);
});

guarded('a client that verifyClient refuses is not let in', async () => {
  const { port, calls } = await start(
    serverTls({
      verifyClient: () => {
        throw new Error('revoked');
      },
    }),
  );
  await assert.rejects(clientOf(port).enroll({}), { code: 'RPC_UNAVAILABLE' });
  assert.equal(calls.length, 0);
});

guarded(
  'a server of a stranger is not believed; one with another name is refused with the code of verifyServer',
  async () => {
    const { port, calls } = await start();
    await assert.rejects(clientOf(port, { roots: stranger.root }).enroll({}), { code: 'RPC_UNAVAILABLE' });
    const verifyServer = (): void => {
      throw runtimeErrors.error('PEER_REFUSED', 'not the control plane');
    };
    await assert.rejects(clientOf(port, { verifyServer }).enroll({}), {
      code: 'PEER_REFUSED',
      message: 'not the control plane',
    });
    assert.equal(calls.length, 0);
  },
);

guarded('without roots, clients are not asked for a certificate', async () => {
  const { port, calls } = await start({ key: serverId.key, chain: serverId.chain });
  await clientOf(port, {}, undefined).enroll({});
  await clientOf(port).enroll({});
  assert.deepEqual(
    calls.map(({ peerChain }) => peerChain.length),
    [0, 0],
  );
});

guarded('the presented chain lets a first contact find the root by its fingerprint', async () => {
  const { port, calls } = await start({ key: serverId.key, chain: serverId.chain + plant.root });
  const chain = await presentedChain(`127.0.0.1:${port}`, AbortSignal.timeout(5000));
  const wanted = createHash('sha256').update(plant.rootDer).digest('hex');
  const root = chain.find((der) => createHash('sha256').update(der).digest('hex') === wanted);
  assert.ok(root);
  await clientOf(port, { roots: [root] }, undefined).enroll({});
  assert.equal(calls.length, 1);
  await assert.rejects(presentedChain('127.0.0.1:1', AbortSignal.timeout(5000)), { code: 'RPC_UNAVAILABLE' });
  await assert.rejects(presentedChain(`127.0.0.1:${port}`, AbortSignal.abort()), { code: 'RPC_UNAVAILABLE' });
});

function rawTls(port: number, more: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { key, chain } = deviceId;
    const own = { key, cert: chain, ca: plant.root, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
    const socket = connectTls({ host: '127.0.0.1', port, ...own, ...more }, () => resolve(socket));
    socket.on('error', reject);
    cleanups.push(() => socket.destroy());
  });
}

const closed = (socket: Socket): Promise<unknown> =>
  socket.destroyed ? Promise.resolve() : new Promise((resolve) => socket.resume().once('close', resolve));

guarded('a client reaches its server through the HTTP proxy that the environment names, when told to', async (t) => {
  const { port, calls } = await start();
  const asked: string[] = [];
  const proxy = createHttpServer().on('connect', (request, socket: Socket) => {
    asked.push(String(request.url));
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    const through = connectTcp(port, '127.0.0.1');
    through.pipe(socket).pipe(through);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port: proxyPort } = proxy.address() as AddressInfo;
  t.after(() => proxy.close().closeAllConnections());
  process.env['grpc_proxy'] = `http://127.0.0.1:${proxyPort}`;
  t.after(() => delete process.env['grpc_proxy']);
  const tls = { key: deviceId.key, chain: deviceId.chain, roots: plant.root, verifyServer: () => undefined };
  const client = createGrpcClient(EnrolmentService, 'control.plant.example:8443', tls, { proxyFromEnvironment: true });
  cleanups.push(() => client.close());
  await client.enroll({});
  assert.deepEqual(asked, ['control.plant.example:8443']);
  await clientOf(port).enroll({});
  assert.equal(calls.length, 2);
  assert.equal(asked.length, 1, 'not asked for, not used');
});

guarded('TLS 1.2 is refused', async () => {
  const { port } = await start();
  await assert.rejects(rawTls(port, { maxVersion: 'TLSv1.2' }), /alert protocol version|ECONNRESET/);
});

guarded('a client that does not speak HTTP/2 is closed', async () => {
  const { port } = await start();
  await closed(await rawTls(port, { ALPNProtocols: [] }));
});

guarded('no session is resumed, so a removed root is removed at once', async () => {
  const { server, port } = await start();
  const sessions: Buffer[] = [];
  const first = await rawTls(port);
  first.on('session', (session) => sessions.push(session)).resume();
  while (sessions.length === 0) await delay(5);
  for (const session of sessions) {
    const again = await rawTls(port, { session });
    assert.equal(again.isSessionReused(), false);
  }
  server.replaceTls(serverTls({ roots: stranger.root }));
  await closed(await rawTls(port, { session: sessions[0] }).catch(() => first.destroy()));
});

guarded('key, chain and roots are replaced for new connections; open ones stay', async () => {
  const { server, port, calls } = await start();
  const names: string[] = [];
  const verifyServer = (chain: Buffer[]): void =>
    void names.push(String(new X509Certificate(chain[0] ?? '').subjectAltName));
  const old = clientOf(port, { verifyServer });
  await old.enroll({});
  const renewed = plant.issue('spiffe://plant.example/control/renewed');
  server.replaceTls(serverTls({ key: renewed.key, chain: renewed.chain, roots: [plant.root, stranger.rootDer] }));
  await old.enroll({});
  await clientOf(port, { verifyServer }, stranger.issue(device)).enroll({});
  assert.deepEqual(names, ['URI:spiffe://plant.example/control/stream', 'URI:spiffe://plant.example/control/renewed']);
  assert.equal(calls.length, 3);
  assert.throws(() => server.replaceTls({ key: renewed.key, chain: renewed.chain }), /cannot change/);
});

guarded('connections are ended by certificate, with the streams in them, and no others', async () => {
  const { server, port } = await start();
  const open = (identity: TestIdentity) => {
    const tls = { key: identity.key, chain: identity.chain, roots: plant.root, verifyServer: () => undefined };
    const client = createGrpcClient(EdgeStreamService, `127.0.0.1:${port}`, tls);
    cleanups.push(() => client.close());
    return client.connect((async function* () {})())[Symbol.asyncIterator]();
  };
  const revoked = open(deviceId);
  const other = open(plant.issue('spiffe://plant.example/device/plc-2'));
  await Promise.all([revoked.next(), other.next()]);
  const ended = server.closeConnections(({ peerChain }) => peerChain[0]?.equals(deviceId.der) === true);
  assert.equal(ended, 1);
  await assert.rejects(async () => revoked.next(), { code: 'RPC_UNAVAILABLE' });
  assert.equal(
    server.closeConnections(() => true),
    1,
    'the other was still there',
  );
});

guarded('clients that are silent in their handshake do not keep others out', async () => {
  const { port, calls } = await start(serverTls(), { maxHandshakesInFlight: 2, handshakeSlotMs: 5 });
  for (let i = 0; i < 20; i++) {
    const silent = connectTcp(port, '127.0.0.1');
    cleanups.push(() => silent.destroy());
    await new Promise((resolve) => silent.once('connect', resolve));
  }
  await clientOf(port).enroll({});
  assert.equal(calls.length, 1);
});

guarded('handshakes beyond those that may wait are closed at once; those that wait get their turn', async () => {
  const { port, calls } = await start(serverTls(), {
    maxHandshakesInFlight: 1,
    maxHandshakesWaiting: 1,
    handshakeSlotMs: 60_000,
  });
  const silent = connectTcp(port, '127.0.0.1');
  await new Promise((resolve) => silent.once('connect', resolve));
  await delay(20);
  const waiting = clientOf(port).enroll({});
  await delay(100);
  const late = connectTcp(port, '127.0.0.1');
  late.on('error', () => undefined);
  await closed(late);
  assert.equal(calls.length, 0);
  silent.destroy();
  await waiting;
});

guarded('a finished handshake makes room for the next, though its connection stays', async () => {
  const { port, calls } = await start(serverTls(), { maxHandshakesInFlight: 1, handshakeSlotMs: 3_600_000 });
  for (const client of [clientOf(port), clientOf(port), clientOf(port)]) await client.enroll({});
  assert.equal(calls.length, 3);
});

guarded('a handshake that takes too long is ended', async () => {
  const { port } = await start(serverTls(), { handshakeMs: 50 });
  const silent = connectTcp(port, '127.0.0.1');
  await closed(silent);
});

guarded('a key that does not fit its certificate is found out before it is used', async () => {
  const wrong = { key: deviceId.key, chain: serverId.chain, roots: plant.root };
  await assert.rejects(start(wrong), { code: 'CONFIG_INVALID' });
  const { server, port, calls } = await start();
  assert.throws(() => server.replaceTls(wrong), { code: 'CONFIG_INVALID' });
  await clientOf(port).enroll({});
  assert.equal(calls.length, 1, 'the old certificate stays in use');
  await assert.rejects(createGrpcServer().listen('unix:/tmp/x.sock', serverTls()), { code: 'CONFIG_INVALID' });
});
