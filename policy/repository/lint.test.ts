import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlace } from '../../runtime/errors.ts';
import { generateKey, jwkOf } from '../../identity/index.ts';
import { pathProblem } from './lint/paths.ts';
import { loadRepository } from './load.ts';
import { preparedCompiler, regoTree } from './rego/sample-rego.ts';
import { lintRules } from './rules.ts';
import type { RuleId } from './rules.ts';
import type { boundRules } from './rules/bound-rules.ts';
import type { firewallRules } from './rules/firewall-rules.ts';
import type { mqttRules } from './rules/mqtt-rules.ts';
import type { meaningRules } from './rules/meaning-rules.ts';
import { sampleFiles, sampleNow, sampleWith, treeOf } from './sample-tree.ts';
import type { PolicyTree } from './tree.ts';

const withFile = (path: string, text: string, more: Record<string, string> = {}): PolicyTree =>
  treeOf({ ...sampleFiles, ...more, [path]: text });

const card = { name: 'eth0', network: 'cell', address: '10.77.0.11', mac: '02:00:00:00:00:01' };

/** gateway-1 with these two entries below interfaces. */
const gatewayCards = (...cards: readonly (typeof card)[]): PolicyTree =>
  withFile(
    'inventory/cell.yaml',
    (sampleFiles['inventory/cell.yaml'] ?? '').replace(
      / {6}- .*10\.77\.0\.11.*\n.*10\.88\.0\.11.*\n/,
      cards
        .map(
          ({ name, network, address, mac }) =>
            `      - {name: ${name}, network: ${network}, address: "${address}", mac: "${mac}"}\n`,
        )
        .join(''),
    ),
  );

const portFiles = (limit: string): Record<string, string> => ({
  'interfaces/port.yaml':
    'interfaces:\n  - {name: shell, device: plc-1, protocol: port, port: 22, operations: {open: {}}}\n',
  'grants/port.yaml': `grants:
  - id: shell
    subjects: [gateway-1]
    interface: shell
    operations: [open]
    binding: ip
    ${limit}
`,
  'tests/port.yaml': `tests:
  - {name: shell, given: {subject: gateway-1}, when: {interface: shell, port: true}, then: allow}
`,
});

const safeInterface = {
  'interfaces/safe.yaml': `interfaces:
  - name: plc-safe
    device: plc-1
    protocol: http
    port: 81
    operations:
      stop: {methods: [POST], paths: [/stop], class: safety}
      any: {methods: [POST], paths: [/**]}
      look: {methods: [GET], paths: [/**]}
`,
};

const waiver = (grant: string, until: string): string =>
  `waivers:\n  - {id: w, rule: POLICY_WRITE_OVER_ADDRESS, grant: ${grant}, owner: ops, reason: old panel, until: ${until}}\n`;

const writing = `grants:
  - id: hmi-writes
    subjects: [hmi-1]
    interface: plc-modbus
    operations: [write-setpoint]
    binding: ip
    until: 2027-06-30
`;
const writingTest = `tests:
  - {name: panel, given: {subject: hmi-1}, when: {interface: plc-modbus, modbus: {function: 6}}, then: deny}
`;
const withWriting = (more: Record<string, string>): PolicyTree =>
  treeOf({ ...sampleFiles, 'grants/writes.yaml': writing, 'tests/writes.yaml': writingTest, ...more });

const keys = Array.from({ length: 3 }, () => JSON.stringify(jwkOf(generateKey().publicKey)));
const profileText = (id: string, name: string, more: { subject?: string; approver?: string } = {}): string => `
  - id: ${id}
    subjects: [${more.subject ?? 'gateway-1'}]
    interface: ${name}
    operations: [${name === 'shell' ? 'open' : 'view'}]
    approvers:
      - {name: anna, key: ${keys[0]}}
      - ${more.approver ?? `{name: ben, key: ${keys[1]}}`}
    maxDuration: 20m
    uses: 2
    generation: 1
`;
const withProfiles = (more: Record<string, string>, ...profiles: string[]): PolicyTree =>
  withFile('break-glass/line.yaml', `profiles:${profiles.join('')}`, more);

/** One repository for each rule, and where the rule points; lint/*.test.ts have the others. */
type RepositoryRule = Exclude<
  RuleId,
  | `CASBIN_${string}`
  | keyof typeof meaningRules
  | keyof typeof firewallRules
  | keyof typeof boundRules
  | keyof typeof mqttRules
>;
const triggers: Readonly<Record<RepositoryRule, readonly [tree: PolicyTree, place: string][]>> = {
  POLICY_FORMAT: [[sampleWith('edgeward.yaml', 'format: 1', 'format: 2'), 'edgeward.yaml:1:9']],
  POLICY_FILE_UNKNOWN: [
    [withFile('firewal/cell.yaml', 'rules: []\n'), 'firewal/cell.yaml:1:1'],
    [withFile('firewall/cell.yml', 'rules: []\n'), 'firewall/cell.yml:1:1'],
  ],
  POLICY_ID_DUPLICATE: [
    [sampleWith('grants/cell.yaml', 'gateway-views-hmi', 'gateway-reads-plc'), 'grants/cell.yaml:7:9'],
    [sampleWith('inventory/cell.yaml', 'id: hmi-1', 'id: plc-1'), 'inventory/cell.yaml:16:9'],
  ],
  POLICY_REFERENCE_UNKNOWN: [[sampleWith('grants/cell.yaml', 'hmi-web', 'hmi-wep'), 'grants/cell.yaml:9:16']],
  POLICY_SELECTOR_EMPTY: [
    [sampleWith('grants/cell.yaml', 'role: gateway', 'role: gatway'), 'grants/cell.yaml:8:15'],
    [sampleWith('grants/cell.yaml', '[gateway-1]', '[plc-1]'), 'grants/cell.yaml:3:15'],
  ],
  POLICY_ADDRESS: [
    [sampleWith('inventory/cell.yaml', '10.77.0.12', '10.78.0.12'), 'inventory/cell.yaml:15:46'],
    [sampleWith('inventory/cell.yaml', '10.77.0.13', '10.77.0.12'), 'inventory/cell.yaml:15:46'],
    [sampleWith('inventory/cell.yaml', 'name: eth1', 'name: eth0'), 'inventory/cell.yaml:11:16'],
    [gatewayCards(card, { ...card, address: '10.77.0.21', mac: '02:00:00:00:00:02' }), 'inventory/cell.yaml:11:16'],
    [gatewayCards(card, { ...card, address: '10.77.0.21', name: 'eth1' }), 'inventory/cell.yaml:11:65'],
  ],
  POLICY_PORT_DUPLICATE: [
    [
      withFile(
        'interfaces/twice.yaml',
        'interfaces:\n  - {name: again, device: plc-1, protocol: port, port: 502, operations: {use: {}}}\n',
      ),
      'interfaces/cell.yaml:5:11',
    ],
  ],
  POLICY_CIDR: [
    [sampleWith('inventory/cell.yaml', '[10.77.0.0/24]', '[10.77.0.1/24]'), 'inventory/cell.yaml:3:13'],
    [sampleWith('firewall/cell.yaml', '0.0.0.0/0', 'fd00::1/64'), 'firewall/cell.yaml:8:11'],
  ],
  POLICY_PATH_PATTERN: [[sampleWith('interfaces/cell.yaml', '/status', '/st*'), 'interfaces/cell.yaml:23:20']],
  POLICY_CASBIN_UNUSED: [[sampleWith('interfaces/cell.yaml', '    casbin: hmi\n', ''), 'casbin/hmi/model.conf:1:1']],
  POLICY_REGO: [[regoTree({ 'rego/hours/hours.rego': undefined }), 'rego/hours:1:1']],
  POLICY_REGO_UNAVAILABLE: [[regoTree(), 'rego/hours/hours.rego:1:1']],
  POLICY_REGO_UNUSED: [
    [regoTree({ 'interfaces/cell.yaml': sampleFiles['interfaces/cell.yaml'] }), 'rego/hours/hours.rego:5:1'],
  ],
  POLICY_REGO_UNTESTED: [[regoTree({ 'rego/hours/hours_test.rego': undefined }), 'rego/hours/hours.rego:5:1']],
  POLICY_UNTIL_PASSED: [
    [sampleWith('grants/cell.yaml', 'binding: ip', 'binding: ip\n    until: 2026-11-21'), 'grants/cell.yaml:7:12'],
  ],
  POLICY_PERIOD_LONG: [
    [
      sampleWith('interfaces/cell.yaml', 'port: 502', 'port: 502\n    observe: {until: 2027-06-01}'),
      'interfaces/cell.yaml:6:22',
    ],
    [withWriting({ 'waivers/w.yaml': waiver('hmi-writes', '2036-01-01') }), 'waivers/w.yaml:2:103'],
  ],
  POLICY_ENFORCER_DEATH_OPEN: [
    [
      sampleWith('interfaces/cell.yaml', 'port: 502', 'port: 502\n    onEnforcerDeath: open'),
      'interfaces/cell.yaml:6:22',
    ],
  ],
  POLICY_BINDING_UNREACHABLE: [
    [
      treeOf({
        ...sampleFiles,
        ...portFiles(''),
        'grants/port.yaml': portFiles('')['grants/port.yaml']?.replace('binding: ip', 'binding: svid') ?? '',
      }),
      'grants/port.yaml:6:14',
    ],
  ],
  POLICY_BINDING_MAC: [
    [sampleWith('grants/cell.yaml', 'binding: ip', 'binding: port+mac+ip'), 'grants/cell.yaml:6:14'],
  ],
  POLICY_WRITE_OVER_ADDRESS: [[withWriting({}), 'grants/writes.yaml:5:18']],
  POLICY_BREAK_GLASS_PORT: [[withProfiles(portFiles(''), profileText('p', 'shell')), 'break-glass/line.yaml:4:16']],
  POLICY_BREAK_GLASS_PACKETS: [
    [withProfiles({}, profileText('p', 'hmi-web', { subject: 'plc-1' })), 'break-glass/line.yaml:3:15'],
  ],
  POLICY_BREAK_GLASS_KEY: [
    [
      withProfiles(
        {},
        profileText('p', 'hmi-web'),
        profileText('q', 'hmi-web', { approver: `{name: anna.admin, key: ${keys[0]}}` })
          .replace('name: anna,', 'name: cleo,')
          .replace(keys[0] ?? '', keys[2] ?? ''),
      ),
      'break-glass/line.yaml:19:9',
    ],
    [
      withProfiles(
        {},
        profileText('p', 'hmi-web'),
        profileText('q', 'hmi-web', { approver: `{name: ben, key: ${keys[2]}}` }),
      ),
      'break-glass/line.yaml:19:9',
    ],
  ],
  POLICY_PORT_LIMIT: (['rate: {count: 1, per: 1m}', 'uses: 1', 'obligations: [{id: log}]'] as const).map((limit) => [
    treeOf({ ...sampleFiles, ...portFiles(limit) }),
    `grants/port.yaml:7:${5 + limit.indexOf(':') + 2}`,
  ]),
  POLICY_DENY_ASSUME: [
    [
      withFile(
        'grants/more.yaml',
        'denies:\n  - {id: d, subjects: all, interface: plc-safe, operations: all, conditions: {minRisk: 80}}\n',
        safeInterface,
      ),
      'grants/more.yaml:2:78',
    ],
  ],
  POLICY_ENGINE: [[sampleWith('interfaces/cell.yaml', '/status', '/a'.repeat(300)), 'interfaces/cell.yaml:15:1']],
  POLICY_NETWORK_UNSHARED: [
    [sampleWith('grants/cell.yaml', '[gateway-1]', '[gateway-1, desk-1]'), 'grants/cell.yaml:3:15'],
  ],
  POLICY_FIREWALL_WIDE: [
    [sampleWith('firewall/cell.yaml', 'action: deny', 'action: allow'), 'firewall/cell.yaml:8:11'],
  ],
  POLICY_WAIVER_UNUSED: [
    [withFile('waivers/w.yaml', waiver('gateway-reads-plc', '2027-01-01')), 'waivers/w.yaml:2:53'],
  ],
  POLICY_WAIVER_ENDING: [
    [withWriting({ 'waivers/w.yaml': waiver('hmi-writes', '2026-12-05') }), 'waivers/w.yaml:2:103'],
  ],
  POLICY_GRANT_UNTESTED: [[withFile('tests/cell.yaml', 'tests: []\n'), 'grants/cell.yaml:2:9']],
};

for (const [rule, trees] of Object.entries(triggers) as [RepositoryRule, (typeof triggers)[RepositoryRule]][]) {
  test(`${rule} is found where it is`, () => {
    for (const [tree, place] of trees) {
      const findCompiler = () => (rule === 'POLICY_REGO_UNAVAILABLE' ? undefined : preparedCompiler);
      const { repository, problems } = loadRepository(tree, sampleNow, findCompiler);
      const shown = problems.map((problem) => `${formatPlace(problem.place)} ${problem.rule} ${problem.message}`);
      assert.ok(
        problems.some((problem) => problem.rule === rule && formatPlace(problem.place) === place),
        `${place} in\n${shown.join('\n')}`,
      );
      assert.equal(
        repository === undefined,
        problems.some((problem) => problem.severity === 'error'),
      );
      if (lintRules[rule].severity === 'error') assert.equal(repository, undefined);
    }
  });
}

test('every rule says what it is for, what triggers it and how to mend it', () => {
  for (const [id, rule] of Object.entries(lintRules)) {
    assert.match(id, /^(POLICY|CASBIN)_[A-Z_]+$/);
    for (const text of [rule.explanation, rule.example, rule.fix]) assert.ok(text.length > 6, id);
  }
});

test('writing over an address passes with a waiver, and reading needs none', () => {
  const tree = withWriting({
    'waivers/w.yaml': waiver('hmi-writes', '2027-03-31'),
    'grants/cell.yaml': (sampleFiles['grants/cell.yaml'] ?? '').replace('subjects: all', 'subjects: [gateway-1]'),
  });
  assert.deepEqual(loadRepository(tree, sampleNow).problems, []);
});

test('a waiver does not outlive its end date', () => {
  const tree = withWriting({ 'waivers/w.yaml': waiver('hmi-writes', '2026-11-22') });
  assert.notEqual(loadRepository(tree, sampleNow).repository, undefined);
  assert.equal(loadRepository(tree, Date.UTC(2026, 10, 23)).repository, undefined);
});

test('a waiver excuses one rule at one place, and what it excuses stays visible', () => {
  const tree = (rule: string, at: string): PolicyTree =>
    treeOf({
      ...sampleFiles,
      'tests/cell.yaml': 'tests: []\n',
      'waivers/w.yaml': `waivers:\n  - {id: w, rule: ${rule}, ${at}, owner: ops, reason: old, until: 2027-01-01}\n`,
    });
  const outcome = (rule: string, at: string): string[] => {
    const { problems, waived } = loadRepository(tree(rule, at), sampleNow);
    return [...problems, ...waived].map((problem) => {
      const excused = 'waiver' in problem ? ' waived' : '';
      return `${problem.place.file}:${problem.place.line} ${problem.rule}${excused}`;
    });
  };
  const untested = ['grants/cell.yaml:2 POLICY_GRANT_UNTESTED', 'grants/cell.yaml:7 POLICY_GRANT_UNTESTED'] as const;
  assert.deepEqual(outcome('POLICY_GRANT_UNTESTED', 'at: grants/cell.yaml'), [
    `${untested[0]} waived`,
    `${untested[1]} waived`,
  ]);
  assert.deepEqual(outcome('POLICY_GRANT_UNTESTED', 'at: "grants/cell.yaml:7"'), [
    untested[0],
    `${untested[1]} waived`,
  ]);
  assert.deepEqual(outcome('POLICY_GRANT_UNTESTED', 'grant: gateway-reads-plc'), [
    untested[1],
    `${untested[0]} waived`,
  ]);
  // Another line, another rule: nothing is excused, and the waiver is one too many.
  assert.deepEqual(outcome('POLICY_GRANT_UNTESTED', 'at: "grants/cell.yaml:8"'), [
    ...untested,
    'waivers/w.yaml:2 POLICY_WAIVER_UNUSED',
  ]);
  assert.deepEqual(outcome('POLICY_FIREWALL_WIDE', 'at: grants/cell.yaml'), [
    ...untested,
    'waivers/w.yaml:2 POLICY_WAIVER_UNUSED',
  ]);
  // What would be unsafe to excuse, and a waiver that says neither or both.
  for (const [rule, at] of [
    ['POLICY_REFERENCE_UNKNOWN', 'at: grants/cell.yaml'],
    ['CASBIN_EFFECT_TYPO', 'at: casbin/hmi/policy.csv'],
    ['NO_SUCH_RULE', 'at: grants/cell.yaml'],
    ['POLICY_GRANT_UNTESTED', 'grant: gateway-reads-plc, at: grants/cell.yaml'],
  ] as const) {
    assert.equal(loadRepository(tree(rule, at), sampleNow).repository, undefined, rule);
  }
});

test('unsafe HTTP methods over an address count as writing', () => {
  const tree = treeOf({
    ...sampleFiles,
    'interfaces/cell.yaml': (sampleFiles['interfaces/cell.yaml'] ?? '').replace('[GET]', '[GET, POST]'),
    'grants/cell.yaml': (sampleFiles['grants/cell.yaml'] ?? '').replace('[view]', '[view]\n    binding: ip'),
  });
  assert.ok(loadRepository(tree, sampleNow).problems.some((problem) => problem.rule === 'POLICY_WRITE_OVER_ADDRESS'));
});

test('path patterns: whole canonical segments', () => {
  for (const path of ['/', '/a', '/a/', '/a/*/b', '/a/**', '/**', '/v1.0/~x'])
    assert.equal(pathProblem(path), undefined, path);
  for (const path of [
    '/a*',
    '/*a',
    '/**/a',
    '/a//b',
    '//',
    '/./a',
    '/a/..',
    '/a%2fb',
    '/a;b',
    '/a\\b',
    '/a?b',
    '/ä',
    '/a b',
  ]) {
    assert.notEqual(pathProblem(path), undefined, path);
  }
});

test('one card may have an address of each family; its hardware address has one owner then', () => {
  const text = (sampleFiles['inventory/cell.yaml'] ?? '').replace('[10.77.0.0/24]', "[10.77.0.0/24, 'fd77::/64']");
  const cards = ['10.77.0.11', 'fd77::11'].map(
    (address) => `      - {name: eth0, network: cell, address: "${address}", mac: "${card.mac}"}\n`,
  );
  const both = text.replace(/ {6}- .*10\.77\.0\.11.*\n/, cards.join(''));
  const { problems } = loadRepository(
    withFile('inventory/cell.yaml', both, { 'firewall/cell.yaml': 'rules: []\n' }),
    sampleNow,
  );
  assert.deepEqual(problems, []);
});
