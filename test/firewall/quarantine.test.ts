// Quarantine ends what is open. A flow that is established is the hard case: the firewalls of many products let it live.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { SliceFirewallRule } from '../../policy/bundle/index.ts';
import { requires } from '../support/capabilities.ts';
import type { Flow } from '../support/netns.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';
import type { Cell } from './cell.ts';

const grants = ['gateway', 'camera'].flatMap((subject) => [grant(subject, 'status'), grant(subject, 'telemetry')]);
const { plc, gateway, camera } = addresses;

interface Flows {
  readonly busy: Flow;
  readonly idle: Flow;
  readonly busy6: Flow;
  readonly datagrams: Flow;
}

async function openFlows(cell: Cell, from: 'gateway' | 'camera'): Promise<Flows> {
  const [busy, idle, busy6, datagrams] = await Promise.all([
    cell.flow(from, 'tcp', plc.cell, ports.status),
    cell.flow(from, 'tcp', plc.cell, ports.status),
    cell.flow(from, 'tcp', plc.cell6, ports.status),
    cell.flow(from, 'udp', plc.cell, ports.telemetry),
  ]);
  for (const flow of [busy, idle, busy6, datagrams]) assert.equal(await flow.exchange(), 'answered');
  await Promise.all([busy.stream(10), busy6.stream(10), datagrams.stream(10)]);
  return { busy, idle, busy6, datagrams };
}

const needs = (t: TestContext): boolean => requires(t, 'root', 'netns', 'nft', 'conntrack', 'tcpdump', 'ping');

test('busy TCP, idle TCP, UDP and ICMP of a quarantined peer end in both directions; the other peer loses nothing', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  const [status, telemetry] = [
    await cell.echo('plc', 'tcp', ports.status),
    await cell.echo('plc', 'udp', ports.telemetry),
  ];
  await firewall.apply(planWith(sliceWith(grants)));
  const hostile = await openFlows(cell, 'gateway');
  const innocent = await openFlows(cell, 'camera');
  assert.equal(await cell.ping('gateway', plc.cell), true);
  const accepted = await cell.watch('plc', { match: `ip saddr ${gateway.cell}` });
  const accepted6 = await cell.watch('plc', { match: `ip6 saddr ${gateway.cell6} meta l4proto { tcp, udp }` });
  const answered = await cell.watch('plc', {
    hook: 'output',
    match: `ip daddr ${gateway.cell} tcp flags & rst != rst`,
  });
  await delay(100);
  assert.ok((await accepted.count()) > 5 && (await accepted6.count()) > 5);

  const elapsedMs = await firewall.contain({ device: 'gateway', containment: 'quarantined', sequence: 1 });
  assert.ok(elapsedMs !== undefined);
  const [before, before6, answersBefore] = await Promise.all([accepted.count(), accepted6.count(), answered.count()]);
  const [received] = await Promise.all([status.received(), hostile.busy.stream(10)]);
  // Both ends try: the peer sends on its idle flow, the server pushes to all it knows.
  const idle = await hostile.idle.exchange(500);
  await Promise.all([status.push(), telemetry.push()]);
  await delay(300);
  assert.ok(idle === 'reset' || idle === 'closed', idle);
  assert.equal(await cell.ping('gateway', plc.cell), false);
  assert.equal(await cell.ping('plc', gateway.cell), false);
  assert.equal((await hostile.busy.report()).state, 'reset');
  assert.equal((await hostile.busy6.report()).state, 'reset');
  const datagrams = await hostile.datagrams.report();
  assert.ok(datagrams.sent - datagrams.answered > 10, JSON.stringify(datagrams));
  // The foreign witness behind every filter: not one packet more, in either direction.
  assert.equal(await accepted.count(), before);
  assert.equal(await accepted6.count(), before6);
  assert.equal(await answered.count(), answersBefore);
  assert.deepEqual(firewall.closedStreams, ['gateway']);

  for (const flow of [innocent.busy, innocent.busy6, innocent.datagrams]) {
    await flow.stream(0);
    await delay(50);
    const report = await flow.report();
    assert.equal(report.state, 'open');
    assert.equal(report.answered, report.sent);
  }
  assert.equal(await innocent.idle.exchange(), 'answered');
  assert.ok((await status.received()).received > received.received);
  assert.equal(await cell.ping('camera', plc.cell), true);
});

test('the set alone cuts an established flow: no tracked connection and no socket is touched', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  const status = await cell.echo('plc', 'tcp', ports.status);
  await firewall.apply(planWith(sliceWith(grants)));
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  assert.equal(await flow.exchange(), 'answered');
  const element = `add element inet edgeward quarantined4 { ${gateway.cell} }\n`;
  await cell.exec('plc', ['nft', '-f', '-'], { input: element });
  const { received } = await status.received();
  // The server speaks first: the naive firewall takes its packet for a new flow of its own.
  await status.push();
  await delay(100);
  assert.equal(await flow.exchange(), 'reset');
  assert.equal((await status.received()).received, received);
  const after = await firewall.status();
  assert.match(after.drift ?? '', /quarantined4 has 10\.20\.0\.3, which is not ours/);
});

test('control: with the deny behind the established rule and conntrack -D, the flow survives', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  const status = await cell.echo('plc', 'tcp', ports.status);
  const nft = async (text: string): Promise<void> => {
    const { code, stderr } = await cell.exec('plc', ['nft', '-f', '-'], { input: text });
    assert.equal(code, 0, stderr);
  };
  await nft(`table inet naive {
  set denied { type ipv4_addr; }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    ct state established,related accept
    ip saddr @denied drop
    tcp dport ${ports.status} accept
  }
}
`);
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  assert.equal(await flow.exchange(), 'answered');
  await flow.stream(10);
  await nft(`add element inet naive denied { ${gateway.cell} }\n`);
  await cell.exec('plc', ['conntrack', '-D', '-s', gateway.cell]);
  // The server pushes, its packet makes a new entry in the other direction, and the peer's packets are its "answers".
  await status.push();
  await delay(1_000);
  const before = await status.received();
  await delay(300);
  const after = await status.received();
  assert.equal((await flow.report()).state, 'open');
  assert.ok(after.received > before.received, 'the naive firewall cut the flow: this suite has lost its control');
});

test('a released peer starts anew: no flow of before wakes up', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(sliceWith(grants)));
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  assert.equal(await flow.exchange(), 'answered');
  await firewall.contain({ device: 'gateway', containment: 'quarantined', sequence: 1 });
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'refused');
  // Not even with the same epoch.
  await firewall.apply(planWith(sliceWith(grants), { ordersSequence: 2 }));
  assert.notEqual(await flow.exchange(), 'answered');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  await firewall.contain({ device: 'gateway', containment: 'revoked', sequence: 3 });
  await firewall.contain({ device: 'gateway', containment: undefined, sequence: 4 });
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  assert.equal((await firewall.status()).drift, undefined);
});

test('an order outlives a plan that was compiled before it, and ends with one that knows better', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const older = planWith(sliceWith(grants), { epoch: 2, ordersSequence: 4 });
  await firewall.apply(planWith(sliceWith(grants)));
  await firewall.contain({ device: 'camera', containment: 'revoked', sequence: 5 });
  await firewall.apply(older);
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status), 'refused');
  assert.deepEqual((await firewall.status()).contained, { revoked: ['camera'], quarantined: [] });
  await firewall.apply(planWith(sliceWith(grants), { epoch: 3, ordersSequence: 6 }));
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
});

test('a contained peer that invents an address is still cut by its MAC', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const open = {
    id: 'open',
    tier: 'baseline',
    priority: 500,
    verdict: 'allow',
    direction: 'in',
    transport: 'tcp',
    peers: ['10.20.0.0/24'],
    place: 'f.yaml:1',
  } satisfies SliceFirewallRule;
  await firewall.apply(planWith(sliceWith(grants, { firewall: [open] })));
  await cell.exec('camera', ['ip', 'address', 'add', '10.20.0.77/24', 'dev', 'eth0']);
  const asOther = { source: '10.20.0.77' };
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status, asOther), 'open');
  await firewall.contain({ device: 'camera', containment: 'quarantined', sequence: 1 });
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status, asOther), 'refused');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  assert.ok(camera.cell !== asOther.source);
});

test('this device in quarantine keeps its control plane and what its containment spares', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const slice = sliceWith(grants);
  await firewall.apply(planWith(slice));
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  assert.equal(await flow.exchange(), 'answered');
  const control = await cell.flow('plc', 'tcp', addresses.control.cell, ports.control);
  assert.equal(await control.exchange(), 'answered');
  const states = { plc: 'quarantined', gateway: 'trusted', camera: 'trusted', historian: 'trusted' } as const;
  await firewall.apply(planWith(slice, { epoch: 2, states, ordersSequence: 1 }));
  assert.equal(await flow.exchange(), 'reset');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'silent');
  assert.equal(await control.exchange(), 'answered');
  assert.equal(await cell.probeTcp('plc', addresses.control.cell, ports.control), 'open');
});
