// Random tables of every kind of set, match and verdict that a plan can have, for the oracles.
import * as fc from 'fast-check';
import type {
  Chain,
  Family,
  Field,
  KeyType,
  Match,
  Rule,
  Ruleset,
  SetDefinition,
  SetElement,
  Verdict,
} from '../../enforcer/firewall/plan.ts';
import { ipv6Bytes } from '../../runtime/linux.ts';
import { ipv6Text } from '../../runtime/linux-packet.ts';

const octet = fc.nat({ max: 255 });
const byte = octet.map((value) => value.toString(16).padStart(2, '0'));

const values: Readonly<Record<Exclude<KeyType, 'cgroupsv2'>, fc.Arbitrary<string>>> = {
  ipv4_addr: fc.tuple(octet, octet, octet, octet).map((bytes) => bytes.join('.')),
  ipv6_addr: fc
    .tuple(octet, octet, octet)
    .map(([a, b, c]) => ipv6Text(Uint8Array.of(0xfd, a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b, c))),
  inet_proto: fc.constantFrom('tcp', 'udp', 'icmp', 'icmpv6', 'sctp', 'udplite', '47', '255', '0'),
  inet_service: fc.nat({ max: 65_535 }).map(String),
  ifname: fc.constantFrom('lo', 'eth0', 'eth1.100', 'wlan-0', 'fifteen-letters'),
  ether_addr: fc.tuple(byte, byte, byte, byte, byte, byte).map((bytes) => bytes.join(':')),
  nf_proto: fc.constantFrom('ipv4', 'ipv6'),
  mark: fc.nat({ max: 0xffffffff }).map(String),
  uid: fc.nat({ max: 0xffff_fffe }).map(String),
};

const fieldTypes: Readonly<Record<Field, readonly KeyType[]>> = {
  source: ['ipv4_addr', 'ipv6_addr'],
  destination: ['ipv4_addr', 'ipv6_addr'],
  protocol: ['inet_proto'],
  sport: ['inet_service'],
  dport: ['inet_service'],
  in: ['ifname'],
  out: ['ifname'],
  ether: ['ether_addr'],
  family: ['nf_proto'],
  'connection-mark': ['mark'],
  uid: ['uid'],
};

const typeOf = (field: Field, family: Family): KeyType =>
  fieldTypes[field].length === 1 || family === 4 ? (fieldTypes[field][0] ?? 'mark') : 'ipv6_addr';

const listed = <T extends string>(record: Readonly<Record<T, unknown>>): T[] => Object.keys(record) as T[];

/** Fields of a key, without the family of addresses repeated: `ip saddr . ip6 saddr` is no key. */
const fields = fc.uniqueArray(fc.constantFrom(...listed(fieldTypes)), { minLength: 1, maxLength: 4 });

const comment = fc.option(fc.constantFrom('g1', 'grant-a, grant-b', 'x'), { nil: undefined });
/** Seconds; far enough away that both ways of loading see the same. */
const until = fc.option(fc.integer({ min: 1_000, max: 9_000 }), { nil: undefined });

interface SetSeed {
  readonly fields: readonly Field[];
  readonly family: Family;
  readonly interval: boolean;
  readonly timeout: boolean;
  readonly counted: boolean;
  readonly data: 'verdict' | 'mark' | undefined;
}

const setSeed: fc.Arbitrary<SetSeed> = fc.record({
  fields,
  family: fc.constantFrom<Family>(4, 6),
  interval: fc.boolean(),
  timeout: fc.boolean(),
  counted: fc.boolean(),
  data: fc.constantFrom('verdict', 'mark', undefined, undefined),
});

/** Types that have ranges here, and those that may stand beside one. */
const ordered = new Set<KeyType>(['ipv4_addr', 'ipv6_addr', 'inet_service']);
const besideRanges = new Set<KeyType>([...ordered, 'inet_proto']);

function compareKeys(type: KeyType, a: string, b: string): number {
  const numbers = (text: string): readonly number[] =>
    type === 'ipv6_addr' ? [...ipv6Bytes(text)] : text.split('.').map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Disjoint ranges of one field: neighbours in the order of the values. */
function rangesOf(type: KeyType, points: readonly string[]): string[] {
  const sorted = [...new Set(points)].sort((a, b) => compareKeys(type, a, b));
  const ranges: string[] = [];
  for (let index = 0; index + 1 < sorted.length; index += 2) ranges.push(`${sorted[index]}-${sorted[index + 1]}`);
  return ranges;
}

const targets = ['c0', 'c1'] as const;

function setOf(name: string, seed: SetSeed): fc.Arbitrary<SetDefinition> {
  const type = seed.fields.map((field) => typeOf(field, seed.family));
  const [first = 'mark'] = type;
  const interval = seed.interval && ordered.has(first) && type.every((each) => besideRanges.has(each));
  const kind = (each: KeyType): fc.Arbitrary<string> => values[each as keyof typeof values];
  const plain = fc.array(fc.tuple(...type.map(kind)), { maxLength: 6 });
  // Several fields: a range in the first, disjoint by it; the kernel refuses boxes that overlap.
  const boxes = fc
    .tuple(fc.array(kind(first), { maxLength: 8 }), fc.tuple(...type.slice(1).map(kind)))
    .map(([points, rest]) => rangesOf(first, points).map((range) => [range, ...rest]));
  const answer = fc.record({
    verdict: fc.record({ kind: fc.constantFrom('goto', 'jump'), chain: fc.constantFrom(...targets) }),
    mark: fc.nat({ max: 0xffffffff }),
  });
  const timeout = seed.timeout && !(interval && type.length === 1);
  return fc
    .tuple(interval ? boxes : plain, fc.array(fc.tuple(comment, until, answer), { minLength: 6, maxLength: 6 }))
    .map(([keys, more]) => {
      const unique = [...new Map(keys.map((key) => [key.join(' . '), key])).values()];
      const elements = unique.map((key, index): SetElement => {
        const [note, ends, { verdict, mark }] = more[index % more.length] ?? [undefined, undefined, {}];
        return {
          key,
          ...(note === undefined ? {} : { comment: note }),
          ...(ends === undefined || !timeout ? {} : { until: ends * 1000 }),
          ...(seed.data === 'verdict' && verdict !== undefined ? { verdict } : {}),
          ...(seed.data === 'mark' && mark !== undefined ? { mark } : {}),
        };
      });
      return {
        name,
        type,
        ...(seed.data === undefined ? {} : { data: seed.data }),
        interval,
        timeout,
        ...(seed.counted ? { counted: true } : {}),
        purpose: 'for the oracle',
        elements,
      };
    });
}

const rate = {
  amount: fc.integer({ min: 1, max: 1000 }),
  per: fc.constantFrom('second', 'minute', 'hour', 'day'),
  burst: fc.integer({ min: 1, max: 50 }),
} as const;

const literal = <K extends string>(kind: K): fc.Arbitrary<K> => fc.constant(kind);
const some = <const T extends string>(...all: T[]): fc.Arbitrary<T[]> => fc.subarray(all, { minLength: 1 });

/** Learned sets that meters and blocks need, by family. */
const learnedSets: readonly SetDefinition[] = ([4, 6] as const).flatMap((family): SetDefinition[] => {
  const base = {
    type: [family === 4 ? 'ipv4_addr' : 'ipv6_addr'] as KeyType[],
    interval: false,
    purpose: 'learned',
    elements: [],
  };
  return [
    { ...base, name: `blocked${family}`, timeout: true, learned: { size: 65_536 } },
    { ...base, name: `meter${family}`, timeout: true, learned: { size: 1_000, timeoutMs: 60_000 } },
    { ...base, name: `seen${family}`, timeout: true, counted: true, learned: { size: 1_000, timeoutMs: 60_000 } },
    { ...base, name: `conns${family}`, timeout: false, learned: { size: 1_000 } },
  ];
});

function matchOf(family: Family, sets: readonly SetDefinition[], seeds: readonly SetSeed[]): fc.Arbitrary<Match> {
  const looked = sets.flatMap((set, index) => {
    const seed = seeds[index];
    return set.data === undefined && seed !== undefined && seed.family === family
      ? [{ set: set.name, fields: [...seed.fields] }]
      : [];
  });
  const field = fc.constantFrom<Field>('source', 'destination');
  const port = fc.nat({ max: 65_534 });
  return fc.oneof(
    fc.record({ kind: literal('interface'), direction: fc.constantFrom('in', 'out'), name: values.ifname }),
    ...(looked.length === 0
      ? []
      : [
          fc
            .tuple(fc.constantFrom(...looked), fc.boolean())
            .map(([lookup, not]): Match => ({ kind: 'lookup', ...lookup, not })),
        ]),
    fc.record({ kind: literal('state'), states: some('new', 'established', 'related', 'invalid') }),
    fc.record({ kind: literal('direction'), direction: fc.constantFrom('original', 'reply') }),
    fc.record({ kind: literal('proxied-flow') }),
    fc.record({ kind: literal('packet-mark'), value: fc.nat() }),
    fc.record({
      kind: literal('protocol'),
      protocols: some('tcp', 'udp', 'sctp', 'udplite', 'icmp', 'icmpv6'),
      not: fc.boolean(),
    }),
    fc.record({
      kind: literal('port'),
      field: fc.constantFrom('sport', 'dport'),
      range: fc.tuple(port, port).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]),
    }),
    fc.record({ kind: literal('local-destination') }),
    fc.record({ kind: literal('rate-over'), ...rate }),
    fc.record({ kind: literal('meter-over'), set: fc.constant(`meter${family}`), field, ...rate }),
    fc.record({
      kind: literal('connections-over'),
      set: fc.constant(`conns${family}`),
      field,
      count: fc.integer({ min: 1, max: 999 }),
    }),
    fc.record({ kind: literal('uncounted'), set: fc.constant(`conns${family}`), field }),
  );
}

function verdictOf(family: Family, sets: readonly SetDefinition[], seeds: readonly SetSeed[]): fc.Arbitrary<Verdict> {
  const maps = sets.flatMap((set, index) => {
    const seed = seeds[index];
    return set.data === 'verdict' && seed !== undefined && seed.family === family
      ? [{ map: set.name, fields: [...seed.fields] }]
      : [];
  });
  return fc.oneof(
    fc.constantFrom<Verdict>({ kind: 'accept' }, { kind: 'drop' }, { kind: 'return' }, { kind: 'continue' }),
    fc.constantFrom<Verdict>({ kind: 'to-proxy' }, { kind: 'admit', map: 'marks' }),
    fc.record({ kind: fc.constantFrom('goto', 'jump'), chain: fc.constantFrom(...targets) }),
    fc.record({
      kind: literal('block'),
      set: fc.constant(`blocked${family}`),
      field: fc.constantFrom<Field>('source', 'destination'),
      timeoutMs: fc.integer({ min: 1, max: 86_400 }).map((seconds) => seconds * 1000),
    }),
    fc.record({
      kind: literal('remember'),
      set: fc.constant(`seen${family}`),
      field: fc.constantFrom<Field>('source', 'destination'),
    }),
    ...(maps.length === 0 ? [] : [fc.constantFrom(...maps).map((map): Verdict => ({ kind: 'dispatch', ...map }))]),
  );
}

const tcp: Match = { kind: 'protocol', protocols: ['tcp'], not: false };
const special: readonly Rule[] = [
  { family: 6, match: [{ kind: 'neighbour', direction: 'in' }], verdict: { kind: 'accept' } },
  { family: 6, match: [{ kind: 'neighbour', direction: 'out' }], verdict: { kind: 'accept' } },
  { match: [tcp, { kind: 'tcp-reset' }], verdict: { kind: 'accept' } },
  { family: 4, match: [{ kind: 'icmp', types: ['echo-request', 'echo-reply'] }], verdict: { kind: 'accept' } },
  {
    family: 4,
    match: [{ kind: 'icmp', types: ['destination-unreachable', 'time-exceeded', 'parameter-problem'] }],
    verdict: { kind: 'accept' },
  },
  {
    family: 6,
    match: [
      { kind: 'icmp', types: ['destination-unreachable', 'packet-too-big', 'time-exceeded', 'parameter-problem'] },
    ],
    verdict: { kind: 'accept' },
  },
  { family: 6, match: [{ kind: 'icmp', types: ['echo-request'] }], verdict: { kind: 'drop' } },
  { match: [tcp], log: 'x', verdict: { kind: 'reset' } },
  { match: [{ kind: 'state', states: ['new'] }, { kind: 'transparent-socket' }], verdict: { kind: 'to-proxy' } },
];

const divertRules: readonly Rule[] = ([4, 6] as const).map((family): Rule => ({
  family,
  match: [{ kind: 'local-destination' }, tcp],
  verdict: { kind: 'divert', port: 15_502 },
}));

const marks: SetDefinition = {
  name: 'marks',
  type: ['nf_proto'],
  data: 'mark',
  interval: false,
  timeout: false,
  purpose: 'marks',
  elements: ['ipv4', 'ipv6'].map((family) => ({ key: [family], mark: 7 })),
};

const log = fc.option(fc.constantFrom('default-in', 'firewall:r-1', 'x.y:z'), { nil: undefined });

/** A table that the kernel takes. Its end dates are milliseconds after 0. */
export const randomTable: fc.Arbitrary<Ruleset> = fc
  .array(setSeed, { maxLength: 6 })
  .chain((seeds) => fc.tuple(fc.constant(seeds), fc.tuple(...seeds.map((seed, index) => setOf(`s${index}`, seed)))))
  .chain(([seeds, sets]) => {
    const rule = fc.constantFrom<Family>(4, 6).chain((family) =>
      fc
        .tuple(fc.array(matchOf(family, sets, seeds), { maxLength: 3 }), log, verdictOf(family, sets, seeds))
        .map(([match, id, verdict]): Rule => ({
          family,
          match,
          ...(id === undefined || verdict.kind === 'dispatch' ? {} : { log: id }),
          verdict,
        })),
    );
    const rules = fc.array(fc.oneof({ weight: 5, arbitrary: rule }, fc.constantFrom(...special)), { maxLength: 6 });
    return fc
      .record({ input: rules, own: rules, divert: fc.subarray([...divertRules]) })
      .map(({ input, own, divert }): Ruleset => ({
        sets: [...sets, ...learnedSets, marks],
        chains: [
          { name: 'c0', rules: [{ match: [], log: 'c0', verdict: { kind: 'drop' } }] },
          { name: 'c1', rules: [{ match: [], verdict: { kind: 'return' } }] },
          { name: 'own', rules: own },
          {
            name: 'input',
            hook: 'input',
            policy: 'drop',
            rules: [...input, { match: [], verdict: { kind: 'jump', chain: 'own' } }],
          },
          {
            name: 'forward',
            hook: 'forward',
            policy: 'drop',
            rules: [],
          },
          { name: 'output', hook: 'output', policy: 'accept', rules: [] },
          { name: 'accepted', hook: 'input', after: true, policy: 'accept', rules: [] },
          { name: 'prerouting', hook: 'prerouting', policy: 'accept', rules: divert },
        ] satisfies Chain[],
      }));
  });
