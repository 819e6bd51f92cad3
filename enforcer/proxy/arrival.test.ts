import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect as dial, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { createTestAuthority } from '../../test/support/pki.ts';
import { until } from '../../test/support/until.ts';
import { rawClient, readRegisters, recordingServer } from '../../test/proxy/wire.ts';
import { type World, world } from '../../test/proxy/world.ts';
import { HANDSHAKE_LIMITS, HANDSHAKE_MS } from './tls/limits.ts';
import { createTermination, type Termination } from './tls/termination.ts';

const authority = createTestAuthority('plant.example');

function termination(uri = 'spiffe://plant.example/device/plc-1'): Termination {
  const own = authority.issue(uri);
  return createTermination({
    tls: () => ({ key: own.keyPem, chain: [own.der, authority.intermediate], roots: [authority.root] }),
    follow: () => undefined,
    verify: (chain) => ({ device: 'gateway-1', serial: '01', chain, mustHold: () => undefined }),
  });
}

/** Lets what a socket has sent be read. */
const settle = async (w: World, count: number): Promise<void> =>
  void (await until('the proxy has them', async () => await Promise.resolve(w.proxy.connections().length === count)));

test('plain bytes reach the server as they came, in whatever pieces, also when they begin as TLS does', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, { termination: termination(), limits: { maxConnectionsPerPeer: 1_000 } });
  const transaction = fc.constantFrom(0x1603, 0x1601, 0x0316, 1);
  await fc.assert(
    fc.asyncProperty(
      fc.array(transaction, { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 }),
      async (transactions, sizes) => {
        const sent = Buffer.concat(transactions.map((id) => readRegisters(id, 5)));
        const pieces: Buffer[] = [];
        for (let at = 0, index = 0; at < sent.length; index++) {
          const size = sizes[index % sizes.length] ?? 1;
          pieces.push(sent.subarray(at, at + size));
          at += size;
        }
        const before = server.bytes().length;
        await using client = await rawClient(w.port);
        await client.send(...pieces);
        for (const id of transactions) assert.equal((await client.answer())?.transaction, id);
        assert.deepEqual(server.bytes().subarray(before), sent);
      },
    ),
    { numRuns: 40 },
  );
});

test('a hello that does not come to an end is ended, and told', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, { termination: termination() });
  await using begun = await rawClient(w.port);
  await using further = await rawClient(w.port);
  await using silent = await rawClient(w.port);
  await begun.send(Buffer.from([0x16, 3]));
  await further.send(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]));
  await settle(w, 3);
  // The time is only let go when the bytes have surely been read.
  await until('both are ended', async () => {
    await w.clock.advance(HANDSHAKE_MS);
    return begun.isClosed() && further.isClosed();
  });
  assert.equal(silent.isClosed(), false, 'who says nothing has begun nothing');
  assert.deepEqual(
    w.events.map(({ data }) => [data.code, data.reason]),
    [['PROXY_TLS_HANDSHAKE', 'unproven']],
  );
  assert.equal(w.proxy.connections().length, 1);
});

test('who leaves before it is known who it was leaves nothing behind', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, { termination: termination() });
  for (const bytes of [Buffer.from([0x16]), Buffer.from([0x16, 3, 1, 2]), Buffer.alloc(0)]) {
    const client = await rawClient(w.port);
    if (bytes.length > 0) await client.send(bytes);
    await settle(w, 1);
    await client[Symbol.asyncDispose]();
    await settle(w, 0);
  }
  assert.deepEqual(w.events, []);
});

test('an own SVID that cannot be used lets nobody in, and plain connections go on', async () => {
  await using server = await recordingServer();
  const broken = createTermination({
    tls: () => {
      throw new Error('no key');
    },
    follow: () => undefined,
    verify: () => assert.fail('nobody gets that far'),
  });
  await using w = await world(server.port, { termination: broken });
  const socket = connect({ port: w.port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'error');
  assert.equal(w.events[0]?.data.code, 'PROXY_TLS_OWN_IDENTITY');
  await using client = await rawClient(w.port);
  await client.send(readRegisters(1, 5));
  assert.equal((await client.answer())?.functionCode, 3);
});

test('a session is not resumed', async () => {
  await using server = await recordingServer();
  await using w = await world(server.port, { termination: termination() });
  const { chainPem: cert, keyPem: key } = authority.issue('spiffe://plant.example/device/gateway-1');
  const dial = async (session?: Buffer) => {
    const socket = connect({
      port: w.port,
      host: '127.0.0.1',
      cert,
      key,
      rejectUnauthorized: false,
      ...(session === undefined ? {} : { session }),
    });
    let last: Buffer | undefined;
    socket.on('session', (found: Buffer) => (last = found));
    socket.write(readRegisters(1, 5));
    await once(socket, 'data');
    const reused = socket.isSessionReused();
    socket.destroy();
    return { reused, session: last };
  };
  const first = await dial();
  assert.equal((await dial(first.session)).reused, false);
});

test('who comes when too many handshakes wait already is refused at once', async (t) => {
  const waiting = HANDSHAKE_LIMITS.maxHandshakesInFlight + HANDSHAKE_LIMITS.maxHandshakesWaiting;
  const accepted: Socket[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => void accepted.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clients = Array.from({ length: waiting + 1 }, () => dial(port, '127.0.0.1').on('error', () => undefined));
  t.after(() => {
    for (const socket of [...clients, ...accepted]) socket.destroy();
    server.close();
  });
  await until('all are there', async () => await Promise.resolve(accepted.length === clients.length));
  const gate = termination();
  const refused: (string | undefined)[] = [];
  accepted.forEach((socket, index) => {
    socket.on('error', () => undefined);
    gate.terminate(socket, { alpn: [], onPeer: () => assert.fail(), onRefused: ({ code }) => (refused[index] = code) });
  });
  assert.deepEqual(Object.entries(refused), [[String(waiting), 'PROXY_TLS_BUSY']]);
  assert.equal(accepted[waiting]?.destroyed, true);
});

test('bytes that are no TLS behind a handshake end both sides', async (t) => {
  await using server = await recordingServer();
  await using w = await world(server.port, { termination: termination() });
  let inject: (bytes: Buffer) => void = () => undefined;
  const relay = createServer((near) => {
    const far = dial(w.port, '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => undefined);
    near.pipe(far);
    far.pipe(near);
    far.on('close', () => near.destroy());
    inject = (bytes) => void far.write(bytes);
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  t.after(() => relay.close());
  const { chainPem: cert, keyPem: key } = authority.issue('spiffe://plant.example/device/gateway-1');
  const { port } = relay.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', cert, key, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  socket.write(readRegisters(1, 5));
  await once(socket, 'data');
  const closed = new Promise((resolve) => socket.once('close', resolve));
  inject(Buffer.concat([Buffer.from('1703030020', 'hex'), Buffer.alloc(32, 1)]));
  await closed;
  await settle(w, 0);
  await until('the server’s side is closed', async () => await Promise.resolve(server.connections().length === 0));
});
