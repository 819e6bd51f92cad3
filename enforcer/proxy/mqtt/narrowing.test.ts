// What a subscription may become, and which of it is asked of the server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brokerSlice } from '../../../test/proxy/mqtt-world.ts';
import { largestParts, namesOf, partsOf } from './narrowing.ts';

const entry = brokerSlice.interfaces[0];
const part = (filter: string, qos: 0 | 1 | 2 = 2) => ({ filter, qos });

test('narrowing: the whole first, then what the interface names of it, at its quality of service and in its share', () => {
  assert.deepEqual(partsOf(part('log/+'), entry, 'sensor-1'), [part('log/+'), part('log/+', 1)]);
  assert.deepEqual(partsOf({ ...part('+/sensor-1/+', 1), share: 'g' }, entry, 'sensor-1'), [
    { ...part('+/sensor-1/+', 1), share: 'g' },
    { ...part('plant/sensor-1/temperature', 1), share: 'g' },
    { ...part('cmd/sensor-1/+', 1), share: 'g' },
    { ...part('log/sensor-1/+', 1), share: 'g' },
  ]);
  assert.deepEqual(partsOf(part('#'), undefined, 'sensor-1'), [part('#')]);
  assert.deepEqual(partsOf(part('cmd/#'), entry, ''), [part('cmd/#')], 'nobody has topics of its own');
});

test('narrowing: of parts that cover each other the largest is left, unless the smaller has a better quality of service', () => {
  assert.deepEqual(largestParts([part('a/b'), part('a/#'), part('a/+')]), [part('a/#')]);
  assert.deepEqual(largestParts([part('a/b', 2), part('a/#', 1)]), [part('a/b', 2), part('a/#', 1)]);
  assert.deepEqual(largestParts([part('a/b', 1), part('a/#', 2)]), [part('a/#', 2)]);
  assert.deepEqual(largestParts([part('a/+'), part('+/b')]), [part('a/+'), part('+/b')]);
});

test('narrowing: what is taken back is the filter and all it may have become', () => {
  assert.deepEqual(namesOf('log/#', entry, 'sensor-1'), ['log/#']);
  assert.deepEqual(namesOf('$share/g/cmd/#', entry, 'sensor-1'), ['$share/g/cmd/#', '$share/g/cmd/sensor-1/#']);
});
