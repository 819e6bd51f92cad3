import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideWithEngine } from '../decide.ts';
import { loadRepository } from '../load.ts';
import { runPolicyTests, type TestReport } from '../run-tests.ts';
import { sampleFiles, sampleNow, treeOf } from '../sample-tree.ts';
import { formatInvariantResult } from './invariants.ts';
import { testYaml } from './question.ts';

function run(tests: string, more: Record<string, string> = {}): TestReport {
  const tree = treeOf({ ...sampleFiles, ...more, 'tests/cell.yaml': tests });
  const { repository, problems } = loadRepository(tree, sampleNow);
  assert.ok(repository, JSON.stringify(problems));
  return runPolicyTests(repository, decideWithEngine(), sampleNow);
}

const invariant = (scope: string): string => `invariants:\n  - name: stated\n    ${scope}\n`;

test('a never that is violated names request, rule and place, and the test to paste', () => {
  const report = run(invariant('never: {subjects: all, interface: plc-modbus, operations: [read-process]}'));
  const [result] = report.invariants;
  assert.ok(result?.violation);
  assert.deepEqual([report.ok, report.failed, result.ok], [false, 1, false]);
  const { violation } = result;
  assert.deepEqual(
    [violation.decision.rule, violation.decision.place],
    ['grant:gateway-reads-plc', 'grants/cell.yaml:2'],
  );
  assert.match(
    formatInvariantResult(result),
    /^FAILED {3}tests\/cell\.yaml:3:12: stated: allowed \(granted\) by grant:/,
  );

  const pasted = run(`tests:\n${violation.yaml.replaceAll(/^/gm, '  ')}`);
  assert.deepEqual(
    pasted.results.map(({ ok, decision }) => [ok, decision]),
    [[false, violation.decision]],
  );
});

test('a witness in odd circumstances says them, and is asked again as it was', () => {
  const grants = `grants:
  - id: night
    subjects: [gateway-1]
    interface: plc-modbus
    operations: [read-process]
    binding: port+mac+ip
    conditions: {attestation: [tpm], attestationMaxAge: 5m, maxRisk: 20, timeWindow: 22:00-06:00}
`;
  const inventory = sampleFiles['inventory/cell.yaml']?.replace('10.77.0.11}', '10.77.0.11, mac: "02:00:00:00:00:0b"}');
  const more = { 'grants/cell.yaml': grants, 'inventory/cell.yaml': inventory ?? '' };
  const [result] = run(invariant('never: {subjects: all, interface: plc-modbus, states: [stale]}'), more).invariants;
  assert.ok(result?.violation);
  const pasted = run(`tests:\n${result.violation.yaml.replaceAll(/^/gm, '  ')}`, more);
  assert.deepEqual(
    pasted.results.map(({ decision }) => decision),
    [result.violation.decision],
  );
  for (const said of ['state: stale', 'attestation: tpm', 'attestedAgo: 5m', 'T22:00:00', 'port+mac+ip'])
    assert.ok(result.violation.yaml.includes(said), `${said} in ${result.violation.yaml}`);
});

test('a never is about what may reach an operation, an always about what surely is one', () => {
  const grants = (operations: string): Record<string, string> => ({
    'interfaces/cell.yaml': `interfaces:
  - name: web
    device: hmi-1
    protocol: http
    port: 80
    operations:
      everything: {methods: [GET], paths: [/**]}
      admin: {methods: [GET], paths: [/admin]}
`,
    'grants/cell.yaml': `grants: [{id: g, subjects: [gateway-1], interface: web, operations: [${operations}]}]\n`,
    'casbin/hmi/model.conf': sampleFiles['casbin/hmi/model.conf'] ?? '',
  });
  // /Admin is /admin to many servers, and the grant of everything opens it.
  const never = run(invariant('never: {subjects: all, interface: web, operations: [admin]}'), grants('everything'));
  assert.equal(never.invariants[0]?.ok, false);
  const always = run(
    invariant('always: {subjects: [gateway-1], interface: web, operations: [admin]}'),
    grants('admin'),
  );
  assert.deepEqual(always.invariants[0]?.ok, true);
  const reads = run(invariant('never: {subjects: [desk-1], interface: web, operations: reads}'), grants('everything'));
  assert.equal(reads.invariants[0]?.ok, true);
  const writes = run(invariant('never: {subjects: all, interface: web, operations: writes}'), grants('everything'));
  assert.equal(writes.invariants[0]?.ok, true);
});

test('an always that does not hold says in which circumstances', () => {
  const scope =
    'always: {subjects: [gateway-1], interface: plc-modbus, operations: [read-process], states: [trusted, quarantined]}';
  const [result] = run(invariant(scope)).invariants;
  assert.equal(result?.violation?.decision.reason, 'state');
  assert.match(result.violation.yaml, /state: quarantined/);
});

test('what observe mode lets through violates a never', () => {
  const interfaces = sampleFiles['interfaces/cell.yaml']?.replace(
    'port: 502',
    'port: 502\n    observe: {until: 2026-12-01}',
  );
  const [result] = run(invariant('never: {subjects: all, interface: plc-modbus, operations: writes}'), {
    'interfaces/cell.yaml': interfaces ?? '',
  }).invariants;
  assert.equal(result?.violation?.decision.observed, 'denied');
});

test('a statement about nothing is no pass', () => {
  const [result] = run(invariant('never: {subjects: [hmi-1], interface: hmi-web}')).invariants;
  assert.deepEqual([result?.ok, result?.fault], [false, 'no request is in its scope']);
});

test('what a Casbin model reads under a wildcard is said not to be exact', () => {
  const scope = invariant('never: {subjects: [desk-1], interface: hmi-web}');
  const [literal] = run(scope).invariants;
  assert.deepEqual([literal?.ok, literal?.exact], [true, true]);
  const interfaces = sampleFiles['interfaces/cell.yaml']?.replace('[/, /status]', '[/, /status/*]') ?? '';
  const [wild] = run(scope, { 'interfaces/cell.yaml': interfaces }).invariants;
  assert.deepEqual([wild?.ok, wild?.exact], [true, false]);
});

test('a test says what it says and no more', () => {
  const question = {
    given: {
      subject: 'gateway-1',
      state: 'trusted',
      attestation: 'software',
      attestedAgo: 60_000,
      risk: 0,
      reduced: false,
      freshness: 'fresh',
      attributes: {},
      time: sampleNow,
    },
    when: {
      interface: 'plc-modbus',
      device: 'plc-1',
      modbus: { function: 99, unit: 1, address: 0, quantity: 1, values: [] },
    },
  } as const;
  assert.equal(
    testYaml('odd', question, { allow: false }),
    `- name: odd
  given: { subject: gateway-1, time: 2026-11-22T12:00:00Z }
  when: { interface: plc-modbus, device: plc-1, modbus: { function: 99, address: 0 } }
  then: deny
`,
  );
});
