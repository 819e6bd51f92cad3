// Sends every case of cases.py to a host behind the firewall, and through it, and counts what passed: a witness behind every
// filter, and the counters of the rules that logged a drop, both read with nft and not by us.
import { join } from 'node:path';
import { compileFirewall } from '../../../enforcer/firewall/index.ts';
import type { Slice } from '../../../policy/bundle/index.ts';
import { lineRequests } from '../../support/line-requests.ts';
import { createNetwork } from '../../support/netns.ts';
import type { Network } from '../../support/netns.ts';
import { firewallOn, grant, host, hosts, service, sliceWith, trusted } from '../cell.ts';
import type { CellHost } from '../cell.ts';

const OPEN = 5000;
const CLOSED = 7000;
/** The gateway's flow that ICMP errors tell lies about. */
const FLOW = 61_000;

type Peer = 'gateway' | 'camera';
type Cell = Network<CellHost>;

export interface Count {
  /** Packets that reached the host's programs, or left it again on the other side. */
  readonly accepted: number;
  /** Those of them that were for the closed port, after fragments were put together. */
  readonly closed: number;
  /** Packets by the rule that dropped and logged them. */
  readonly dropped: Readonly<Record<string, number>>;
}

export interface Line {
  readonly section: string;
  readonly name: string;
  readonly frames: number;
  readonly counts: readonly Count[];
}

interface Column {
  readonly title: string;
  readonly peer: Peer;
  readonly port: number;
  readonly rules: boolean;
  readonly through: boolean;
}

export const columns: readonly Column[] = [
  { title: 'no rules', peer: 'gateway', port: OPEN, rules: false, through: false },
  { title: 'peer without a grant', peer: 'camera', port: OPEN, rules: true, through: false },
  { title: 'granted peer, closed port', peer: 'gateway', port: CLOSED, rules: true, through: false },
  { title: 'granted peer, open port', peer: 'gateway', port: OPEN, rules: true, through: false },
  { title: 'through, no rules', peer: 'gateway', port: OPEN, rules: false, through: true },
  { title: 'through', peer: 'gateway', port: OPEN, rules: true, through: true },
];

const macs = { plc: '02:00:00:00:00:02', gateway: '02:00:00:00:00:03', camera: '02:00:00:00:00:05' };
const last = { gateway: 3, camera: 5 };

/** What frames.Speaker takes. Every packet has its own source port and identification: no case meets the state of another. */
function speaker({ peer, port, through }: Column, sequence: number): object {
  const other = peer === 'gateway' ? 'camera' : 'gateway';
  const far = { 4: '10.30.0.4', 6: 'fd30::4' };
  return {
    source_mac: macs[peer],
    target_mac: macs.plc,
    peer_mac: macs[other],
    source4: `10.20.0.${last[peer]}`,
    source6: `fd20::${last[peer]}`,
    host4: '10.20.0.2',
    target4: through ? far[4] : '10.20.0.2',
    target6: through ? far[6] : 'fd20::2',
    peer4: `10.20.0.${last[other]}`,
    peer6: `fd20::${last[other]}`,
    other4: '10.30.0.2',
    other6: 'fd30::2',
    broadcast4: '10.20.0.255',
    linklocal6: 'fe80::66',
    flow_peer4: '10.20.0.3',
    flow_peer6: 'fd20::3',
    flow_port: OPEN,
    flow: FLOW,
    closed_port: CLOSED,
    sport: 20_000 + sequence,
    port,
    id: 20_000 + sequence,
  };
}

function slice(): Slice {
  const open = [service('telemetry', OPEN, 'udp'), service('console', OPEN, 'tcp')];
  return sliceWith(
    open.map(({ name }) => grant('gateway', name)),
    { interfaces: open },
  );
}

/**
 * Counts behind every filter. The fence is a packet that tells that all before it have been judged. What the host would answer is
 * gone before it is judged: it says nothing about the packet, and the kernel limits its rate.
 */
const witness = `table inet witness {
  counter accepted {
  }
  counter through {
  }
  counter closed {
  }
  counter fence {
  }
  chain before {
    type filter hook prerouting priority -450; policy accept;
    ip protocol 254 counter name fence drop
  }
  chain local {
    type filter hook input priority 300; policy accept;
    iifname "eth0" counter name accepted
    iifname "eth0" meta l4proto { tcp, udp } th dport ${CLOSED} counter name closed
  }
  chain answers {
    type filter hook output priority -450; policy accept;
    oifname != "lo" drop
  }
  chain forwarded {
    type filter hook forward priority 300; policy accept;
    counter name through
    meta l4proto { tcp, udp } th dport ${CLOSED} counter name closed
  }
}
table arp witness {
  counter accepted {
  }
  chain local {
    type filter hook input priority 300; policy accept;
    iifname "eth0" counter name accepted
  }
}
`;
/** The peers' own stacks say nothing: what arrives is what the sender sent. */
const mute = `table inet mute {
  chain in {
    type filter hook prerouting priority -450; policy drop;
  }
  chain out {
    type filter hook output priority -450; policy drop;
  }
}
`;

interface Bench extends AsyncDisposable {
  readonly cell: Cell;
  readonly send: (peer: Peer, request: object) => Promise<unknown>;
}

async function must(cell: Cell, on: CellHost, argv: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await cell.exec(on, argv, input === undefined ? {} : { input });
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}

async function openBench(forwarding: boolean): Promise<Bench> {
  const { plc, historian } = hosts;
  const far = { network: 'plant', addresses: ['10.30.0.2/24', 'fd30::2/64'], mac: '02:00:00:00:00:12' };
  const cell = await createNetwork({
    hosts: {
      ...hosts,
      plc: { interfaces: { ...plc.interfaces, eth1: far }, forwarding },
      historian: { interfaces: { eth0: { ...historian.interfaces.eth0, addresses: ['10.30.0.4/24', 'fd30::4/64'] } } },
    },
  });
  await must(cell, 'plc', ['nft', '-f', '-'], witness);
  const known = (['gateway', 'camera'] as const).flatMap((peer) =>
    [`10.20.0.${last[peer]}`, `fd20::${last[peer]}`].map((address) => [address, macs[peer], 'eth0'] as const),
  );
  const there = ['10.30.0.4', 'fd30::4'].map((address) => [address, '02:00:00:00:00:04', 'eth1'] as const);
  for (const [address, mac, device] of [...known, ...there]) {
    await must(cell, 'plc', ['ip', 'neigh', 'replace', address, 'lladdr', mac, 'dev', device, 'nud', 'permanent']);
  }
  await cell.echo('plc', 'udp', OPEN);
  const senders = new Map<Peer, (request: object) => Promise<unknown>>();
  for (const other of cell.hosts.filter((name) => name !== 'plc')) await must(cell, other, ['nft', '-f', '-'], mute);
  for (const peer of ['gateway', 'camera'] as const) {
    const program = ['python3', '-B', join(import.meta.dirname, 'sender.py')];
    senders.set(peer, lineRequests(cell.spawn(peer, program).child, 'sender.py'));
  }
  return {
    cell,
    send: (peer, request) => senders.get(peer)?.(request) ?? Promise.reject(new RangeError(peer)),
    [Symbol.asyncDispose]: () => cell.close(),
  };
}

interface Reading {
  readonly fence: number;
  readonly closed: number;
  readonly accepted: number;
  readonly dropped: Record<string, number>;
}

interface Listed {
  counter?: { name: string; packets: number };
  rule?: { expr: { log?: { prefix?: string }; counter?: { packets: number } }[] };
}

/** The whole ruleset as nft prints it: our table is read like anybody's, by what its logging rules have counted. */
async function read(cell: Cell, through: boolean): Promise<Reading> {
  const { nftables } = JSON.parse(await must(cell, 'plc', ['nft', '-j', 'list', 'ruleset'])) as { nftables: Listed[] };
  const reading = { fence: 0, closed: 0, accepted: 0, dropped: {} as Record<string, number> };
  for (const { counter, rule } of nftables) {
    if (counter?.name === 'fence' || counter?.name === 'closed') reading[counter.name] += counter.packets;
    else if (counter !== undefined && (counter.name === 'through') === through) reading.accepted += counter.packets;
    const prefix = rule?.expr.find((part) => part.log !== undefined)?.log?.prefix;
    const packets = rule?.expr.find((part) => part.counter !== undefined)?.counter?.packets;
    if (prefix === undefined || packets === undefined) continue;
    const id = prefix.replace('ew:', '');
    reading.dropped[id] = (reading.dropped[id] ?? 0) + packets;
  }
  return reading;
}

const difference = (before: Reading, after: Reading): Count => ({
  accepted: after.accepted - before.accepted,
  closed: after.closed - before.closed,
  dropped: Object.fromEntries(
    Object.entries(after.dropped)
      .map(([id, packets]): [string, number] => [id, packets - (before.dropped[id] ?? 0)])
      .filter(([, packets]) => packets !== 0),
  ),
});

export async function measure(): Promise<Line[]> {
  const lines = new Map<string, { section: string; name: string; frames: number; counts: Count[] }>();
  for (const through of [false, true]) {
    await using bench = await openBench(through);
    await using firewall = await firewallOn(bench.cell, 'plc');
    const sections = (await bench.send('gateway', { list: true })) as Record<string, string[]>;
    let fences = 0;
    let sequence = 0;
    for (const column of columns.filter((entry) => entry.through === through)) {
      if (column.rules) {
        const state = { epoch: 1, now: Date.now(), ordersSequence: 0, states: trusted };
        await firewall.apply(compileFirewall(slice(), state, { ...host, proxies: [] }));
      }
      let before = await read(bench.cell, through);
      const settle = async (peer: Peer): Promise<Reading> => {
        fences += 1;
        await bench.send(peer, { fence: speaker(column, sequence) });
        for (;;) {
          const reading = await read(bench.cell, through);
          if (reading.fence >= fences) return reading;
        }
      };
      for (const [section, names] of Object.entries(sections)) {
        if (section === 'ICMP errors') {
          // Opened anew for each column; its first packet and the answer make it a flow of this epoch.
          const open = { ...speaker({ ...column, peer: 'gateway', port: OPEN, through: false }, 0), sport: FLOW };
          for (const v of [4, 6]) {
            await bench.send('gateway', { section: 'Plain', name: `UDP datagram, IPv${v}`, speaker: open });
          }
          before = await settle('gateway');
        }
        for (const name of names) {
          sequence += 1;
          const request = { section, name, speaker: speaker(column, sequence) };
          const frames = (await bench.send(column.peer, request)) as number;
          const after = await settle(column.peer);
          const line = lines.get(`${section}/${name}`) ?? { section, name, frames, counts: [] };
          line.counts.push(difference(before, after));
          lines.set(`${section}/${name}`, line);
          before = after;
        }
      }
    }
  }
  return [...lines.values()];
}
