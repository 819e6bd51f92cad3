// Bounds of operations from the repository's text to the answer, and what the tools say of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileSlice } from '../engine/index.ts';
import { requiredFeatures } from '../bundle/features.ts';
import { buildSlices } from './build.ts';
import { decideWithEngine } from './decide.ts';
import { loadRepository } from './load.ts';
import type { Repository } from './repository.ts';
import { runPolicyTests } from './run-tests.ts';
import { sampleFiles, sampleNow, treeOf } from './sample-tree.ts';

const waived = `waivers:
  - {id: w, rule: POLICY_WRITE_OVER_ADDRESS, grant: sets, owner: ops, reason: old, until: 2027-01-01}
`;

function repositoryOf(files: Readonly<Record<string, string>>): Repository {
  const { repository, problems } = loadRepository(treeOf({ ...sampleFiles, ...files }), sampleNow);
  assert.ok(repository, JSON.stringify(problems, null, 1));
  return repository;
}

const modbusFiles = {
  'waivers/w.yaml': waived,
  'interfaces/more.yaml': `interfaces:
  - name: drive
    device: plc-1
    protocol: modbus
    port: 503
    operations:
      set: {functions: [6, 16], units: [1], addresses: ['0-9'], maxQuantity: 2, maxChangePerMinute: 5}
      read: {functions: [3], addresses: ['0-9'], maxQuantity: 4}
`,
  'grants/more.yaml': `grants:
  - {id: sets, subjects: [gateway-1], interface: drive, operations: [set, read], binding: ip}
`,
  'tests/more.yaml': `tests:
  - name: the drive
    given: {subject: gateway-1}
    when: {interface: drive, modbus: {function: 6, values: [7]}}
    then: deny
    rows:
      - {name: nobody knows the change, reason: unknown-operation}
      - {name: slowly, when: {modbus: {change: 5}}, then: allow}
      - {name: too fast, when: {modbus: {change: 6}}, reason: unknown-operation}
      - {name: two, when: {modbus: {function: 16, quantity: 2, values: [7, 8], change: 1}}, then: allow}
      - {name: three, when: {modbus: {function: 16, quantity: 3, values: [7, 8, 9], change: 1}}}
      - {name: reads four, when: {modbus: {function: 3, quantity: 4, values: []}}, then: allow}
      - {name: reads five, when: {modbus: {function: 3, quantity: 5, values: []}}}
`,
};

test('quantity and change of a Modbus operation are as tests say, and the bundle asks for a program that knows them', () => {
  const repository = repositoryOf(modbusFiles);
  const report = runPolicyTests(repository, decideWithEngine(), sampleNow);
  assert.deepEqual(
    report.results.filter(({ ok }) => !ok),
    [],
  );
  assert.equal(report.passed, 9);
  const slice = buildSlices(repository).get('plc-1');
  assert.ok(slice);
  assert.ok(requiredFeatures(slice).includes('modbus-bounds'));
  assert.ok(!requiredFeatures(buildSlices(repository).get('hmi-1') ?? slice).includes('modbus-bounds'));
  const meta = { digest: 'ab', softExpiry: sampleNow + 86_400_000, hardExpiry: sampleNow + 9e8 };
  const allowed = slice.selfTest.filter(({ interface: name, expect }) => name === 'drive' && expect === 'allow');
  assert.deepEqual(
    allowed.map(({ operation }) => (operation.protocol === 'modbus' ? operation.change : undefined)),
    [0, undefined],
  );
  assert.deepEqual(compileSlice(slice, meta).selfTest().failures, []);
});

const broker = (rest: string): Record<string, string> => ({
  'interfaces/more.yaml': `interfaces:
  - name: drive
    device: plc-1
    protocol: modbus
    port: 503
    ${rest}
    operations: {read: {functions: [3], addresses: ['0-9']}}
`,
});
const featuresOf = (repository: Repository): string[] =>
  [...buildSlices(repository).values()].flatMap((slice) => requiredFeatures(slice));

test('what a proxy does with denials and records of classes goes into the bundle, with the feature that it needs', () => {
  const repository = repositoryOf(broker('onDeny: close\n    audit: {classes: {write: all, read: {sample: 9}}}'));
  const entry = buildSlices(repository)
    .get('plc-1')
    ?.interfaces.find(({ name }) => name === 'drive');
  assert.deepEqual([entry?.onDeny, entry?.auditClasses], ['close', { write: 'all', read: { sample: 9 } }]);
  assert.deepEqual(
    ['on-deny', 'audit-classes'].filter((name) => !featuresOf(repository).includes(name)),
    [],
  );
  const plain = buildSlices(repositoryOf(broker('onDeny: answer'))).get('plc-1')?.interfaces[0];
  assert.deepEqual([plain?.onDeny, plain?.auditClasses], [undefined, undefined]);
});

test('the class request of http is its allows, and classes of another protocol are refused', () => {
  const web = (audit: string) =>
    treeOf({
      ...sampleFiles,
      'interfaces/cell.yaml': (sampleFiles['interfaces/cell.yaml'] ?? '').replace(
        '    casbin: hmi',
        `    casbin: hmi\n    audit: ${audit}`,
      ),
    });
  const sampled = (audit: string) =>
    loadRepository(web(audit), sampleNow).repository?.interfaces.find(({ name }) => name === 'hmi-web')?.allowsSampled;
  assert.equal(sampled('{classes: {request: {sample: 5}}}'), 5);
  assert.equal(sampled('{allows: counted}'), 0);
  for (const wrong of [
    '{classes: {read: all}}',
    '{allows: all, classes: {request: all}}',
    '{classes: {request: none}}',
  ]) {
    assert.equal(loadRepository(web(wrong), sampleNow).repository, undefined, wrong);
  }
});

const openWaiver = (about: string, until: string): string =>
  `  - {id: w${until}, rule: POLICY_ENFORCER_DEATH_OPEN, ${about}, owner: ops, reason: the kiln, until: ${until}}\n`;

test('an interface fails open only while a waiver with owner, reason and end says so, and until its last end', () => {
  const tree = (waivers: string, rest = 'onEnforcerDeath: open') =>
    treeOf({
      ...sampleFiles,
      ...broker(rest),
      ...(waivers === '' ? {} : { 'waivers/w.yaml': `waivers:\n${waivers}` }),
    });
  const built = (waivers: string) => {
    const { repository } = loadRepository(tree(waivers), sampleNow);
    return (
      repository &&
      buildSlices(repository)
        .get('plc-1')
        ?.interfaces.find(({ name }) => name === 'drive')
    );
  };
  assert.equal(built(''), undefined, 'refused without a waiver');
  assert.equal(built(openWaiver('interface: plc-modbus', '2027-01-01')), undefined, 'of another interface');
  assert.equal(built(openWaiver('interface: drive', '2026-11-21')), undefined, 'of the past');
  const [one, other] = [
    openWaiver('interface: drive', '2027-01-01'),
    openWaiver('at: interfaces/more.yaml', '2027-03-01'),
  ];
  assert.equal(built(one)?.openUntil, Date.UTC(2027, 0, 2));
  assert.equal(built(other)?.openUntil, Date.UTC(2027, 2, 2));
  assert.equal(built(one)?.onEnforcerDeath, 'open');
  const { repository, waived } = loadRepository(tree(one), sampleNow);
  assert.ok(repository);
  assert.ok(featuresOf(repository).includes('open'));
  assert.deepEqual(
    waived.map(({ rule, waiver }) => [rule, waiver.owner]),
    [['POLICY_ENFORCER_DEATH_OPEN', 'ops']],
  );
  // Whatever lint was told: without a waiver the bundle is closed.
  const unwaived = buildSlices({ ...repository, waivers: [] }).get('plc-1');
  assert.equal(unwaived?.interfaces.find(({ name }) => name === 'drive')?.onEnforcerDeath, 'closed');
  const nobody = `waivers:\n  - {id: w, rule: POLICY_ENFORCER_DEATH_OPEN, interface: drive, until: 2027-01-01}\n`;
  const { problems } = loadRepository(treeOf({ ...sampleFiles, ...broker(''), 'waivers/w.yaml': nobody }), sampleNow);
  assert.ok(problems.some(({ rule }) => rule === 'POLICY_FORMAT'));
});

test('host, headers and body of an HTTP operation are as tests say, and the bundle asks for a program that knows them', () => {
  const repository = repositoryOf({
    'interfaces/more.yaml': `interfaces:
  - name: api
    device: plc-1
    protocol: http
    port: 8080
    operations:
      order:
        methods: [POST]
        paths: [/orders]
        hosts: [Api.plant.example, '*.cell.example:8443']
        headers: {content-type: [application/json], x-line: [a, b]}
        maxBodyBytes: 100
`,
    'grants/more.yaml': `grants:
  - {id: orders, subjects: [gateway-1], interface: api, operations: [order]}
`,
    'tests/more.yaml': `tests:
  - name: the order
    given: {subject: gateway-1}
    when:
      interface: api
      http:
        method: POST
        path: /orders
        host: api.plant.example:8080
        headers: {content-type: application/json, x-line: a}
        bodyBytes: 100
    then: deny
    rows:
      - {name: as it should be, then: allow}
      - {name: below the wildcard, when: {http: {host: 'x.cell.example:8443'}}, then: allow}
      - {name: another port, when: {http: {host: x.cell.example}}, reason: unknown-operation}
      - {name: another host, when: {http: {host: plant.example}}, reason: unknown-operation}
      - {name: a header is missing, when: {http: {headers: {content-type: application/json}}}}
      - {name: a header twice, when: {http: {headers: {content-type: application/json, x-line: [a, a]}}}}
      - {name: another value, when: {http: {headers: {content-type: application/json, x-line: c}}}}
      - {name: too long, when: {http: {bodyBytes: 101}}, reason: unknown-operation}
`,
  });
  const report = runPolicyTests(repository, decideWithEngine(), sampleNow);
  assert.deepEqual(
    report.results.filter(({ ok }) => !ok),
    [],
  );
  assert.equal(report.passed, 10);
  const slice = buildSlices(repository).get('plc-1');
  assert.ok(slice);
  assert.ok(requiredFeatures(slice).includes('http-bounds'));
  const allowed = slice.selfTest.filter(({ interface: name, expect }) => name === 'api' && expect === 'allow');
  assert.deepEqual(
    allowed.map(({ operation }) => operation),
    [
      {
        protocol: 'http',
        method: 'POST',
        path: '/orders',
        host: 'api.plant.example',
        headers: { 'content-type': ['application/json'], 'x-line': ['a'] },
        bodyBytes: 0,
      },
    ],
  );
  const meta = { digest: 'ab', softExpiry: sampleNow + 86_400_000, hardExpiry: sampleNow + 9e8 };
  assert.deepEqual(compileSlice(slice, meta).selfTest().failures, []);
});
