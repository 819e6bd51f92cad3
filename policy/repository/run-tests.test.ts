import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessRequest } from '../engine/index.ts';
import { decideWithEngine } from './decide.ts';
import { loadRepository } from './load.ts';
import { isError } from './problems.ts';
import { formatTestResult, runPolicyTests } from './run-tests.ts';
import { sampleFiles, sampleNow, treeOf } from './sample-tree.ts';
import type { Repository } from './repository.ts';

function withTests(text: string, more: Record<string, string> = {}): Repository {
  const { repository, problems } = loadRepository(
    treeOf({ ...sampleFiles, ...more, 'tests/cell.yaml': text }),
    sampleNow,
  );
  assert.ok(repository, JSON.stringify(problems));
  return repository;
}

test('a failing test says where it is, what was expected and which rule decided', () => {
  const repository = withTests(`tests:
  - name: the gateway may not read
    given: {subject: gateway-1}
    when: {interface: plc-modbus, modbus: {function: 3}}
    then: deny
`);
  const report = runPolicyTests(repository, decideWithEngine(), sampleNow);
  assert.equal(report.ok, false);
  assert.deepEqual([report.passed, report.failed], [0, 1]);
  const [result] = report.results;
  assert.ok(result);
  assert.equal(
    formatTestResult(result),
    'FAILED   tests/cell.yaml:2:5: the gateway may not read: expected deny, ' +
      'plc-1 decides allow (granted) by grant:gateway-reads-plc at grants/cell.yaml:2',
  );
});

test('the right answer for the wrong reason fails', () => {
  const repository = withTests(`tests:
  - name: nobody writes
    given: {subject: gateway-1}
    when: {interface: plc-modbus, modbus: {function: 6, values: [1]}}
    then: deny
    reason: no-grant
`);
  const [result] = runPolicyTests(repository, decideWithEngine(), sampleNow).results;
  assert.equal(result?.ok, false);
  assert.equal(result?.decision.reason, 'denied');
});

test('given and when become the access request of an enforcement point', () => {
  const repository = withTests(
    `tests:
  - name: everything said
    given:
      subject: gateway-1
      state: stale
      attestation: tpm
      attestedAgo: 5m
      risk: 12
      binding: ip
      time: 2026-12-24T18:00:00Z
      attributes: {shift: night}
    when:
      interface: plc-modbus
      device: plc-1
      modbus: {function: write-multiple-registers, unit: 9, address: 4, quantity: 2, values: [7, 8]}
    then: deny
`,
    { 'schema/x.json': '{"subject": {"shift": {"type": "string"}}}' },
  );
  const asked: AccessRequest[] = [];
  const decision = { allow: false, reason: 'no-grant', rule: '', place: '', operation: '', bundle: '' } as const;
  runPolicyTests(
    repository,
    {
      ...decideWithEngine(),
      decide: (slice, request) => {
        assert.equal(slice.device, 'plc-1');
        asked.push(request);
        return decision;
      },
    },
    sampleNow,
  );
  const time = Date.UTC(2026, 11, 24, 18);
  assert.deepEqual(asked, [
    {
      subject: {
        id: 'gateway-1',
        binding: 'ip',
        state: 'stale',
        attributes: {
          attestation: { value: 'tpm', asOf: time - 300_000 },
          risk: { value: 12, asOf: time },
          reduced: { value: false, asOf: time },
          shift: { value: 'night', asOf: Date.UTC(2026, 11, 24, 18) },
        },
      },
      operation: { protocol: 'modbus', functionCode: 16, unit: 9, address: 4, quantity: 2, values: [7, 8] },
      resource: { interface: 'plc-modbus', attributes: { device: { value: 'plc-1' } } },
      context: { time, source: 'test', connection: '', attributes: {} },
    },
  ]);
});

test('a table is a test for each row, said once and at the place of the row', () => {
  const repository = withTests(`tests:
  - name: reading
    given: {subject: gateway-1}
    when: {interface: plc-modbus, modbus: {function: 3, quantity: 10}}
    then: allow
    rows:
      - {when: {modbus: {address: 90}}}
      - {name: too far, when: {modbus: {address: 91}}, then: deny, reason: no-grant}
      - given: {state: revoked, attributes: {}}
        then: deny
        reason: state
      - {given: {subject: desk-1}}
`);
  const { results, passed } = runPolicyTests(repository, decideWithEngine(), sampleNow);
  assert.deepEqual(
    results.map(({ name, place, ok }) => [name, place, ok]),
    [
      ['reading: row 1', 'tests/cell.yaml:7:9', true],
      ['reading: too far', 'tests/cell.yaml:8:9', false],
      ['reading: row 3', 'tests/cell.yaml:9:9', true],
      ['reading: row 4', 'tests/cell.yaml:12:9', false],
    ],
  );
  assert.equal(passed, 2);
  assert.deepEqual(results[1]?.differences, ['expected reason no-grant, found unknown-operation']);
});

test('rule, operation and steps of the explanation can be expected', () => {
  const expecting = (then: string): readonly string[] => {
    const repository = withTests(`tests:
  - name: nobody writes
    given: {subject: gateway-1}
    when: {interface: plc-modbus, modbus: {function: 6, values: [1]}}
    then: {allow: false, ${then}}
`);
    return runPolicyTests(repository, decideWithEngine(), sampleNow).results.flatMap(({ differences }) => differences);
  };
  const steps = '[{step: operation, outcome: write-setpoint}, {step: deny, rule: deny:nobody-writes}]';
  assert.deepEqual(expecting('reason: denied, rule: deny:nobody-writes, operation: write-setpoint'), []);
  assert.deepEqual(expecting(`explain: ${steps}`), []);
  assert.deepEqual(expecting('rule: deny:somebody-writes'), [
    'expected rule deny:somebody-writes, found deny:nobody-writes',
  ]);
  const [missing] = expecting('explain: [{step: deny}, {step: operation}]');
  assert.match(missing ?? '', /^expected the step "operation", the explanation is: bundle fresh > interface /);
});

test('obligations and the condition that failed can be expected', () => {
  const repository = (then: string, risk: number): Repository => {
    const grants = sampleFiles['grants/cell.yaml']?.replace(
      'operations: [view]',
      'operations: [view]\n    conditions: {maxRisk: 20}\n    obligations: [{id: log}]',
    );
    const test = `tests: [{name: t, given: {subject: gateway-1, risk: ${risk}}, when: {interface: hmi-web, http: {method: GET, path: /status}}, then: ${then}}]`;
    return withTests(test, { 'grants/cell.yaml': grants ?? '' });
  };
  const differences = (then: string, risk: number): readonly string[] =>
    runPolicyTests(repository(then, risk), decideWithEngine(), sampleNow).results.flatMap(
      (result) => result.differences,
    );
  assert.deepEqual(differences('{allow: true, obligations: [log]}', 0), []);
  assert.deepEqual(differences('{allow: true, obligations: []}', 0), ['expected obligations none, found log']);
  assert.deepEqual(differences('{allow: false, condition: risk at most 20}', 21), []);
  assert.deepEqual(differences('{allow: false, condition: until}', 21), [
    'expected condition until, found risk at most 20',
  ]);
});

const wrong: readonly [what: string, text: string, expected: RegExp][] = [
  ['no subject', 'tests: [{name: a, when: {interface: plc-modbus, port: true}, then: deny}]', /subject is missing/],
  [
    'a row without an answer',
    'tests: [{name: a, given: {subject: x}, when: {interface: plc-modbus, modbus: {function: 3}}, rows: [{}]}]',
    /rows\[0\].*then is missing/,
  ],
  [
    'two protocols',
    'tests: [{name: a, given: {subject: x}, when: {interface: plc-modbus, port: true}, then: deny, rows: [{when: {modbus: {function: 3}}}]}]',
    /exactly one of http, modbus, mqtt, tls, port/,
  ],
  [
    'no function',
    'tests: [{name: a, given: {subject: x}, when: {interface: plc-modbus, modbus: {}}, then: deny}]',
    /function is missing/,
  ],
  [
    'a misspelt key',
    'tests: [{name: a, given: {subjet: x}, when: {interface: plc-modbus, modbus: {function: 3}}, then: deny}]',
    /unknown key "subjet".*did you mean "subject"/,
  ],
  [
    'the reason twice',
    'tests: [{name: a, given: {subject: x}, when: {interface: plc-modbus, modbus: {function: 3}}, then: {allow: false, reason: state}, reason: state}]',
    /the reason once/,
  ],
  [
    'an unknown step',
    'tests: [{name: a, given: {subject: x}, when: {interface: plc-modbus, modbus: {function: 3}}, then: {allow: false, explain: [{step: granted}]}}]',
    /expected .*grant/,
  ],
  ['neither never nor always', 'invariants: [{name: a}]', /either never: .* or always:/],
  [
    'an invariant of an unknown operation',
    'invariants: [{name: a, never: {subjects: all, interface: plc-modbus, operations: [red]}}]',
    /unknown operation of plc-modbus red/,
  ],
  [
    'an invariant of nobody',
    'invariants: [{name: a, never: {subjects: {labels: {role: camera}}, interface: plc-modbus}}]',
    /no device of the inventory has labels/,
  ],
];
for (const [what, text, expected] of wrong) {
  test(`a test that cannot be run is refused with its place: ${what}`, () => {
    const { repository, problems } = loadRepository(treeOf({ ...sampleFiles, 'tests/cell.yaml': text }), sampleNow);
    assert.equal(repository, undefined);
    const errors = problems.filter(isError);
    assert.match(errors.map(({ message }) => message).join('\n'), expected);
    assert.ok(
      errors.every(({ place }) => place.file === 'tests/cell.yaml' && place.column > 1),
      JSON.stringify(problems),
    );
  });
}
