// Other tables of the same host: those of Docker, and some that try. A foreign accept, mark or address translation opens
// nothing, because each packet still has to pass our hooks; the controls without our table show that it would arrive.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { createNetwork } from '../support/netns.ts';
import type { Network } from '../support/netns.ts';
import { addresses, firewallOn, grant, hosts, planWith, ports, sliceWith } from './cell.ts';
import type { CellHost } from './cell.ts';
import { container, containerPort, dockerRules, published } from './docker-rules.ts';

/** For what has to be open: a busy machine is no denial. */
const patient = { timeoutMs: 10_000 };

type DockerHost = CellHost | 'container' | 'second';
type DockerCell = Network<DockerHost>;
const { plc, camera, gateway, control } = addresses;

async function must(cell: DockerCell, on: DockerHost, command: string, input?: string): Promise<void> {
  const { code, stderr } = await cell.exec(on, command.split(' '), input === undefined ? {} : { input });
  assert.equal(code, 0, `${command}: ${stderr}`);
}

/** The PLC runs two containers behind a bridge of its own; everybody serves what could be reached. */
async function openDockerCell(): Promise<DockerCell> {
  const forwarding = {
    plc: { ...hosts.plc, forwarding: true },
    container: { interfaces: {} },
    second: { interfaces: {} },
  };
  const cell = await createNetwork({ hosts: { ...hosts, ...forwarding } });
  await must(cell, 'plc', 'ip link add docker0 type bridge');
  for (const on of ['container', 'second'] as const) {
    await must(cell, 'plc', `ip link add to-${on} type veth peer name eth0 netns ${cell.namespaceOf(on)}`);
    await must(cell, 'plc', `ip link set to-${on} master docker0 up`);
    await must(cell, on, 'ip link set eth0 up');
  }
  await must(cell, 'plc', 'ip link set docker0 up');
  for (const [on, device, address] of [
    ['plc', 'docker0', '172.17.0.1/16'],
    ['plc', 'docker0', 'fd17::1/64'],
    ['container', 'eth0', `${container[4]}/16`],
    ['container', 'eth0', `${container[6]}/64`],
    ['second', 'eth0', '172.17.0.3/16'],
  ] as const) {
    await must(cell, on, `ip address add ${address} dev ${device}${address.includes(':') ? ' nodad' : ''}`);
  }
  await must(cell, 'container', 'ip route add default via 172.17.0.1');
  await must(cell, 'container', 'ip -6 route add default via fd17::1');
  await Promise.all([
    cell.echo('container', 'tcp', containerPort),
    cell.echo('plc', 'tcp', ports.status),
    cell.echo('plc', 'tcp', ports.modbus),
    cell.echo('plc', 'udp', ports.telemetry),
    cell.echo('camera', 'tcp', ports.status),
    cell.echo('control', 'tcp', ports.control),
  ]);
  return cell;
}

const load = (cell: DockerCell, text: string): Promise<void> => must(cell, 'plc', 'nft -f -', text);

test('a port that Docker publishes is closed, for IPv4 and IPv6, and so is the way of the container to others', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openDockerCell();
  await using firewall = await firewallOn(cell as Network<CellHost>, 'plc');
  await load(cell, dockerRules);
  const targets = [plc.cell, plc.cell6];
  for (const target of targets)
    assert.equal(await cell.probeTcp('camera', target, published, patient), 'open', 'control');
  assert.equal(await cell.probeTcp('container', camera.cell, ports.status, patient), 'open', 'control');

  await firewall.apply(planWith(sliceWith([grant('gateway', 'status')])));
  const found = await Promise.all([
    ...targets.flatMap((target) => [
      cell.probeTcp('camera', target, published),
      cell.probeTcp('gateway', target, published),
      cell.probeTcp('gateway', target, ports.status, patient),
    ]),
    cell.probeTcp('container', camera.cell, ports.status),
    cell.probeTcp('container', plc.cell, ports.status),
  ]);
  assert.deepEqual(found, ['silent', 'silent', 'open', 'silent', 'silent', 'open', 'silent', 'silent']);
  const { denied } = await firewall.status();
  assert.ok((denied['default-forward'] ?? 0) >= 4, JSON.stringify(denied));
  // Docker that starts after us writes the same.
  for (const family of ['ip', 'ip6']) {
    for (const name of ['raw', 'nat', 'filter']) await must(cell, 'plc', `nft delete table ${family} ${name}`);
  }
  await load(cell, dockerRules);
  const again = await Promise.all(targets.map((target) => cell.probeTcp('camera', target, published)));
  assert.deepEqual(again, ['silent', 'silent']);
});

test('a DNAT to a port of this host is judged by the port it leads to', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openDockerCell();
  await using firewall = await firewallOn(cell as Network<CellHost>, 'plc');
  await must(cell, 'plc', 'sysctl -qw net.ipv4.conf.all.route_localnet=1');
  const to: readonly (readonly [number, string])[] = [
    [9001, `redirect to :${ports.status}`],
    [9002, `redirect to :${ports.modbus}`],
    [9003, `dnat ip to 127.0.0.1:${ports.modbus}`],
    [9004, `dnat ip to ${plc.plant}:${ports.modbus}`],
    [ports.status + 1, `redirect to :${ports.modbus}`],
  ];
  await load(
    cell,
    `table inet others {
  chain in {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "eth0" meta nfproto ipv4 ${to.map(([port, target]) => `tcp dport ${port} ${target}`).join('\n    iifname "eth0" meta nfproto ipv4 ')}
  }
}
`,
  );
  for (const [port] of to)
    assert.equal(await cell.probeTcp('camera', plc.cell, port, patient), 'open', `control ${port}`);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'status'), grant('gateway', 'modbus')])));
  const [stranger, granted] = await Promise.all(
    (['camera', 'gateway'] as const).map((from) =>
      Promise.all(
        to.map(([port]) => cell.probeTcp(from, plc.cell, port, from === 'gateway' && port === 9001 ? patient : {})),
      ),
    ),
  );
  assert.deepEqual(
    stranger,
    to.map(() => 'silent'),
  );
  // What leads to the granted port is the granted service; Modbus past its proxy is not.
  assert.deepEqual(
    granted,
    to.map(([port]) => (port === 9001 ? 'open' : 'silent')),
  );
});

const hook = (name: string, priority: number, ...rules: string[]): string => `  chain ${name}_${Math.abs(priority)} {
    type filter hook ${name} priority ${priority}; policy accept;
    ${rules.join('\n    ')}
  }
`;
const everywhere = ['prerouting', 'input', 'forward', 'output'] as const;

/** Tables that another program of the host could load, and whether the granted peer still gets its service. */
const tricks: readonly { readonly name: string; readonly table: string; readonly granted: 'open' | 'silent' }[] = [
  {
    name: 'accept everything before us',
    table: everywhere.map((at) => hook(at, -300, 'counter accept')).join(''),
    granted: 'open',
  },
  {
    name: 'accept everything after us',
    table: everywhere.map((at) => hook(at, 300, 'counter accept')).join(''),
    granted: 'open',
  },
  {
    // Without connection tracking nothing is new or established, and the table has no other words for a flow.
    name: 'notrack',
    table: hook('prerouting', -300, 'counter notrack') + hook('output', -300, 'counter notrack'),
    granted: 'silent',
  },
  {
    name: 'the connection mark of the epoch',
    table:
      ['prerouting', 'output'].map((at) => hook(at, -160, 'ct mark set 0x1 counter')).join('') +
      hook('input', -10, 'ct mark set 0x1 counter'),
    granted: 'open',
  },
  {
    name: "the connection mark of a proxy's flow",
    table:
      ['prerouting', 'output'].map((at) => hook(at, -160, 'ct mark set 0x80000001 counter')).join('') +
      hook('input', -10, 'ct mark set 0x80000001 counter'),
    granted: 'open',
  },
  {
    name: 'the packet mark of a proxy, before us',
    table: hook('prerouting', -300, 'meta mark set 0x1 counter'),
    granted: 'open',
  },
  {
    name: 'the packet mark of a proxy, between our hooks',
    table: hook('prerouting', -50, 'meta mark set 0x1 counter') + hook('input', -10, 'meta mark set 0x1 counter'),
    granted: 'open',
  },
];

for (const { name, table, granted } of tricks) {
  test(`another table opens nothing: ${name}`, async (t) => {
    if (!requires(t, 'root', 'netns', 'nft')) return;
    await using cell = await openDockerCell();
    await using firewall = await firewallOn(cell as Network<CellHost>, 'plc');
    await load(cell, `table inet others {\n${table}}\n`);
    for (const target of [plc.cell, plc.cell6]) {
      assert.equal(await cell.probeTcp('camera', target, ports.status, patient), 'open', 'control');
      assert.equal(await cell.probeTcp('gateway', target, ports.modbus, patient), 'open', 'control');
    }
    await firewall.apply(planWith(sliceWith([grant('gateway', 'status'), grant('gateway', 'modbus')])));
    const expected = granted === 'open' ? patient : {};
    const from = (target: string): Promise<unknown>[] => [
      cell.probeTcp('camera', target, ports.status),
      cell.probeTcp('camera', target, ports.modbus),
      cell.probeUdp('camera', target, ports.telemetry),
      cell.ping('camera', target),
      // Its proxy does not run: Modbus is closed also for the granted peer.
      cell.probeTcp('gateway', target, ports.modbus),
      cell.probeUdp('gateway', target, ports.telemetry),
      cell.probeTcp('gateway', target, ports.status, expected),
    ];
    const closed = ['silent', 'silent', 'silent', false, 'silent', 'silent', granted];
    const found = await Promise.all([...from(plc.cell), ...from(plc.cell6)]);
    assert.deepEqual(found, [...closed, ...closed]);
    const outwards = await Promise.all([
      cell.probeTcp('plc', camera.cell, ports.status),
      cell.probeTcp('plc', gateway.cell6, ports.status),
      cell.probeTcp('container', camera.cell, ports.status),
      cell.probeTcp('plc', control.cell, ports.control, expected),
    ]);
    assert.deepEqual(outwards, ['silent', 'silent', 'silent', granted]);
  });
}

test('policy routing and translated destinations do not lead out of the table', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openDockerCell();
  await using firewall = await firewallOn(cell as Network<CellHost>, 'plc');
  // A whole network is local here; what this host sends to its control plane goes to the camera.
  await must(cell, 'plc', 'ip route add local 10.77.0.0/24 dev lo');
  await load(
    cell,
    `table ip others {
  chain out {
    type nat hook output priority -100; policy accept;
    ip daddr ${control.cell} tcp dport ${ports.control} dnat to ${camera.cell}:${ports.status}
  }
}
`,
  );
  const elsewhere = '10.77.0.1';
  await must(cell, 'camera', `ip route add ${elsewhere} via ${plc.cell}`);
  assert.equal(await cell.probeTcp('camera', elsewhere, ports.status, patient), 'open', 'control');
  assert.equal(await cell.probeTcp('plc', control.cell, ports.control, patient), 'open', 'control');
  const reached = await cell.watch('camera', { match: `ip saddr ${plc.cell} tcp dport ${ports.status}` });
  await firewall.apply(planWith(sliceWith([grant('gateway', 'status')])));
  assert.equal(await cell.probeTcp('camera', elsewhere, ports.status), 'silent');
  assert.equal(await cell.probeTcp('plc', control.cell, ports.control), 'silent');
  assert.equal(await reached.count(), 0);
});

test('what a bridge of this host carries between its ports is judged where the kernel shows it, and only there', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'br-netfilter')) return;
  await using cell = await openDockerCell();
  await using firewall = await firewallOn(cell as Network<CellHost>, 'plc');
  const shown = (value: 0 | 1): Promise<void> =>
    must(cell, 'plc', `ip link set docker0 type bridge nf_call_iptables ${value}`);
  await firewall.apply(planWith(sliceWith([])));
  // The README says so: without br_netfilter, containers of one bridge reach each other past every table of the host.
  await must(cell, 'plc', 'sysctl -qw net.bridge.bridge-nf-call-iptables=0');
  await shown(0);
  assert.equal(await cell.probeTcp('second', container[4], containerPort, patient), 'open');
  await shown(1);
  assert.equal(await cell.probeTcp('second', container[4], containerPort), 'silent');
});
