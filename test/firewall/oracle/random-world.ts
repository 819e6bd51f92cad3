// Random policies and packets that meet them: a device on two networks, peers near and far, every kind of rule that the
// firewall compiles. The same seed gives the same worlds.
import { sliceSchema } from '../../../policy/bundle/index.ts';
import type { Slice, SliceFirewallRule, SliceGrant, SliceInterface } from '../../../policy/bundle/index.ts';
import { compileFirewall } from '../../../enforcer/firewall/index.ts';
import type { FirewallPlan, FirewallState } from '../../../enforcer/firewall/index.ts';
import type { Cell, World } from './evaluate.ts';

export type Random = () => number;

/** mulberry32: small, and good enough to choose test cases. */
export function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
const some = <T>(random: Random, list: readonly T[], most: number): T[] => [
  ...new Set(Array.from({ length: 1 + Math.floor(random() * most) }, () => pick(random, list))),
];
const chance = (random: Random, share: number): boolean => random() < share;

export const EPOCH = 7;
/** A Thursday at 12:30 UTC. */
export const NOW: number = Date.UTC(2027, 0, 14, 12, 30);
const mac = (last: number): string => `02:00:00:00:00:${last.toString(16).padStart(2, '0')}`;

const devices = [
  {
    id: 'plc',
    nets: [
      ['eth0', 'cell', '10.20.0.2', 2],
      ['eth0', 'cell', 'fd20::2', 2],
      ['eth1', 'plant', '10.30.0.2', 18],
    ],
  },
  {
    id: 'gateway',
    nets: [
      ['eth0', 'cell', '10.20.0.3', 3],
      ['eth0', 'cell', 'fd20::3', 3],
      ['eth1', 'plant', '10.30.0.3', 19],
    ],
  },
  {
    id: 'camera',
    nets: [
      ['eth0', 'cell', '10.20.0.5', 5],
      ['eth0', 'cell', 'fd20::5', 5],
    ],
  },
  { id: 'historian', nets: [['eth0', 'plant', '10.30.0.4', 4]] },
  { id: 'printer', nets: [['eth0', 'cell', '10.20.0.7', 0]] },
  {
    id: 'remote',
    nets: [
      ['eth0', 'elsewhere', '10.99.0.8', 8],
      ['eth0', 'elsewhere', 'fd99::8', 8],
    ],
  },
] as const;
const ids = devices.map(({ id }) => id);
const control = [{ address: '10.20.0.1', port: 8443, transport: 'tcp' as const }];
const strangers = ['10.20.0.66', '10.21.0.1', '172.16.0.9', '198.51.100.7', 'fd20::66', '2001:db8::9'];
const cidrs = [
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.20.0.0/24',
  '10.20.0.3/32',
  '10.20.0.4/30',
  '10.99.0.0/16',
  '172.16.0.0/12',
  '198.51.100.7/32',
  '::/0',
  'fd20::/64',
  'fd20::3/128',
  'fd00::/8',
  '2001:db8::/32',
];
const portsOf = [
  [1, 65_535],
  [502, 502],
  [8_000, 9_000],
  [53, 53],
  [22, 23],
  [5_000, 5_000],
  [8_080, 8_443],
] as const;
const wire = [22, 53, 502, 5_000, 5_001, 8_080, 8_081, 8_443, 65_535];
const states = [
  'trusted',
  'trusted',
  'trusted',
  'trusted',
  'stale',
  'recovering',
  'quarantined',
  'revoked',
  'decommissioned',
  'unknown',
] as const;
const classes = ['safety', 'normal', 'sensitive'] as const;
const times = [
  {},
  {},
  {},
  {},
  { notBefore: NOW + 60_000 },
  { until: NOW - 60_000 },
  { notBefore: NOW - 60_000, until: NOW + 3_600_000 },
] as const;
const windows = [
  {},
  {},
  {},
  {},
  { timeWindow: { fromMinute: 720, toMinute: 780 } },
  { timeWindow: { fromMinute: 1_380, toMinute: 360 } },
  { timeWindow: { fromMinute: 1_200, toMinute: 751 }, weekdays: ['wed' as const] },
  { weekdays: ['fri' as const, 'sat' as const] },
  { weekdays: ['thu' as const] },
];

function services(random: Random): SliceInterface[] {
  const made: SliceInterface[] = [];
  for (const [name, device, protocol, transport, port] of [
    ['status', 'plc', 'http', 'tcp', 8_080],
    ['telemetry', 'plc', 'port', 'udp', 5_000],
    ['shell', 'plc', 'port', 'tcp', 22],
    ['modbus', 'plc', 'modbus', 'tcp', 502],
    ['pages', 'gateway', 'http', 'tcp', 8_443],
    ['feed', 'camera', 'port', 'udp', 5_001],
    ['store', 'remote', 'port', 'tcp', 5_000],
  ] as const) {
    const operation = (operationName: string) => {
      const base = { name: operationName, class: pick(random, classes), island: chance(random, 0.3) };
      if (protocol === 'modbus')
        return { ...base, protocol, functionCodes: [3], units: [1], addresses: [[0, 9] as [number, number]] };
      return protocol === 'http' ? { ...base, protocol, methods: ['GET'], paths: ['/'] } : { ...base, protocol };
    };
    made.push({
      name,
      device,
      protocol,
      transport,
      port,
      operations: protocol === 'port' ? [operation('use')] : [operation('use'), operation('change')],
      ...(device === 'plc' && chance(random, 0.3)
        ? { onEnforcerDeath: 'open', openUntil: NOW + (chance(random, 0.7) ? 1 : -1) * 3_600_000 }
        : { onEnforcerDeath: pick(random, ['closed', 'hold'] as const) }),
      auditDurable: false,
      place: `interfaces/${name}.yaml:1`,
      ...(device === 'plc' && chance(random, 0.12)
        ? { observeUntil: NOW + (chance(random, 0.8) ? 1 : -1) * 3_600_000 }
        : {}),
    });
  }
  return made;
}

function grants(random: Random, offered: readonly SliceInterface[]): SliceGrant[] {
  return Array.from({ length: Math.floor(random() * 14) }, (_, index): SliceGrant => {
    const service = pick(random, offered);
    return {
      id: `grant-${index}`,
      interface: service.name,
      device: service.device,
      subjects: some(random, ids, 3),
      operations: some(
        random,
        service.operations.map(({ name }) => name),
        2,
      ),
      binding: pick(random, ['svid', 'port+mac+ip', 'ip'] as const),
      conditions: { ...pick(random, windows), ...(chance(random, 0.08) ? { maxRisk: 50 } : {}) },
      ...pick(random, times),
      place: `grants/g.yaml:${index + 1}`,
    };
  });
}

function packetRules(random: Random): SliceFirewallRule[] {
  // Rules about different packets say nothing about their order: often all are about the same way.
  const only = chance(random, 0.4) ? pick(random, ['in', 'out', 'through'] as const) : undefined;
  return Array.from({ length: Math.floor(random() * 14) }, (_, index): SliceFirewallRule => {
    const tier = pick(random, ['admin', 'baseline'] as const);
    const verdict = pick(
      random,
      tier === 'admin' ? (['deny', 'allow', 'pass'] as const) : (['deny', 'allow'] as const),
    );
    const direction = only ?? pick(random, ['in', 'in', 'out', 'out', 'through'] as const);
    const transport = pick(random, ['tcp', 'udp', 'any', 'any', 'icmp', 'sctp'] as const);
    return {
      id: `rule-${index}`,
      tier,
      verdict,
      direction,
      transport,
      priority: pick(random, [0, 100, 100, 500]),
      peers: some(random, cidrs, 3),
      ...(transport !== 'icmp' && chance(random, 0.7) ? { ports: [...pick(random, portsOf)] as [number, number] } : {}),
      ...(direction === 'through' && chance(random, 0.5) ? { to: some(random, cidrs, 2) } : {}),
      ...(chance(random, 0.15) ? { observe: true as const } : {}),
      ...(verdict === 'allow' && chance(random, 0.15) ? { rate: { flows: 5, per: 'second' as const, burst: 5 } } : {}),
      ...(verdict === 'allow' && chance(random, 0.1) ? { maxConnections: 3 } : {}),
      ...(chance(random, 0.3) ? { conditions: pick(random, windows) } : {}),
      ...pick(random, times),
      place: `firewall/f.yaml:${index + 1}`,
    };
  });
}

export function randomWorld(random: Random): World {
  const offered = services(random);
  const stated = Object.fromEntries(
    ids.map((id) => [id, chance(random, id === 'plc' ? 0.8 : 0.4) ? 'trusted' : pick(random, states)]),
  );
  const slice: Slice = sliceSchema.parse({
    format: 1,
    trustDomain: 'plant.example',
    device: 'plc',
    devices: devices.map(({ id, nets }) => ({
      id,
      labels: {},
      interfaces: nets.map(([name, network, address, last]) => ({
        name,
        network,
        address,
        ...(last === 0 ? {} : { mac: mac(last) }),
      })),
    })),
    interfaces: offered,
    grants: grants(random, offered),
    denies: Array.from({ length: Math.floor(random() * 4) }, (_, index) => {
      const service = pick(random, offered);
      return {
        id: `deny-${index}`,
        interface: service.name,
        device: service.device,
        subjects: chance(random, 0.3) ? [] : some(random, ids, 2),
        operations: chance(random, 0.5) ? [] : [pick(random, service.operations).name],
        ...(chance(random, 0.2) ? { until: NOW + 3_600_000 } : {}),
        place: `denies/d.yaml:${index + 1}`,
      };
    }),
    firewall: packetRules(random),
    casbin: [],
    selfTest: [],
  });
  return {
    slice,
    states: stated,
    now: NOW,
    control,
    dns: chance(random, 0.5) ? ['10.20.0.53'] : [],
    proxies: [...(chance(random, 0.7) ? ['modbus'] : []), ...(chance(random, 0.2) ? ['status'] : [])],
  };
}

/** Ports by the place of the proxy. */
const listeners = { proxies: [15_000, 15_001], standbys: [25_000, 25_001] } as const;

export const planFor = ({ slice, states: stated, now, dns, proxies }: World): FirewallPlan =>
  compileFirewall(
    slice,
    { epoch: EPOCH, now, ordersSequence: 0, states: stated as FirewallState['states'] },
    {
      localDeviceId: slice.device,
      controlEndpoints: control,
      dns: [...dns],
      proxiesListen: true,
      proxies: proxies.map((name, at) => ({
        interface: name,
        listenPort: listeners.proxies[at] ?? 0,
        standbyPort: listeners.standbys[at] ?? 0,
      })),
    },
  );

/** Mostly packets that could be meant for something; now and then from the wrong place, or with another's MAC. */
export function randomCell(random: Random): Cell {
  const way = pick(random, ['in', 'in', 'in', 'out', 'out', 'through'] as const);
  const family = chance(random, 0.6) ? 4 : 6;
  const isOf = (address: string): boolean => address.includes(':') === (family === 6);
  const entries = devices.flatMap(({ nets }) =>
    nets.map(([name, network, address, last]) => ({ name, network, address, last })),
  );
  const own = entries.filter(({ address }) => devices[0].nets.some(([, , mine]) => mine === address) && isOf(address));
  const peers = entries.filter(({ address }) => !own.some((mine) => mine.address === address) && isOf(address));
  const peer = chance(random, 0.8) ? pick(random, peers) : undefined;
  const extra = [...strangers, '10.20.0.1', '10.20.0.53'].filter(isOf);
  const other = peer?.address ?? pick(random, extra);
  const mine = chance(random, 0.03) && way === 'in' ? other : pick(random, own).address;
  const where = peer?.network === 'plant' ? 'eth1' : 'eth0';
  const protocol = pick(random, [
    'tcp',
    'tcp',
    'tcp',
    'udp',
    'udp',
    family === 4 ? 'icmp' : 'icmpv6',
    'sctp',
    'udplite',
  ] as const);
  const direction = pick(random, ['original', 'original', 'reply'] as const);
  const established = direction === 'reply' || chance(random, 0.2);
  const isEcho = protocol === 'icmp' || protocol === 'icmpv6';
  const service = chance(random, 0.5)
    ? protocol === 'udp'
      ? pick(random, [5_000, 5_001])
      : pick(random, [22, 502, 8_080, 8_443])
    : pick(random, wire);
  const client = 40_000 + Math.floor(random() * 1_000);
  const [sport, dport] = direction === 'original' ? [client, service] : [service, client];
  const far = pick(random, [...peers.map(({ address }) => address), ...extra]);
  return {
    way,
    protocol,
    direction,
    source: way === 'out' ? mine : other,
    destination: way === 'out' ? other : way === 'through' ? far : mine,
    ...(isEcho
      ? chance(random, 0.7)
        ? { icmpType: direction === 'original' ? ('echo-request' as const) : ('echo-reply' as const) }
        : {}
      : { sport, dport }),
    ...(way === 'out'
      ? { outInterface: where }
      : {
          inInterface:
            way === 'in' && chance(random, 0.03) ? 'lo' : chance(random, 0.9) ? where : pick(random, ['eth0', 'eth1']),
          mac: chance(random, 0.9) ? mac(peer?.last ?? 200) : mac(pick(random, [2, 3, 5, 201])),
        }),
    ...(way === 'through' ? { outInterface: 'eth1' } : {}),
    state: chance(random, 0.03) ? 'invalid' : established ? 'established' : 'new',
    admitted: established && chance(random, 0.3),
    proxyListens: pick(random, [
      [],
      listeners.proxies,
      listeners.standbys,
      [...listeners.proxies, ...listeners.standbys],
      [80],
    ]),
    overLimits: chance(random, 0.2),
  };
}
