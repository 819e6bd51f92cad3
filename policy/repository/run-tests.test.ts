import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessRequest } from '../engine/index.ts';
import { decideWithEngine } from './decide.ts';
import { loadRepository } from './load.ts';
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
    (slice, request) => {
      assert.equal(slice.device, 'plc-1');
      asked.push(request);
      return decision;
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
