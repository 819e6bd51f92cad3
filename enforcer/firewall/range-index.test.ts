// The index answers what looking at every element answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { SetElement } from './plan.ts';
import { fieldNumber, RangeIndex } from './range-index.ts';
import { tierBoxes } from './tiers.ts';

const always = (): boolean => true;

function naive(elements: readonly SetElement[], values: readonly number[]): SetElement | undefined {
  return elements.find((element) =>
    element.key.every((text, at) => {
      const [first = '', last = first] = text.split('-');
      return Number(first) <= values[at]! && values[at]! <= Number(last);
    }),
  );
}

const span = (max: number) =>
  fc
    .tuple(fc.integer({ min: 0, max }), fc.integer({ min: 0, max }))
    .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);

test('every value finds an element exactly where a look at all of them finds one', () => {
  const type = ['mark', 'inet_service'] as const;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(span(40), span(8)), { maxLength: 40 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 42 }), fc.integer({ min: 0, max: 9 })), { minLength: 1 }),
      (keys, asked) => {
        const elements = keys.map((key) => ({ key }));
        const index = new RangeIndex({ type: [...type], elements });
        for (const values of asked) {
          const found = index.find(values, always);
          assert.equal(found === undefined, naive(elements, values) === undefined);
          if (found !== undefined) assert.notEqual(naive([found], values), undefined);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('an element that does not please is no answer; the one behind it is', () => {
  const elements = [{ key: ['1-9'], until: 5 }, { key: ['2-3'] }];
  const index = new RangeIndex({ type: ['mark'], elements });
  assert.equal(
    index.find([2], ({ until }) => until === undefined),
    elements[1],
  );
  assert.equal(
    index.find([9], ({ until }) => until === undefined),
    undefined,
  );
});

test('addresses of both families compare as numbers, protocols by their number', () => {
  for (const [family, cidr, inside, outside] of [
    [4, '10.9.0.0/16', '10.9.255.255', '10.10.0.0'],
    [6, 'fd20::/64', 'fd20::ffff', 'fd20:0:0:1::'],
  ] as const) {
    const rule = { id: 'r', priority: 1, verdict: 'allow', transport: 'udp', peers: [cidr] } as const;
    const { ported } = tierBoxes([rule], family);
    const type = [
      family === 4 ? ('ipv4_addr' as const) : ('ipv6_addr' as const),
      'inet_proto' as const,
      'inet_service' as const,
    ];
    const index = new RangeIndex({ type, elements: ported.map(({ key }) => ({ key: [...key] })) });
    const ask = (address: string) => index.find([fieldNumber(address, type[0]), 17, 9], always);
    assert.notEqual(ask(inside), undefined);
    assert.equal(ask(outside), undefined);
  }
});
