// Random slices and requests, dense enough that a good part of the requests is allowed.
import * as fc from 'fast-check';
import { sliceConditionsSchema, sliceDenyConditionsSchema } from '../../bundle/conditions.ts';
import type { SliceAttribute, SliceConditions, SliceDenyConditions } from '../../bundle/conditions.ts';
import { sliceSchema, type Slice } from '../../bundle/slice.ts';
import { stateTable } from '../state-table.ts';
import { subjectAttributes } from '../attributes.ts';
import type { Freshness } from '../judge.ts';
import type { AccessRequest, Attribute, AttributeValue, MqttRequest, Operation, SubjectState } from '../request.ts';
import { now } from './sample-slice.ts';

const devices = ['gateway-1', 'camera-1', 'station-1'];
const bindings = ['svid', 'ip', 'port+mac+ip'] as const;
const paths = ['/', '/a', '/a/b', '/a/*', '/a/**', '/**', '/b'];
const operationNames = ['one', 'two', 'three'];
export const interfaceNames = ['web', 'registers', 'socket', 'broker', 'camera'] as const;

/** The first three more often, so that what is drawn of each still meets. */
const interfaceName = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('web', 'registers', 'socket') },
  { weight: 1, arbitrary: fc.constantFrom(...interfaceNames) },
);

const range = fc
  .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 12 }))
  .map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);
const classes = fc.constantFrom('safety', 'normal', 'normal', 'sensitive');
const everyOperation = { class: classes, island: fc.boolean() };

const present = (all: object): object =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
const seldom = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

const httpOperation = fc
  .record({
    protocol: fc.constant('http'),
    methods: fc.subarray(['GET', 'POST'], { minLength: 1 }),
    paths: fc.uniqueArray(fc.constantFrom(...paths), { minLength: 1, maxLength: 3 }),
    hosts: seldom(fc.subarray(['a.example', '*.b.example', 'c.example:80'], { minLength: 1 })),
    headers: seldom(fc.subarray(['one', 'two'], { minLength: 1 }).map((values) => ({ 'x-line': values }))),
    maxBodyBytes: seldom(fc.integer({ min: 0, max: 3 })),
    ...everyOperation,
  })
  .map(present);
const modbusOperation = fc
  .record({
    protocol: fc.constant('modbus'),
    functionCodes: fc.subarray([3, 6, 16, 22, 23, 43], { minLength: 1 }),
    units: fc.subarray([1, 2]),
    addresses: fc.array(range, { minLength: 1, maxLength: 2 }),
    values: fc.option(range, { nil: undefined }),
    maxQuantity: seldom(fc.integer({ min: 1, max: 3 })),
    maxChangePerMinute: seldom(fc.integer({ min: 1, max: 3 })),
    ...everyOperation,
  })
  .map(present);
const actions = ['connect', 'publish', 'subscribe', 'receive'] as const;
const mqttOperation = fc
  .record({
    protocol: fc.constant('mqtt'),
    actions: fc.subarray([...actions], { minLength: 1 }),
    topics: fc.uniqueArray(fc.constantFrom('a/{device}', 'a/+', 'a/#', '#', '+/b', 'b'), {
      minLength: 1,
      maxLength: 2,
    }),
    clientIds: fc.constantFrom(['{device}'], ['{device}', 'c*'], undefined),
    maxQos: seldom(fc.constantFrom(0, 1)),
    retain: fc.boolean(),
    will: fc.boolean(),
    shares: fc.subarray(['s']),
    maxPayloadBytes: seldom(fc.constant(3)),
    json: seldom(fc.constant({ '/t': [0, 5] })),
    maxKeepAliveSeconds: seldom(fc.constant(60)),
    ...everyOperation,
  })
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));
const tlsOperation = fc.record({
  protocol: fc.constant('tls'),
  names: fc.uniqueArray(fc.constantFrom('a.x.example', '*.x.example', 'b.example'), { minLength: 1, maxLength: 2 }),
  ...everyOperation,
});
const portOperation = fc.record({ protocol: fc.constant('port'), ...everyOperation });

const named = (operations: readonly object[]): object[] =>
  operations.map((operation, index) => ({ ...operation, name: operationNames[index] }));

const service = (name: string, protocol: string, operation: fc.Arbitrary<object>): fc.Arbitrary<object> =>
  fc.record({
    name: fc.constant(name),
    device: fc.constant('plc-1'),
    protocol: fc.constant(protocol),
    transport: fc.constant('tcp'),
    port: fc.constant(502),
    // Three always, so that grants and denies can name any.
    operations: fc.array(operation, { minLength: 3, maxLength: 3 }).map(named),
    onEnforcerDeath: fc.constant('closed'),
    auditDurable: fc.constant(false),
    place: fc.constant('i.yaml:1'),
  });

const textTest = fc.constantFrom<object>({ equals: 'a' }, { equals: '' }, { in: ['a', 'b'] }, { present: true });
const numberTest = fc.constantFrom<object>({ min: 5 }, { max: 5 }, { min: 2, max: 8 }, { in: [1, 9] });
const listTest = fc.constantFrom<object>({ contains: ['a'] }, { contains: ['a', 'b'] });

/** Every attribute that random conditions read and random requests say, or leave out. */
export const attributes: readonly SliceAttribute[] = [
  { source: 'subject', name: 'site', type: 'string', values: ['', 'a', 'b', 'c'] },
  { source: 'context', name: 'load', type: 'number', maxAgeSeconds: 60, range: [0, 10] },
  { source: 'resource', name: 'lines', type: 'strings' },
];

const attributeTests = fc.tuple(textTest, numberTest, listTest).chain((tests) =>
  fc.subarray(
    attributes.map(({ source, name }, index) => ({ source, name, ...tests[index] })),
    { minLength: 1 },
  ),
);

const shared = {
  attributes: attributeTests,
  timeWindow: fc.constantFrom({ fromMinute: 0, toMinute: 1_440 }, { fromMinute: 600, toMinute: 720 }),
  weekdays: fc.subarray(['sat', 'sun', 'mon'], { minLength: 1 }),
};

/** Mostly one of them, so that requests fulfil it often enough, and sometimes several. */
const some = <T>(kinds: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.oneof(...Object.entries(kinds).map(([name, kind]) => only<T>(name, kind))) },
    { weight: 1, arbitrary: fc.record(kinds, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>> },
  );
const only = <T>(name: string, kind: unknown): fc.Arbitrary<Partial<T>> =>
  (kind as fc.Arbitrary<unknown>).map((value) => ({ [name]: value }) as Partial<T>);

/** Of a grant; the request's attributes fulfil some of them. */
export const conditions: fc.Arbitrary<SliceConditions> = some({
  attestation: fc.subarray(['none', 'software', 'tpm'], { minLength: 1 }),
  attestationMaxAgeSeconds: fc.constantFrom(60, 3_600),
  maxRisk: fc.constantFrom(10, 90),
  ...shared,
}).map((loose) => sliceConditionsSchema.parse(loose));

export const denyConditions: fc.Arbitrary<SliceDenyConditions> = some({
  attestation: fc.subarray(['none', 'software', 'tpm'], { minLength: 1 }),
  attestationOlderThanSeconds: fc.constantFrom(60, 3_600),
  minRisk: fc.constantFrom(10, 90),
  ...shared,
  attributes: attributeTests.map((tests) => tests.filter((entry) => !('present' in entry))),
}).map(({ attributes: tests, ...loose }) =>
  sliceDenyConditionsSchema.parse(tests === undefined || tests.length === 0 ? loose : { ...loose, attributes: tests }),
);

export const grant: fc.Arbitrary<Slice['grants'][number]> = fc.record({
  id: fc.constantFrom('g1', 'g2', 'g3'),
  subjects: fc.subarray(devices),
  interface: interfaceName,
  device: fc.constant('plc-1'),
  operations: fc.subarray(operationNames, { minLength: 1 }),
  binding: fc.constantFrom('svid', 'svid', ...bindings),
  conditions: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: conditions }),
  place: fc.constant('g.yaml:1'),
});

export const deny: fc.Arbitrary<Slice['denies'][number]> = fc
  .record({
    id: fc.constantFrom('d1', 'd2'),
    subjects: fc.subarray(devices),
    interface: interfaceName,
    device: fc.constant('plc-1'),
    operations: fc.subarray(operationNames),
    conditions: fc.option(denyConditions, { nil: undefined }),
    place: fc.constant('d.yaml:1'),
  })
  .map(({ conditions: guards, ...rest }) => (guards === undefined ? rest : { ...rest, conditions: guards }));

export const slice: fc.Arbitrary<Slice> = fc
  .record({
    format: fc.constant(1),
    trustDomain: fc.constant('plant.example'),
    device: fc.constant('plc-1'),
    devices: fc.constant([]),
    interfaces: fc
      .tuple(
        service('web', 'http', httpOperation),
        service('registers', 'modbus', modbusOperation),
        service('socket', 'port', portOperation),
        service('broker', 'mqtt', mqttOperation),
        service('camera', 'tls', tlsOperation),
      )
      .map((all) => [...all]),
    grants: fc.array(grant, { minLength: 4, maxLength: 14 }),
    denies: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(deny, { maxLength: 2 }) },
    ),
    firewall: fc.constant([]),
    casbin: fc.constant([]),
    attributes: fc.constant([...attributes]),
    selfTest: fc.constant([]),
  })
  .map((loose) => sliceSchema.parse(loose));

interface Drawn {
  readonly name: string;
  readonly operation: Operation;
}

const usual: fc.Arbitrary<Drawn> = fc.oneof(
  fc
    .record({
      protocol: fc.constant('http' as const),
      method: fc.constantFrom('GET', 'POST', 'PUT'),
      path: fc.constantFrom('/', '/a', '/a/b', '/a/', '/A', '/b', '/c', '/a//b', '/a/../b', '/a?x'),
      host: fc.constantFrom(undefined, 'a.example', 'x.b.example:81', 'c.example:80', 'd.example'),
      headers: fc.constantFrom(undefined, { 'x-line': ['one'] }, { 'x-line': ['two'] }, { 'x-line': ['one', 'two'] }),
      bodyBytes: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
    })
    .map((drawn) => ({ name: 'web', operation: present(drawn) as Operation })),
  fc
    .record({
      protocol: fc.constant('modbus' as const),
      unit: fc.constantFrom(0, 1, 2),
      functionCode: fc.constantFrom(3, 6, 16, 22, 23, 43, 99),
      address: fc.integer({ min: 0, max: 13 }),
      quantity: fc.integer({ min: 0, max: 3 }),
      values: fc.array(fc.integer({ min: 0, max: 13 }), { maxLength: 3 }),
      change: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
    })
    .map(({ change, ...drawn }) => ({
      name: 'registers',
      operation: change === undefined ? drawn : { ...drawn, change },
    })),
  fc.constant({ name: 'socket', operation: { protocol: 'port' as const } }),
);
const messages: fc.Arbitrary<Drawn> = fc.oneof(
  fc
    .record({
      action: fc.constantFrom(...actions),
      clientId: fc.constantFrom(...devices, 'c', ''),
      topic: fc.constantFrom('a', 'a/gateway-1', 'a/camera-1', 'a/b', 'a/b/c', 'b', '$S/b', 'c'),
      filter: fc.constantFrom('#', '+/b', 'a/+', 'a/#', 'a/gateway-1', 'c/#'),
      share: fc.constantFrom(undefined, 's', 't'),
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      retain: fc.boolean(),
      will: fc.boolean(),
      payloadBytes: fc.integer({ min: 0, max: 5 }),
      json: fc.constantFrom<unknown>(undefined, { t: 3 }, { t: 9 }, { u: 1 }),
      keepAliveSeconds: fc.constantFrom(0, 60, 61),
    })
    .map((drawn) => ({ name: 'broker', operation: mqttRequest(drawn) })),
  fc
    .constantFrom('a.x.example', 'B.x.example', 'x.example', 'b.example', '', 'b.example.')
    .map((serverName) => ({ name: 'camera', operation: { protocol: 'tls' as const, serverName, alpn: [] } })),
);
const operation: fc.Arbitrary<Drawn> = fc.oneof({ weight: 5, arbitrary: usual }, { weight: 1, arbitrary: messages });

/** With what its action has, as an enforcement point would say it. */
function mqttRequest(drawn: {
  action: MqttRequest['action'];
  clientId: string;
  topic: string;
  filter: string;
  share: string | undefined;
  qos: MqttRequest['qos'];
  retain: boolean;
  will: boolean;
  payloadBytes: number;
  json: unknown;
  keepAliveSeconds: number;
}): MqttRequest {
  const { action, clientId, topic, filter, share, qos, retain, will, payloadBytes, json, keepAliveSeconds } = drawn;
  const is = (...wanted: MqttRequest['action'][]): boolean => wanted.includes(action);
  return {
    protocol: 'mqtt',
    action,
    clientId,
    topic: is('connect') ? '' : is('subscribe') ? filter : topic,
    ...(is('subscribe') && share !== undefined ? { share } : {}),
    qos: is('connect') ? 0 : qos,
    retain: is('publish') && retain,
    will: is('publish', 'connect') && will,
    payloadBytes: is('publish', 'receive') ? payloadBytes : 0,
    ...(is('publish', 'receive') && json !== undefined ? { json } : {}),
    ...(is('connect') ? { keepAliveSeconds } : {}),
    version: 4,
  };
}

export const state: fc.Arbitrary<SubjectState> = fc.constantFrom(
  'trusted',
  'trusted',
  ...(Object.keys(stateTable) as SubjectState[]),
);
export const freshness: fc.Arbitrary<Freshness> = fc.constantFrom('fresh', 'fresh', 'soft-expired', 'hard-expired');

/** Most say something that conditions can hold with; some say nothing, too late, or something else. */
const said = (...values: AttributeValue[]): fc.Arbitrary<Attribute | undefined> =>
  fc.option(
    fc
      .record({ value: fc.constantFrom(...values), age: fc.constantFrom(0, 0, 0, 90_000) })
      .map(({ value, age }) => ({ value, asOf: now - age })),
    { nil: undefined, freq: 5 },
  );

const given = (name: string, value: Attribute | undefined): Record<string, Attribute> =>
  value === undefined ? {} : { [name]: value };

export const request: fc.Arbitrary<AccessRequest> = fc
  .record({
    id: fc.constantFrom(...devices, ''),
    binding: fc.constantFrom('svid', 'svid', ...bindings),
    state,
    asked: operation,
    attestationClass: fc.constantFrom('software', 'tpm', 'none'),
    age: fc.constantFrom(0, 30_000, 3_000_000, 9_000_000),
    risk: fc.constantFrom(0, 50, 99),
    reduced: fc.constantFrom(false, false, true),
    site: said('a', 'b', '', 'd', 7),
    load: said(1, 5, 9, 11, '5'),
    lines: said(['a', 'b'], ['a'], [], 'a'),
  })
  .map(({ id, binding, state: stateNow, asked, age, site, load, lines, ...facts }) => ({
    subject: {
      id,
      binding,
      state: stateNow,
      attributes: { ...subjectAttributes({ ...facts, attestedAt: now - age, asOf: now }), ...given('site', site) },
    },
    operation: asked.operation,
    resource: { interface: asked.name, attributes: given('lines', lines) },
    context: { time: now, source: 'test', connection: '', attributes: given('load', load) },
  }));
