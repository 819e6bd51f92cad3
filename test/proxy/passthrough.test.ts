// TLS that is passed through by the name of its server: curl and OpenSSL's own client, unchanged, to a real TLS server.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import fc from 'fast-check';
import type { Slice } from '../../policy/bundle/index.ts';
import { requires } from '../support/capabilities.ts';
import { testAuthority } from '../support/certificates.ts';
import { freePort } from '../support/free-ports.ts';
import { until } from '../support/until.ts';
import { type IdentifiedEdge, openIdentifiedEdge, svidSlice } from './identified-edge.ts';

const name = 'cam-1.plant.example';
const identity = testAuthority('camera').issue('spiffe://plant.example/device/cam-1');

const [service] = svidSlice.interfaces;
const [grant] = svidSlice.grants;
if (service === undefined || grant === undefined) throw new Error('the slice has both');

/** 127.0.0.1 may see the camera by its name, and nothing else. */
const slice: Slice = {
  ...svidSlice,
  interfaces: [
    {
      ...service,
      name: 'camera-tls',
      protocol: 'tls',
      operations: [{ name: 'view', protocol: 'tls', names: [name, '*.cell.example'], class: 'normal', island: false }],
    },
  ],
  grants: [{ ...grant, id: 'camera', interface: 'camera-tls', operations: ['view'], binding: 'ip' }],
};

interface Camera {
  readonly port: number;
  /** Server names that clients said. */
  readonly names: string[];
  readonly open: Set<TLSSocket>;
}

/** Echoes what it is sent, and answers HTTP with "seen". */
async function camera(t: TestContext): Promise<Camera> {
  const names: string[] = [];
  const open = new Set<TLSSocket>();
  const server = createTlsServer({
    key: identity.key,
    cert: identity.chain,
    SNICallback: (found, done) => {
      names.push(found);
      done(null);
    },
  });
  server.on('tlsClientError', () => undefined);
  server.on('secureConnection', (socket) => {
    open.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => open.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      const isHttp = chunk.subarray(0, 4).toString() === 'GET ';
      socket.write(isHttp ? 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nseen' : chunk);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, names, open };
}

async function world(t: TestContext): Promise<{ edge: IdentifiedEdge; server: Camera }> {
  const server = await camera(t);
  return { server, edge: await openIdentifiedEdge(t, server.port, { slice, interface: 'camera-tls' }) };
}

function curl(port: number, host: string): Promise<{ readonly code: number; readonly out: string }> {
  const args = ['-sk', '--max-time', '10', '--resolve', `${host}:${port}:127.0.0.1`, `https://${host}:${port}/`];
  return new Promise((resolve) => {
    execFile('curl', args, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out: stdout + stderr });
    });
  });
}

test('curl sees the server that is granted, and is told that access is denied to another', async (t) => {
  if (!requires(t, 'curl')) return;
  const { edge, server } = await world(t);
  assert.deepEqual(await curl(edge.port, name), { code: 0, out: 'seen' });
  assert.deepEqual(await curl(edge.port, 'door.cell.example'), { code: 0, out: 'seen' });
  assert.equal((await curl(edge.port, 'cam-2.plant.example')).code, 35, 'the handshake failed');
  assert.equal((await curl(server.port, 'cam-2.plant.example')).code, 0, 'control: without the proxy it would not');
  assert.deepEqual(server.names, [name, 'door.cell.example', 'cam-2.plant.example']);
  assert.deepEqual(
    edge.events.map(({ kind, activity, data }) => [kind, activity, data.server_name, data.subject, data.source_ip]),
    [
      ['tls', 'allow', name, 'gateway-1', '127.0.0.1'],
      // The same operation by another name is counted.
      ['tls', 'deny', 'cam-2.plant.example', 'gateway-1', '127.0.0.1'],
    ],
  );
});

/** Unlike `once` it does not mind a reset. */
const closing = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

/** A TLS client through the proxy, whose handshake is done. */
async function viewer(port: number): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', servername: name, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

const ends: readonly (readonly [what: string, end: (edge: IdentifiedEdge) => void])[] = [
  ['an order against its subject', (edge) => void edge.proxies.close('gateway-1')],
  ['a policy that no longer allows it', (edge) => void (edge.slice = { ...slice, grants: [] })],
  ['a state that is allowed nothing', (edge) => void edge.states.set('gateway-1', 'revoked')],
];
for (const [what, end] of ends) {
  test(`${what} cuts a stream that is passed through on both sides`, async (t) => {
    const { edge, server } = await world(t);
    const client = await viewer(edge.port);
    client.write('frame');
    assert.equal(String((await once(client, 'data'))[0]), 'frame');
    edge.proxies.recheck();
    assert.equal(client.destroyed, false);
    const closed = closing(client);
    end(edge);
    edge.proxies.recheck();
    await closed;
    await until('the server’s side is closed', async () => await Promise.resolve(server.open.size === 0));
  });
}

/** The first flight of a client, as it comes. */
async function firstFlight(options: { servername: string; ecdhCurve: string }): Promise<Buffer> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const arrived = once(listener, 'connection') as Promise<[Socket]>;
  const client = connectTls({
    port: (listener.address() as AddressInfo).port,
    host: '127.0.0.1',
    minVersion: 'TLSv1.3',
    ...options,
  });
  client.on('error', () => undefined);
  const [socket] = await arrived;
  const [flight] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  listener.close();
  return flight;
}

async function raw(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** OpenSSL's own server, and the name of every hello that it was sent. */
async function opensslServer(
  t: TestContext,
): Promise<{ readonly port: number; readonly names: () => readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'ew-camera-'));
  writeFileSync(join(folder, 'key.pem'), identity.key, { mode: 0o600 });
  writeFileSync(join(folder, 'cert.pem'), identity.chain);
  const port = await freePort();
  const files = (second: string): string[] => [
    `-key${second}`,
    join(folder, 'key.pem'),
    `-cert${second}`,
    join(folder, 'cert.pem'),
  ];
  const listen = ['-accept', `127.0.0.1:${port}`, '-groups', 'P-256', '-servername', 'cam-2.plant.example'];
  const child = spawn('openssl', ['s_server', ...listen, ...files(''), ...files('2')]);
  t.after(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until('OpenSSL listens', async () => await Promise.resolve(said.includes('ACCEPT')));
  return {
    port,
    names: () => [...said.matchAll(/Hostname in TLS extension: "(.*?)"/g)].map(([, found = '']) => found),
  };
}

test('a second hello, asked for by the server, cannot name another one', async (t) => {
  if (!requires(t, 'openssl')) return;
  const server = await opensslServer(t);
  const edge = await openIdentifiedEdge(t, server.port, { slice, interface: 'camera-tls' });
  // X448 first: the server asks for a hello with a share of P-256.
  const first = await firstFlight({ servername: name, ecdhCurve: 'X448:P-256' });
  const second = async (servername: string): Promise<Buffer> => {
    const hello = Buffer.from(await firstFlight({ servername, ecdhCurve: 'P-256' }));
    // It has to be of the same session (RFC 8446, 4.1.2).
    first.copy(hello, 11, 11, 11 + 32);
    first.copy(hello, 44, 44, 44 + 32);
    return hello;
  };
  /** The names that the server heard. */
  const says = async (port: number, servername: string): Promise<readonly string[]> => {
    const before = server.names().length;
    const client = await raw(t, port);
    client.write(first);
    await once(client, 'data');
    const over = Promise.race([new Promise((resolve) => client.once('data', resolve)), closing(client)]);
    client.write(await second(servername));
    await over;
    client.destroy();
    // It serves one after the other: when it has said the name of the next, it has said those of this one.
    const marker = `marker-${before}.example`;
    const next = connectTls({ port: server.port, host: '127.0.0.1', servername: marker, rejectUnauthorized: false });
    t.after(() => next.destroy());
    next.on('error', () => undefined);
    await until('the server heard the next', async () => await Promise.resolve(server.names().includes(marker)));
    next.destroy();
    return server.names().slice(before, server.names().indexOf(marker));
  };
  assert.deepEqual(
    await says(server.port, 'cam-2.plant.example'),
    [name, 'cam-2.plant.example'],
    'control: it believes the second',
  );
  assert.deepEqual(await says(edge.port, name), [name, name], 'a second one as such is served');
  assert.deepEqual(await says(edge.port, 'cam-2.plant.example'), [name], 'but not for another server');
  assert.match(String(edge.events.at(-1)?.data.message), /a second ClientHello for cam-2\.plant\.example/);
});

test('in whatever pieces, what reaches the server is what was sent, and of a refused hello nothing is', async (t) => {
  const received: Buffer[] = [];
  const server = createServer((socket) => {
    const chunks: Buffer[] = [];
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('close', () => received.push(Buffer.concat(chunks)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const edge = await openIdentifiedEdge(t, (server.address() as AddressInfo).port, { slice, interface: 'camera-tls' });
  const [allowed, denied] = await Promise.all(
    [name, 'cam-2.plant.example'].map(async (servername) => await firstFlight({ servername, ecdhCurve: 'P-256' })),
  );
  const early = Buffer.from('1403030001011703030003aabbcc', 'hex');
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 }),
      async (isAllowed, sizes) => {
        const bytes = Buffer.concat([(isAllowed ? allowed : denied) ?? assert.fail(), early]);
        const client = await raw(t, edge.port);
        client.setNoDelay(true);
        for (let at = 0, index = 0; at < bytes.length; index++) {
          const size = sizes[index % sizes.length] ?? 1;
          if (client.destroyed) break;
          await new Promise<void>((resolve) => client.write(bytes.subarray(at, at + size), () => resolve()));
          await new Promise((resolve) => setImmediate(resolve));
          at += size;
        }
        const count = received.length;
        if (!isAllowed) {
          if (!client.destroyed) await closing(client.resume());
          assert.equal(received.length, count);
          return;
        }
        client.end();
        await until('the server has all', async () => await Promise.resolve(received.length > count), 5_000, 2);
        assert.deepEqual(received.at(-1), bytes);
      },
    ),
    { numRuns: 60 },
  );
});

test('what is no TLS, and who says no name, is refused', async (t) => {
  const { edge, server } = await world(t);
  for (const bytes of [
    'GET / HTTP/1.1\r\nHost: cam-1.plant.example\r\n\r\n',
    '\x80\x2e\x01\x03\x01',
    '\x16\x03\x01\x00\x00',
  ]) {
    const client = await raw(t, edge.port);
    const closed = closing(client);
    client.write(Buffer.from(bytes, 'latin1'));
    await closed;
  }
  const nameless = connectTls({ port: edge.port, host: '127.0.0.1', rejectUnauthorized: false });
  await assert.rejects(once(nameless, 'secureConnect'), /alert access denied/);
  assert.deepEqual(
    edge.events.map(({ activity, data }) => [activity, data.reason]),
    [
      ['refuse', 'malformed'],
      ['refuse', 'malformed'],
      ['refuse', 'malformed'],
      ['deny', 'unknown-operation'],
    ],
  );
  assert.deepEqual(server.names, []);
});
