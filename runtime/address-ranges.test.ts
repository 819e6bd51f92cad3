import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  addressText,
  cidrRange,
  mergeRanges,
  overlapping,
  rangeCidrs,
  type AddressRange,
  type Family,
} from './address-ranges.ts';

const family = fc.constantFrom<Family>(4, 6);
const small: fc.Arbitrary<AddressRange> = fc
  .tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 40 }))
  .map(([first, size]) => ({ first: BigInt(first), last: BigInt(first + size) }));

test('the prefixes of a range cover exactly the range, and no two of them make one', () => {
  fc.assert(
    fc.property(family, small, (kind, range) => {
      const parts = rangeCidrs(kind, range).map((cidr) => cidrRange(cidr));
      assert.deepEqual(mergeRanges(parts), [range]);
      assert.equal(
        parts.reduce((sum, part) => sum + (part.last - part.first) + 1n, 0n),
        range.last - range.first + 1n,
      );
      for (let index = 1; index < parts.length; index += 1) {
        const [a, b] = [parts[index - 1]!, parts[index]!];
        const size = a.last - a.first + 1n;
        assert.ok(size !== b.last - b.first + 1n || a.first % (2n * size) !== 0n, 'two halves of one prefix');
      }
    }),
  );
  assert.deepEqual(rangeCidrs(4, cidrRange('0.0.0.0/0')), ['0.0.0.0/0']);
  assert.deepEqual(rangeCidrs(6, cidrRange('::/0')), ['::/0']);
  assert.deepEqual(rangeCidrs(4, cidrRange('255.255.255.255')), ['255.255.255.255/32']);
});

test('merged ranges hold the same numbers, apart from each other, and every overlap is found', () => {
  fc.assert(
    fc.property(fc.array(small, { maxLength: 12 }), small, (ranges, wanted) => {
      const merged = mergeRanges(ranges);
      const holds = (list: readonly AddressRange[], number: bigint): boolean =>
        list.some(({ first, last }) => first <= number && number <= last);
      for (let number = 0n; number < 350n; number += 1n) assert.equal(holds(merged, number), holds(ranges, number));
      for (let index = 1; index < merged.length; index += 1) {
        assert.ok(merged[index - 1]!.last + 1n < merged[index]!.first);
      }
      const meets = ranges.some(({ first, last }) => first <= wanted.last && wanted.first <= last);
      assert.equal(overlapping(merged, wanted) !== undefined, meets);
    }),
  );
});

test('addresses are written as RFC 5952 and dotted decimal', () => {
  assert.equal(addressText(6, 1n), '::1');
  assert.equal(addressText(4, 0x0a00_0001n), '10.0.0.1');
  assert.deepEqual(cidrRange('10.1.2.3/8'), { first: 0x0a00_0000n, last: 0x0aff_ffffn });
});
