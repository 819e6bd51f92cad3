// Ending a peer's flows, without any firewall: one suite for netlink and for the programs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { commandFlows } from '../../enforcer/firewall/flows/command-flows.ts';
import type { EndFlows } from '../../enforcer/firewall/flows/end-flows.ts';
import { netlinkFlows } from '../../enforcer/firewall/flows/netlink-flows.ts';
import { requires } from '../support/capabilities.ts';
import { createNetwork } from '../support/netns.ts';
import type { Network } from '../support/netns.ts';

type Host = 'here' | 'peer' | 'other';
const ways: Readonly<Record<string, (net: Network<Host>) => EndFlows>> = {
  netlink: (net) => netlinkFlows(join('/run/netns', net.namespaceOf('here'))),
  programs: (net) => commandFlows((argv, input) => net.exec('here', argv, input === undefined ? {} : { input })),
};

const openNetwork = (): Promise<Network<Host>> =>
  createNetwork({
    hosts: {
      here: { interfaces: { eth0: { network: 'cell', addresses: ['10.9.0.1/24', 'fd99::1/64'] } } },
      peer: { interfaces: { eth0: { network: 'cell', addresses: ['10.9.0.2/24', 'fd99::2/64'] } } },
      other: { interfaces: { eth0: { network: 'cell', addresses: ['10.9.0.3/24', 'fd99::3/64'] } } },
    },
  });

/** Makes the kernel track connections, and nothing else. */
const tracking = `table inet tracking {
  chain input {
    type filter hook input priority filter; policy accept;
    ct state invalid counter
  }
}
`;

const peer = {
  addresses: [
    { family: 4, text: '10.9.0.2' },
    { family: 6, text: 'fd99::2' },
  ],
  sparedPorts: [],
} as const;

for (const [name, way] of Object.entries(ways)) {
  test(`${name}: idle sockets of a peer are reset at once, IPv4 to a dual-stack socket and IPv6 alike`, async (t) => {
    if (!requires(t, 'root', 'netns', 'nft', 'conntrack')) return;
    await using net = await openNetwork();
    await net.exec('here', ['nft', '-f', '-'], { input: tracking });
    await Promise.all([net.echo('here', 'tcp', 8080), net.echo('here', 'udp', 5000), net.echo('peer', 'tcp', 7000)]);
    const open = (from: Host): ReturnType<typeof net.flow>[] => [
      net.flow(from, 'tcp', '10.9.0.1', 8080),
      net.flow(from, 'tcp', 'fd99::1', 8080),
      net.flow(from, 'udp', '10.9.0.1', 5000),
    ];
    const [mapped, six, datagrams] = await Promise.all(open('peer'));
    const others = await Promise.all(open('other'));
    const outwards = await net.flow('here', 'tcp', '10.9.0.2', 7000);
    assert.ok(mapped && six && datagrams);
    for (const flow of [mapped, six, datagrams, outwards, ...others]) assert.equal(await flow.exchange(), 'answered');
    assert.equal(await net.ping('peer', '10.9.0.1'), true);
    assert.equal(await net.ping('here', 'fd99::2'), true);

    const { failures, ...ended } = await way(net)(peer);
    assert.deepEqual(failures, []);
    // Three TCP connections; with them one UDP flow and two pings.
    assert.deepEqual(ended, { sockets: 3, flows: 6 });
    await delay(100);
    for (const flow of [mapped, six]) assert.equal((await flow.report()).state, 'reset');
    assert.notEqual((await outwards.report()).state, 'open');
    for (const flow of others) assert.equal(await flow.exchange(), 'answered');
    const tables = await Promise.all(
      ['ipv4', 'ipv6'].map((family) => net.exec('here', ['conntrack', '-L', '-f', family])),
    );
    const listed = tables.map(({ stdout }) => stdout).join('');
    assert.doesNotMatch(listed, /10\.9\.0\.2 |fd99::2 /);
    assert.equal(listed.match(/=(10\.9\.0\.3|fd99::3) /g)?.length, 6);
    assert.deepEqual(await way(net)(peer), { sockets: 0, flows: 0, failures: [] });
  });

  test(`${name}: spared ports keep their socket and their flow, served here or there`, async (t) => {
    if (!requires(t, 'root', 'netns', 'nft', 'conntrack')) return;
    await using net = await openNetwork();
    await net.exec('here', ['nft', '-f', '-'], { input: tracking });
    await Promise.all([
      net.echo('here', 'tcp', 502),
      net.echo('here', 'tcp', 8080),
      net.echo('here', 'udp', 5000),
      net.echo('peer', 'tcp', 7000),
    ]);
    const kept = await Promise.all([
      net.flow('peer', 'tcp', '10.9.0.1', 502),
      net.flow('peer', 'tcp', 'fd99::1', 502),
      net.flow('peer', 'udp', 'fd99::1', 5000),
      net.flow('here', 'tcp', '10.9.0.2', 7000),
    ]);
    const lost = await net.flow('peer', 'tcp', '10.9.0.1', 8080);
    for (const flow of [...kept, lost]) assert.equal(await flow.exchange(), 'answered');
    const { failures, ...ended } = await way(net)({ ...peer, sparedPorts: [502, 5000, 7000] });
    assert.deepEqual(failures, []);
    assert.deepEqual(ended, { sockets: 1, flows: 1 });
    await delay(100);
    assert.equal((await lost.report()).state, 'reset');
    for (const flow of kept) assert.equal(await flow.exchange(), 'answered');
    const { stdout } = await net.exec('here', ['conntrack', '-L', '-f', 'ipv4']);
    assert.doesNotMatch(stdout, /port=8080/);
    assert.match(stdout, /dport=502 /);
  });
}
