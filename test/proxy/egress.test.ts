// Clients that cannot be changed, reaching a device under the identity of their host: a plain program dials loopback, the
// edge of its host dials the device's edge with mutual TLS, and that one's policy decides.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { parseCertificate } from '../../identity/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { findProgram, requires } from '../support/capabilities.ts';
import { freePort } from '../support/free-ports.ts';
import { createTestAuthority, type TestSvid } from '../support/pki.ts';
import { until } from '../support/until.ts';
import { type IdentifiedEdge, openIdentifiedEdge, svidSlice } from './identified-edge.ts';
import { startModbusServer } from './modbus-server.ts';
import { rawClient, readRegisters, recordingServer, writeRegister } from './wire.ts';

const [service] = svidSlice.interfaces;
if (service === undefined) throw new Error('the slice has an interface');
const authority = createTestAuthority('plant.example');

/** What gateway-1 knows: plc-1 serves `plc-modbus` at the address and port. */
const sliceOfGateway = (port: number, address = '127.0.0.1'): Slice => ({
  ...svidSlice,
  device: 'gateway-1',
  devices: [
    ...svidSlice.devices,
    { id: 'plc-1', labels: {}, interfaces: [{ name: 'eth0', network: 'cell', address }] },
  ],
  interfaces: [{ ...service, port }],
});

/** gateway-1's edge with an egress to plc-1 at `peerPort`, and the port that clients of its host dial. */
async function gateway(t: TestContext, peerPort: number): Promise<IdentifiedEdge & { readonly egressPort: number }> {
  const listen = await freePort();
  const egress = [{ interface: 'plc-modbus', device: 'plc-1', listen }];
  const edge = await openIdentifiedEdge(t, 0, {
    authority,
    device: 'gateway-1',
    slice: sliceOfGateway(peerPort),
    egress,
  });
  return Object.assign(edge, { egressPort: listen });
}

async function plc(t: TestContext, device = 'plc-1', of = authority) {
  const server = await recordingServer();
  t.after(async () => await server[Symbol.asyncDispose]());
  return Object.assign(await openIdentifiedEdge(t, server.port, { authority: of, device }), { server });
}

const told = ({ events }: IdentifiedEdge): unknown[] => events.map(({ activity, data }) => [activity, data.code]);

test('mbpoll reads through two edges by a grant of binding svid, and is refused the write', async (t) => {
  if (!requires(t, 'mbpoll')) return;
  await using server = await startModbusServer();
  const peer = await openIdentifiedEdge(t, server.port, { authority });
  const own = await gateway(t, peer.port);
  const mbpoll = async (port: number, ...more: readonly string[]): Promise<string> =>
    await new Promise((resolve) => {
      const args = [
        '-1',
        '-0',
        '-m',
        'tcp',
        '-a',
        '1',
        '-t',
        '4',
        '-p',
        String(port),
        '-r',
        '50',
        '127.0.0.1',
        ...more,
      ];
      execFile(findProgram('mbpoll') ?? 'mbpoll', args, { timeout: 20_000 }, (_, stdout, stderr) =>
        resolve(stdout + stderr),
      );
    });
  assert.match(await mbpoll(own.egressPort), /\[50\]:\s+7/);
  assert.match(await mbpoll(own.egressPort, '99'), /Illegal function/);
  assert.match(await mbpoll(peer.port), /Illegal function/, 'the same client, past the egress');
  assert.equal(await server.register(50), 7);
  assert.partialDeepStrictEqual(own.events[0], {
    kind: 'tls',
    activity: 'connect',
    data: {
      device: 'plc-1',
      interface: 'plc-modbus',
      enforcement_point: 'egress',
      source_ip: '127.0.0.1',
      destination_port: peer.port,
    },
  });
  assert.partialDeepStrictEqual(peer.events[0]?.data, { subject: 'gateway-1', decision: 'allow' });
});

const others: readonly (readonly [who: string, code: string, at: (t: TestContext) => Promise<number>])[] = [
  ['another device', 'PROXY_EGRESS_PEER', async (t) => (await plc(t, 'gateway-2')).port],
  [
    'a device of another authority',
    'IDENTITY_ISSUER_UNKNOWN',
    async (t) => (await plc(t, 'plc-1', createTestAuthority('plant.example'))).port,
  ],
  ['a device whose certificate is revoked', 'IDENTITY_REVOKED', async (t) => (await plc(t)).port],
  [
    'a server without TLS',
    'PROXY_TLS_HANDSHAKE',
    async (t) => await plainServer(t, (socket) => socket.end('220 hello\r\n')),
  ],
  ['a server that hangs up', 'PROXY_TLS_HANDSHAKE', async (t) => await plainServer(t, (socket) => socket.destroy())],
  ['nobody', 'PROXY_UPSTREAM_UNREACHABLE', async () => await freePort()],
];

async function plainServer(t: TestContext, serve: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

for (const [who, code, at] of others) {
  test(`where ${who} answers in its place, the client is cut, nothing is said, and the event has the code`, async (t) => {
    const port = await at(t);
    const own = await gateway(t, port);
    if (code === 'IDENTITY_REVOKED') own.revoke(parseCertificate(await certificateAt(port, own.own())).serialHex);
    await using client = await rawClient(own.egressPort);
    await client.send(readRegisters(1, 5));
    assert.equal(await client.answer(), undefined);
    assert.deepEqual(told(own), [['refuse', code]]);
  });
}

async function certificateAt(port: number, svid: TestSvid): Promise<Buffer> {
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    cert: svid.chainPem,
    key: svid.keyPem,
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  const { raw } = socket.getPeerCertificate();
  socket.destroy();
  return raw;
}

const unknown: readonly (readonly [what: string, change: (slice: Slice) => Slice])[] = [
  ['no such interface', (slice) => ({ ...slice, interfaces: [] })],
  ['no address of the device', (slice) => ({ ...slice, devices: [] })],
  ['an interface that TLS is not ended on', (slice) => ({ ...slice, interfaces: [{ ...service, protocol: 'tls' }] })],
];
for (const [what, change] of unknown) {
  test(`with ${what} in the policy nobody is dialled`, async (t) => {
    const peer = await plc(t);
    const own = await gateway(t, peer.port);
    own.slice = change(own.slice);
    await using client = await rawClient(own.egressPort);
    await client.closed;
    assert.deepEqual(told(own), [['refuse', 'PROXY_EGRESS_UNKNOWN']]);
    assert.equal(peer.events.length, 0);
  });
}

const ends: readonly (readonly [what: string, end: (own: IdentifiedEdge, peer: IdentifiedEdge) => void])[] = [
  ['revocation of the peer’s certificate', (own, peer) => own.revoke(parseCertificate(peer.own().der).serialHex)],
  ['revocation of our own, at the peer', (own, peer) => peer.revoke(parseCertificate(own.own().der).serialHex)],
  ['an order against the peer', (own) => void own.proxies.close('plc-1')],
  ['an order against us, at the peer', (_, peer) => void peer.proxies.close('gateway-1')],
  ['a policy by which the device is elsewhere', (own) => ((own.slice = sliceOfGateway(1)), own.proxies.recheck())],
  ['the end of the peer’s certificate', (own) => ((own.now += 2 * 86_400_000), own.proxies.recheck())],
];
for (const [what, end] of ends) {
  test(`${what} cuts the client, the link and the server`, async (t) => {
    const peer = await plc(t);
    const own = await gateway(t, peer.port);
    await using client = await rawClient(own.egressPort);
    await client.send(readRegisters(1, 5));
    assert.equal((await client.answer())?.functionCode, 3);
    own.proxies.recheck();
    assert.equal(client.isClosed(), false);
    end(own, peer);
    await client.closed;
    await until(
      'the server’s side is closed',
      async () => await Promise.resolve(peer.server.connections().length === 0),
    );
  });
}

test('bytes that are no TLS, put into the link, cut the client, the link and the server', async (t) => {
  const peer = await plc(t);
  let inject: (bytes: Buffer) => void = () => undefined;
  const port = await plainServer(t, (near) => {
    const far = connect(peer.port, '127.0.0.1');
    far.on('error', () => undefined);
    far.on('close', () => near.destroy());
    near.on('close', () => far.destroy());
    near.pipe(far);
    far.pipe(near);
    inject = (bytes) => void near.write(bytes);
  });
  const own = await gateway(t, port);
  await using client = await rawClient(own.egressPort);
  await client.send(readRegisters(1, 5));
  assert.equal((await client.answer())?.functionCode, 3);
  inject(Buffer.concat([Buffer.from('1703030020', 'hex'), Buffer.alloc(32, 1)]));
  await client.closed;
  await until('the server’s side is closed', async () => await Promise.resolve(peer.server.connections().length === 0));
});

test('who connects after a renewal is shown the new SVID', async (t) => {
  const peer = await plc(t);
  const own = await gateway(t, peer.port);
  const ask = async (): Promise<void> => {
    await using client = await rawClient(own.egressPort);
    await client.send(writeRegister(1, 50, 1));
    assert.equal((await client.answer())?.functionCode, 0x86);
  };
  await ask();
  const renewed = authority.issue('spiffe://plant.example/device/gateway-1');
  const before = own.own();
  own.renew(renewed);
  await ask();
  assert.deepEqual(
    peer.events.map(({ data }) => data.serial),
    [before, renewed].map(({ der }) => parseCertificate(der).serialHex),
  );
});

test('only this host may dial it', async (t) => {
  const own = await gateway(t, 1);
  const socket = connect(own.egressPort, '127.0.0.2');
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
});

test('bytes go both ways whole, and who does not read is waited for', async (t) => {
  const svid = authority.issue('spiffe://plant.example/device/plc-1');
  const echo = createTlsServer(
    { key: svid.keyPem, cert: svid.chainPem, requestCert: true, ca: authority.rootPem },
    (socket) => socket.pipe(socket),
  );
  echo.on('secureConnection', (socket: TLSSocket) => socket.on('error', () => undefined));
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  t.after(() => echo.close());
  const own = await gateway(t, (echo.address() as AddressInfo).port);
  const client = connect(own.egressPort, '127.0.0.1');
  const sent = Buffer.alloc(8 * 2 ** 20, 'abcdefg');
  client.write(sent);
  // Both ways are full before anything is read.
  await until('it is full', async () => await Promise.resolve(client.bytesWritten - client.writableLength > 0));
  const received: Buffer[] = [];
  let count = 0;
  for await (const chunk of client as AsyncIterable<Buffer>) {
    received.push(chunk);
    count += chunk.length;
    if (count === sent.length) client.end();
  }
  assert.ok(Buffer.concat(received).equals(sent));
});
