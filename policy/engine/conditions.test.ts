// Conditions of a grant: only one that surely holds opens anything.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { SliceAttribute } from '../bundle/conditions.ts';
import type { SliceGrant } from '../bundle/slice.ts';
import { attributeSchemas, compileConditions } from './conditions.ts';
import { rowOf } from './state-table.ts';
import { ask, get, now } from './testing/sample-slice.ts';
import type { AccessRequest, Attribute } from './request.ts';

const hour = 3_600_000;

type Change = SliceGrant['conditions'] & Partial<Pick<SliceGrant, 'until' | 'notBefore'>>;

function judged(change: Change, request: AccessRequest, attributes?: readonly SliceAttribute[]): string[] {
  const { until, notBefore, ...conditions } = change;
  const grant: SliceGrant = {
    id: 'g',
    subjects: [],
    interface: 'web',
    device: 'plc-1',
    operations: ['x'],
    binding: 'svid',
    conditions,
    ...(until === undefined ? {} : { until }),
    ...(notBefore === undefined ? {} : { notBefore }),
    place: 'x:1',
  };
  return compileConditions(grant, attributeSchemas(attributes ?? [], 'schema')).map((condition) =>
    condition.judge(request, rowOf(request.subject.state)),
  );
}

const at = (time: number): AccessRequest => ask('web', get('/'), {}, {}, time);
const having = (attributes: Record<string, Attribute>): AccessRequest => ask('web', get('/'), { attributes });

test('conditions: the end of a grant is exclusive', () => {
  assert.deepEqual(judged({ until: now }, at(now - 1)), ['holds']);
  assert.deepEqual(judged({ until: now }, at(now)), ['fails']);
  assert.deepEqual(judged({ until: now }, at(Number.NaN)), ['unknown']);
});

test('conditions: a start date is inclusive', () => {
  assert.deepEqual(judged({ notBefore: now }, at(now - 1)), ['fails']);
  assert.deepEqual(judged({ notBefore: now }, at(now)), ['holds']);
  assert.deepEqual(judged({ notBefore: now }, at(Number.NaN)), ['unknown']);
});

test('conditions: of a time that is not trusted only what the floor has settled is known', () => {
  const floored = (timeFloor: number, time = now): AccessRequest => {
    const request = at(time);
    return { ...request, context: { ...request.context, timeFloor } };
  };
  assert.deepEqual(judged({ until: now + 1 }, floored(now)), ['unknown'], 'the true time may be later');
  assert.deepEqual(judged({ until: now }, floored(now - 1)), ['unknown'], 'the local clock may be ahead');
  assert.deepEqual(judged({ until: now }, floored(now)), ['fails']);
  assert.deepEqual(judged({ notBefore: now }, floored(now - 1)), ['unknown']);
  assert.deepEqual(judged({ notBefore: now }, floored(now)), ['holds']);
  assert.deepEqual(judged({ notBefore: 0 }, floored(Number.NaN)), ['unknown']);
  assert.deepEqual(judged({ timeWindow: { fromMinute: 0, toMinute: 1_440 } }, floored(now)), ['unknown']);
  assert.deepEqual(judged({ weekdays: ['sun'] }, floored(now)), ['unknown']);
  assert.deepEqual(judged({ maxRisk: 50 }, floored(0)), ['holds'], 'no calendar');
});

test('conditions: a daily window is UTC, end exclusive, may wrap, and is never where it is empty', () => {
  const clock = (text: string): AccessRequest => at(Date.parse(`2026-11-22T${text}:00Z`));
  const day = { timeWindow: { fromMinute: 480, toMinute: 1_080 } };
  const night = { timeWindow: { fromMinute: 1_320, toMinute: 360 } };
  const always = { timeWindow: { fromMinute: 0, toMinute: 1_440 } };
  const never = { timeWindow: { fromMinute: 600, toMinute: 600 } };
  const rows: [typeof day, string, string][] = [
    [day, '08:00', 'holds'],
    [day, '07:59', 'fails'],
    [day, '17:59', 'holds'],
    [day, '18:00', 'fails'],
    [night, '22:00', 'holds'],
    [night, '05:59', 'holds'],
    [night, '06:00', 'fails'],
    [night, '12:00', 'fails'],
    [always, '00:00', 'holds'],
    [always, '23:59', 'holds'],
    [never, '10:00', 'fails'],
    [never, '09:59', 'fails'],
  ];
  for (const [window, time, expected] of rows) assert.deepEqual(judged(window, clock(time)), [expected], time);
  assert.deepEqual(judged(day, at(Number.NaN)), ['unknown']);
  assert.deepEqual(judged(always, at(-1)), ['holds']);
});

test('conditions: attestation asks for a class, and for its age where one is stated', () => {
  const wants = { attestation: ['software', 'tpm'] };
  assert.deepEqual(judged(wants, having({ attestation: { value: 'tpm', asOf: 0 } })), ['holds']);
  assert.deepEqual(judged(wants, having({ attestation: { value: 'none' } })), ['fails']);
  assert.deepEqual(judged(wants, having({})), ['unknown']);
  for (const value of ['', 7, true, ['tpm']]) {
    assert.deepEqual(judged(wants, having({ attestation: { value } })), ['unknown'], String(value));
  }
  const fresh = { attestationMaxAgeSeconds: 3_600 };
  assert.deepEqual(judged(fresh, having({ attestation: { value: 'tpm', asOf: now - hour } })), ['holds']);
  assert.deepEqual(judged(fresh, having({ attestation: { value: 'tpm', asOf: now - hour - 1 } })), ['fails']);
  assert.deepEqual(judged(fresh, having({ attestation: { value: 'tpm' } })), ['unknown'], 'an age nobody knows');
  assert.deepEqual(
    judged(fresh, having({ attestation: { value: 'tpm', asOf: now + hour } })),
    ['unknown'],
    'from the future',
  );
  assert.deepEqual(judged(fresh, having({ attestation: { value: 'tpm', asOf: Number.NaN } })), ['unknown']);
});

test('conditions: in a state without a good appraisal the class is none, whatever the attribute says', () => {
  for (const state of ['enrolled', 'suspect', 'quarantined', 'recovering'] as const) {
    const request = ask('web', get('/'), { state });
    assert.deepEqual(judged({ attestation: ['software'], attestationMaxAgeSeconds: 60 }, request), ['fails', 'fails']);
    assert.deepEqual(judged({ attestation: ['none', 'software'] }, request), ['holds']);
  }
});

test('conditions: risk is a number, and a missing one is not a low one', () => {
  assert.deepEqual(judged({ maxRisk: 50 }, having({ risk: { value: 50 } })), ['holds']);
  assert.deepEqual(judged({ maxRisk: 50 }, having({ risk: { value: 51 } })), ['fails']);
  for (const value of ['0', '', false, Number.NaN, -Infinity, ['0']]) {
    assert.deepEqual(judged({ maxRisk: 50 }, having({ risk: { value } })), ['unknown'], String(value));
  }
  assert.deepEqual(judged({ maxRisk: 50 }, having({})), ['unknown']);
  assert.deepEqual(
    judged({ maxRisk: 50 }, having(Object.create({ risk: { value: 1 } }) as Record<string, Attribute>)),
    ['unknown'],
  );
});

test('conditions: taking an attribute away never makes a condition hold', () => {
  const attributes = fc.record(
    {
      attestation: fc.record({
        value: fc.constantFrom('none', 'software', 'tpm'),
        asOf: fc.integer({ min: now - 2 * hour, max: now + hour }),
      }),
      risk: fc.record({ value: fc.integer({ min: 0, max: 100 }) }),
    },
    { requiredKeys: [] },
  );
  const wanted = { attestation: ['software'], attestationMaxAgeSeconds: 3_600, maxRisk: 50 };
  fc.assert(
    fc.property(attributes, fc.constantFrom('attestation', 'risk'), (full, removed) => {
      const less: Record<string, Attribute> = { ...full };
      delete less[removed];
      const [before, after] = [judged(wanted, having({ ...full })), judged(wanted, having(less))];
      for (const [index, truth] of after.entries()) if (truth === 'holds') assert.equal(before[index], 'holds');
    }),
  );
});
