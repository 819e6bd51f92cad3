// Safety operations pass on faults of ours, and never against a denial of the policy.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Slice, sliceSchema, type VerifiedBundle } from '../../policy/bundle/index.ts';
import {
  type AccessRequest,
  compileSlice,
  type Engine,
  noUsage,
  type SubjectState,
  type Usage,
} from '../../policy/engine/index.ts';
import { createDecide } from './decide.ts';
import { createSafety, sparing } from './safety.ts';
import type { TrustedTime } from './trusted-clock.ts';

const states: SubjectState[] = [
  'unknown',
  'expected',
  'enrolled',
  'trusted',
  'stale',
  'suspect',
  'quarantined',
  'recovering',
  'decommissioned',
  'revoked',
];
const fulfilment = { ids: ['log', 'notification'] as const, custom: [] };
const operation = (name: string, address: number, more: object = {}): object => ({
  name,
  protocol: 'modbus',
  functionCodes: [3, 6],
  units: [1],
  addresses: [[address, address]],
  class: 'normal',
  island: false,
  ...more,
});

type Loose<T> = { readonly [K in keyof T]?: unknown };

function sliceWith({
  grants = [],
  denies = [],
}: {
  grants?: Loose<Slice['grants'][0]>[];
  denies?: Loose<Slice['denies'][0]>[];
}): Slice {
  const about = { interface: 'plc', device: 'plc-1', place: 'file.yaml:1' };
  return sliceSchema.parse({
    format: 1,
    trustDomain: 'plant.example',
    device: 'plc-1',
    devices: [],
    interfaces: [
      {
        name: 'plc',
        device: 'plc-1',
        protocol: 'modbus',
        transport: 'tcp',
        port: 502,
        operations: [
          operation('set', 10),
          operation('stop', 20, { class: 'safety' }),
          operation('reset', 21, { class: 'safety', island: true }),
          operation('write-all', 0, { class: 'sensitive', addresses: [[0, 99]] }),
        ],
        onEnforcerDeath: 'closed',
        auditDurable: false,
        place: 'interfaces/plc.yaml:1',
      },
    ],
    grants: grants.map((grant, at) => ({
      id: `g-${at}`,
      subjects: ['hmi-1'],
      operations: ['stop'],
      binding: 'ip',
      conditions: {},
      ...about,
      ...grant,
    })),
    denies: denies.map((deny, at) => ({ id: `d-${at}`, subjects: [], operations: [], ...about, ...deny })),
    firewall: [],
    casbin: [],
    selfTest: [],
  });
}

const meta = { digest: 'ab'.repeat(32), softExpiry: 1_000, hardExpiry: 2_000 };

function parts(slice: Slice, broken = false, now: TrustedTime = { now: 100, trusted: true }, island = false) {
  const whole = compileSlice(slice, meta);
  const fail = (): never => {
    throw new Error('a fault of the engine');
  };
  const engine: Engine = broken ? { ...whole, decide: fail, decideOpened: fail, decideAlone: fail } : whole;
  const manifest = { issuedAt: 0, softExpiry: meta.softExpiry, hardExpiry: meta.hardExpiry };
  const bundle = { slice, digest: meta.digest, manifest } as unknown as VerifiedBundle;
  return { current: () => ({ engine, bundle }), time: () => now, island: () => island };
}

const request = (address: number, more: Partial<AccessRequest['subject']> = {}): AccessRequest => ({
  subject: { id: 'hmi-1', binding: 'port+mac+ip', state: 'trusted', attributes: {}, ...more },
  operation: { protocol: 'modbus', unit: 1, functionCode: 6, address, quantity: 1, values: [1] },
  resource: { interface: 'plc', attributes: {} },
  context: { time: 100, source: 'modbus', connection: '', attributes: {} },
});

/** As an enforcement point asks, with counts that answer what is given. */
function asked(slice: Slice, { broken = false, counts = noUsage }: { broken?: boolean; counts?: Usage } = {}) {
  const ports = parts(slice, broken);
  const decide = sparing(createDecide(ports.current, ports.time), createSafety(ports));
  return (of: AccessRequest) => decide(of, { usage: counts, fulfilment });
}

const always = (answer: 'rate' | 'uses' | 'unavailable'): Usage => ({ take: () => answer, look: () => answer });

test('an engine that fails leaves safety operations to who holds them, and nothing else', () => {
  const slice = sliceWith({ grants: [{ operations: ['stop', 'set'] }] });
  const decide = asked(slice, { broken: true });
  const { allow, spared, rule, operation: name, bundle } = decide(request(20));
  assert.deepEqual([allow, spared, rule, name, bundle], [true, 'fault', 'grant:g-0', 'stop', meta.digest]);
  assert.equal(decide(request(10)).allow, false, 'not of class safety');
  assert.equal(decide(request(21)).allow, false, 'not granted');
  assert.equal(decide(request(20, { id: 'camera-1' })).allow, false);
  assert.equal(decide(request(20, { id: '' })).allow, false);
  for (const state of ['revoked', 'unknown', 'quarantined', 'decommissioned'] as const) {
    assert.equal(decide(request(20, { state })).allow, false, state);
  }
  assert.equal(asked(slice)(request(20)).spared, undefined, 'nothing to spare while the engine answers');
});

test('counts that cannot be kept, and a rate that others used up, do not stop it; a spent number of uses does', () => {
  const slice = sliceWith({ grants: [{ operations: ['stop', 'set'], rate: { count: 1, perSeconds: 60 }, uses: 5 }] });
  for (const answer of ['unavailable', 'rate'] as const) {
    const decide = asked(slice, { counts: always(answer) });
    assert.deepEqual([decide(request(20)).allow, decide(request(20)).spared], [true, 'condition'], answer);
    assert.deepEqual([decide(request(10)).allow, decide(request(10)).reason], [false, 'condition'], answer);
  }
  assert.equal(asked(slice, { counts: always('uses') })(request(20)).allow, false);
});

test('what the policy denies stays denied, also when the counts or the engine fail', () => {
  const rows: [string, Parameters<typeof sliceWith>[0]][] = [
    ['a deny', { grants: [{}], denies: [{}] }],
    ['a deny of what it possibly is', { grants: [{}], denies: [{ operations: ['write-all'] }] }],
    ['a deny of the subject', { grants: [{}], denies: [{ subjects: ['hmi-1'] }] }],
    ['a grant that has not begun', { grants: [{ notBefore: 500 }] }],
    ['a grant that has ended', { grants: [{ until: 50 }] }],
    ['another binding', { grants: [{ binding: 'svid' }] }],
    ['no grant', { grants: [{ operations: ['set'] }] }],
    ['a condition', { grants: [{ conditions: { maxRisk: 10 } }] }],
  ];
  for (const [what, rules] of rows) {
    for (const broken of [false, true]) {
      const limited = {
        ...rules,
        grants: rules.grants?.map((grant) => ({ rate: { count: 1, perSeconds: 60 }, ...grant })) ?? [],
      };
      assert.equal(asked(sliceWith(limited), { broken, counts: always('rate') })(request(20)).allow, false, what);
    }
  }
});

test('a calendar does not begin by a clock that nobody vouches for', () => {
  const slice = sliceWith({ grants: [{ notBefore: 50 }] });
  const at = (time: TrustedTime) => createSafety(parts(slice, true, time)).decide(request(20), fulfilment).allow;
  assert.equal(at({ now: 100, trusted: true }), true);
  assert.equal(at({ now: 100, trusted: false, floor: 40 }), false);
  assert.equal(at({ now: 100, trusted: false, floor: 60 }), true);
});

test('room is kept for who holds a safety operation, whatever its conditions', () => {
  const safety = createSafety(
    parts(sliceWith({ grants: [{ conditions: { maxRisk: 10 } }, { subjects: ['b'], operations: ['set'] }] })),
  );
  assert.equal(safety.mayServe('hmi-1', 'plc'), true);
  assert.equal(safety.mayServe('hmi-1', 'other'), false);
  assert.equal(safety.mayServe('b', 'plc'), false);
  assert.equal(safety.mayServe('', 'plc'), false);
});

const names = fc.constantFrom('set', 'stop', 'reset', 'write-all');
const dates = { notBefore: fc.constantFrom(30, 50, 500), until: fc.constantFrom(50, 500, 500) };
const grants = fc.array(
  fc.record(
    {
      subjects: fc.constantFrom(['hmi-1'], ['hmi-1', 'camera-1'], ['camera-1']),
      operations: fc.uniqueArray(names, { minLength: 1 }),
      binding: fc.constantFrom('ip', 'ip', 'svid', 'port+mac+ip'),
      conditions: fc.constantFrom({}, {}, { maxRisk: 10 }),
      uses: fc.constant(3),
      ...dates,
    },
    { requiredKeys: ['subjects', 'operations', 'binding', 'conditions'] },
  ),
  { minLength: 1, maxLength: 4 },
);
const denies = fc.array(
  fc.record(
    {
      subjects: fc.subarray(['hmi-1', 'camera-1']),
      operations: fc.subarray(['set', 'stop', 'reset', 'write-all']),
      ...dates,
    },
    { requiredKeys: ['subjects', 'operations'] },
  ),
  { maxLength: 1 },
);

test('property: the table allows nothing that the engine would not allow past hard expiry', () => {
  let allowed = 0;
  fc.assert(
    fc.property(
      grants,
      denies,
      fc.oneof(fc.constantFrom(...states), fc.constant<SubjectState>('trusted')),
      fc.constantFrom<AccessRequest['subject']['binding']>('ip', 'svid', 'port+mac+ip'),
      fc.constantFrom(10, 20, 20, 21, 21, 30),
      fc.boolean(),
      fc.constantFrom<TrustedTime>({ now: 100, trusted: true }, { now: 100, trusted: false, floor: 40 }),
      (granted, denied, state, binding, address, island, time) => {
        const slice = sliceWith({ grants: granted, denies: denied });
        const of = request(address, { state, binding });
        const table = createSafety(parts(slice, true, time, island)).decide(of, fulfilment);
        const engine = createSafety(parts(slice, false, time, island)).decide(of, fulfilment);
        if (!table.allow) return;
        allowed++;
        assert.equal(engine.allow, true);
        assert.ok(['stop', 'reset'].includes(table.operation));
      },
    ),
    { numRuns: 3_000 },
  );
  assert.ok(allowed > 3, `${allowed} allowed`);
});
