// Traps, meters and blocks on real packets: who touches a trap is out in the same packet, nobody is by a forged one, and a
// block outlives plans, restarts and a table that somebody deleted.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Slice } from '../../policy/bundle/index.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, service, sliceWith } from './cell.ts';
import type { Cell } from './cell.ts';

const { plc, gateway, camera, control } = addresses;
const needs = (t: TestContext): boolean => requires(t, 'root', 'netns', 'nft', 'tcpdump');
const trapPort = 2_323;
const place = 'firewall/cell.yaml:1';
const trap = (blockSeconds: number) => [
  { id: 'telnet', transport: 'tcp' as const, ports: [trapPort, trapPort] as [number, number], blockSeconds, place },
  { id: 'tftp', transport: 'udp' as const, ports: [trapPort, trapPort] as [number, number], blockSeconds, place },
];
const alarm: Slice['interfaces'][number] = {
  ...service('alarm', 9_000, 'tcp'),
  operations: [{ name: 'use', protocol: 'port', class: 'normal', island: true }],
};
const slice = (more: Partial<Slice> = { traps: trap(120) }): Slice => {
  const made = sliceWith([grant('gateway', 'status'), grant('camera', 'status')], more);
  return { ...made, interfaces: [...made.interfaces, alarm], grants: [...made.grants, grant('gateway', 'alarm')] };
};
const passes = async (cell: Cell, from: 'gateway' | 'camera', port: number = ports.status): Promise<boolean> =>
  (await cell.probeTcp(from, plc.cell, port)) === 'open';

test('who touches a trap is out at once, but for island operations, over plans, a restart and a deleted table', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  const directory = await mkdtemp(join(tmpdir(), 'reflex-'));
  t.after(() => rm(directory, { recursive: true }));
  await serveAll(cell);
  await cell.echo('plc', 'tcp', 9_000);
  {
    await using firewall = await firewallOn(cell, 'plc', { directory });
    await firewall.apply(planWith(slice()));
    const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
    assert.equal(await flow.exchange(), 'answered');
    assert.equal(await passes(cell, 'gateway', trapPort), false);
    assert.notEqual(await flow.exchange(500), 'answered', 'what was open ends');
    assert.deepEqual([await passes(cell, 'gateway'), await passes(cell, 'gateway', 9_000)], [false, true]);
    assert.equal(await passes(cell, 'camera'), true);
    assert.ok((await firewall.status()).blocked[gateway.cell]! > 60);
    assert.equal(await firewall.repair(), undefined, 'a block is no drift');
    assert.deepEqual(
      firewall.events.map(({ activity, data }) => [activity, data['source_ip']]),
      [['block', gateway.cell]],
    );
    // Elements alone, and then other rules beside the old ones.
    await firewall.apply(planWith(slice(), { epoch: firewall.nextEpoch() }));
    await firewall.apply(planWith(slice({ traps: trap(121) }), { epoch: firewall.nextEpoch() }));
    assert.equal(await passes(cell, 'gateway'), false, 'after new plans');
    await cell.exec('plc', ['nft', 'delete', 'table', 'inet', 'edgeward']);
    assert.match((await firewall.repair()) ?? '', /the table is gone/);
    assert.equal(await passes(cell, 'gateway'), false, 'after somebody deleted the table');
  }
  await using next = await firewallOn(cell, 'plc', { directory });
  assert.equal(await next.restore(planWith(sliceWith([]))), 'last-good');
  const left = (await next.status()).blocked[gateway.cell];
  assert.ok(left !== undefined && left <= 120, `${left} seconds left after a restart`);
  assert.equal(await passes(cell, 'gateway'), false);
  assert.equal(await next.pardon({ address: camera.cell, by: 'ann', reason: 'x' }), false);
  assert.equal(await next.pardon({ address: gateway.cell, by: 'ann', reason: 'a scan that we ordered' }), true);
  assert.equal(await passes(cell, 'gateway'), true);
});

test('over IPv6 a trap blocks the IPv6 source', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await serveAll(cell);
  await using firewall = await firewallOn(cell, 'plc');
  await firewall.apply(planWith(slice()));
  const passesOver6 = async (port: number): Promise<boolean> =>
    (await cell.probeTcp('gateway', plc.cell6, port)) === 'open';
  assert.equal(await passesOver6(ports.status), true);
  assert.equal(await passesOver6(trapPort), false);
  assert.equal(await passesOver6(ports.status), false);
  assert.ok((await firewall.status()).blocked[gateway.cell6]! > 60);
});

test('a block ends by itself', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(slice({ traps: trap(2) })));
  assert.equal(await passes(cell, 'gateway', trapPort), false);
  assert.equal(await passes(cell, 'gateway'), false);
  await until('the kernel lets it in again', async () => await passes(cell, 'gateway'));
});

/** Ten datagrams to the trap under the gateway's address. */
async function forge(cell: Cell): Promise<void> {
  await cell.exec('camera', ['ip', 'address', 'add', `${gateway.cell}/32`, 'dev', 'eth0']);
  await cell.exec('camera', ['ip', 'route', 'replace', `${plc.cell}/32`, 'dev', 'eth0', 'src', gateway.cell]);
  await cell.agent('camera').burst(plc.cell, trapPort, 10);
}

test('a forged address does not get its owner blocked', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(slice()));
  await forge(cell);
  const { denied, blocked } = await firewall.status();
  assert.ok((denied['spoofed'] ?? 0) >= 10);
  assert.deepEqual(blocked, {});
  assert.equal(await passes(cell, 'gateway'), true);
});

test('control: a trap that looks at the address alone locks its owner out', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await serveAll(cell);
  const naive = `table inet naive {
  set blocked { type ipv4_addr; size 1000; flags dynamic, timeout; }
  chain input {
    type filter hook input priority filter; policy accept;
    ip saddr @blocked drop
    udp dport ${trapPort} add @blocked { ip saddr timeout 60s } drop
  }
}
`;
  await cell.exec('plc', ['nft', '-f', '-'], { input: naive });
  assert.equal(await passes(cell, 'gateway'), true);
  await forge(cell);
  assert.equal(await passes(cell, 'gateway'), false);
});

test('the control plane may knock where it likes', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(slice()));
  assert.notEqual(await cell.probeTcp('control', plc.cell, trapPort), 'open');
  assert.deepEqual((await firewall.status()).blocked, {});
  assert.equal(await cell.probeTcp('plc', control.cell, ports.control), 'open');
});

test('a meter blocks who opens flows too fast, and spares who does not', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const meters = [{ id: 'floods', transport: 'any' as const, flowsPerSecond: 1, burst: 5, blockSeconds: 60, place }];
  await firewall.apply(planWith(slice({ meters })));
  const tries = await Promise.all(Array.from({ length: 30 }, () => cell.probeTcp('gateway', plc.cell, ports.status)));
  assert.ok(tries.includes('open') && tries.some((result) => result !== 'open'), tries.join(' '));
  assert.deepEqual(Object.keys((await firewall.status()).blocked), [gateway.cell]);
  assert.equal(await passes(cell, 'camera'), true);
});

test('an order blocks, longer than a packet did, and a pardon ends both; the control plane is never blocked', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(slice()));
  const flow = await cell.flow('camera', 'tcp', plc.cell, ports.status);
  assert.equal(await flow.exchange(), 'answered');
  assert.equal(await passes(cell, 'gateway', trapPort), false);
  const end = Date.now() + 3_600_000;
  const ordered = new Map([gateway.cell, camera.cell, control.cell].map((address) => [address, end]));
  await firewall.block(ordered, []);
  assert.notEqual(await flow.exchange(500), 'answered');
  const { blocked } = await firewall.status();
  assert.deepEqual(Object.keys(blocked).toSorted(), [gateway.cell, camera.cell]);
  assert.ok(blocked[gateway.cell]! > 3_000, 'the order is longer than the trap');
  assert.equal(await firewall.repair(), undefined);
  await assert.rejects(firewall.pardon({ address: camera.cell, by: 'ann', reason: 'x' }), {
    code: 'FIREWALL_BLOCK_ORDERED',
  });
  await firewall.block(new Map(), [gateway.cell, camera.cell]);
  assert.deepEqual([await passes(cell, 'gateway'), await passes(cell, 'camera')], [true, true]);
  assert.equal(await cell.probeTcp('plc', control.cell, ports.control), 'open');
});

test('a set that is full denies and counts, and makes room for an order', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(slice()));
  const strangers = Array.from(
    { length: 65_536 },
    (_, n) => `198.18.${n >> 8}.${n & 255} timeout ${1_000 + (n % 10)}s`,
  );
  for (let from = 0; from < strangers.length; from += 4_096) {
    const input = `add element inet edgeward blocked4 { ${strangers.slice(from, from + 4_096).join(', ')} }\n`;
    const { code, stderr } = await cell.exec('plc', ['nft', '-f', '-'], { input });
    assert.equal(code, 0, stderr);
  }
  assert.equal(await passes(cell, 'gateway', trapPort), false, 'denied all the same');
  const { denied, blocked } = await firewall.status();
  assert.ok((denied['blocked-full'] ?? 0) > 0);
  assert.equal(blocked[gateway.cell], undefined);
  await firewall.block(new Map([[gateway.cell, Date.now() + 60_000]]), []);
  assert.equal(await passes(cell, 'gateway'), false);
});
