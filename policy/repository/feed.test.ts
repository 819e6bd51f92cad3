import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { addressNumber, addressText, cidrFamily, cidrRange, mergeRanges } from '../../runtime/address-ranges.ts';
import { parseFeed } from './feed.ts';

const good = fc.oneof(
  fc
    // Thirty neighbours of these do not become a block that is refused for its width.
    .tuple(fc.integer({ min: 13, max: 32 }), fc.integer({ min: 0x10_00_00_00, max: 0x63_ff_ff_ff }))
    .map(([length, number]) => {
      const host = (1n << BigInt(32 - length)) - 1n;
      return `${addressText(4, BigInt(number) & ~host)}/${length}`;
    }),
  fc.tuple(fc.integer({ min: 20, max: 128 }), fc.bigInt(0n, (1n << 100n) - 1n)).map(([length, low]) => {
    const host = (1n << BigInt(128 - length)) - 1n;
    return `${addressText(6, ((0x2a00n << 112n) | low) & ~host)}/${length}`;
  }),
);
const ending = fc.constantFrom('\n', '\r\n', ' ; comment\n', ' # 10.0.0.0/8\n', '\t\n', '\n\n# x\n');

test('the peers of a feed are exactly its addresses, as few blocks as possible', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(good, ending), { minLength: 1, maxLength: 30 }), (lines) => {
      const { peers, problems } = parseFeed(lines.map(([block, end]) => block + end).join(''));
      assert.deepEqual(problems, []);
      for (const family of [4, 6] as const) {
        const of = (list: readonly string[]) =>
          mergeRanges(list.filter((cidr) => cidrFamily(cidr) === family).map((cidr) => cidrRange(cidr)));
        assert.deepEqual(of(peers), of(lines.map(([block]) => block)));
      }
      assert.deepEqual(parseFeed(peers.join('\n')).peers, peers, 'merging again changes nothing');
    }),
  );
});

test('whatever is in a list, no line of it is skipped in silence and none is read as another block', () => {
  const word = fc.oneof(
    good,
    fc.ipV4(),
    fc.ipV6(),
    fc.string({ unit: fc.constantFrom(...'0123456789abcdef./:# ;-x%'.split('')), maxLength: 24 }),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.tuple(fc.ipV4(), fc.integer({ min: -1, max: 40 })).map(([address, length]) => `${address}/${length}`),
    fc.tuple(fc.ipV6(), fc.integer({ min: -1, max: 140 })).map(([address, length]) => `${address}/${length}`),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 20 }), (words) => {
      const text = words.join('\n');
      const { blocks, problems } = parseFeed(text);
      const written = text.split('\n');
      const answered = new Set(
        [...blocks, ...problems.filter(({ whole }) => whole === undefined)].map(({ line }) => line),
      );
      for (const [index, line] of written.entries()) {
        const content = line.replace(/[#;].*$/s, '').trim();
        assert.equal(answered.has(index + 1), content !== '', JSON.stringify(line));
      }
      for (const { range, line } of blocks) {
        const base =
          written[line - 1]
            ?.replace(/[#;].*$/s, '')
            .trim()
            .split('/')[0] ?? '';
        assert.equal(addressNumber(base), range.first, base);
      }
    }),
    { numRuns: 2_000 },
  );
});
