// Modbus reaches its server only through the proxy: granted peers are diverted to it, everyone else is dropped, and
// when the proxy is dead the port is shut, not bare.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { requires } from '../support/capabilities.ts';
import type { NetProcess } from '../support/netns.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';
import type { Cell } from './cell.ts';

const { plc } = addresses;

/** Echoes what it gets, doubled at the front by where it was meant to go: proof that the proxy answered. */
const proxyProgram = `
import net from 'node:net';
const { transparentListener } = await import(${JSON.stringify(new URL('../../runtime/linux.ts', import.meta.url).href)});
for (const address of ['127.0.0.1', '::1']) {
  const server = net.createServer((socket) => {
    console.log('from', socket.remoteAddress, 'to', socket.localAddress, socket.localPort);
    socket.on('data', (bytes) => socket.write(bytes));
    socket.on('error', () => {});
    process.stdin.on('data', () => socket.write('push'));
  });
  server.listen({ fd: transparentListener(address, Number(process.argv[1])) }, () => console.log('listening', address));
}
`;

async function startProxy(cell: Cell, port: number = ports.proxy): Promise<NetProcess> {
  const proxy = cell.spawn('plc', [process.execPath, '--input-type=module', '-e', proxyProgram, String(port)]);
  await proxy.waitFor(/listening ::1/);
  return proxy;
}

test('a granted peer is diverted, over both families, with its own address and the original destination', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  const server = await cell.echo('plc', 'tcp', ports.modbus);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'modbus')])));

  // No proxy yet: shut, not bare.
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.modbus), 'silent');
  const proxy = await startProxy(cell);
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.modbus);
  assert.equal(await flow.exchange(), 'answered');
  await proxy.waitFor(/from 10\.20\.0\.3 to 10\.20\.0\.2 502\n/);
  const flow6 = await cell.flow('gateway', 'tcp', plc.cell6, ports.modbus);
  assert.equal(await flow6.exchange(), 'answered');
  await proxy.waitFor(/from fd20::3 to fd20::2 502\n/);
  // Not one byte came past the proxy, and who has no grant is not even proxied.
  assert.equal((await server.received()).received, 0);
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.modbus), 'silent');
  assert.equal(await cell.probeTcp('camera', plc.cell6, ports.modbus), 'silent');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.proxy), 'silent');
  assert.equal(proxy.output().match(/^from/gm)?.length, 2);
  // The proxy itself reaches the server, as every program of the host does.
  const upstream = await cell.flow('plc', 'tcp', plc.cell, ports.modbus);
  assert.equal(await upstream.exchange(), 'answered');
  assert.equal((await server.received()).received, 1);
});

test('proxied flows outlive a new plan also when the proxy speaks first, and end when their grant does', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  const slice = sliceWith([grant('gateway', 'modbus')]);
  await firewall.apply(planWith(slice));
  const proxy = await startProxy(cell);
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.modbus);
  assert.equal(await flow.exchange(), 'answered');
  await firewall.apply(planWith(slice, { epoch: 2 }));
  proxy.child.stdin?.write('go\n');
  await delay(100);
  assert.equal(await flow.exchange(), 'answered');
  await firewall.apply(planWith(sliceWith([]), { epoch: 3 }));
  proxy.child.stdin?.write('go\n');
  await delay(100);
  assert.equal(await flow.exchange(500), 'reset');
});

test('a killed proxy leaves no way around it, not even over a port pair that it had', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  const server = await cell.echo('plc', 'tcp', ports.modbus);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'modbus')])));
  const proxy = await startProxy(cell);
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.modbus);
  assert.equal(await flow.exchange(), 'answered');
  await proxy.stop('SIGKILL');
  assert.notEqual(await flow.exchange(500), 'answered');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.modbus), 'silent');
  assert.equal((await server.received()).received, 0);
});

test('a killed proxy: its client is reset and finds the stand-in at once, and the proxy when that is back', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  const server = await cell.echo('plc', 'tcp', ports.modbus);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'modbus')])));
  for (const address of [plc.cell, plc.cell6]) {
    const standby = await startProxy(cell, ports.standby);
    const proxy = await startProxy(cell);
    const flow = await cell.flow('gateway', 'tcp', address, ports.modbus);
    assert.equal(await flow.exchange(), 'answered');
    assert.equal(standby.output().match(/^from/gm), null, 'while the proxy listens nothing comes to the stand-in');
    await proxy.stop('SIGKILL');
    assert.match(await flow.exchange(2_000), /reset|closed/);
    const held = await cell.flow('gateway', 'tcp', address, ports.modbus);
    assert.equal(await held.exchange(), 'answered');
    await standby.waitFor(/from \S+ to \S+ 502\n/);
    // The proxy is back: what the stand-in has goes on, what is new comes to the proxy.
    const again = await startProxy(cell);
    assert.equal(await held.exchange(), 'answered');
    const next = await cell.flow('gateway', 'tcp', address, ports.modbus);
    assert.equal(await next.exchange(), 'answered');
    assert.equal(again.output().match(/^from/gm)?.length, 1);
    assert.equal(standby.output().match(/^from/gm)?.length, 1);
    await again.stop('SIGKILL');
    assert.equal(await cell.probeTcp('camera', address, ports.modbus), 'silent');
    await standby.stop('SIGKILL');
    assert.equal(await cell.probeTcp('gateway', address, ports.modbus), 'silent', 'neither: shut');
    assert.equal((await server.received()).received, 0);
  }
});

test('a quarantined peer keeps the island operations of its grant through the proxy, and nothing else', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'conntrack')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'modbus'), grant('gateway', 'status')])));
  await startProxy(cell);
  const polling = await cell.flow('gateway', 'tcp', plc.cell, ports.modbus);
  assert.equal(await polling.exchange(), 'answered');
  await firewall.contain({ device: 'gateway', containment: 'quarantined', sequence: 1 });
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'refused');
  assert.equal(await polling.exchange(), 'answered');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.modbus), 'open');
  await firewall.contain({ device: 'gateway', containment: 'revoked', sequence: 2 });
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.modbus), 'refused');
  assert.notEqual(await polling.exchange(500), 'answered');
});
