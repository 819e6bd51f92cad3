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
      set: {functions: [6, 16], addresses: ['0-9'], maxQuantity: 2, maxChangePerMinute: 5}
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
