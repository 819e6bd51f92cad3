// A peer whose flows only cross this host: they end in both directions, and both of their ends learn it when they next send.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SliceFirewallRule } from '../../policy/bundle/index.ts';
import { requires } from '../support/capabilities.ts';
import { createNetwork } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { firewallOn, hosts as cellHosts, planWith, ports, sliceWith } from './cell.ts';

/** The PLC's host routes between the cell and the plant. */
const hosts = {
  plc: {
    interfaces: {
      eth0: cellHosts.plc.interfaces.eth0,
      eth1: { ...cellHosts.plc.interfaces.eth1, addresses: ['10.30.0.2/24', 'fd30::2/64'] },
    },
    forwarding: true,
  },
  gateway: { ...cellHosts.gateway, gateways: ['10.20.0.2', 'fd20::2'] },
  camera: { ...cellHosts.camera, gateways: ['10.20.0.2', 'fd20::2'] },
  historian: {
    interfaces: { eth0: { ...cellHosts.historian.interfaces.eth0, addresses: ['10.30.0.4/24', 'fd30::4/64'] } },
    gateways: ['10.30.0.2', 'fd30::2'],
  },
} as const;
const gateway = { 4: '10.20.0.3', 6: 'fd20::3' } as const;
const historian = { 4: '10.30.0.4', 6: 'fd30::4' } as const;

const through = (id: string, transport: SliceFirewallRule['transport']): SliceFirewallRule => ({
  id,
  tier: 'baseline',
  priority: 500,
  verdict: 'allow',
  direction: 'through',
  transport,
  peers: ['10.20.0.0/24', 'fd20::/64', '10.30.0.0/24', 'fd30::/64'],
  to: ['10.20.0.0/24', 'fd20::/64', '10.30.0.0/24', 'fd30::/64'],
  place: 'firewall/routed.yaml:1',
});
const slice = sliceWith([], { firewall: [through('cross', 'any'), through('ping', 'icmp')] });

for (const family of [4, 6] as const) {
  test(`IPv${family}: routed TCP, UDP and ICMP of a revoked peer end in both directions; another peer's go on`, async (t) => {
    if (!requires(t, 'root', 'netns', 'nft', 'conntrack', 'tcpdump', 'ping')) return;
    await using site = await createNetwork({ hosts });
    await using firewall = await firewallOn(site, 'plc');
    const status = await site.echo('historian', 'tcp', ports.status);
    const telemetry = await site.echo('historian', 'udp', ports.telemetry);
    await firewall.apply(planWith(slice));
    const to = historian[family];
    const open = async (from: 'gateway' | 'camera') => {
      const flows = {
        busy: await site.flow(from, 'tcp', to, ports.status),
        idle: await site.flow(from, 'tcp', to, ports.status),
        datagrams: await site.flow(from, 'udp', to, ports.telemetry),
      };
      for (const flow of Object.values(flows)) assert.equal(await flow.exchange(), 'answered');
      await Promise.all([flows.busy.stream(10), flows.datagrams.stream(10)]);
      return flows;
    };
    const hostile = await open('gateway');
    const innocent = await open('camera');
    assert.equal(await site.ping('gateway', to), true);
    assert.equal(await site.ping('historian', gateway[family]), true);
    const ip = family === 4 ? 'ip' : 'ip6';
    const watches = await Promise.all(
      ['saddr', 'daddr'].map((field) =>
        site.watch('plc', { hook: 'forward', match: `${ip} ${field} ${gateway[family]}` }),
      ),
    );
    const counts = (): Promise<number[]> => Promise.all(watches.map((watch) => watch.count()));
    await until('routed packets both ways', async () => (await counts()).every((count) => count > 5));

    await firewall.contain({ device: 'gateway', containment: 'revoked', sequence: 1 });
    const before = await counts();
    await until('the reset of the busy flow', async () => (await hostile.busy.report()).state === 'reset');
    // Nobody sent anything over it: no packet of this host could have told its ends.
    assert.equal((await hostile.idle.report()).state, 'open');
    assert.ok((await sockets()).includes(gateway[family]));
    await Promise.all([status.push(), telemetry.push()]);
    await until("the server's end", async () => !(await sockets()).includes(gateway[family]));
    assert.equal(await hostile.idle.exchange(), 'reset');
    assert.equal(await hostile.datagrams.exchange(300), 'silent');
    assert.equal(await site.ping('gateway', to), false);
    assert.equal(await site.ping('historian', gateway[family]), false);
    assert.deepEqual(await counts(), before);
    const listed = await site.exec('plc', ['conntrack', '-L', '-f', `ipv${family}`]);
    assert.ok(!listed.stdout.includes(`src=${gateway[family]} `), listed.stdout);
    const receipt = firewall.events.at(-1)?.data ?? {};
    assert.deepEqual([receipt['sockets'], receipt['failures']], [0, undefined]);
    // Two TCP flows, one UDP flow, two pings.
    assert.equal(receipt['flows'], 5);
    for (const field of ['last_from_ms', 'last_to_ms'] as const) assert.equal(typeof receipt[field], 'number');

    for (const flow of Object.values(innocent)) {
      await flow.stream(0);
      assert.equal(await flow.exchange(), 'answered');
      assert.equal((await flow.report()).state, 'open');
    }
    assert.equal(await site.ping('camera', to), true);

    async function sockets(): Promise<string> {
      return (await site.exec('historian', ['ss', '-tnH'])).stdout;
    }
  });
}
