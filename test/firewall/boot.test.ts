// The order of a boot, in a namespace: the rules are in force before there is any interface; then one appears, in the middle
// of a flood that is already on the wire. A witness behind every filter counts what is accepted in the gap. What systemd does
// with the units is in test/cli/systemd.test.ts; no machine is booted here.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { commandAccess, createFirewall } from '../../enforcer/firewall/index.ts';
import type { RunCommand } from '../../enforcer/firewall/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';
import { requires } from '../support/capabilities.ts';
import { lineRequests } from '../support/line-requests.ts';
import { createNetwork } from '../support/netns.ts';
import { until } from '../support/until.ts';
import type { Network } from '../support/netns.ts';
import { addresses, grant, host, planWith, ports, sliceWith } from './cell.ts';

const root = join(import.meta.dirname, '../..');
const peers = {
  gateway: { source_mac: '02:00:00:00:00:03', source4: addresses.gateway.cell, source6: addresses.gateway.cell6 },
  camera: { source_mac: '02:00:00:00:00:05', source4: addresses.camera.cell, source6: addresses.camera.cell6 },
} as const;

type Boot = Network<'plc' | 'wire'>;

async function must(net: Boot, on: 'plc' | 'wire', command: string, input?: string): Promise<string> {
  const { code, stdout, stderr } = await net.exec(on, command.split(' '), input === undefined ? {} : { input });
  assert.equal(code, 0, `${command}: ${stderr}`);
  return stdout;
}

/** A host with nothing but a loopback interface that is down, and a switch beside it on which everybody can shout. */
async function powerOn(): Promise<Boot> {
  const net = await createNetwork({ hosts: { plc: { interfaces: {} }, wire: { interfaces: {} } } });
  await must(net, 'plc', 'ip link set lo down');
  await must(net, 'wire', 'ip link add br0 type bridge');
  await must(net, 'wire', 'ip link set br0 up');
  // Somebody is always plugged in: a bridge without ports has no carrier.
  await must(net, 'wire', 'ip link add other type veth peer name end');
  await must(net, 'wire', 'ip link set end up');
  await must(net, 'wire', 'ip link set other master br0 up');
  const quiet = ['prerouting', 'output'].map(
    (hook) => `chain ${hook}_all { type filter hook ${hook} priority -450; policy drop
}`,
  );
  await must(net, 'wire', 'nft -f -', `table inet mute {\n${quiet.join('\n')}\n}\n`);
  const witness = `table inet witness {
  counter accepted {
  }
  chain local {
    type filter hook input priority 300; policy accept;
    iifname != "lo" counter name accepted
  }
}
`;
  await must(net, 'plc', 'nft -f -', witness);
  await Promise.all([net.echo('plc', 'udp', ports.telemetry), net.echo('plc', 'tcp', ports.status)]);
  return net;
}

const accepted = async (net: Boot): Promise<number> =>
  Number(/packets (\d+)/.exec(await must(net, 'plc', 'nft list counter inet witness accepted'))?.[1]);

/** Drops that our rules logged. */
async function dropped(net: Boot, rule: string): Promise<number> {
  const found = (await must(net, 'plc', 'nft list table inet edgeward')).matchAll(
    /packets (\d+) .*prefix "ew:([^"]+)"/g,
  );
  return [...found].reduce((sum, [, packets, id]) => sum + (id === rule ? Number(packets) : 0), 0);
}

/**
 * Every plain packet, fragments, broadcasts and multicasts, as fast as they leave, for `seconds`; resolves when the first are
 * on the wire, `sent` with the number of all.
 */
async function flood(net: Boot, peer: keyof typeof peers, seconds: number): Promise<{ sent: Promise<number> }> {
  const before = await onTheWire(net);
  const program = ['python3', '-B', join(import.meta.dirname, 'packets/sender.py'), 'br0'];
  const ask = lineRequests(net.spawn('wire', program).child, 'sender.py');
  const speaker = {
    ...peers[peer],
    target_mac: '02:00:00:00:00:02',
    target4: addresses.plc.cell,
    target6: addresses.plc.cell6,
    broadcast4: '10.20.0.255',
    sport: 40_000,
    port: ports.telemetry,
    id: 1,
  };
  const kinds = { Plain: ['UDP datagram', 'TCP SYN', 'echo request'], Fragments: ['in two'] };
  const names = Object.entries(kinds).flatMap(([section, entries]) =>
    entries.flatMap((name) => [4, 6].map((v) => [section, `${name}, IPv${v}`])),
  );
  const everyone = ['255.255.255.255, IPv4', 'ff02::1, IPv6'].map((name) => ['Targets', `UDP to ${name}`]);
  const sent = ask({ flood: seconds, speaker, names: [...names, ...everyone] }) as Promise<number>;
  await until('the flood', async () => (await onTheWire(net)) > before, 10_000, 5);
  return { sent };
}

async function onTheWire(net: Boot): Promise<number> {
  const [link] = JSON.parse(await must(net, 'wire', 'ip -s -j link show br0')) as {
    stats64: { tx: { packets: number } };
  }[];
  return link?.stats64.tx.packets ?? 0;
}

/** The driver finds the card, and the network comes up. */
async function plugIn(net: Boot, name: string): Promise<void> {
  const cable = `port-${name}`;
  const end = `${name} address 02:00:00:00:00:02 netns ${net.namespaceOf('plc')}`;
  await must(net, 'wire', `ip link add ${cable} type veth peer name ${end}`);
  await must(net, 'wire', `ip link set ${cable} master br0 up`);
  await must(net, 'plc', `ip link set ${name} up`);
  await must(net, 'plc', `ip address add ${addresses.plc.cell}/24 dev ${name}`);
  await must(net, 'plc', `ip address add ${addresses.plc.cell6}/64 dev ${name} nodad`);
  for (const { source_mac: mac, ...known } of Object.values(peers)) {
    for (const address of Object.values(known)) {
      await must(net, 'plc', `ip neigh replace ${address} lladdr ${mac} dev ${name} nud permanent`);
    }
  }
}

const unplug = (net: Boot, name: string): Promise<string> => must(net, 'wire', `ip link delete port-${name}`);

/** State and configuration of an edge whose control plane is known by its address. */
function stateFolder(t: TestContext): { config: string; firewall: string } {
  const folder = mkdtempSync(join(tmpdir(), 'boot-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const firewall = join(folder, 'state/firewall');
  mkdirSync(firewall, { recursive: true, mode: 0o700 });
  const config = join(folder, 'edge.yaml');
  const control = `${addresses.control.cell}:${ports.control}`;
  writeFileSync(
    config,
    `state: ${join(folder, 'state')}\nrun: ${join(folder, 'run')}\ncontrol: {address: "${control}"}\ndiagnostics: 0\n`,
    { mode: 0o600 },
  );
  return { config, firewall };
}

/** What ExecStart of edgeward-firewall.service does. */
async function edgeRules(net: Boot, config: string): Promise<string> {
  const program = [process.execPath, join(root, 'bin/edgeward.ts'), 'edge', 'rules', '--config', config];
  const rules = net.spawn('plc', program);
  assert.equal(await rules.exited, 0, rules.output());
  return rules.output();
}

test('control: without rules a host takes packets as soon as its interface is there', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'python3')) return;
  await using net = await powerOn();
  const { sent } = await flood(net, 'camera', 2);
  await plugIn(net, 'eth0');
  assert.ok((await sent) > 1_000);
  assert.ok((await accepted(net)) > 100, `${await accepted(net)} accepted`);
});

test('lock-down raised before any interface: 0 packets are accepted while one appears in a flood', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'python3')) return;
  await using net = await powerOn();
  const { config, firewall } = stateFolder(t);
  // A plan that no longer reads: this host was an edge, so it is locked, not left open.
  writeFileSync(join(firewall, 'firewall.json'), '{', { mode: 0o600 });
  assert.match(await edgeRules(net, config), /lockdown/);
  const { sent } = await flood(net, 'gateway', 3);
  await plugIn(net, 'eth0');
  assert.ok((await sent) > 1_000);
  assert.equal(await accepted(net), 0);
  const drops = await dropped(net, 'default-in');
  assert.ok(drops > 100, `only ${drops} packets met the rules`);
});

test('the last good rules raised before any interface: the flood of a stranger, and any packet on an interface that the inventory does not know, are denied', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'python3')) return;
  await using net = await powerOn();
  const { config, firewall: directory } = stateFolder(t);
  const run: RunCommand = (argv, input) => net.exec('plc', argv, input === undefined ? {} : { input });
  const firewall = createFirewall({
    run,
    fs: nodeFiles,
    directory,
    clock: systemClock,
    log: createLogger({ name: 'boot-test', level: 'silent' }),
    emit: () => Promise.resolve(),
    control: () => host.controlEndpoints,
    flows: commandAccess(run),
    closeStreams: () => 0,
  });
  await firewall.apply(planWith(sliceWith([grant('gateway', 'telemetry')])));
  // The power goes: only what is on the disk is left.
  await must(net, 'plc', 'nft delete table inet edgeward');
  assert.match(await edgeRules(net, config), /last-good/);

  const strange = await flood(net, 'camera', 2);
  await plugIn(net, 'eth0');
  assert.ok((await strange.sent) > 1_000);
  assert.equal(await accepted(net), 0);
  assert.ok((await dropped(net, 'default-in')) > 100);
  await unplug(net, 'eth0');

  // The granted peer, with its address and MAC, where nobody expects it.
  const elsewhere = await flood(net, 'gateway', 2);
  await plugIn(net, 'usb0');
  assert.ok((await elsewhere.sent) > 1_000);
  assert.equal(await accepted(net), 0);
  assert.ok((await dropped(net, 'spoofed')) > 100);
  await unplug(net, 'usb0');

  const expected = await flood(net, 'gateway', 1);
  await plugIn(net, 'eth0');
  await expected.sent;
  await delay(100);
  assert.ok((await accepted(net)) > 100, 'the granted peer is served where it is expected');
});
