import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxPayloadBytes } from '../limits.ts';
import { eventSchema, type NewEvent } from './event.ts';
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
  const many = Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`field_${at}`, 'x'.repeat(20)]));
  assert.throws(() => encodeEvent({ ...event, data: many }, 1, noMasking), refused);
});
