// The Rego step of a decision: after grant and Casbin, and only ever narrowing them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CodedError, formatPlace } from '../../runtime/errors.ts';
import type { Slice } from '../bundle/slice.ts';
import { compileSlice } from './engine.ts';
import type { Decision } from './request.ts';
import type { RegoSource } from './rego/rego-package.ts';
import { freshness, request, slice as randomSlice } from './testing/random-policy.ts';
import { hours, trial } from './testing/sample-rego.ts';
import { moduleOf } from './testing/wasm-module.ts';
import { ask, get, meta, post, sampleSlice } from './testing/sample-slice.ts';

const carried = ({ name, wasm, data, place }: RegoSource): NonNullable<Slice['rego']>[number] => ({
  name,
  wasm: Buffer.from(wasm).toString('base64'),
  data,
  place,
});

/** Every interface asks the package as well. */
const narrowed = (slice: Slice, source: RegoSource): Slice => ({
  ...slice,
  interfaces: slice.interfaces.map((entry) => ({ ...entry, rego: source.name })),
  rego: [carried(source)],
});

const engine = compileSlice(narrowed(sampleSlice(), hours), meta);
const noon = Date.UTC(2026, 10, 22, 12);
const night = Date.UTC(2026, 10, 22, 23);
const at = (time: number, name = 'web', operation = get('/status')): Decision =>
  engine.decide(ask(name, operation, {}, {}, time), 'fresh');

test('rego: the package allows what the grant opened, and the grant stays the rule', () => {
  const { allow, rule, operation } = at(noon);
  assert.deepEqual({ allow, rule, operation }, { allow: true, rule: 'grant:web', operation: 'status' });
});

test('rego: a denial names package and file', () => {
  assert.deepEqual(at(night), {
    allow: false,
    reason: 'rego',
    rule: 'rego:hours',
    place: 'rego/hours/hours.rego:5',
    operation: 'status',
    bundle: meta.digest,
  });
});

test('rego: an explanation says what the package answered', () => {
  const stepOf = (time: number) =>
    engine.explain(ask('web', get('/status'), {}, {}, time)).steps.find(({ step }) => step === 'rego');
  const rule = { step: 'rego', rule: 'rego:hours', place: 'rego/hours/hours.rego:5' };
  assert.deepEqual(stepOf(night), { ...rule, outcome: 'denied: outside the hours of the shift' });
  assert.deepEqual(stepOf(noon), { ...rule, outcome: 'allows' });
});

test('rego: Casbin model and package both have to allow', () => {
  const rows: [path: string, time: number, reason: string][] = [
    ['/pumps/1', noon, 'granted'],
    ['/pumps/1', night, 'rego'],
    ['/pumps/9', noon, 'casbin'],
    ['/pumps/9', night, 'casbin'],
  ];
  for (const [path, time, reason] of rows)
    assert.equal(at(time, 'narrow', get(path)).reason, reason, `${path} ${time}`);
});

test('rego: the package is not asked about what state, deny, binding or condition closed, or no grant opened', () => {
  const asked = (...parameters: Parameters<typeof ask>): boolean =>
    engine.explain(ask(...parameters)).steps.some(({ step }) => step === 'rego');
  assert.equal(asked('web', get('/status')), true);
  assert.equal(asked('web', get('/status'), { state: 'quarantined' }), false);
  assert.equal(asked('web', get('/status'), { id: 'station-1' }), false);
  assert.equal(asked('web', get('/admin/x')), false);
  assert.equal(asked('web', get('/status'), { binding: 'ip' }), false);
  assert.equal(
    asked(
      'plc-modbus',
      { protocol: 'modbus', unit: 1, functionCode: 6, address: 10, quantity: 1, values: [1] },
      {},
      { risk: 90 },
    ),
    false,
  );
});

test('rego: attestation that the state contradicts is none to the package', () => {
  const write = (state: 'trusted' | 'suspect'): string =>
    engine.decide(ask('web', post('/stop'), { state }, {}, noon), 'fresh').reason;
  assert.equal(write('trusted'), 'granted');
  assert.equal(write('suspect'), 'rego');
});

test('rego: an allow carries the obligations of the grant and of the package', () => {
  const asking = { ...trial, wasm: moduleOf({ answer: '[{"result": {"deny": [], "obligations": [{"id": "log"}]}}]' }) };
  const slice = narrowed(sampleSlice(), asking);
  const obliged: Slice = {
    ...slice,
    grants: slice.grants.map((grant) => ({ ...grant, obligations: [{ id: 'notification' }] })),
  };
  const of = (policy: Slice): unknown =>
    compileSlice(policy, meta).decide(ask('web', get('/status')), 'fresh').obligations;
  assert.deepEqual(of(slice), [{ id: 'log' }]);
  assert.deepEqual(of({ ...obliged, grants: obliged.grants.filter(({ id }) => id === 'web') }), [
    { id: 'notification' },
    { id: 'log' },
  ]);
  assert.equal(of(narrowed(sampleSlice(), { ...trial, wasm: moduleOf() })), undefined);
});

test('rego: an undefined decision opens nothing', () => {
  const silent = compileSlice(narrowed(sampleSlice(), trial), meta);
  const found = silent.explain(ask('web', get('/status')));
  assert.equal(found.decision.reason, 'rego');
  assert.match(found.steps.find(({ step }) => step === 'rego')?.outcome ?? '', /^undefined: /);
});

test('rego: an interface without the package is not touched by it', () => {
  const slice = sampleSlice();
  const one = compileSlice({ ...slice, rego: [carried(trial)] }, meta);
  assert.equal(one.decide(ask('web', get('/status')), 'fresh').reason, 'granted');
});

test('rego: a name that is not there, a name twice and a damaged module do not compile', () => {
  const slice = narrowed(sampleSlice(), hours);
  const refusal = (change: Partial<Slice>): string => {
    try {
      compileSlice({ ...slice, ...change }, meta);
      return 'compiled';
    } catch (error) {
      assert.ok(error instanceof CodedError);
      return `${error.code} ${error.place === undefined ? '' : formatPlace(error.place)}: ${error.message}`;
    }
  };
  assert.equal(refusal({}), 'compiled');
  assert.match(
    refusal({ rego: [carried(trial)] }),
    /^ENGINE_SLICE_INVALID interfaces\/plc\.yaml:\d+: Rego package hours/,
  );
  assert.match(refusal({ rego: [carried(hours), carried(hours)] }), /rego\/hours\/hours\.rego:5: .*twice/);
  const damaged = { ...carried(hours), wasm: 'AGFzbQEAAAA=' };
  assert.match(refusal({ rego: [damaged] }), /^ENGINE_REGO_MODULE rego\/hours\/hours\.rego:5: Rego package hours: /);
});

test('property: naming a package never adds an allow, and takes away exactly what it does not allow', () => {
  let taken = 0;
  fc.assert(
    fc.property(
      randomSlice,
      fc.array(request, { minLength: 20, maxLength: 20 }),
      freshness,
      (policy, requests, age) => {
        const before = compileSlice(policy, meta);
        const silent = compileSlice(narrowed(policy, trial), meta);
        const shift = compileSlice(narrowed(policy, hours), meta);
        for (const one of requests) {
          const open = before.decide(one, age);
          const closed = silent.decide(one, age);
          const maybe = shift.decide(one, age);
          assert.equal(closed.allow && closed.observed === undefined, false);
          assert.ok(open.allow || !maybe.allow);
          if (!open.allow || open.observed !== undefined) continue;
          taken += 1;
          assert.equal(closed.observed ?? closed.reason, 'rego');
          assert.ok(['granted', 'rego'].includes(maybe.observed ?? maybe.reason));
        }
      },
    ),
    { numRuns: 40, seed: 5 },
  );
  assert.ok(taken > 10, `${taken}`);
});
