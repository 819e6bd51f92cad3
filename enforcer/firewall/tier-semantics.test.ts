// What becomes of a new flow is what the tiers say, rule by rule: admin, grants, baseline, deny. The maps of the plan
// are held against that reading of the slice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { sliceSchema, type SliceFirewallRule } from '../../policy/bundle/index.ts';
import { readGolden } from '../../test/firewall/golden.ts';
import { addressNumber } from './addresses.ts';
import { compileFirewall } from './compile.ts';
import { judgePacket, type Packet } from './judge.ts';

const { input } = readGolden('plc-cell.txt');
const slice = sliceSchema.parse(input.slice);
const { now } = input.state;
/** Of the golden file: the historian may see tcp 443 of this device. 10.20.0.9 is the host behind a name. */
const historian = '10.20.0.4';
const resolved = { 'updates.example.com': ['10.20.0.9', 'fd20::9'] };
const addresses = [historian, '10.20.0.9', '10.20.0.77', '192.0.2.1', 'fd20::9', 'fd20::77'];
const blocks = ['10.20.0.0/24', '10.20.0.4/32', '10.20.0.8/31', '0.0.0.0/0', 'fd20::/64', 'fd20::8/125', '::/0'];
const hour = 3_600_000;

const rule = fc
  .record({
    tier: fc.constantFrom('admin' as const, 'baseline' as const),
    verdict: fc.constantFrom('deny' as const, 'allow' as const, 'pass' as const),
    priority: fc.integer({ min: 0, max: 2 }),
    direction: fc.constantFrom('in' as const, 'out' as const),
    transport: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const, 'icmp' as const, 'any' as const),
    peers: fc.uniqueArray(fc.constantFrom(...blocks), { minLength: 1, maxLength: 2 }),
    ports: fc.constantFrom<[number, number] | undefined>(undefined, undefined, [443, 443], [1, 1_023], [22, 22]),
    only: fc.constantFrom<Partial<SliceFirewallRule>>(
      {},
      {},
      {},
      {},
      { observe: true },
      { notBefore: now + hour },
      { until: now },
      { until: now + hour },
      { conditions: { timeWindow: { fromMinute: 0, toMinute: 1_439 } } },
      { conditions: { weekdays: ['sun'] } },
      { rate: { flows: 1, per: 'second', burst: 1 } },
      { maxConnections: 1 },
      { names: ['updates.example.com'] },
    ),
  })
  .filter(({ tier, verdict }) => tier === 'admin' || verdict !== 'pass')
  .map(({ only: { names, ...only }, ports, ...entry }): Omit<SliceFirewallRule, 'id'> => ({
    ...entry,
    ...(ports === undefined || entry.transport === 'icmp' ? {} : { ports }),
    ...((only.rate ?? only.maxConnections) !== undefined && entry.verdict !== 'allow' ? {} : only),
    ...(names === undefined || entry.direction === 'in' ? {} : { names }),
    place: 'firewall/f.yaml:1',
  }));

const probe = fc.record({
  way: fc.constantFrom('in' as const, 'out' as const),
  peer: fc.constantFrom(...addresses),
  protocol: fc.constantFrom<Packet['protocol']>('tcp', 'udp', 'sctp', 'icmp', 47),
  port: fc.constantFrom(22, 443, 8_080),
  overLimits: fc.boolean(),
});
type Probe = typeof probe extends fc.Arbitrary<infer P> ? P : never;

function expected(rules: readonly SliceFirewallRule[], { way, peer, protocol, port, overLimits }: Probe): string {
  const family = peer.includes(':') ? 6 : 4;
  const hasPort = protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp';
  const isInForce = ({ notBefore, until, conditions }: SliceFirewallRule): boolean =>
    (notBefore ?? 0) <= now && now < (until ?? Infinity) && !(conditions?.weekdays?.includes('sun') ?? false);
  const holds = (cidr: string): boolean => {
    const [base = '', length = ''] = cidr.split('/');
    const shift = BigInt((family === 4 ? 32 : 128) - Number(length));
    return base.includes(':') === (family === 6) && addressNumber(base) >> shift === addressNumber(peer) >> shift;
  };
  const matches = (entry: SliceFirewallRule): boolean =>
    entry.observe === undefined &&
    entry.direction === way &&
    isInForce(entry) &&
    (entry.transport === 'any' || entry.transport === protocol) &&
    (entry.ports === undefined || (hasPort && entry.ports[0] <= port && port <= entry.ports[1])) &&
    (entry.peers.some(holds) || (entry.names !== undefined && resolved['updates.example.com'].includes(peer)));
  const order = { deny: 0, pass: 1, allow: 2 };
  const first = (tier: string): SliceFirewallRule | undefined =>
    rules
      .map((entry, index) => ({ entry, index }))
      .filter(({ entry }) => entry.tier === tier && matches(entry))
      .sort(
        (a, b) =>
          a.entry.priority - b.entry.priority || order[a.entry.verdict] - order[b.entry.verdict] || a.index - b.index,
      )[0]?.entry;
  const isOver = (entry: SliceFirewallRule): boolean =>
    overLimits && (entry.rate ?? entry.maxConnections) !== undefined;
  const admin = first('admin');
  const granted = way === 'in' && peer === historian && protocol === 'tcp' && port === 443;
  for (const entry of [admin, ...(admin?.verdict === 'deny' || admin?.verdict === 'allow' ? [] : [undefined])]) {
    if (entry?.verdict === 'deny') return `drop firewall:${entry.id}`;
    if (entry?.verdict === 'allow') return isOver(entry) ? `drop limit:${entry.id}` : 'accept';
  }
  if (granted) return 'accept';
  const baseline = first('baseline');
  if (baseline?.verdict === 'deny') return `drop firewall:${baseline.id}`;
  if (baseline?.verdict === 'allow') return isOver(baseline) ? `drop limit:${baseline.id}` : 'accept';
  return `drop default-${way}`;
}

test('a new flow meets admin, grants, baseline and the default deny, as the slice says rule by rule', () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 6 }), fc.array(probe, { minLength: 30, maxLength: 30 }), (list, probes) => {
      const firewall = list.map((entry, index) => ({ id: `r${index}`, ...entry }));
      const plan = compileFirewall({ ...slice, firewall }, input.state, { ...input.host, resolved });
      for (const one of probes) {
        const own = one.peer.includes(':') ? 'fd20::2' : '10.20.0.2';
        const { verdict, rule: by } = judgePacket(plan, {
          way: one.way,
          ...(one.way === 'in' ? { source: one.peer, destination: own } : { source: own, destination: one.peer }),
          protocol: one.protocol === 'icmp' && own.includes(':') ? 'icmpv6' : one.protocol,
          sport: 40_000,
          dport: one.port,
          inInterface: 'eth0',
          state: 'new',
          direction: 'original',
          overLimits: one.overLimits,
        });
        const outcome = by === '' ? verdict : `${verdict} ${by}`;
        const wanted = expected(firewall, one);
        assert.equal(outcome, wanted, JSON.stringify(one));
        const kind = wanted.replace(/r\d+$/, '');
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
      }
    }),
    { numRuns: 1_500 },
  );
  for (const kind of ['accept', 'drop firewall:', 'drop limit:', 'drop default-in', 'drop default-out']) {
    assert.ok((seen.get(kind) ?? 0) > 20, `${kind}: ${JSON.stringify([...seen])}`);
  }
});
