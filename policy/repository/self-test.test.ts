import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SelfTestVector, Slice } from '../bundle/index.ts';
import { compileSlice } from '../engine/index.ts';
import { buildSlices } from './build.ts';
import { loadRepository } from './load.ts';
import { sampleFiles, sampleNow, sampleWith, treeOf } from './sample-tree.ts';
import type { PolicyTree } from './tree.ts';

const meta = { digest: '', softExpiry: sampleNow + 86_400_000, hardExpiry: sampleNow + 2 * 86_400_000 };

function sliceOf(tree: PolicyTree, device: string): Slice {
  const { repository, problems } = loadRepository(tree, sampleNow);
  assert.ok(repository, JSON.stringify(problems));
  const slice = buildSlices(repository).get(device);
  assert.ok(slice);
  return slice;
}

const describe = ({ subject, operation, expect }: SelfTestVector): string =>
  `${subject} ${operation.protocol === 'modbus' ? operation.functionCode : JSON.stringify(operation)} ${expect}`;

test('a grant without conditions is proven open, and what it leaves out closed', () => {
  const vectors = sliceOf(treeOf(sampleFiles), 'plc-1').selfTest.map(describe);
  assert.deepEqual(vectors, [
    'gateway-1 3 allow',
    'self-test-stranger 3 deny',
    'self-test-stranger 6 deny',
    'gateway-1 6 deny',
    'gateway-1 6 deny',
    'gateway-1 16 deny',
  ]);
});

test('what depends on a date or a Casbin model is not expected to be open', () => {
  for (const more of ['until: 2027-01-01', 'notBefore: 2026-01-01']) {
    const slice = sliceOf(sampleWith('grants/cell.yaml', 'binding: ip', `binding: ip\n    ${more}`), 'plc-1');
    assert.ok(
      slice.selfTest.every((vector) => vector.expect === 'deny'),
      more,
    );
    assert.ok(slice.selfTest.length > 0);
  }
  assert.ok(sliceOf(treeOf(sampleFiles), 'hmi-1').selfTest.every((vector) => vector.expect === 'deny'));
});

/** Vectors of the function that the grant opens, with what they give. */
const given = (more: string, tree = sampleFiles): string[] =>
  sliceOf(
    treeOf({ ...tree, 'grants/cell.yaml': (tree['grants/cell.yaml'] ?? '').replace('binding: ip', more) }),
    'plc-1',
  )
    .selfTest.filter(({ subject, operation }) => subject === 'gateway-1' && functionOf(operation) === 3)
    .map(({ attestation, attributes, expect }) => `${attestation} ${JSON.stringify(attributes ?? [])} ${expect}`);
const functionOf = (operation: SelfTestVector['operation']): number =>
  operation.protocol === 'modbus' ? operation.functionCode : 0;

test('a grant with conditions is proven open with what they ask for, and closed with nothing of it', () => {
  assert.deepEqual(given('binding: ip\n    conditions: {maxRisk: 10}'), ['software [] allow']);
  assert.deepEqual(given('binding: ip\n    conditions: {timeWindow: 06:00-07:00}'), ['software [] allow']);
  assert.deepEqual(given('binding: ip\n    conditions: {weekdays: [wed], timeWindow: 22:00-02:00}'), [
    'software [] allow',
  ]);
  assert.deepEqual(given('binding: ip\n    conditions: {attestation: [idevid, tpm], attestationMaxAge: 1m}'), [
    'idevid [] allow',
    'none [] deny',
  ]);
  const schema = '{"subject": {"n": {"type": "integer", "range": [3, 9]}, "roles": {"type": "strings"}}}';
  const tests = '{subject.n: {min: 5, max: 7}, subject.roles: {contains: [a]}}';
  assert.deepEqual(
    given(`binding: ip\n    conditions: {attributes: ${tests}}`, { ...sampleFiles, 'schema/s.json': schema }),
    [
      'software [{"source":"subject","name":"n","value":5},{"source":"subject","name":"roles","value":["a"]}] allow',
      'none [] deny',
    ],
  );
});

test('a grant beside that asks for nothing keeps open what a condition would close', () => {
  const twice = (sampleFiles['grants/cell.yaml'] ?? '').replace(
    'grants:',
    `grants:
  - {id: also, subjects: [gateway-1], interface: plc-modbus, operations: [read-process], binding: ip, conditions: {attestation: [tpm]}}`,
  );
  const slice = sliceOf(treeOf({ ...sampleFiles, 'grants/cell.yaml': twice }), 'plc-1');
  assert.ok(!slice.selfTest.some((vector) => vector.attestation === 'none'));
});

test('near a deny with conditions no vector says what is open', () => {
  const slice = sliceOf(
    sampleWith('grants/cell.yaml', '[write-setpoint]', '[read-process]\n    conditions: {minRisk: 50}'),
    'plc-1',
  );
  assert.ok(slice.selfTest.every((vector) => vector.expect === 'deny'));
});

test('a denied grant is proven closed', () => {
  const slice = sliceOf(sampleWith('grants/cell.yaml', '[write-setpoint]', '[read-process]'), 'plc-1');
  assert.equal(slice.selfTest.filter((vector) => vector.expect === 'allow').length, 0);
  assert.equal(describe(slice.selfTest[0] as SelfTestVector), 'gateway-1 3 deny');
});

test('only the serving device carries vectors', () => {
  assert.deepEqual(sliceOf(treeOf(sampleFiles), 'gateway-1').selfTest, []);
});

test('the stranger is nobody of the inventory', () => {
  const inventory = (sampleFiles['inventory/cell.yaml'] ?? '').replaceAll('desk-1', 'self-test-stranger');
  const slice = sliceOf(treeOf({ ...sampleFiles, 'inventory/cell.yaml': inventory }), 'plc-1');
  assert.ok(slice.selfTest.some((vector) => vector.subject === 'self-test-stranger-x'));
  assert.ok(slice.selfTest.every((vector) => vector.subject !== 'self-test-stranger'));
});

test('the engine answers every vector as expected, and notices a policy that is wider than its vectors', () => {
  const slice = sliceOf(treeOf(sampleFiles), 'plc-1');
  const report = compileSlice(slice, meta).selfTest();
  assert.deepEqual(report, { vectors: slice.selfTest.length, passed: slice.selfTest.length, failures: [] });
  const wider = {
    ...slice,
    denies: [],
    grants: slice.grants.map((grant) => ({ ...grant, operations: ['read-process', 'write-setpoint'] })),
  };
  assert.ok(compileSlice(wider, meta).selfTest().failures.length > 0);
});
