import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { addressNumber, mergedRanges, plainAddress } from './addresses.ts';

test('one address has one spelling', () => {
  assert.deepEqual(plainAddress('FD20:0:0::3'), { family: 6, text: 'fd20::3' });
  assert.deepEqual(plainAddress('10.0.0.1'), { family: 4, text: '10.0.0.1' });
  for (const wrong of ['::ffff:10.0.0.1', 'fe80::1%eth0', 'plc.example', '']) {
    assert.throws(() => plainAddress(wrong), { code: 'FIREWALL_ADDRESS' }, wrong);
  }
});

test('neighbouring and nested prefixes become one range', () => {
  const cidrs = ['10.0.1.0/24', '10.0.0.7/24', '10.0.0.5/32', '10.9.0.0/16'];
  assert.deepEqual(mergedRanges(cidrs, 4), ['10.0.0.0-10.0.1.255', '10.9.0.0-10.9.255.255']);
  assert.deepEqual(mergedRanges(['::/0'], 6), ['::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']);
  assert.deepEqual(mergedRanges(['fd20::/127', 'fd20::2/128'], 6), ['fd20::-fd20::2']);
});

test('merged ranges hold exactly the addresses of the prefixes, disjoint and in order', () => {
  const prefix = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 20, max: 32 }));
  fc.assert(
    fc.property(
      fc.array(prefix, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 0, max: 65_535 }),
      (prefixes, low) => {
        const cidrs = prefixes.map(([octet, length]) => `10.0.${octet}.${octet}/${length}`);
        const address = addressNumber(`10.0.${low >> 8}.${low & 255}`);
        const inside = cidrs.some((cidr) => {
          const [base = '', length = ''] = cidr.split('/');
          const shift = 32n - BigInt(length);
          return addressNumber(base) >> shift === address >> shift;
        });
        const ranges = mergedRanges(cidrs, 4).map((range) => range.split('-').map(addressNumber) as [bigint, bigint]);
        assert.equal(
          ranges.some(([first, last]) => first <= address && address <= last),
          inside,
        );
        ranges.slice(1).forEach(([first], index) => assert.ok(first > ranges[index]![1] + 1n));
      },
    ),
  );
});
