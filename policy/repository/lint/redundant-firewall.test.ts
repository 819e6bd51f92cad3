// What lint says about firewall rules, held against every packet: a rule that it calls duplicate, shadowed or unreachable
// can go without changing what becomes of any.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { collectProblems } from '../problems.ts';
import type { FirewallRule, Repository } from '../repository.ts';
import { lintRedundantFirewall } from './redundant-firewall.ts';

const blocks = [
  '10.0.0.0/30',
  '10.0.0.0/31',
  '10.0.0.2/31',
  '10.0.0.1/32',
  'fd00::/127',
  'fd00::1/128',
  '0.0.0.0/0',
  '::/0',
];
const rule = fc
  .record({
    tier: fc.constantFrom('admin', 'baseline'),
    verdict: fc.constantFrom('deny', 'allow', 'pass'),
    priority: fc.integer({ min: 0, max: 2 }),
    transport: fc.constantFrom('tcp', 'udp', 'icmp', 'any'),
    peers: fc.uniqueArray(fc.constantFrom(...blocks), { minLength: 1, maxLength: 3 }),
    ports: fc.constantFrom<[number, number] | undefined>(undefined, [1, 2], [2, 2], [1, 65_535]),
    only: fc.constantFrom(
      {},
      {},
      {},
      { observe: true as const },
      { workload: 'w' },
      { rate: { flows: 1, per: 'second' as const, burst: 1 } },
      { maxConnections: 1 },
      { conditions: { weekdays: ['mon' as const] } },
    ),
    devices: fc.constantFrom(['a'], ['a', 'b']),
  })
  .map(
    ({ only, ...entry }) =>
      ({ ...entry, ...only, direction: 'in', written: 'peers' }) as Omit<FirewallRule, 'id' | 'at'>,
  )
  .filter((entry) => entry.tier === 'admin' || entry.verdict !== 'pass')
  .map((entry) => (entry.transport === 'icmp' ? { ...entry, ports: undefined } : entry));

interface Packet {
  readonly device: string;
  readonly transport: 'tcp' | 'udp' | 'icmp' | 'gre';
  readonly address: string;
  readonly port: number;
  /** Of the workload `w`, and on a Monday. */
  readonly special: boolean;
  /** Rates and numbers of connections are used up. */
  readonly used: boolean;
}
const packets: Packet[] = ['a', 'b'].flatMap((device) =>
  (['tcp', 'udp', 'icmp', 'gre'] as const).flatMap((transport) =>
    ['10.0.0.0', '10.0.0.1', '10.0.0.2', '10.0.0.3', '192.0.2.1', 'fd00::', 'fd00::1', 'fd01::'].flatMap((address) =>
      (transport === 'tcp' || transport === 'udp' ? [1, 2, 3] : [0]).flatMap((port) =>
        [true, false].flatMap((special) =>
          [true, false].map((used) => ({ device, transport, address, port, special, used })),
        ),
      ),
    ),
  ),
);

const holding: Readonly<Record<string, RegExp>> = {
  '10.0.0.0/30': /^10\./,
  '10.0.0.0/31': /^10\.0\.0\.[01]$/,
  '10.0.0.2/31': /^10\.0\.0\.[23]$/,
  '10.0.0.1/32': /^10\.0\.0\.1$/,
  'fd00::/127': /^fd00/,
  'fd00::1/128': /^fd00::1$/,
  '0.0.0.0/0': /\./,
  '::/0': /:/,
};

/** What becomes of a packet; `grants` where neither tier decides before them, with what baseline says after. */
function outcome(rules: readonly FirewallRule[], packet: Packet): string {
  const matches = (entry: FirewallRule): boolean =>
    entry.devices.includes(packet.device) &&
    entry.observe === undefined &&
    (entry.transport === 'any' || entry.transport === packet.transport) &&
    (entry.ports === undefined ||
      (packet.port > 0 && entry.ports[0] <= packet.port && packet.port <= entry.ports[1])) &&
    entry.peers.some((cidr) => holding[cidr]?.test(packet.address)) &&
    ((entry.workload ?? entry.conditions) === undefined || packet.special);
  const order = { deny: 0, pass: 1, allow: 2 };
  const isOver = (entry: FirewallRule): boolean =>
    entry.verdict === 'allow' && packet.used && (entry.rate ?? entry.maxConnections) !== undefined;
  const first = (tier: string): string | undefined => {
    const decided = rules
      .filter((entry) => entry.tier === tier && matches(entry))
      .sort((a, b) => a.priority - b.priority || order[a.verdict] - order[b.verdict])[0];
    return decided !== undefined && isOver(decided) ? 'deny' : decided?.verdict;
  };
  const admin = first('admin');
  return admin === 'deny' || admin === 'allow' ? admin : `grants, then ${first('baseline') ?? 'deny'}`;
}

test('a rule that lint would remove changes no packet when it is gone', () => {
  let reported = 0;
  fc.assert(
    fc.property(fc.array(rule, { minLength: 2, maxLength: 5 }), (list) => {
      const rules = list.map((entry, index): FirewallRule => ({
        ...entry,
        id: `r${index}`,
        at: () => ({ file: 'firewall/a.yaml', line: index + 1, column: 1 }),
      }));
      const problems = collectProblems();
      lintRedundantFirewall({ firewall: rules } as unknown as Repository, problems);
      for (const { place, rule: found } of problems.list()) {
        reported += 1;
        const without = rules.filter((_, index) => index !== (place.line ?? 0) - 1);
        const changed = packets.find((packet) => outcome(rules, packet) !== outcome(without, packet));
        assert.equal(changed, undefined, `${found} line ${place.line}`);
      }
    }),
    { numRuns: 10_000 },
  );
  assert.ok(reported > 150, `${reported} findings prove little`);
});
