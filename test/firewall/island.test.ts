// Island mode in the kernel, on real packets: everything ends but safety and island operations and the control plane, over
// plans, restarts and a dead enforcer; and the kernel's own timer ends it.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { islandChange, nftTable } from '../../enforcer/firewall/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, service, sliceWith } from './cell.ts';

const { plc, gateway, control } = addresses;
const needs = (t: TestContext): boolean => requires(t, 'root', 'netns', 'nft', 'tcpdump', 'ping');
const stopPort = 9_000;
const stop = service('stop', stopPort, 'tcp');
const emergency: Slice['interfaces'][number] = {
  ...stop,
  operations: [{ name: 'use', protocol: 'port', class: 'safety', island: false }],
};
/** The gateway uses an ordinary service and one of class safety. */
const slice = (): Slice => {
  const made = sliceWith([grant('gateway', 'status'), grant('gateway', 'telemetry')]);
  return { ...made, interfaces: [...made.interfaces, emergency], grants: [...made.grants, grant('gateway', 'stop')] };
};

test('everything ends but safety and the control plane: busy, idle, UDP, ICMP, in and out, new plans too', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await cell.echo('plc', 'tcp', stopPort);
  await firewall.apply(planWith(slice()));
  const [busy, idle, datagrams, safety] = [
    await cell.flow('gateway', 'tcp', plc.cell, ports.status),
    await cell.flow('gateway', 'tcp', plc.cell, ports.status),
    await cell.flow('gateway', 'udp', plc.cell, ports.telemetry),
    await cell.flow('gateway', 'tcp', plc.cell, stopPort),
  ];
  for (const flow of [busy, idle, datagrams, safety]) assert.equal(await flow.exchange(), 'answered');
  await Promise.all([busy.stream(10), datagrams.stream(10), safety.stream(10)]);
  // Not the resets that this host's kernel gives its own sockets, over loopback.
  const accepted = await cell.watch('plc', {
    match: `iifname eth0 ip saddr ${gateway.cell} meta l4proto { tcp, udp } th dport != ${stopPort}`,
  });
  await delay(100);

  await firewall.island({ on: true });
  const before = await accepted.count();
  assert.ok((await idle.exchange(500)) !== 'answered');
  await delay(300);
  assert.equal((await busy.report()).state, 'reset');
  assert.equal(await cell.ping('gateway', plc.cell), false);
  assert.equal(await accepted.count(), before, 'not one packet more reached the programs');
  const report = await safety.report();
  assert.equal(report.state, 'open');
  assert.ok(report.answered > 20, `${report.answered} answers on the flow that was open before`);
  assert.equal(await cell.probeTcp('gateway', plc.cell, stopPort), 'open');
  assert.notEqual(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  assert.equal(await cell.probeTcp('plc', control.cell, ports.control), 'open');
  assert.equal((await firewall.status()).island, true);

  await firewall.apply(planWith(slice(), { epoch: firewall.nextEpoch() }));
  const more = sliceWith([grant('gateway', 'status'), grant('camera', 'status')]);
  await firewall.apply(planWith(more, { epoch: firewall.nextEpoch() }));
  for (const peer of ['gateway', 'camera'] as const) {
    assert.notEqual(await cell.probeTcp(peer, plc.cell, ports.status), 'open', `${peer} after new plans`);
  }
  assert.equal(await firewall.repair(), undefined, 'island mode is no drift');
  await firewall.island({ on: false });
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
});

test('the lease ends in the kernel, whoever is dead then; a restart and a foreign deletion do not end it', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  const directory = await mkdtemp(join(tmpdir(), 'island-'));
  t.after(() => rm(directory, { recursive: true }));
  await serveAll(cell);
  {
    await using firewall = await firewallOn(cell, 'plc', { directory });
    await firewall.apply(planWith(slice()));
    await firewall.island({ on: true, leaseMs: 60_000 });
    await cell.exec('plc', ['nft', 'delete', 'table', 'inet', 'edgeward']);
    assert.match((await firewall.repair()) ?? '', /the table is gone/);
    assert.notEqual(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  }
  // The next process: island mode is told first, then the rules are restored.
  {
    await using next = await firewallOn(cell, 'plc', { directory });
    await next.island({ on: true, leaseMs: 2_000 });
    assert.equal(await next.restore(planWith(sliceWith([]))), 'last-good');
    assert.notEqual(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  }
  // Nobody is there any more.
  await until('the kernel ended it', async () => (await cell.probeTcp('gateway', plc.cell, ports.status)) === 'open');
});

test('without an enforcer the element alone turns it on and off', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  {
    await using firewall = await firewallOn(cell, 'plc');
    await serveAll(cell);
    await firewall.apply(planWith(slice()));
  }
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  assert.equal(await flow.exchange(), 'answered');
  const table = nftTable((argv, input) => cell.exec('plc', argv, input === undefined ? {} : { input }));
  for (let times = 0; times < 2; times++) await table.change(islandChange({ on: true }, Date.now()), Date.now());
  assert.notEqual(await flow.exchange(500), 'answered');
  assert.notEqual(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  for (let times = 0; times < 2; times++) await table.change(islandChange({ on: false }, Date.now()), Date.now());
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
});
