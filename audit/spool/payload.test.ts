import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { maxPayloadBytes } from '../limits.ts';
import { eventFields, eventSchema, type NewEvent } from './event.ts';
import { commitment, encodeEvent, noMasking } from './payload.ts';

const event: NewEvent = {
  kind: 'authz',
  activity: 'deny',
  data: { subject: 'spiffe://plant.example/device/gw', path: '/x' },
};

test('stored bytes are canonical JSON with class and time', () => {
  assert.equal(
    encodeEvent(event, 1_700_000_000_123.9, noMasking).toString(),
    '{"activity":"deny","class_uid":6003,"data":{"path":"/x","subject":"spiffe://plant.example/device/gw"},"kind":"authz","severity":"info","time":1700000000123}',
  );
});

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('\ud800', '\u2028"\\'));
const value = fc.oneof(
  text,
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.array(text, { maxLength: 4 }),
  fc.array(fc.integer(), { maxLength: 4 }),
);
const anyEvent: fc.Arbitrary<NewEvent> = fc.record(
  {
    kind: fc.constantFrom('authz', 'modbus', 'log'),
    activity: fc.constantFrom('allow', 'deny'),
    severity: fc.constantFrom('info', 'high'),
    bundle: fc.string({ unit: 'grapheme-ascii' }),
    data: fc.dictionary(fc.constantFrom(...eventFields), value),
  },
  { requiredKeys: ['kind', 'activity', 'data'] },
);

test('property: any event is stored as canonical JSON of its shape, whatever the order and the texts of its fields', () => {
  fc.assert(
    fc.property(anyEvent, fc.subarray([...eventFields]), (given, masked) => {
      for (const keys of [new Set<string>(), new Set<string>(masked)]) {
        const bytes = encodeEvent(given, 1_700_000_000_000, { keys, salt: Buffer.alloc(32, 7) }).toString();
        const stored = eventSchema.parse(JSON.parse(bytes));
        assert.equal(bytes, canonicalJson(stored));
        assert.deepEqual(Object.keys(stored.data).toSorted(), Object.keys(given.data).toSorted());
        for (const name of keys) {
          if (name in stored.data) assert.match(String(stored.data[name]), /^sha256:[0-9a-f]{64}$/);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('a masked value is not in the bytes; its commitment is, and depends on the salt', () => {
  const salt = Buffer.alloc(32, 7);
  const bytes = encodeEvent(event, 1, { keys: new Set(['subject']), salt }).toString();
  assert.ok(!bytes.includes('plant.example'));
  assert.ok(bytes.includes(commitment(salt, 'subject', 'spiffe://plant.example/device/gw')));
  assert.notEqual(commitment(salt, 'subject', 'a'), commitment(Buffer.alloc(32, 8), 'subject', 'a'));
  assert.notEqual(commitment(salt, 'subject', 'a'), commitment(salt, 'peer', 'a'));
});

test('an event that is too large is cut and says so', () => {
  const long = 'a'.repeat(100_000);
  const bytes = encodeEvent(
    { ...event, data: { path: long, roles: Array.from({ length: 5_000 }, () => 'abcdefgh') } },
    1,
    noMasking,
  );
  assert.ok(bytes.length <= maxPayloadBytes);
  const { data } = eventSchema.parse(JSON.parse(bytes.toString()));
  assert.equal(data['truncated'], true);
  assert.match(String(data['path']), /^a{256}… sha256:[0-9a-f]{64}$/);
  assert.equal((data['roles'] as string[]).length, 16);
});

test('hostile strings do not stop the event', () => {
  const bytes = encodeEvent({ ...event, data: { path: 'a\ud800b', roles: ['\udc00'] } }, 1, noMasking);
  assert.equal(eventSchema.parse(JSON.parse(bytes.toString())).data['path'], 'a\ufffdb');
});

test('what has not the shape of an event is refused', () => {
  const refused = { code: 'SPOOL_EVENT_INVALID' };
  assert.throws(() => encodeEvent({ ...event, activity: '' }, 1, noMasking), refused);
  assert.throws(() => encodeEvent({ ...event, data: { path: Number.NaN } }, 1, noMasking), refused);
  for (const name of ['1', '__proto__', 'Path', '']) {
    const data = Object.defineProperty({}, name, { value: 'x', enumerable: true });
    assert.throws(() => encodeEvent({ ...event, data }, 1, noMasking), refused, name);
  }
  const mixed = { roles: ['a', 1] as unknown as string[] };
  assert.throws(() => encodeEvent({ ...event, data: mixed }, 1, noMasking), refused);
  const many = Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`field_${at}`, 'x'.repeat(20)]));
  assert.throws(() => encodeEvent({ ...event, data: many }, 1, noMasking), refused);
});
