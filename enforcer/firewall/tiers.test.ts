import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { addressNumber } from './addresses.ts';
import { MAX_SET_ELEMENTS } from './limits.ts';
import { portProtocols, tierBoxes, type Box, type TierBoxes, type TierRule, type TierVerdict } from './tiers.ts';

interface Probe {
  readonly address: bigint;
  readonly protocol: number;
  readonly port: number;
}
type Answer = `${TierVerdict} ${string}` | undefined;

/** Address first-last, protocol, port: what a box covers. */
function spanOf({ key }: Box): [bigint, bigint][] {
  const [address = '', ...rest] = key;
  const [first = '', last = ''] = address.split('-');
  const numbers = rest.map((text): [bigint, bigint] => {
    const [low = '', high = low] = text.split('-');
    return [BigInt(low), BigInt(high)];
  });
  return [[addressNumber(first), addressNumber(last)], ...numbers];
}

/** As the kernel would: the one element of the list for that protocol that the packet lies in. */
function asked({ ported, plain }: TierBoxes, { address, protocol, port }: Probe): Answer {
  const hasPorts = portProtocols.includes(protocol);
  const packet = [address, BigInt(protocol), ...(hasPorts ? [BigInt(port)] : [])];
  const hits = (hasPorts ? ported : plain).filter((box) =>
    spanOf(box).every(([low, high], index) => low <= packet[index]! && packet[index]! <= high),
  );
  assert.ok(hits.length <= 1, `${JSON.stringify(hits)} overlap`);
  return hits[0] && `${hits[0].verdict} ${hits[0].rule}`;
}

/** The definition, rule by rule and packet by packet; shares nothing with what is tested. */
function firstMatch(rules: readonly TierRule[], family: 4 | 6, { address, protocol, port }: Probe): Answer {
  const rank = { deny: 0, pass: 1, allow: 2 };
  const numbers = { tcp: [6], udp: [17], sctp: [132], udplite: [136], icmp: [family === 4 ? 1 : 58] };
  const bits = family === 4 ? 32n : 128n;
  const matches = (rule: TierRule): boolean => {
    const hasPorts = [6, 17, 132, 136].includes(protocol);
    if (rule.transport !== 'any' && !numbers[rule.transport].includes(protocol)) return false;
    if (rule.ports !== undefined && (!hasPorts || port < rule.ports[0] || port > rule.ports[1])) return false;
    return rule.peers.some((cidr) => {
      const [base = '', length = ''] = cidr.split('/');
      const shift = bits - BigInt(length);
      return base.includes(':') === (family === 6) && addressNumber(base) >> shift === address >> shift;
    });
  };
  const found = rules
    .map((rule, index) => ({ rule, index }))
    .filter(({ rule }) => matches(rule))
    .sort(
      (a, b) => a.rule.priority - b.rule.priority || rank[a.rule.verdict] - rank[b.rule.verdict] || a.index - b.index,
    )[0];
  return found && `${found.rule.verdict} ${found.rule.id}`;
}

/** Few addresses, ports and priorities, so that rules meet; the ends of everything among them. */
const near = { 4: 0x0a_14_00_00n, 6: 0xfd20_0000_0000_0000_0000_0000_0000_0000n };
function addressOf(family: 4 | 6): fc.Arbitrary<bigint> {
  const all = (1n << (family === 4 ? 32n : 128n)) - 1n;
  return fc.oneof(
    { weight: 8, arbitrary: fc.bigInt(0n, 31n).map((low) => near[family] + low) },
    { weight: 1, arbitrary: fc.constantFrom(0n, all, all - 1n) },
  );
}
function textOf(family: 4 | 6, number: bigint): string {
  const size = family === 4 ? 8 : 16;
  const parts = Array.from({ length: family === 4 ? 4 : 8 }, (_, index, count = family === 4 ? 4 : 8) =>
    ((number >> BigInt(size * (count - 1 - index))) & ((1n << BigInt(size)) - 1n)).toString(family === 4 ? 10 : 16),
  );
  return parts.join(family === 4 ? '.' : ':');
}
function cidrOf(family: 4 | 6): fc.Arbitrary<string> {
  const bits = family === 4 ? 32 : 128;
  const lengths = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: bits - 5, max: bits }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 1) },
  );
  return fc.tuple(addressOf(family), lengths).map(([address, length]) => {
    const host = (1n << BigInt(bits - length)) - 1n;
    return `${textOf(family, address & ~host)}/${length}`;
  });
}
const port = fc.constantFrom(0, 1, 21, 22, 23, 24, 80, 65_534, 65_535);
const ports = fc.tuple(port, port).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);
function rulesOf(family: 4 | 6): fc.Arbitrary<TierRule[]> {
  const rule = fc
    .record({
      priority: fc.integer({ min: 0, max: 2 }),
      verdict: fc.constantFrom('deny', 'allow', 'pass'),
      transport: fc.constantFrom('tcp', 'udp', 'sctp', 'udplite', 'icmp', 'any'),
      peers: fc.array(
        fc.oneof({ weight: 9, arbitrary: cidrOf(family) }, { weight: 1, arbitrary: cidrOf(family === 4 ? 6 : 4) }),
        {
          minLength: 1,
          maxLength: 3,
        },
      ),
      ports: fc.option(ports, { nil: undefined }),
    })
    .map((entry): TierRule => ({ id: '', ...entry, ...(entry.transport === 'icmp' ? { ports: undefined } : {}) }));
  return fc.array(rule, { maxLength: 12 }).map((rules) => rules.map((entry, index) => ({ ...entry, id: `r${index}` })));
}
const probeOf = (family: 4 | 6): fc.Arbitrary<Probe> =>
  fc.record({
    address: addressOf(family),
    protocol: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(6, 17, 132, 136) },
      { weight: 2, arbitrary: fc.constantFrom(1, 58, 0, 5, 7, 47, 50, 131, 133, 135, 137, 255) },
    ),
    port: fc.oneof({ weight: 4, arbitrary: port }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 65_535 }) }),
  });

type Compile = (rules: readonly TierRule[], family: 4 | 6) => TierBoxes;

/** Throws where the compiled boxes and the definition disagree about a packet. */
function agrees(compile: Compile, family: 4 | 6, numRuns: number): void {
  fc.assert(
    fc.property(rulesOf(family), fc.array(probeOf(family), { minLength: 40, maxLength: 40 }), (rules, probes) => {
      const boxes = compile(rules, family);
      for (const probe of probes) {
        assert.equal(
          asked(boxes, probe),
          firstMatch(rules, family, probe),
          JSON.stringify(probe, (_, value: unknown) => (typeof value === 'bigint' ? value.toString(16) : value)),
        );
      }
    }),
    { numRuns, seed: 2027 },
  );
}

test('the boxes answer what the first matching rule answers, IPv4 and IPv6', () => {
  agrees(tierBoxes, 4, 1_500);
  agrees(tierBoxes, 6, 1_500);
});

test('every small mistake of a compiler is found by the same comparison', () => {
  const changed =
    (change: (rule: TierRule) => TierRule): Compile =>
    (rules, family) =>
      tierBoxes(rules.map(change), family);
  const output =
    (change: (boxes: TierBoxes) => TierBoxes): Compile =>
    (rules, family) =>
      change(tierBoxes(rules, family));
  const mutants: Record<string, Compile> = {
    'the order of priorities is turned around': changed((rule) => ({ ...rule, priority: 2 - rule.priority })),
    'all have one priority': changed((rule) => ({ ...rule, priority: 0 })),
    'one port is missing': changed((rule) =>
      rule.ports === undefined || rule.ports[0] === rule.ports[1]
        ? rule
        : { ...rule, ports: [rule.ports[0], rule.ports[1] - 1] },
    ),
    'icmp is any': changed((rule) => (rule.transport === 'icmp' ? { ...rule, transport: 'any' } : rule)),
    'any has ports only of tcp': changed((rule) =>
      rule.transport === 'any' && rule.ports !== undefined ? { ...rule, transport: 'tcp' } : rule,
    ),
    'udplite is udp': changed((rule) => (rule.transport === 'udplite' ? { ...rule, transport: 'udp' } : rule)),
    'a deny is an allow': changed((rule) => (rule.verdict === 'deny' ? { ...rule, verdict: 'allow' } : rule)),
    'equal rules: the last wins': (rules, family) => tierBoxes(rules.toReversed(), family),
    'only the first prefix counts': changed((rule) => ({ ...rule, peers: rule.peers.slice(0, 1) })),
    'protocols without ports are left out': output((boxes) => ({ ...boxes, plain: [] })),
    'the last box is lost': output((boxes) => ({ ...boxes, ported: boxes.ported.slice(0, -1) })),
    'boxes overlap': output((boxes) => ({ ...boxes, ported: [...boxes.ported, ...boxes.ported] })),
    'the other family': (rules, family) => tierBoxes(rules, family === 4 ? 6 : 4),
  };
  for (const [name, mutant] of Object.entries(mutants)) {
    assert.throws(() => agrees(mutant, 4, 300), Error, `not found: ${name}`);
  }
});

const rule = (over: Partial<TierRule> = {}): TierRule => ({
  id: 'r',
  priority: 500,
  verdict: 'allow',
  transport: 'tcp',
  peers: ['10.0.0.0/8'],
  ...over,
});

test('a rule is one box wherever another does not cut it', () => {
  assert.deepEqual(tierBoxes([rule({ transport: 'any' })], 4), {
    ported: [{ key: ['10.0.0.0-10.255.255.255', '0-255', '0-65535'], rule: 'r', verdict: 'allow' }],
    plain: [{ key: ['10.0.0.0-10.255.255.255', '0-255'], rule: 'r', verdict: 'allow' }],
  });
  const cut = tierBoxes(
    [
      rule({ transport: 'any' }),
      rule({ id: 'ssh', priority: 1, verdict: 'deny', ports: [22, 22], peers: ['10.1.0.0/16'] }),
    ],
    4,
  );
  assert.deepEqual(
    cut.ported.map(({ key, rule: id }) => [...key, id]),
    [
      ['10.0.0.0-10.0.255.255', '0-255', '0-65535', 'r'],
      ['10.1.0.0-10.1.255.255', '6', '0-21', 'r'],
      ['10.1.0.0-10.1.255.255', '6', '22-22', 'ssh'],
      ['10.1.0.0-10.1.255.255', '6', '23-65535', 'r'],
      ['10.1.0.0-10.1.255.255', '17-136', '0-65535', 'r'],
      ['10.2.0.0-10.255.255.255', '0-255', '0-65535', 'r'],
    ],
  );
});

test('prefixes of the other family, and no rules, are no boxes', () => {
  assert.deepEqual(tierBoxes([], 4), { ported: [], plain: [] });
  assert.deepEqual(tierBoxes([rule()], 6), { ported: [], plain: [] });
  const [box] = tierBoxes([rule({ transport: 'icmp', peers: ['::/0'] })], 6).plain;
  assert.deepEqual(box?.key, ['::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '58']);
});

const host = (index: number): string => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}/32`;

test('10,000 rules over different addresses are 10,000 boxes', () => {
  const many = Array.from({ length: 10_000 }, (_, index) =>
    rule({ id: `r${index}`, peers: [host(2 * index)], ports: [index + 1, index + 1] }),
  );
  assert.equal(tierBoxes(many, 4).ported.length, 10_000);
});

test('10,000 rules of one service inside each other end quickly: only the first can decide', () => {
  const many = Array.from({ length: 10_000 }, (_, index) =>
    rule({ id: `r${index}`, priority: index % 1_000, peers: [`10.0.0.0/${8 + (index % 24)}`, host(index)] }),
  );
  assert.ok(tierBoxes(many, 4).ported.length > 0);
});

test('more boxes than a set holds, and rules that meet too often, are refused', () => {
  const peers = Array.from({ length: MAX_SET_ELEMENTS + 1 }, (_, index) => host(2 * index));
  assert.throws(() => tierBoxes([rule({ peers })], 4), { code: 'FIREWALL_TOO_LARGE' });
  assert.equal(tierBoxes([rule({ peers: peers.slice(1) })], 4).ported.length, MAX_SET_ELEMENTS);
  // Around each of 10,000 addresses the same 5,000 services come and go.
  const hidden = Array.from({ length: 5_000 }, (_, index) => rule({ id: `h${index}`, ports: [index + 1, index + 1] }));
  const above = peers.slice(0, 10_000).map((peer, index) => rule({ id: `a${index}`, priority: 1, peers: [peer] }));
  assert.throws(() => tierBoxes([...hidden, ...above], 4), { code: 'FIREWALL_TOO_LARGE' });
});
