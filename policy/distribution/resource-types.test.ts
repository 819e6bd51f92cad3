import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResourceType, ResourceTypeSchema } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { inPriority, resourceTypeName, resourceTypes } from './resource-types.ts';

test('every resource type of the contract has a row, and no other', () => {
  const numbers = ResourceTypeSchema.values.map(({ number }) => number).filter((number) => number !== 0);
  assert.deepEqual(new Set<number>(resourceTypes.keys()), new Set(numbers));
  const priorities = [...resourceTypes.values()].map(({ priority }) => priority);
  assert.equal(new Set(priorities).size, priorities.length);
});

test('orders come first, and the bulk stream never carries what is urgent', () => {
  assert.equal(inPriority(resourceTypes.keys())[0], ResourceType.ORDERS);
  const lanes = inPriority(resourceTypes.keys()).map((type) => resourceTypes.get(type)?.lane);
  assert.equal(lanes.lastIndexOf('orders') + 1, lanes.indexOf('bulk'));
  assert.equal(resourceTypeName(42 as ResourceType), 'type 42');
});
