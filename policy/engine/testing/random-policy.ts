// Random slices and requests, dense enough that a good part of the requests is allowed.
import * as fc from 'fast-check';
import { sliceSchema, type Slice } from '../../bundle/slice.ts';
import { stateTable } from '../state-table.ts';
import { subjectAttributes } from '../attributes.ts';
import type { Freshness } from '../judge.ts';
import type { AccessRequest, Operation, SubjectState } from '../request.ts';
import { now } from './sample-slice.ts';

const devices = ['gateway-1', 'camera-1', 'station-1'];
const bindings = ['svid', 'ip', 'port+mac+ip'] as const;
const paths = ['/', '/a', '/a/b', '/a/*', '/a/**', '/**', '/b'];
const operationNames = ['one', 'two', 'three'];
export const interfaceNames = ['web', 'registers', 'socket'] as const;

const range = fc
  .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 12 }))
  .map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);
const classes = fc.constantFrom('safety', 'normal', 'normal', 'sensitive');
const shared = { class: classes, island: fc.boolean() };

const httpOperation = fc.record({
  protocol: fc.constant('http'),
  methods: fc.subarray(['GET', 'POST'], { minLength: 1 }),
  paths: fc.uniqueArray(fc.constantFrom(...paths), { minLength: 1, maxLength: 3 }),
  ...shared,
});
const modbusOperation = fc
  .record({
    protocol: fc.constant('modbus'),
    functionCodes: fc.subarray([3, 6, 16, 22, 23, 43], { minLength: 1 }),
    units: fc.subarray([1, 2]),
    addresses: fc.array(range, { minLength: 1, maxLength: 2 }),
    values: fc.option(range, { nil: undefined }),
    ...shared,
  })
  .map(({ values, ...rest }) => (values === undefined ? rest : { ...rest, values }));
const portOperation = fc.record({ protocol: fc.constant('port'), ...shared });

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

const conditions = fc.record(
  {
    attestation: fc.subarray(['none', 'software', 'tpm'], { minLength: 1 }),
    attestationMaxAgeSeconds: fc.constantFrom(60, 3_600),
    maxRisk: fc.constantFrom(10, 90),
    timeWindow: fc.constantFrom({ fromMinute: 0, toMinute: 1_440 }, { fromMinute: 600, toMinute: 720 }),
  },
  { requiredKeys: [] },
);

export const grant: fc.Arbitrary<Slice['grants'][number]> = fc.record({
  id: fc.constantFrom('g1', 'g2', 'g3'),
  subjects: fc.subarray(devices),
  interface: fc.constantFrom(...interfaceNames),
  device: fc.constant('plc-1'),
  operations: fc.subarray(operationNames, { minLength: 1 }),
  binding: fc.constantFrom('svid', 'svid', ...bindings),
  conditions: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: conditions }),
  place: fc.constant('g.yaml:1'),
});

export const deny: fc.Arbitrary<Slice['denies'][number]> = fc.record({
  id: fc.constantFrom('d1', 'd2'),
  subjects: fc.subarray(devices),
  interface: fc.constantFrom(...interfaceNames),
  device: fc.constant('plc-1'),
  operations: fc.subarray(operationNames),
  place: fc.constant('d.yaml:1'),
});

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
      )
      .map((all) => [...all]),
    grants: fc.array(grant, { minLength: 4, maxLength: 14 }),
    denies: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(deny, { maxLength: 2 }) },
    ),
    firewall: fc.constant([]),
    casbin: fc.constant([]),
    selfTest: fc.constant([]),
  })
  .map((loose) => sliceSchema.parse(loose));

const operation: fc.Arbitrary<{ name: string; operation: Operation }> = fc.oneof(
  fc
    .record({
      protocol: fc.constant('http' as const),
      method: fc.constantFrom('GET', 'POST', 'PUT'),
      path: fc.constantFrom('/', '/a', '/a/b', '/a/', '/A', '/b', '/c', '/a//b', '/a/../b', '/a?x'),
    })
    .map((drawn) => ({ name: 'web', operation: drawn })),
  fc
    .record({
      protocol: fc.constant('modbus' as const),
      unit: fc.constantFrom(0, 1, 2),
      functionCode: fc.constantFrom(3, 6, 16, 22, 23, 43, 99),
      address: fc.integer({ min: 0, max: 13 }),
      quantity: fc.integer({ min: 0, max: 3 }),
      values: fc.array(fc.integer({ min: 0, max: 13 }), { maxLength: 3 }),
    })
    .map((drawn) => ({ name: 'registers', operation: drawn })),
  fc.constant({ name: 'socket', operation: { protocol: 'port' as const } }),
);

export const state: fc.Arbitrary<SubjectState> = fc.constantFrom(
  'trusted',
  'trusted',
  ...(Object.keys(stateTable) as SubjectState[]),
);
export const freshness: fc.Arbitrary<Freshness> = fc.constantFrom('fresh', 'fresh', 'soft-expired', 'hard-expired');

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
  })
  .map(({ id, binding, state: stateNow, asked, age, ...facts }) => ({
    subject: {
      id,
      binding,
      state: stateNow,
      attributes: subjectAttributes({ ...facts, attestedAt: now - age, asOf: now }),
    },
    operation: asked.operation,
    resource: { interface: asked.name, attributes: {} },
    context: { time: now, source: 'test', connection: '', attributes: {} },
  }));
