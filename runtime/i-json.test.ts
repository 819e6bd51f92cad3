import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readIJson } from './i-json.ts';
import { maxJsonDepth } from './limits.ts';

const read = (text: string) => readIJson(Buffer.from(text));
const faultOf = (text: string): string => {
  const reading = read(text);
  return reading.ok ? '' : reading.fault;
};

test('what two readers would understand differently is refused', () => {
  const refused: Record<string, string> = {
    '{"a":1,"a":1}': 'an object has a member twice',
    '{"a":1,"\\u0061":2}': 'an object has a member twice',
    '[{"b":{"a":1,"c":[],"a":2}}]': 'an object has a member twice',
    '{"a":{"x":1},"b":2,"a":3}': 'an object has a member twice',
    '{"__proto__":1,"__proto__":2}': 'an object has a member twice',
    '"\\ud800"': 'a string holds a surrogate without its other half',
    '{"\\udc00":1}': 'a string holds a surrogate without its other half',
    '[1e400]': 'a number is beyond double precision',
    '[9007199254740993]': 'a number is beyond double precision',
    '{"a":1,}': 'the body is not JSON',
    "{'a':1}": 'the body is not JSON',
    '\ufeff{}': 'the body is not JSON',
    '': 'the body is not JSON',
    [`${'['.repeat(maxJsonDepth + 1)}${']'.repeat(maxJsonDepth + 1)}`]: `the body is nested deeper than ${maxJsonDepth} levels`,
  };
  for (const [text, fault] of Object.entries(refused)) assert.equal(faultOf(text), fault, text);
  assert.equal(readIJson(Buffer.from([0x22, 0xff, 0x22])).ok, false, 'not UTF-8');
});

test('what only looks like it is read', () => {
  for (const text of [
    '{"a":{"a":1},"b":[{"a":1},{"a":2}]}',
    '["a","a",{"k":"a","a":"k"}]',
    '{"a":"}","b":"{\\"a\\":1,\\"a\\":2}","c":"\\\\"}',
    '"\\ud83d\\ude00"',
    '[9007199254740991,-0,1.5e300,true,null]',
    ' { "a" :\n[ ] } ',
  ]) {
    assert.deepEqual(read(text), { ok: true, value: JSON.parse(text) }, text);
  }
});

test('whatever the bytes, it answers, and reads what JSON.parse reads', () => {
  const texts = fc.oneof(
    fc.json({ maxDepth: 6 }),
    fc
      .json({ maxDepth: 4 })
      .chain((text) =>
        fc
          .tuple(fc.nat(text.length), fc.constantFrom('"', '\\', '{', '}', ',', 'u', '\n', '0'))
          .map(([at, more]) => text.slice(0, at) + more + text.slice(at)),
      ),
    fc.string(),
  );
  let readable = 0;
  fc.assert(
    fc.property(texts, (text) => {
      const reading = read(text);
      if (!reading.ok) return;
      readable++;
      assert.deepEqual(reading.value, JSON.parse(text));
    }),
    { numRuns: 3_000 },
  );
  assert.ok(readable > 500);
  fc.assert(fc.property(fc.uint8Array(), (bytes) => typeof readIJson(bytes).ok === 'boolean'));
});

test('a member written twice is found, wherever and however it is spelt', () => {
  const escaped = (name: string): string =>
    `"${name
      .split('')
      .map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join('')}"`;
  const filler = fc.json({ maxDepth: 3 }).filter((text) => read(text).ok);
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z]{1,4}$/),
      filler,
      filler,
      fc.boolean(),
      fc.nat(4),
      (name, one, other, spelt, depth) => {
        const inner = `{"${name}":${one},${spelt ? escaped(name) : `"${name}"`}:${other}}`;
        const text = Array.from({ length: depth }).reduce<string>((body) => `[{"x":${body}}]`, inner);
        assert.equal(faultOf(text), 'an object has a member twice');
      },
    ),
  );
});
