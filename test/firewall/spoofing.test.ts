// A source address is believed only where the inventory expects it. The witness counts what passed every filter.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';
import type { Cell, CellHost } from './cell.ts';

const { plc, gateway } = addresses;

/** Packets with the gateway's source that reach the PLC's programs while `from` sends ten of them. */
async function forge(cell: Cell, from: CellHost, target: string): Promise<number> {
  const accepted = await cell.watch('plc', { match: `ip saddr ${gateway.cell} udp dport ${ports.telemetry}` });
  await cell.exec(from, ['ip', 'address', 'add', `${gateway.cell}/32`, 'dev', 'eth0']);
  await cell.exec(from, ['ip', 'route', 'replace', `${target}/32`, 'dev', 'eth0', 'src', gateway.cell]);
  // The PLC must not learn the forged owner from ARP: the forger speaks to it with the neighbour entry it already has.
  await cell.agent(from).burst(target, ports.telemetry, 10);
  const count = await accepted.count();
  await accepted.stop();
  return count;
}

test("the gateway's address from another MAC, or on another interface, is dropped as spoofed", async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'tcpdump')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'telemetry')])));
  assert.equal(await cell.probeUdp('gateway', plc.cell, ports.telemetry), 'answered');

  assert.equal(await forge(cell, 'camera', plc.cell), 0);
  const afterMac = (await firewall.status()).denied['spoofed'] ?? 0;
  assert.ok(afterMac >= 10, `${afterMac} spoofed packets seen`);

  assert.equal(await forge(cell, 'historian', plc.plant), 0);
  const afterInterface = (await firewall.status()).denied['spoofed'] ?? 0;
  assert.ok(afterInterface >= afterMac + 10, `${afterInterface} spoofed packets seen`);
});

test('control: a rule that looks at the address alone takes the forged packets', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'tcpdump')) return;
  await using cell = await openCell();
  await serveAll(cell);
  const naive = `table inet naive {
  chain input {
    type filter hook input priority filter; policy drop;
    ip saddr ${gateway.cell} udp dport ${ports.telemetry} accept
  }
}
`;
  await cell.exec('plc', ['nft', '-f', '-'], { input: naive });
  assert.equal(await forge(cell, 'camera', plc.cell), 10);
});

test('a grant bound to a MAC stays closed for a peer whose MAC the inventory does not name', () => {
  const slice = sliceWith([grant('gateway', 'status')]);
  const [cellFour] = slice.devices.find((device) => device.id === 'gateway')!.interfaces;
  slice.devices = slice.devices.map((device) =>
    device.id === 'gateway'
      ? { ...device, interfaces: [{ name: 'eth0', network: 'cell', address: cellFour!.address }] }
      : device,
  );
  const plan = planWith(slice);
  assert.deepEqual(plan.warnings, [
    'grant gateway-status: gateway stays out, the inventory names no MAC for it (grants/cell.yaml:1)',
  ]);
  assert.ok(plan.generation.sets.every((set) => !/^(served|proxied)/.test(set.name) || set.elements.length === 0));
});
