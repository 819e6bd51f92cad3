// What is left of a subscription that is not granted as a whole.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SliceInterface, SliceOperation } from '../bundle/slice.ts';
import { narrowedFilters } from './mqtt-narrowing.ts';
import { compileMqtt } from './mqtt-operation.ts';
import { mqtt } from './testing/sample-slice.ts';

type MqttOperation = Extract<SliceOperation, { protocol: 'mqtt' }>;
const operation = (actions: MqttOperation['actions'], ...topics: string[]): MqttOperation => ({
  name: 'x',
  protocol: 'mqtt',
  actions,
  topics,
  retain: false,
  will: false,
  shares: [],
  class: 'normal',
  island: false,
});
const readers = operation(['subscribe'], 'plant/+/state', 'cell/{device}/#');

test('mqtt: a wide subscription is what the operations that subscribe have in common with it', () => {
  const narrowed = (filter: string, subject = 'dev') =>
    narrowedFilters([readers, operation(['publish'], '#')], filter, subject);
  assert.deepEqual(narrowed('#'), ['plant/+/state', 'cell/dev/#']);
  assert.deepEqual(narrowed('plant/#'), ['plant/+/state']);
  assert.deepEqual(narrowed('+/dev/+'), ['plant/dev/state', 'cell/dev/+']);
  assert.deepEqual(narrowed('cell/#'), ['cell/dev/#']);
  assert.deepEqual(narrowed('cell/other/#'), []);
  assert.deepEqual(narrowed('a/#/b'), []);
  for (const subject of ['', '+', '#', '$&']) assert.deepEqual(narrowed('#', subject), ['plant/+/state'], subject);
  assert.deepEqual(narrowedFilters([readers, readers], 'plant/#', 'dev'), ['plant/+/state']);
});

test('mqtt: each of them is surely an operation that subscribes', () => {
  const match = compileMqtt({ place: '' } as SliceInterface, [readers]);
  for (const asked of ['#', '+/#', '+/+/state', 'cell/+/x', 'plant/a/#']) {
    const filters = narrowedFilters([readers], asked, 'dev');
    assert.ok(filters.length > 0, asked);
    for (const filter of filters) {
      const matched = match(mqtt('subscribe', filter), 'dev');
      assert.ok(matched.kind === 'matched');
      assert.deepEqual(matched.sure, [0], filter);
    }
  }
});
