// When a packet of an address was last accepted, read from a real table: one suite for netlink and for nft.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { commandSeen } from '../../enforcer/firewall/flows/command-seen.ts';
import { flowAddress } from '../../enforcer/firewall/flows/flow-address.ts';
import { RESOLUTION_MS, SEEN_TIMEOUT_MS } from '../../enforcer/firewall/flows/limits.ts';
import { netlinkSeen } from '../../enforcer/firewall/flows/netlink-seen.ts';
import type { ReadSeen } from '../../enforcer/firewall/flows/seen.ts';
import { requires } from '../support/capabilities.ts';
import { createNetwork } from '../support/netns.ts';
import type { Network } from '../support/netns.ts';

type Host = 'here' | 'peer';
const ways: Readonly<Record<string, (net: Network<Host>) => ReadSeen>> = {
  netlink: (net) => netlinkSeen('seen', join('/run/netns', net.namespaceOf('here'))),
  nft: (net) => commandSeen((argv) => net.exec('here', argv), 'inet seen'),
};

const table = `table inet seen {
  set seen4 {
    type ipv4_addr
    size 100
    flags dynamic,timeout
    timeout ${SEEN_TIMEOUT_MS / 1_000}s
    counter
  }
  set seen6 {
    type ipv6_addr
    size 100
    flags dynamic,timeout
    timeout ${SEEN_TIMEOUT_MS / 1_000}s
    counter
  }
  chain input {
    type filter hook input priority 250; policy accept;
    udp dport 5000 update @seen4 { ip saddr }
    udp dport 5000 update @seen6 { ip6 saddr }
  }
}
`;

for (const [name, way] of Object.entries(ways)) {
  test(`${name}: the element of an address counts its packets and tells the time of the last one`, async (t) => {
    if (!requires(t, 'root', 'netns', 'nft')) return;
    await using net = await createNetwork({
      hosts: {
        here: { interfaces: { eth0: { network: 'cell', addresses: ['10.9.0.1/24', 'fd99::1/64'] } } },
        peer: { interfaces: { eth0: { network: 'cell', addresses: ['10.9.0.2/24', 'fd99::2/64'] } } },
      },
    });
    const { code, stderr } = await net.exec('here', ['nft', '-f', '-'], { input: table });
    assert.equal(code, 0, stderr);
    await net.echo('here', 'udp', 5000);
    const [flow, flow6] = await Promise.all([
      net.flow('peer', 'udp', '10.9.0.1', 5000),
      net.flow('peer', 'udp', 'fd99::1', 5000),
    ]);
    for (let packet = 0; packet < 3; packet += 1) assert.equal(await flow.exchange(), 'answered');
    await delay(1_500);
    assert.equal(await flow6.exchange(), 'answered');
    const [{ lastAnswerAt }, six] = await Promise.all([flow.report(), flow6.report()]);

    const read = way(net);
    const before = Date.now();
    const four = await read('seen4', ['10.9.0.2', '10.9.0.3'].map(flowAddress));
    const after = Date.now();
    const [seen] = four;
    assert.ok(seen);
    // "ping" in a datagram is 32 bytes of IPv4. Nothing of the other address: no element.
    assert.deepEqual([four.length, seen.address.text, seen.packets, seen.bytes], [1, '10.9.0.2', 3, 96]);
    // The peer's own clock: the answer came a moment after the packet was accepted, later on a busy machine.
    const lastAt = after - seen.agoMs;
    const slackMs = RESOLUTION_MS + (after - before) + 150;
    assert.ok(Math.abs(lastAt - lastAnswerAt) <= slackMs, `${lastAt} instead of ${lastAnswerAt}`);
    const before6 = Date.now();
    const [seen6] = await read('seen6', [flowAddress('fd99::2')]);
    assert.deepEqual([seen6?.packets, seen6?.bytes], [1, 52]);
    const earliest6 = before6 - (seen6?.agoMs ?? Number.POSITIVE_INFINITY);
    assert.ok(earliest6 > lastAt + 200, JSON.stringify([seen6, seen, six]));
    await assert.rejects(read('seen5', [flowAddress('10.9.0.2')]), { code: 'FIREWALL_FLOWS' });
  });
}
