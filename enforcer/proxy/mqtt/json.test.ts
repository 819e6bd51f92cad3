// Payloads as JSON: what two readers could read differently is none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MAX_MQTT_JSON_BYTES } from '../limits.ts';
import { readJson } from './json.ts';

test('json: any document is read as it was written', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.deepEqual(readJson(Buffer.from(text)), JSON.parse(text));
    }),
    { numRuns: 1_000 },
  );
});

test('json: a name that stands twice, other bytes and too many are none', () => {
  for (const text of [
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '[{"b":{"a":1,"a":1}}]',
    '{"a":1}{"a":2}',
    '\ufeff{"a":1}',
    '{a:1}',
    '',
    `"${'x'.repeat(MAX_MQTT_JSON_BYTES)}"`,
  ]) {
    assert.equal(readJson(Buffer.from(text)), undefined, text.slice(0, 40));
  }
  assert.equal(readJson(Buffer.from([0x22, 0xff, 0x22])), undefined);
  assert.deepEqual(readJson(Buffer.from('{"a:b\\":":":","__proto__":1}')), JSON.parse('{"a:b\\":":":","__proto__":1}'));
});
