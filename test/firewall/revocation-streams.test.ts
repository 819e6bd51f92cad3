// Long streams of a revoked peer: one through a transparent proxy, whose far leg the kernel knows nothing of, and one of HTTP/2,
// as gRPC holds it open for days.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, sliceWith } from './cell.ts';

const { plc } = addresses;
const grants = ['gateway', 'camera'].flatMap((subject) => [grant(subject, 'status'), grant(subject, 'modbus')]);
const needs = (t: TestContext): boolean => requires(t, 'root', 'netns', 'nft', 'conntrack');
const node = (program: string): string[] => [process.execPath, '--input-type=module', '-e', program];

/** Hands every connection on to the server, and says when a pair of legs is over. */
const proxyProgram = `
import net from 'node:net';
const { transparentListener } = await import(${JSON.stringify(new URL('../../runtime/linux.ts', import.meta.url).href)});
for (const address of ['127.0.0.1', '::1']) {
  const server = net.createServer((near) => {
    const far = net.connect({ host: near.localAddress, port: near.localPort });
    const peer = near.remoteAddress;
    near.pipe(far).pipe(near);
    near.on('error', () => {}).on('close', () => far.destroy());
    far.on('error', () => {}).on('close', () => { near.destroy(); console.log('over', peer); });
  });
  server.listen({ fd: transparentListener(address, ${ports.proxy}) }, () => console.log('listening', address));
}
`;

test('an idle stream through a proxy ends on both legs, and another peer keeps its own', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  const closing: string[] = [];
  await using firewall = await firewallOn(cell, 'plc', { closeStreams: (device) => closing.push(device) });
  await cell.echo('plc', 'tcp', ports.modbus);
  await firewall.apply(planWith(sliceWith(grants)));
  const proxy = cell.spawn('plc', node(proxyProgram));
  await proxy.waitFor(/listening ::1/);
  const streams = await Promise.all([
    cell.flow('gateway', 'tcp', plc.cell, ports.modbus),
    cell.flow('gateway', 'tcp', plc.cell6, ports.modbus),
    cell.flow('camera', 'tcp', plc.cell, ports.modbus),
  ]);
  for (const stream of streams) assert.equal(await stream.exchange(), 'answered');
  const [four, six, other] = streams;

  await firewall.contain({ device: 'gateway', containment: 'revoked', sequence: 1, streams: 4 });
  for (const stream of [four, six]) {
    await until('the reset of an idle client', async () => (await stream.report()).state === 'reset');
  }
  await proxy.waitFor(/over 10\.20\.0\.3/);
  await proxy.waitFor(/over fd20::3/);
  assert.equal(await other.exchange(), 'answered');
  assert.doesNotMatch(proxy.output(), /over 10\.20\.0\.5/);
  assert.deepEqual(closing, ['gateway']);
  const receipt = firewall.events.at(-1)?.data ?? {};
  // Both accepted legs are sockets of this host; five streams, four of which were closed before the order.
  assert.deepEqual([receipt['sockets'], receipt['streams']], [2, 5]);
});

const serverProgram = `
import http2 from 'node:http2';
const server = http2.createServer();
server.on('stream', (stream) => {
  stream.respond({ ':status': 200 });
  const timer = setInterval(() => stream.write('tick'), 20);
  stream.on('error', () => {}).on('close', () => { clearInterval(timer); console.log('server over'); });
});
server.on('session', (session) => session.on('error', () => {}));
server.listen(${ports.status}, '::', () => console.log('listening'));
`;
const clientProgram = (host: string): string => `
import http2 from 'node:http2';
const session = http2.connect('http://${host}:${ports.status}');
const stream = session.request({ ':path': '/' });
let ticks = 0;
stream.on('data', () => console.log('tick', ++ticks));
stream.on('error', (error) => console.log('stream', error.code));
session.on('error', (error) => console.log('session', error.code)).on('close', () => console.log('over'));
`;

test('a stream of HTTP/2 ends on both sides, and another peer does not miss a message', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await firewall.apply(planWith(sliceWith(grants)));
  const server = cell.spawn('plc', node(serverProgram));
  await server.waitFor(/listening/);
  const clients = [
    cell.spawn('gateway', node(clientProgram(plc.cell))),
    cell.spawn('gateway', node(clientProgram(`[${plc.cell6}]`))),
  ];
  const other = cell.spawn('camera', node(clientProgram(plc.cell)));
  for (const client of [...clients, other]) await client.waitFor(/tick 5\n/);
  await firewall.contain({ device: 'gateway', containment: 'revoked', sequence: 1 });
  for (const client of clients) {
    await client.waitFor(/over/);
    assert.match(client.output(), /ECONNRESET/);
  }
  await until('both streams at the server', async () => server.output().match(/server over/g)?.length === 2);
  const before = other.output().match(/tick/g)?.length ?? 0;
  await delay(300);
  assert.ok((other.output().match(/tick/g)?.length ?? 0) > before + 5);
  assert.doesNotMatch(other.output(), /over|stream|session/);
});
