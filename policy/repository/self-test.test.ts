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

test('what depends on time, attestation or a Casbin model is not expected to be open', () => {
  for (const more of ['until: 2027-01-01', 'conditions: {maxRisk: 10}', 'conditions: {timeWindow: 06:00-07:00}']) {
    const slice = sliceOf(sampleWith('grants/cell.yaml', 'binding: ip', `binding: ip\n    ${more}`), 'plc-1');
    assert.ok(
      slice.selfTest.every((vector) => vector.expect === 'deny'),
      more,
    );
    assert.ok(slice.selfTest.length > 0);
  }
  assert.ok(sliceOf(treeOf(sampleFiles), 'hmi-1').selfTest.every((vector) => vector.expect === 'deny'));
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
