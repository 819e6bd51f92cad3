// Attributes as the texts of an event.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readAttributes, recordAsked } from './asked.ts';
import { MAX_RECORDED_ATTRIBUTES, MAX_RECORDED_LENGTH } from './limits.ts';
import type { Attribute } from './request.ts';
import { request } from './testing/random-policy.ts';

const value = fc.oneof(
  fc.string(),
  fc.constantFrom('=', ' @1', '"'),
  fc.integer(),
  fc.boolean(),
  fc.array(fc.string()),
);
const attribute: fc.Arbitrary<Attribute> = fc.record({ value, asOf: fc.integer() }, { requiredKeys: ['value'] });
const attributes = fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('risk', '__proto__', 'a=b')), attribute);

const plain = (bag: Readonly<Record<string, Attribute>>): unknown =>
  JSON.stringify(Object.entries(bag).map(([name, { value: said, asOf }]) => [name, said, asOf]));

test('property: what is written is read, with its age, whatever its name; what is too much is marked', () => {
  fc.assert(
    fc.property(request, attributes, attributes, (asked, subject, context) => {
      const full = {
        ...asked,
        subject: { ...asked.subject, attributes: subject },
        context: { ...asked.context, attributes: context },
      };
      const { attributes: texts = [], truncated } = recordAsked({ request: full, freshness: 'fresh' });
      assert.ok(texts.length <= MAX_RECORDED_ATTRIBUTES && texts.join('').length <= MAX_RECORDED_LENGTH);
      if (truncated === true) return;
      const read = readAttributes(texts);
      assert.ok(read);
      assert.deepEqual(
        [plain(read.subject), plain(read.resource), plain(read.context)],
        [plain(subject), plain(asked.resource.attributes), plain(context)],
      );
    }),
    { numRuns: 500 },
  );
});

test('property: what is no attribute is none, and nothing throws', () => {
  fc.assert(fc.property(fc.string(), (text) => void readAttributes([text])));
  for (const text of ['', 'subject.risk', 'other.risk=1', 'subject.risk=', 'subject.risk=one', 'subject."risk=1']) {
    assert.equal(readAttributes([text]), undefined, text);
  }
});

test('too many or too long attributes are cut and marked', () => {
  const having = (bag: Record<string, Attribute>) => {
    const [asked] = fc.sample(request, { numRuns: 1, seed: 3 });
    assert.ok(asked);
    const full = { ...asked, subject: { ...asked.subject, attributes: bag } };
    return recordAsked({ request: full, freshness: 'fresh' });
  };
  const many = Object.fromEntries(Array.from({ length: 97 }, (_, index) => [`n${index}`, { value: 1 }]));
  assert.equal(having(many).truncated, true);
  assert.equal(having({ long: { value: 'x'.repeat(4_096) } }).truncated, true);
  assert.equal(having({ risk: { value: 1 } }).truncated, undefined);
});
