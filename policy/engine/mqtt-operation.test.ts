// Which MQTT requests are surely inside an operation, and which possibly reach it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { SliceInterface, SliceOperation } from '../bundle/slice.ts';
import { contains, mayOverlap } from './operation-contains.ts';
import { compileMqtt } from './mqtt-operation.ts';
import type { MqttRequest } from './request.ts';
import { mqtt } from './testing/sample-slice.ts';

type MqttOperation = Extract<SliceOperation, { protocol: 'mqtt' }>;

const entry = { place: 'interfaces/broker.yaml:3' } as SliceInterface;

const operation = (more: Partial<MqttOperation> = {}): MqttOperation => ({
  name: 'x',
  protocol: 'mqtt',
  actions: ['publish'],
  topics: ['plant/{device}/+'],
  retain: false,
  will: false,
  shares: [],
  class: 'normal',
  island: false,
  ...more,
});

function judged(request: MqttRequest, more: Partial<MqttOperation> = {}, subject = 'dev'): 'sure' | 'possible' | 'no' {
  const matched = compileMqtt(entry, [operation(more)])(request, subject);
  assert.ok(matched.kind === 'matched');
  if (matched.sure.length > 0) {
    assert.deepEqual(matched.possible(), matched.sure);
    return 'sure';
  }
  return matched.possible().length > 0 ? 'possible' : 'no';
}

const publish = (topic: string, more: Partial<MqttRequest> = {}) => mqtt('publish', topic, more);
const subscribe = (topic: string, more: Partial<MqttRequest> = {}) => mqtt('subscribe', topic, more);
const connect = (clientId: string, more: Partial<MqttRequest> = {}) =>
  mqtt('connect', '', { clientId, keepAliveSeconds: 60, ...more });

test('mqtt: a device publishes under its own name and under no other', () => {
  assert.equal(judged(publish('plant/dev/temperature')), 'sure');
  assert.equal(judged(publish('plant/dev2/temperature')), 'no');
  assert.equal(judged(publish('plant/dev/a/b')), 'no');
  assert.equal(judged(publish('plant/dev')), 'no');
  assert.equal(judged(publish('plant/+/temperature')), 'no');
  assert.equal(judged(publish('plant/dev/temperature'), {}, 'other'), 'no');
  // Nobody knows whose the topic of an unknown subject is.
  assert.equal(judged(publish('plant//temperature'), {}, ''), 'possible');
  assert.equal(judged(publish('plant/+/temperature'), {}, '+'), 'no');
  assert.equal(judged(mqtt('receive', 'plant/dev/temperature')), 'no');
});

test('mqtt: a subscription is granted when all that it may bring is, and denied when any of it is', () => {
  const readers: Partial<MqttOperation> = { actions: ['subscribe'], topics: ['plant/#', 'cell/+/state'] };
  assert.equal(judged(subscribe('plant/+/temperature'), readers), 'sure');
  assert.equal(judged(subscribe('plant'), readers), 'sure');
  assert.equal(judged(subscribe('cell/+/state'), readers), 'sure');
  assert.equal(judged(subscribe('cell/#'), readers), 'possible');
  assert.equal(judged(subscribe('#'), readers), 'possible');
  assert.equal(judged(subscribe('+/x/state'), readers), 'possible');
  assert.equal(judged(subscribe('other/#'), readers), 'no');
});

test('mqtt: what may be subscribed to may be delivered, and what may be received may not be subscribed to', () => {
  const all: Partial<MqttOperation> = { topics: ['plant/#'] };
  assert.equal(judged(mqtt('receive', 'plant/x'), { ...all, actions: ['subscribe'] }), 'sure');
  assert.equal(judged(subscribe('plant/x'), { ...all, actions: ['receive'] }), 'no');
  assert.equal(judged(publish('plant/x'), { ...all, actions: ['subscribe'] }), 'no');
});

test('mqtt: topics of the server itself are granted by name alone, and denied by # too', () => {
  assert.equal(judged(publish('$SYS/x'), { topics: ['#'] }), 'possible');
  assert.equal(judged(publish('$SYS/x'), { topics: ['+/x'] }), 'possible');
  assert.equal(judged(publish('$SYS/x'), { topics: ['$SYS/#'] }), 'sure');
  assert.equal(judged(subscribe('#'), { actions: ['subscribe'], topics: ['+/#'] }), 'sure');
});

test('mqtt: retained messages and wills are granted by name, and denied with the others', () => {
  const retained = publish('plant/dev/x', { retain: true });
  assert.equal(judged(retained), 'possible');
  assert.equal(judged(retained, { retain: true }), 'sure');
  // What the server kept arrives with the mark, whoever may keep.
  assert.equal(judged(mqtt('receive', 'plant/dev/x', { retain: true }), { actions: ['receive'] }), 'sure');
  const will = publish('plant/dev/x', { will: true });
  assert.equal(judged(will), 'possible');
  assert.equal(judged(will, { will: true }), 'sure');
  assert.equal(judged(publish('plant/dev/x'), { retain: true, will: true }), 'sure');
});

test('mqtt: shared subscriptions are granted by name', () => {
  const readers: Partial<MqttOperation> = { actions: ['subscribe'] };
  const shared = subscribe('plant/dev/x', { share: 'workers' });
  assert.equal(judged(shared, readers), 'possible');
  assert.equal(judged(shared, { ...readers, shares: ['others'] }), 'possible');
  assert.equal(judged(shared, { ...readers, shares: ['others', 'workers'] }), 'sure');
  assert.equal(judged(subscribe('plant/dev/x'), { ...readers, shares: ['workers'] }), 'sure');
  for (const share of ['', 'a/b', '+', '#', 'a\0']) {
    assert.equal(judged(subscribe('plant/dev/x', { share }), { ...readers, shares: [share] }), 'no', share);
  }
});

test('mqtt: quality and size are bounds, of a deny none', () => {
  assert.equal(judged(publish('plant/dev/x', { qos: 2 }), { maxQos: 1 }), 'possible');
  assert.equal(judged(publish('plant/dev/x', { qos: 1 }), { maxQos: 1 }), 'sure');
  assert.equal(judged(subscribe('plant/dev/x', { qos: 1 }), { actions: ['subscribe'], maxQos: 0 }), 'possible');
  assert.equal(judged(publish('plant/dev/x', { payloadBytes: 11 }), { maxPayloadBytes: 10 }), 'possible');
  assert.equal(judged(publish('plant/dev/x', { payloadBytes: 10 }), { maxPayloadBytes: 10 }), 'sure');
});

test('mqtt: numbers in a payload: what is missing or no number is never sure and spares nothing from a deny', () => {
  const bounded: Partial<MqttOperation> = { json: { '/temperature': [-40, 85], '/a~1b/0/~0c': [0, 1] } };
  const judge = (json: unknown) => judged(publish('plant/dev/x', json === undefined ? {} : { json }), bounded);
  const good = { 'a/b': [{ '~c': 1 }] };
  assert.equal(judge({ temperature: 85, ...good }), 'sure');
  assert.equal(judge({ temperature: -40, ...good }), 'sure');
  assert.equal(judge({ temperature: 85.01, ...good }), 'no');
  assert.equal(judge({ temperature: 85 }), 'possible');
  for (const temperature of ['20', null, true, [20], { value: 20 }, Infinity, Number.NaN]) {
    assert.equal(judge({ temperature, ...good }), 'possible', JSON.stringify(temperature));
  }
  for (const document of [undefined, null, 'text', 7, [], {}]) assert.equal(judge(document), 'possible');
  // One that surely is outside is another message, whatever the rest of it is.
  assert.equal(judge({ temperature: 100 }), 'no');
  assert.equal(judge(Object.create({ temperature: 20, ...good })), 'possible');
  assert.equal(judge({ temperature: 20, 'a/b': { 0: { '~c': 1 } } }), 'sure');
  assert.equal(judge({ temperature: 20, 'a/b': Object.assign([], { '00': 1, 0: { '~c': 2 } }) }), 'no');
  assert.equal(judged(publish('plant/dev/x', { json: 7 }), { json: { '': [0, 9] } }), 'sure');
});

test('mqtt: a client connects under the names that are listed', () => {
  const may: Partial<MqttOperation> = { actions: ['connect'], topics: [], clientIds: ['{device}', 'legacy', 'mosq-*'] };
  assert.equal(judged(connect('dev'), may), 'sure');
  assert.equal(judged(connect('dev-1'), may), 'no');
  assert.equal(judged(connect('Dev'), may), 'no');
  assert.equal(judged(connect('legacy'), may), 'sure');
  assert.equal(judged(connect('mosq-7'), may), 'sure');
  assert.equal(judged(connect('mosq'), may), 'no');
  assert.equal(judged(connect('dev'), may, 'other'), 'no');
  // The server chooses one: any, or none that is meant.
  assert.equal(judged(connect(''), may), 'possible');
  assert.equal(judged(connect(''), { ...may, clientIds: [''] }), 'sure');
  assert.equal(judged(connect(''), { ...may, clientIds: ['{device}'] }, ''), 'possible');
  assert.equal(judged(connect('-x'), { ...may, clientIds: ['{device}-*'] }, ''), 'no');
  // Without any nobody connects.
  const { clientIds: _, ...nobody } = operation(may);
  const matched = compileMqtt(entry, [nobody])(connect('dev'), 'dev');
  assert.ok(matched.kind === 'matched');
  assert.deepEqual([matched.sure, matched.possible()], [[], [0]]);
});

test('mqtt: a client that will not be missed is above every keep-alive', () => {
  const may: Partial<MqttOperation> = {
    actions: ['connect'],
    topics: [],
    clientIds: ['{device}'],
    maxKeepAliveSeconds: 60,
  };
  assert.equal(judged(connect('dev', { keepAliveSeconds: 60 }), may), 'sure');
  assert.equal(judged(connect('dev', { keepAliveSeconds: 61 }), may), 'possible');
  assert.equal(judged(connect('dev', { keepAliveSeconds: 0 }), may), 'possible');
  assert.equal(judged(mqtt('connect', '', { clientId: 'dev' }), may), 'possible');
  assert.equal(judged(connect('dev', { will: true }), may), 'possible');
  assert.equal(judged(connect('dev', { will: true }), { ...may, will: true }), 'sure');
});

test('mqtt: client ids bound what is published too, where they are listed', () => {
  const sensor: Partial<MqttOperation> = { clientIds: ['{device}-sensor'] };
  assert.equal(judged(publish('plant/dev/x', { clientId: 'dev-sensor' }), sensor), 'sure');
  assert.equal(judged(publish('plant/dev/x', { clientId: 'dev' }), sensor), 'no');
  assert.equal(judged(publish('plant/dev/x', { clientId: '' }), sensor), 'possible');
});

test('mqtt: a request that no packet can be is nothing', () => {
  const broken: Partial<Record<keyof MqttRequest, unknown>>[] = [
    { qos: 3 },
    { qos: -1 },
    { retain: 'no' },
    { will: undefined },
    { payloadBytes: -1 },
    { payloadBytes: 1.5 },
    { payloadBytes: Number.NaN },
    { clientId: 'a\0' },
    { clientId: '\ud800' },
    { clientId: 7 },
    { topic: '' },
    { topic: undefined },
    { action: 'other' },
    { keepAliveSeconds: -1 },
  ];
  for (const more of broken) {
    assert.equal(judged(publish('plant/dev/x', more as Partial<MqttRequest>)), 'no', JSON.stringify(more));
  }
  assert.equal(judged(mqtt('connect', 'plant/dev/x', { clientId: 'dev' }), { actions: ['connect'] }), 'no');
});

test('mqtt: a malformed filter is no bundle', () => {
  assert.throws(() => compileMqtt(entry, [operation({ topics: ['a/#/b'] })]), {
    code: 'ENGINE_SLICE_INVALID',
    message: /a\/#\/b.*whole last one/,
  });
});

const level = fc.constantFrom('a', 'b', '+', '{device}');
const filter = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 2 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'));
const operations = fc.record(
  {
    name: fc.constant('x'),
    protocol: fc.constant('mqtt' as const),
    actions: fc.uniqueArray(
      fc.constantFrom('publish' as const, 'subscribe' as const, 'receive' as const, 'connect' as const),
      {
        minLength: 1,
      },
    ),
    topics: fc.uniqueArray(filter, { minLength: 1, maxLength: 3 }),
    clientIds: fc.uniqueArray(fc.constantFrom('{device}', 'dev', 'd*', '{device}-*', ''), {
      minLength: 1,
      maxLength: 2,
    }),
    maxQos: fc.constantFrom(0 as const, 1 as const),
    retain: fc.boolean(),
    will: fc.boolean(),
    shares: fc.uniqueArray(fc.constantFrom('s', 't'), { maxLength: 2 }),
    maxPayloadBytes: fc.constantFrom(1, 2),
    json: fc.constantFrom<Record<string, [number, number]>>({ '/t': [0, 1] }, { '/t': [0, 2] }, { '/t': [2, 3] }),
    maxKeepAliveSeconds: fc.constantFrom(1, 2),
    class: fc.constant('normal' as const),
    island: fc.constant(false),
  },
  {
    requiredKeys: ['name', 'protocol', 'actions', 'topics', 'retain', 'will', 'shares', 'class', 'island'],
  },
);
const requests = fc
  .record({
    action: fc.constantFrom('publish' as const, 'subscribe' as const, 'receive' as const, 'connect' as const),
    clientId: fc.constantFrom('dev', 'd', 'dev-1', ''),
    levels: fc.array(fc.constantFrom('a', 'b', 'c', 'dev', '+'), { minLength: 1, maxLength: 3 }),
    share: fc.constantFrom(undefined, 's'),
    qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
    retain: fc.boolean(),
    will: fc.boolean(),
    payloadBytes: fc.integer({ min: 0, max: 3 }),
    json: fc.constantFrom<unknown>(undefined, {}, { t: 0 }, { t: 1 }, { t: 2 }, { t: 4 }),
    keepAliveSeconds: fc.constantFrom(0, 1, 2),
  })
  .map(({ levels, action, share, ...rest }): MqttRequest => {
    const topic = action === 'connect' ? '' : levels.join('/');
    return { ...mqtt(action, topic, rest), ...(share !== undefined && action === 'subscribe' ? { share } : {}) };
  });

test('mqtt: sure is always possible, and an operation that contains another is whatever the other is', () => {
  let inside = 0;
  fc.assert(
    fc.property(operations, operations, requests, (one, two, request) => {
      const outer = one as MqttOperation;
      // Often the same with one word more or less, so that one contains the other.
      const inner = { ...outer, ...Object.fromEntries(Object.entries(two).slice(5)) } as MqttOperation;
      const match = compileMqtt(entry, [outer, inner])(request, 'dev');
      assert.ok(match.kind === 'matched');
      const possible = match.possible();
      for (const index of match.sure) assert.ok(possible.includes(index));
      if (contains(outer, inner, '')) {
        inside++;
        if (match.sure.includes(1)) assert.ok(match.sure.includes(0), JSON.stringify({ outer, inner, request }));
      }
      // What is surely the one and possibly the other is what mayOverlap warns of.
      if (match.sure.includes(1) && possible.includes(0)) assert.ok(mayOverlap(inner, outer, ''));
    }),
    { numRuns: 5_000 },
  );
  assert.ok(inside > 200, `${inside}`);
});

test('mqtt: an operation with a tighter bound lies inside the other, and not the other way', () => {
  const wide = operation({ actions: ['connect', 'publish', 'subscribe'], clientIds: ['{device}', 'c*'] });
  const pairs: readonly (readonly [wider: Partial<MqttOperation>, tighter: Partial<MqttOperation>])[] = [
    [{ retain: true }, {}],
    [{ will: true }, {}],
    [{ shares: ['s'] }, {}],
    [{}, { maxQos: 1 }],
    [{}, { maxPayloadBytes: 9 }],
    [{}, { maxKeepAliveSeconds: 9 }],
    [{}, { json: { '/t': [0, 1] } }],
    [{ json: { '/t': [0, 2] } }, { json: { '/t': [0, 1] } }],
    [{}, { clientIds: ['{device}'] }],
    [{}, { clientIds: ['cx', 'c-*'] }],
    [{}, { actions: ['publish'] }],
    [{ topics: ['plant/#'] }, {}],
  ];
  for (const [wider, tighter] of pairs) {
    const [outer, inner] = [
      { ...wide, ...wider },
      { ...wide, ...tighter },
    ];
    assert.ok(contains(outer, inner, ''), JSON.stringify([wider, tighter]));
    assert.ok(!contains(inner, outer, ''), JSON.stringify([tighter, wider]));
  }
});
