// Denies with conditions: once subject, resource and action match, only a condition that surely fails spares the request.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileSlice } from './engine.ts';
import type { AccessRequest, Attribute } from './request.ts';
import { ask, get, meta, now, sampleSlice } from './testing/sample-slice.ts';

const schema = [
  { source: 'subject', name: 'firmware', type: 'string' },
  { source: 'context', name: 'load', type: 'number', maxAgeSeconds: 60 },
];

const decided = (deny: object, request: AccessRequest): string => {
  const slice = sampleSlice((loose) => {
    const entry = {
      id: 'd',
      subjects: [],
      interface: 'web',
      device: 'plc-1',
      operations: ['files'],
      place: 'd.yaml:1',
    };
    Object.assign(loose, { attributes: schema, denies: [{ ...entry, ...deny }] });
  });
  return compileSlice(slice, meta).decide(request, 'fresh').reason;
};

const asking = (subject: Record<string, Attribute>, context: Record<string, Attribute> = {}): AccessRequest => {
  const request = ask('web', get('/files/a'));
  return {
    ...request,
    subject: { ...request.subject, attributes: { ...request.subject.attributes, ...subject } },
    context: { ...request.context, attributes: context },
  };
};
const firmware = (value: unknown): AccessRequest => asking({ firmware: { value } as Attribute });

test('a condition that surely fails spares; one that holds, or cannot be known, does not', () => {
  const old = { conditions: { attributes: [{ source: 'subject', name: 'firmware', equals: '1.0' }] } };
  assert.equal(decided(old, firmware('1.0')), 'denied');
  assert.equal(decided(old, firmware('2.0')), 'granted');
  assert.equal(decided(old, firmware('')), 'granted', 'empty is a value');
  assert.equal(decided(old, firmware(10)), 'denied', 'mistyped');
  assert.equal(decided(old, firmware(undefined)), 'denied', 'undefined');
  assert.equal(decided(old, asking({})), 'denied', 'missing');
  assert.equal(decided(old, ask('web', get('/status'))), 'granted', 'another operation');
});

test('every condition can spare', () => {
  const both = { conditions: { minRisk: 50, attributes: [{ source: 'context', name: 'load', min: 80 }] } };
  const load = (value: number, asOf?: number): Record<string, Attribute> => ({
    load: asOf === undefined ? { value } : { value, asOf },
  });
  const risky = { risk: { value: 60, asOf: now } };
  assert.equal(decided(both, asking(risky, load(90, now))), 'denied');
  assert.equal(decided(both, asking(risky, load(70, now))), 'granted');
  assert.equal(decided(both, asking({}, load(90, now))), 'granted', 'risk is 0');
  assert.equal(decided(both, asking(risky, load(70, now - 61_000))), 'denied', 'stale');
  assert.equal(decided(both, asking(risky, load(70))), 'denied', 'undated');
});

test('what the deny assumes stands for what cannot be known, and only for that', () => {
  const assuming = {
    conditions: {
      attributes: [{ source: 'subject', name: 'firmware', equals: '1.0' }],
      assume: [{ source: 'subject', name: 'firmware', value: '2.0' }],
    },
  };
  assert.equal(decided(assuming, asking({})), 'granted');
  assert.equal(decided(assuming, firmware(10)), 'granted');
  assert.equal(decided(assuming, firmware('1.0')), 'denied');
});

test('attestation and risk in a deny: unknown matches, an assumed class has the age of its kind', () => {
  const bare = (attributes: Record<string, Attribute>): AccessRequest => ask('web', get('/files/a'), { attributes });
  const assume = (value: string) => [{ source: 'subject', name: 'attestation', value }];
  const unattested = { conditions: { attestation: ['software'] } };
  const old = { conditions: { attestationOlderThanSeconds: 60 } };
  assert.equal(decided(unattested, bare({ attestation: { value: 'tpm' } })), 'granted');
  assert.equal(decided(unattested, bare({ attestation: { value: 'software' } })), 'denied');
  assert.equal(decided(unattested, bare({ attestation: { value: 'none' } })), 'denied', 'no class is no better class');
  assert.equal(decided(unattested, bare({})), 'denied');
  const tpm = { attributes: { attestation: { value: 'tpm' } } };
  assert.equal(decided(unattested, ask('web', get('/files/a'), { ...tpm, state: 'suspect' })), 'denied');
  assert.equal(decided(old, bare({ attestation: { value: 'tpm', asOf: now - 60_000 } })), 'granted');
  assert.equal(decided(old, bare({ attestation: { value: 'tpm', asOf: now - 60_001 } })), 'denied');
  assert.equal(decided(old, bare({ attestation: { value: 'tpm' } })), 'denied');
  const assumed = (value: string) => ({ conditions: { ...old.conditions, assume: assume(value) } });
  assert.equal(decided(assumed('tpm'), bare({})), 'granted');
  assert.equal(decided(assumed('none'), bare({})), 'denied');
  assert.equal(decided({ conditions: { minRisk: 1 } }, bare({})), 'denied');
});

test('a deny holds from its start to its end, in its days and window, and at a time that nobody knows', () => {
  const at = (time: number): AccessRequest => ask('web', get('/files/a'), {}, {}, time);
  assert.equal(decided({ notBefore: now }, at(now - 1)), 'granted');
  assert.equal(decided({ notBefore: now }, at(now)), 'denied');
  assert.equal(decided({ until: now }, at(now)), 'granted');
  assert.equal(decided({ conditions: { weekdays: ['sun'] } }, at(now)), 'denied');
  assert.equal(decided({ conditions: { weekdays: ['mon'] } }, at(now)), 'granted');
  const engine = compileSlice(
    sampleSlice((loose) => {
      loose.grants.push({ ...loose.grants[3], id: 'safe', operations: ['stop'] });
      Object.assign(loose.denies[1] ?? {}, { subjects: [], conditions: { weekdays: ['mon'] } });
    }),
    meta,
  );
  const stop = ask('web', { protocol: 'http', method: 'POST', path: '/stop' }, {}, {}, Number.NaN);
  assert.equal(engine.decide(stop, 'hard-expired').reason, 'denied');
});

test('a deny with a calendar matches at a time that is not trusted, unless it ended before the floor', () => {
  const floored = (timeFloor: number): AccessRequest => {
    const request = ask('web', get('/files/a'));
    return { ...request, context: { ...request.context, timeFloor } };
  };
  assert.equal(decided({ until: now }, floored(now - 1)), 'denied');
  assert.equal(decided({ until: now }, floored(now)), 'granted');
  assert.equal(decided({ notBefore: now + 1 }, floored(0)), 'denied');
  assert.equal(decided({ conditions: { weekdays: ['mon'] } }, floored(now)), 'denied');
});

test('an explanation says which condition spared and why another could not be known', () => {
  const slice = sampleSlice((loose) => {
    const deny = {
      id: 'd',
      subjects: [],
      interface: 'web',
      device: 'plc-1',
      operations: [],
      conditions: { attributes: [{ source: 'subject', name: 'firmware', equals: '1.0' }] },
      place: 'd.yaml:1',
    };
    Object.assign(loose, { attributes: schema, denies: [deny] });
  });
  const outcomes = (request: AccessRequest): string[] =>
    compileSlice(slice, meta)
      .explain(request)
      .steps.filter(({ step }) => step === 'deny')
      .map(({ outcome }) => outcome);
  assert.deepEqual(outcomes(firmware('2.0')), ['does not match, subject.firmware equals "1.0": fails']);
  assert.deepEqual(outcomes(asking({})), ['subject.firmware equals "1.0": unknown, missing', 'matches']);
});

test('an unconditional deny stands before any with conditions, whatever the order', () => {
  const conditional = { conditions: { minRisk: 50 } };
  const slice = (order: object[]) =>
    sampleSlice((loose) => {
      const entry = { subjects: ['gateway-1'], interface: 'web', device: 'plc-1', operations: ['files'], place: 'd:1' };
      Object.assign(loose, { denies: order.map((more, index) => ({ ...entry, id: `d${index}`, ...more })) });
    });
  for (const order of [
    [conditional, {}],
    [{}, conditional],
    [conditional, {}, conditional],
  ]) {
    assert.equal(compileSlice(slice(order), meta).decide(asking({}), 'fresh').reason, 'denied');
  }
  const both = [{ conditions: { minRisk: 90 } }, { conditions: { minRisk: 40 } }];
  const risky = asking({ risk: { value: 50, asOf: now } });
  assert.equal(compileSlice(slice(both), meta).decide(risky, 'fresh').rule, 'deny:d1');
});

test('a bundle whose conditions read what its schema does not know does not compile', () => {
  const compiling = (change: object) => () =>
    compileSlice(
      sampleSlice((loose) => Object.assign(loose, change)),
      meta,
    );
  const deny = { id: 'd', subjects: [], interface: 'web', device: 'plc-1', operations: [], place: 'grants/d.yaml:4' };
  const reading = { attributes: [{ source: 'subject', name: 'firmware', equals: '1.0' }] };
  const refused = (message: RegExp) => ({ code: 'ENGINE_SLICE_INVALID', message });
  assert.throws(
    compiling({ denies: [{ ...deny, conditions: reading }] }),
    refused(/d reads subject.firmware, which the schema of the bundle does not declare/),
  );
  assert.throws(compiling({ attributes: [schema[0], schema[0]] }), refused(/attribute subject.firmware appears twice/));
  assert.throws(
    compiling({ attributes: [{ source: 'subject', name: 'risk', type: 'string' }] }),
    refused(/subject.risk is a number, the schema says string/),
  );
  const assume = [{ source: 'subject', name: 'firmware', value: 7 }];
  assert.throws(
    compiling({ attributes: schema, denies: [{ ...deny, conditions: { ...reading, assume } }] }),
    refused(/d assumes a value of subject.firmware that is mistyped/),
  );
  const mistyped = { attributes: [{ source: 'subject', name: 'firmware', min: 1 }] };
  assert.throws(
    compiling({ attributes: schema, denies: [{ ...deny, conditions: mistyped }] }),
    refused(/d: subject.firmware: min cannot be asked of a string/),
  );
});
