// What the parts of the bench play in: a server with this host's firewall, and a client that owns tens of thousands of
// peers' addresses, which are behind a route so that no neighbour table overflows.
import { join } from 'node:path';
import { compileFirewall, type FirewallPlan } from '../../enforcer/firewall/index.ts';
import { MAX_SET_ELEMENTS } from '../../enforcer/firewall/limits.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { grant, host, ports, service, sliceWith } from '../../test/firewall/cell.ts';
import type { HostSpec, Network } from '../../test/support/netns.ts';
import { namespaceFolder } from '../../test/support/netns-build.ts';
import { must } from '../../test/support/netns-process.ts';

export const SERVER = '10.20.0.2';
export const CLIENT = '10.20.0.3';
export const CLIENT_MAC = '02:00:00:00:00:03';
/** Peers are numbered from here; the last addresses of the network belong to nobody. */
export const FIRST_PEER = '10.64.0.0';
export const FIRST_STRANGER = '10.67.0.0';
export const PEERS_NETWORK = '10.64.0.0/14';
/** This device and some room are in the same sets. */
export const MOST_PEERS: number = MAX_SET_ELEMENTS - 10;
/** Nobody is granted it. */
export const CLOSED_PORT = 6_000;

export const clientHost = {
  interfaces: { eth0: { network: 'cell', addresses: [`${CLIENT}/24`], mac: CLIENT_MAC } },
} as const satisfies HostSpec;

export const serverHost = (address: string = SERVER): HostSpec => ({
  interfaces: { eth0: { network: 'cell', addresses: [`${address}/24`], mac: macOf(address) } },
});

export const macOf = (address: string): string =>
  `02:00:00:00:00:${Number(address.split('.')[3]).toString(16).padStart(2, '0')}`;

export const peerAddress = (index: number): string => `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;

export interface PeerPlan {
  readonly peers: number;
  readonly address?: string;
  readonly epoch?: number;
  readonly bundle?: number;
  readonly firewall?: Slice['firewall'];
  /** What they are granted; all of it is in one set, which MAX_SET_ELEMENTS limits. Default both. */
  readonly services?: readonly ('status' | 'telemetry')[];
}

/** A server whose services (TCP and UDP) every peer is granted; every peer is trusted and bound to the client's MAC. */
export function planOfPeers(wanted: PeerPlan): FirewallPlan {
  const { peers, address = SERVER, epoch = 1, bundle = 1, firewall = [], services = ['status', 'telemetry'] } = wanted;
  const ids = Array.from({ length: peers }, (_, index) => `peer-${index}`);
  const at = (own: string, mac: string) => [{ name: 'eth0', network: 'cell', address: own, mac }];
  const slice: Slice = {
    ...sliceWith([]),
    devices: [
      { id: 'plc', labels: {}, interfaces: at(address, macOf(address)) },
      ...ids.map((id, index) => ({ id, labels: {}, interfaces: at(peerAddress(index), CLIENT_MAC) })),
    ],
    interfaces: [service('status', ports.status, 'tcp'), service('telemetry', ports.telemetry, 'udp')],
    grants: services.map((name) => ({ ...grant('peer', name), subjects: ids })),
    firewall,
  };
  const states = Object.fromEntries(['plc', ...ids].map((id) => [id, 'trusted' as const]));
  return compileFirewall(
    slice,
    { epoch, bundle, now: Date.now(), ordersSequence: 0, states },
    { ...host, proxies: [] },
  );
}

/** A deny that touches nothing that is measured, and gives the plan other rules than one without. */
export const otherRules: Slice['firewall'] = [
  {
    id: 'other-rules',
    tier: 'admin',
    priority: 1,
    verdict: 'deny',
    direction: 'in',
    transport: 'udp',
    peers: ['10.20.0.0/24'],
    ports: [7, 7],
    place: 'firewall/other.yaml:1',
  },
];

/** The client answers for every address of the peers' network; servers reach it there. */
export async function routePeers<Host extends string>(
  net: Network<Host>,
  client: Host,
  servers: readonly Host[],
): Promise<void> {
  await must(net.commandOn(client, ['ip', 'route', 'add', 'local', PEERS_NETWORK, 'dev', 'lo']));
  for (const server of servers) await must(net.commandOn(server, ['ip', 'route', 'add', PEERS_NETWORK, 'via', CLIENT]));
}

export const namespacePath = <Host extends string>(net: Network<Host>, name: Host): string =>
  join(namespaceFolder, net.namespaceOf(name));

export const scriptOf = (name: string): string => join(import.meta.dirname, name);

const WITNESS = 'bench_witness';

export interface Witness {
  /** Packets by name of their match. */
  counts(): Promise<Record<string, number>>;
}

/** Counts packets that arrived before any filter, and those that every filter accepted, in a table that is not ours. */
export async function witness<Host extends string>(
  net: Network<Host>,
  name: Host,
  arrived: Readonly<Record<string, string>>,
  accepted: Readonly<Record<string, string>>,
): Promise<Witness> {
  const lines = (matches: Readonly<Record<string, string>>): string[] =>
    Object.entries(matches).map(([counter, match]) => `    ${match} counter name ${counter}`);
  const text = [
    `table inet ${WITNESS} {`,
    ...Object.keys({ ...arrived, ...accepted }).map((counter) => `  counter ${counter} {\n  }`),
    '  chain first {',
    '    type filter hook prerouting priority -450; policy accept;',
    ...lines(arrived),
    '  }',
    '  chain after {',
    '    type filter hook input priority 300; policy accept;',
    ...lines(accepted),
    '  }',
    '}',
  ].join('\n');
  await must(net.commandOn(name, ['nft', '-f', '-']), `${text}\n`);
  return {
    async counts() {
      const listed = await must(net.commandOn(name, ['nft', '-j', 'list', 'counters', 'table', 'inet', WITNESS]));
      const { nftables } = JSON.parse(listed) as { nftables: { counter?: { name: string; packets: number } }[] };
      return Object.fromEntries(nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter.packets]] : [])));
    },
  };
}
