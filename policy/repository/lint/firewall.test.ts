import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_RULE_PEERS } from '../../bundle/firewall.ts';
import { MAX_FEED_PROBLEMS } from '../../limits.ts';
import type { firewallRules } from '../rules/firewall-rules.ts';
import { sampleFiles } from '../sample-tree.ts';
import { problemsOf, testRules, type Files, type RuleCase } from './testing/rule-cases.ts';

const file = (text: string): Files => ({ 'firewall/cell.yaml': text });
const rules = (...list: string[]): Files => file(`rules:\n${list.map((rule) => `  - {${rule}}\n`).join('')}`);
const inventory = (from: string, to: string): Files => ({
  'inventory/cell.yaml': (sampleFiles['inventory/cell.yaml'] ?? '').replace(from, to),
});
const twoFamilies: Files = inventory(
  '10.77.0.12}',
  "10.77.0.12}\n      - {name: eth1, network: six, address: 'fd77::12'}",
);
const withSix: Files = {
  'inventory/cell.yaml': (twoFamilies['inventory/cell.yaml'] ?? '').replace(
    'devices:',
    "  - name: six\n    cidrs: ['fd77::/64']\ndevices:",
  ),
};
const workloads = (list: string): Files =>
  inventory('labels: {role: gateway}', `labels: {role: gateway}\n    workloads: [${list}]`);

const dropList = 'id: drop-list, tier: admin, action: deny, devices: all, direction: in, transport: any, feed: drop';
const feed = (text: string, rest = ', expires: 2027-01-01', more: Files = {}): Files => ({
  ...rules(dropList + rest),
  'feeds/drop.netset': text,
  ...more,
});
const netset = (count: number, first = 0): string =>
  Array.from({ length: count }, (_, index) => {
    const number = 2 * (first + index);
    return `${20 + (number >> 22)}.${(number >> 14) & 255}.${(number >> 6) & 255}.${(number << 2) & 255}/32\n`;
  }).join('');

const base = 'tier: admin, action: allow, devices: [plc-1], direction: in, transport: any';
const out = 'devices: [gateway-1], transport: tcp, peer: 192.0.2.7/32, tier: baseline, action: allow';
const through = 'tier: admin, action: deny, devices: [gateway-1], direction: through, transport: tcp';
const forwarding = (count: number, peers: string, action = 'deny'): Files =>
  rules(
    ...Array.from(
      { length: count },
      (_, index) => `id: t${index + 100}, ${through.replace('deny', action)}, ports: ${index + 1}, ${peers}`,
    ),
  );
const cases: Readonly<Record<keyof typeof firewallRules, RuleCase>> = {
  POLICY_FIREWALL_OPEN: {
    fires: [
      [rules(`id: all, ${base}, peer: 0.0.0.0/0`), 'firewall/cell.yaml:2:98'],
      [rules(`id: all, ${base}, peers: [10.0.0.0/8, '::/0']`), 'firewall/cell.yaml:2:112'],
      [
        rules(`id: all, ${base}, peer: 0.0.0.0/0`.replace('direction: in', 'direction: through')),
        'firewall/cell.yaml:2:103',
      ],
    ],
    silent: [
      rules(`id: all, ${base}, peer: 0.0.0.0/0, ports: 22`),
      rules(`id: all, ${base}, peer: 0.0.0.0/1`),
      rules(`id: all, ${base}, peer: 0.0.0.0/0`.replace('admin', 'baseline')),
      rules(`id: all, ${base}, peer: 0.0.0.0/0`.replace('allow', 'pass')),
      rules(`id: all, ${base}, peer: 0.0.0.0/0`.replace('direction: in', 'direction: out')),
    ],
  },
  POLICY_FIREWALL_FAMILY: {
    fires: [
      [{ ...rules(`id: cell, ${base}, peer: 10.77.0.0/24`), ...withSix }, 'firewall/cell.yaml:2:99'],
      [{ ...rules(`id: cell, ${base}, peers: [10.77.0.1/32, 10.77.0.0/25]`), ...withSix }, 'firewall/cell.yaml:2:115'],
      [
        { ...rules(`id: cell, ${base}, peer: 0.0.0.0/0, ports: 23`.replace('allow', 'deny')), ...withSix },
        'firewall/cell.yaml:2:98',
      ],
      [rules(`id: cell, ${through}, peer: 10.77.0.0/24, to: ['fd00::/8']`), 'firewall/cell.yaml:2:125'],
      [rules(`id: cell, ${through}, peers: [10.77.0.0/24, 'fd77::/64'], to: [10.0.0.0/8]`), 'firewall/cell.yaml:2:141'],
    ],
    silent: [
      rules(`id: cell, ${through}, peers: [10.77.0.0/24, 'fd77::/64'], to: [10.0.0.0/8, 'fd00::/8']`),
      rules(`id: cell, ${through}, peers: ['fd77::/64'], to: [10.0.0.0/8, 'fd00::/8']`),
      rules(`id: cell, ${base}, peer: 10.77.0.0/24`),
      { ...rules(`id: cell, ${base}, peers: [10.77.0.0/24, 'fd77::/64']`), ...withSix },
      { ...rules(`id: cell, ${base}, peer: 10.77.0.1/32`), ...withSix },
      { ...rules(`id: cell, ${base}, peer: 10.77.0.0/24`.replace('plc-1', 'hmi-1')), ...withSix },
      { ...feed('198.18.0.0/15\n'), ...withSix },
    ],
  },
  POLICY_FIREWALL_LARGE: {
    fires: [
      [
        file(
          `traps:\n${Array.from({ length: 65 }, (_, index) => `  - {id: t${index + 1000}, devices: [plc-1], transport: tcp, ports: ${index + 1000}, block: 1h}\n`).join('')}`,
        ),
        'firewall/cell.yaml:66:10',
      ],
      [
        file(
          `meters:\n${Array.from({ length: 25 }, (_, index) => `  - {id: m${index + 100}, devices: [plc-1], transport: tcp, flowsPerSecond: 9, block: 1h}\n`).join('')}`,
        ),
        'firewall/cell.yaml:26:10',
      ],
      [forwarding(25, `peer: 10.77.0.0/24`), 'firewall/cell.yaml:26:10'],
      [forwarding(8, `peers: [10.77.0.0/24, 'fd77::/64']`), 'firewall/cell.yaml:9:10'],
      [forwarding(8, `peers: [10.77.0.0/24, 'fd77::/64'], until: 2027-01-01`, 'allow'), 'firewall/cell.yaml:9:10'],
      [forwarding(16, `peer: 10.77.0.0/24, connections: 2`, 'allow'), 'firewall/cell.yaml:17:10'],
      [
        {
          ...rules(
            `${dropList}, expires: 2027-01-01`,
            `${dropList}, expires: 2027-01-01`.replace('drop-list', 'more').replace('feed: drop', 'feed: more'),
          ),
          'feeds/drop.netset': netset(60_000),
          'feeds/more.netset': netset(60_000, 60_000),
        },
        'firewall/cell.yaml:3:10',
      ],
    ],
    silent: [
      forwarding(15, `peer: 10.77.0.0/24`),
      forwarding(7, `peers: [10.77.0.0/24, 'fd77::/64']`),
      forwarding(15, `peer: 10.77.0.0/24, connections: 2`, 'allow'),
      {
        ...rules(
          `${dropList}, expires: 2027-01-01`,
          `${dropList}, expires: 2027-01-01`
            .replace('drop-list', 'more')
            .replace('feed: drop', 'feed: more')
            .replace('direction: in', 'direction: out'),
        ),
        'feeds/drop.netset': netset(60_000),
        'feeds/more.netset': netset(60_000, 60_000),
      },
    ],
  },
  POLICY_FIREWALL_OBSERVED: {
    fires: [
      [rules(`id: cell, ${base}, peer: 10.77.0.0/24, observe: true`), 'firewall/cell.yaml:2:10'],
      [
        file(`tiers: {admin: {observe: true}}\nrules:\n  - {id: cell, ${base}, peer: 10.77.0.0/24}\n`),
        'firewall/cell.yaml:3:10',
      ],
    ],
    silent: [
      file(`tiers: {baseline: {observe: true}}\nrules:\n  - {id: cell, ${base}, peer: 10.77.0.0/24, observe: false}\n`),
    ],
  },
  POLICY_FIREWALL_WORKLOAD: {
    fires: [
      [
        { ...rules(`id: a, ${out}, direction: in, workload: w`), ...workloads('{name: w, uid: 0}') },
        'firewall/cell.yaml:2:127',
      ],
      [
        { ...rules(`id: a, ${out}, direction: through, workload: w`), ...workloads('{name: w, cgroup: a/b}') },
        'firewall/cell.yaml:2:132',
      ],
      [
        { ...rules(`id: a, ${out}, direction: out, workload: w`), ...workloads('{name: w, interface: veth0}') },
        'firewall/cell.yaml:2:128',
      ],
    ],
    silent: [
      { ...rules(`id: a, ${out}, direction: out, workload: w`), ...workloads('{name: w, uid: 0}') },
      { ...rules(`id: a, ${out}, direction: in, workload: w`), ...workloads('{name: w, cgroup: a/b}') },
      { ...rules(`id: a, ${out}, direction: through, workload: w`), ...workloads('{name: w, interface: veth0}') },
    ],
  },
  POLICY_TRAP_SERVICE: {
    fires: [
      [
        file("traps:\n  - {id: t, devices: all, transport: tcp, ports: '1-1024', block: 1h}\n"),
        'firewall/cell.yaml:2:50',
      ],
    ],
    silent: [
      file("traps:\n  - {id: t, devices: [desk-1], transport: tcp, ports: '1-1024', block: 1h}\n"),
      file("traps:\n  - {id: t, devices: all, transport: udp, ports: '1-1024', block: 1h}\n"),
      file("traps:\n  - {id: t, devices: all, transport: tcp, ports: '1-501', block: 1h}\n"),
    ],
  },
  POLICY_NAME_RESERVED: {
    fires: [
      [rules(`id: revoked, ${base}, peer: 10.77.0.0/24`), 'firewall/cell.yaml:2:10'],
      [
        file('meters:\n  - {id: accept, devices: all, transport: tcp, flowsPerSecond: 5, block: 1h}\n'),
        'firewall/cell.yaml:2:10',
      ],
      [workloads('{name: drop, uid: 1}'), 'inventory/cell.yaml:9:24'],
    ],
    silent: [rules(`id: revoked-once, ${base}, peer: 10.77.0.0/24`), workloads('{name: dropper, uid: 1}')],
  },
  POLICY_FEED: {
    fires: [
      ...[
        '0.0.0.0/0',
        '::/0',
        '16.0.0.0/7',
        '2000::/12',
        '127.0.0.1',
        '::1',
        '169.254.7.0/24',
        'fe80::/64',
        '224.0.0.5',
        '240.0.0.0/4',
        'ff02::1',
        '255.255.255.255',
        '::ffff:192.0.2.1',
        '10.77.0.12',
        '10.77.0.0/16',
        '10.88.0.128/25',
        '203.0.113.0/24',
        '192.0.2.1/24',
        '192.0.2.0/33',
        '192.0.2',
        '192.0.2.010',
        '0xc0000201',
        '192.0.2.1 192.0.2.2',
        '192.0.2.0-192.0.2.9',
        'example.com',
        'fd00::1%eth0',
        '<html>',
        '1'.repeat(2_000),
      ].map((line): readonly [Files, string] => [
        feed(`# a list\n198.18.0.0/15\n${line}\n`, undefined, {
          'feeds/feeds.yaml': 'protected: [203.0.113.7/32]\n',
        }),
        'feeds/drop.netset:3:1',
      ]),
      [feed(''), 'feeds/drop.netset:1:1'],
      [feed('# nothing today\n; at all\n'), 'feeds/drop.netset:1:1'],
      [feed(netset(MAX_RULE_PEERS + 1)), 'feeds/drop.netset:1:1'],
      [feed('192.0.2.0/24\n'.repeat(1_000_000)), 'feeds/drop.netset:250001:1'],
    ],
    silent: [
      feed('# a list\r\n\r\n  192.0.2.0/24 ; SBL1\r\n192.0.2.7#twice\n2001:db8::/32\n2001:DB8:0::1'),
      feed(netset(MAX_RULE_PEERS)),
      feed('192.0.2.0/24\n'.repeat(10_000)),
      feed('10.78.0.0/16\n'),
    ],
  },
  POLICY_FEED_EXPIRED: {
    fires: [
      [feed('192.0.2.0/24\n', ', expires: 2026-11-21'), 'firewall/cell.yaml:2:99'],
      [
        feed('192.0.2.0/24\n', ', expires: 2027-11-21', {
          'feeds/feeds.yaml': 'feeds: {drop: {expires: 2026-11-21}}\n',
        }),
        'firewall/cell.yaml:2:99',
      ],
    ],
    silent: [
      feed('192.0.2.0/24\n', ', expires: 2026-11-22'),
      feed('192.0.2.0/24\n', '', { 'feeds/feeds.yaml': 'feeds: {drop: {expires: 2026-11-23}}\n' }),
    ],
  },
  POLICY_FEED_UNUSED: {
    fires: [[{ 'feeds/drop.netset': '192.0.2.0/24\n' }, 'feeds/drop.netset:1:1']],
    silent: [feed('192.0.2.0/24\n')],
  },
};

testRules(cases);

test('a feed without a date, of an unknown name, or for nobody is refused', () => {
  const [none = ''] = problemsOf(feed('192.0.2.0/24\n', ''));
  assert.match(none, /^firewall\/cell\.yaml:2:99 POLICY_FORMAT .*expected expires: here or in feeds\/feeds\.yaml/);
  const misspelt = problemsOf({ ...feed('192.0.2.0/24\n'), ...rules(`${dropList}s`) });
  assert.match(misspelt.join('\n'), /POLICY_REFERENCE_UNKNOWN unknown feed drops; did you mean drop\?/);
  const listed = problemsOf(
    feed('192.0.2.0/24\n', undefined, { 'feeds/feeds.yaml': 'feeds: {drob: {expires: 2027-01-01}}\n' }),
  );
  assert.match(
    listed.join('\n'),
    /^feeds\/feeds\.yaml:1:15 POLICY_REFERENCE_UNKNOWN unknown list drob; did you mean drop\?/m,
  );
});

test('of a feed full of garbage the first lines are blamed and the others counted', () => {
  const found = problemsOf(feed('garbage\n'.repeat(10_000))).filter((line) => line.includes(' POLICY_FEED '));
  assert.equal(found.length, MAX_FEED_PROBLEMS + 1);
  assert.match(found.at(-1) ?? '', /and 9979 more lines like that$/);
});

const wrong: readonly (readonly [what: string, rule: string, expected: RegExp])[] = [
  [
    'an IPv4-mapped block, which no packet has',
    `id: a, ${base}, peer: '::ffff:10.0.0.0/104'`,
    /POLICY_FORMAT .*expected the IPv4 address itself, not its IPv4-mapped form/,
  ],
  [
    'the form of before',
    `id: a, tier: deny, devices: all, direction: in, transport: tcp, peer: 10.0.0.0/8`,
    /2:19 POLICY_FORMAT .*expected tier: admin with action: deny, instead of tier: deny/,
  ],
  [
    'the form of before',
    `id: a, tier: allow, devices: all, direction: in, transport: tcp, peer: 10.0.0.0/8`,
    /2:19 POLICY_FORMAT .*expected tier: baseline with action: allow, instead of tier: allow/,
  ],
  [
    'an unknown tier',
    `id: a, ${base}, peer: 10.0.0.0/8`.replace('admin', 'network'),
    /2:19 POLICY_FORMAT .*expected admin \(before the grants\) or baseline/,
  ],
  ['nobody', `id: a, ${base}`, /POLICY_FORMAT .*expected exactly one of peer, peers, names, feed/],
  [
    'two kinds of peers',
    `id: a, ${base}, peer: 10.0.0.0/8, feed: x`,
    /POLICY_FORMAT .*expected exactly one of peer, peers, names, feed/,
  ],
  [
    'pass in baseline',
    `id: a, ${base}, peer: 10.0.0.0/8`.replace('admin', 'baseline').replace('allow', 'pass'),
    /2:37 POLICY_FORMAT .*pass only in tier admin/,
  ],
  [
    'a rate of a deny',
    `id: a, ${base}, peer: 10.0.0.0/8, rate: {flows: 1, per: second}`.replace('allow', 'deny'),
    /POLICY_FORMAT .*expected rate only beside action: allow/,
  ],
  [
    'connections of a deny',
    `id: a, ${base}, peer: 10.0.0.0/8, connections: 1`.replace('allow', 'deny'),
    /POLICY_FORMAT .*expected connections only beside action: allow/,
  ],
  ['names inwards', `id: a, ${base}, names: [a.example.com]`, /POLICY_FORMAT .*expected names only in direction out/],
  [
    'a wildcard',
    `id: a, ${out}, direction: out, names: ['*.example.com']`.replace('peer: 192.0.2.7/32, ', ''),
    /POLICY_FORMAT .*no wildcard/,
  ],
  [
    'an address as a name',
    `id: a, ${out}, direction: out, names: [192.0.2.1]`.replace('peer: 192.0.2.7/32, ', ''),
    /POLICY_FORMAT .*a full host name/,
  ],
  [
    'a destination inwards',
    `id: a, ${base}, peer: 10.0.0.0/8, to: [10.0.0.0/8]`,
    /POLICY_FORMAT .*expected to only in direction through/,
  ],
  [
    'ports of icmp',
    `id: a, ${base}, peer: 10.0.0.0/8, ports: 8`.replace('any', 'icmp'),
    /POLICY_FORMAT .*expected no ports with transport icmp/,
  ],
  [
    'a date without a feed',
    `id: a, ${base}, peer: 10.0.0.0/8, expires: 2027-01-01`,
    /POLICY_FORMAT .*expected expires only beside feed/,
  ],
  [
    'an end before the start',
    `id: a, ${base}, peer: 10.0.0.0/8, notBefore: 2027-02-01, until: 2027-01-01`,
    /POLICY_FORMAT .*expected a start before the end/,
  ],
  ['a priority beyond', `id: a, ${base}, peer: 10.0.0.0/8, priority: 1001`, /POLICY_FORMAT .*expected at most 1000/],
  [
    'an unknown workload',
    `id: a, ${out}, direction: out, workload: w`,
    /POLICY_REFERENCE_UNKNOWN unknown workload of gateway-1: w/,
  ],
  ['an end that has passed', `id: a, ${base}, peer: 10.0.0.0/8, until: 2026-01-01`, /POLICY_UNTIL_PASSED rule a ended/],
  [
    'no moment in which it holds',
    `id: a, ${base}, peer: 10.0.0.0/8, conditions: {weekdays: [sat]}, until: 2026-11-24`,
    /POLICY_NEVER_IN_FORCE a holds at no moment/,
  ],
  [
    'host bits',
    `id: a, ${base}, peers: [10.0.0.0/8, 10.77.0.1/24]`,
    /POLICY_CIDR 10\.77\.0\.1\/24 has host bits set; expected 10\.77\.0\.0\/24/,
  ],
];
for (const [what, rule, expected] of wrong) {
  test(`refused with what to write: ${what}`, () => {
    const found = problemsOf(rules(rule));
    assert.ok(
      found.some((line) => expected.test(line)),
      found.join('\n'),
    );
  });
}

test('names of rules, traps and meters are one list, and a device has one island mode', () => {
  const text = `rules:
  - {id: one, ${base}, peer: 10.77.0.0/24}
traps:
  - {id: one, devices: all, transport: tcp, ports: 9, block: 1h}
meters:
  - {id: one, devices: all, transport: tcp, flowsPerSecond: 5, block: 1h}
island:
  - {devices: all, lease: 1h}
  - {devices: [plc-1]}
`;
  const found = problemsOf(file(text)).filter((line) => line.includes('POLICY_ID_DUPLICATE'));
  assert.deepEqual(
    found.map((line) => line.split(' ')[0]),
    ['firewall/cell.yaml:4:10', 'firewall/cell.yaml:6:10', 'firewall/cell.yaml:9:15'],
  );
});

test('a workload is told by exactly one thing', () => {
  for (const fields of [
    '',
    ', uid: 1, cgroup: a',
    ', cgroup: ../a',
    ', cgroup: /a',
    ', uid: -1',
    ', interface: "a b"',
  ]) {
    const found = problemsOf(workloads(`{name: w${fields}}`));
    assert.ok(
      found.some((line) => line.includes('POLICY_FORMAT')),
      `${fields}: ${found.join('\n')}`,
    );
  }
  const grant = (sampleFiles['grants/cell.yaml'] ?? '').replace('binding: ip', 'binding: ip\n    workload: w');
  assert.match(
    problemsOf({ 'grants/cell.yaml': grant }).join('\n'),
    /grants\/cell\.yaml:7:15 POLICY_REFERENCE_UNKNOWN unknown workload of gateway-1: w/,
  );
  assert.deepEqual(problemsOf({ ...workloads('{name: w, uid: 7}'), 'grants/cell.yaml': grant }), []);
});
