import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../runtime/errors.ts';
import {
  bitString,
  boolean,
  context,
  contextPrimitive,
  type DerNode,
  element,
  ia5String,
  integer,
  namedBits,
  octetString,
  oid,
  parseDer,
  readNamedBits,
  readOid,
  readSmallInteger,
  readTime,
  sequence,
  setOf,
  time,
  utf8String,
} from './der.ts';
import { sampleAuthority } from './sample-authority.ts';

/** Writes a parsed tree again from its leaves. */
function rewrite(node: DerNode): Buffer {
  return (node.tag & 0x20) === 0 ? element(node.tag, node.contents) : element(node.tag, ...node.children.map(rewrite));
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const dotted = fc
  .tuple(
    fc.nat(2),
    fc.nat(39),
    fc.array(
      fc.oneof(
        fc.nat(127),
        fc.nat(),
        fc.maxSafeNat().map((n) => n % 2 ** 40),
      ),
      { maxLength: 8 },
    ),
  )
  .map(([first, second, rest]) => [first, second, ...rest].join('.'));
const { value } = fc.letrec<{ value: Buffer }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    bytes.map(integer),
    fc.boolean().map(boolean),
    bytes.map((content) => octetString(content)),
    bytes.map((content) => bitString(content)),
    fc.uniqueArray(fc.nat(40)).map((positions) => namedBits(...positions)),
    fc.string({ unit: 'grapheme', maxLength: 40 }).map(utf8String),
    fc.string({ maxLength: 40 }).map(ia5String),
    dotted.map(oid),
    bytes.map((content) => contextPrimitive(6, content)),
    fc.array(tie('value'), { maxLength: 5 }).map((parts) => sequence(...parts)),
    fc.array(tie('value'), { maxLength: 5 }).map((parts) => setOf(...parts)),
    fc.array(tie('value'), { maxLength: 5 }).map((parts) => context(3, ...parts)),
  ),
}));

function refuses(hex: string): void {
  assert.throws(() => parseDer(Buffer.from(hex.replaceAll(' ', ''), 'hex')), { code: 'IDENTITY_DER_INVALID' });
}

describe('DER', () => {
  test('what is written is read, and written again the same', () => {
    fc.assert(
      fc.property(value, (der) => {
        const node = parseDer(der);
        assert.ok(node.raw.equals(der));
        assert.ok(rewrite(node).equals(der));
      }),
      { numRuns: 500 },
    );
  });

  test('one value has one encoding: whatever the reader accepts, the writer writes', () => {
    const { der } = sampleAuthority().issueLeaf();
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), fc.nat(der.length), (at, byte, end) => {
        const mutant = Buffer.from(der.subarray(0, Math.max(end, at + 1)));
        mutant[at] = byte;
        let node: DerNode;
        try {
          node = parseDer(mutant);
        } catch (error) {
          assert.ok(error instanceof CodedError, String(error));
          return;
        }
        assert.ok(rewrite(node).equals(mutant));
      }),
      { numRuns: 3000 },
    );
  });

  test('any bytes are answered with a value or a coded error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        try {
          parseDer(garbage);
        } catch (error) {
          assert.ok(error instanceof CodedError, String(error));
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('openssl asn1parse reads what is written', () => {
    const sample = sequence(
      integer(Buffer.from('00ff80', 'hex')),
      integer(0),
      oid('2.999.1234567890.3'),
      utf8String('käse'),
      time(Date.UTC(2049, 11, 31, 23, 59, 59)),
      time(Date.UTC(2050, 0, 1)),
      namedBits(0, 8),
      setOf(integer(5), boolean(true)),
      octetString(Buffer.alloc(70_000 % 300)),
    );
    const text = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: sample }).toString();
    for (const expected of [
      'INTEGER           :FF80',
      'INTEGER           :00',
      ':2.999.1234567890.3',
      'käse',
      'UTCTIME           :491231235959Z',
      'GENERALIZEDTIME   :20500101000000Z',
    ]) {
      assert.ok(text.includes(expected), `${expected} in\n${text}`);
    }
  });

  const refusals: Readonly<Record<string, string>> = {
    nothing: '',
    'a tag alone': '30',
    'indefinite length': '30 80 00 00',
    'long form where the short one does': '04 81 01 00',
    'leading zero in the length': '04 82 00 80' + '00'.repeat(128),
    'length of four bytes': '04 84 00 00 00 01 00',
    'contents cut short': '04 05 00',
    'bytes after the value': '05 00 00',
    'child longer than its parent': '30 03 04 02 00',
    'high tag number': '1f 81 01 00',
    'high tag number of another class': 'bf 81 01 00',
    'OBJECT IDENTIFIER of 65 bytes': `06 41 ${'01'.repeat(65)}`,
    'application tag': '41 01 00',
    'private tag': 'c1 01 00',
    'BOOLEAN of 01': '01 01 01',
    'BOOLEAN of two bytes': '01 02 ff ff',
    'empty INTEGER': '02 00',
    'INTEGER with a leading zero': '02 02 00 7f',
    'INTEGER with a leading ff': '02 02 ff 80',
    'NULL with contents': '05 01 00',
    'empty OBJECT IDENTIFIER': '06 00',
    'OBJECT IDENTIFIER cut short': '06 02 2a 86',
    'OBJECT IDENTIFIER with a padded arc': '06 03 2a 80 01',
    'OBJECT IDENTIFIER with an arc of 56 bits': '06 09 2a ff ff ff ff ff ff ff 7f',
    'empty BIT STRING': '03 00',
    'BIT STRING with 8 unused bits': '03 02 08 00',
    'BIT STRING with unused bits set': '03 02 01 01',
    'BIT STRING without bits but unused ones': '03 01 01',
    'constructed OCTET STRING': '24 03 04 01 00',
    'primitive SEQUENCE': '10 00',
    'unsorted SET': '31 06 02 01 05 01 01 ff',
    'UTF8String that is not UTF-8': '0c 02 c3 28',
    'PrintableString with an at sign': '13 01 40',
    'IA5String with a high byte': '16 01 e4',
    T61String: '14 01 61',
    'UTCTime without seconds': '17 0b 3236313132323132303 05a'.replaceAll(' ', ''),
  };
  for (const [name, hex] of Object.entries(refusals)) test(`refuses: ${name}`, () => refuses(hex));

  test('refuses nesting, numbers and sizes beyond the caps', () => {
    let deep: Buffer = sequence();
    for (let level = 0; level < 13; level++) deep = sequence(deep);
    assert.throws(() => parseDer(deep), { code: 'IDENTITY_DER_INVALID', message: /levels/ });
    const wide = sequence(...Array.from({ length: 2048 }, () => boolean(true)));
    assert.throws(() => parseDer(wide), { code: 'IDENTITY_DER_INVALID', message: /elements/ });
    assert.throws(() => parseDer(octetString(Buffer.alloc(70_000))), { code: 'IDENTITY_TOO_LARGE' });
  });
});

describe('DER values', () => {
  const at = (tag: number, text: string): DerNode => parseDer(element(tag, Buffer.from(text)));

  test('times read as they are written, to the second', () => {
    const range = { min: Date.UTC(1950, 0, 1) / 1000, max: Date.UTC(9999, 11, 31, 23, 59, 59) / 1000 };
    fc.assert(
      fc.property(fc.integer(range), (second) => {
        assert.equal(readTime(parseDer(time(second * 1000))), second * 1000);
      }),
    );
  });

  test('the end of time of IEEE 802.1AR is a time', () => {
    assert.equal(readTime(at(0x18, '99991231235959Z')), 253_402_300_799_000);
  });

  test('times that name no moment, have fractions or offsets, or the wrong type, are refused', () => {
    const bad: readonly (readonly [number, string])[] = [
      [0x17, '261332120000Z'],
      [0x17, '260230120000Z'],
      [0x17, '260101240000Z'],
      [0x17, '2601011200Z'],
      [0x17, '260101120000+0100'],
      [0x18, '20260101120000Z'],
      [0x18, '20510101120000.5Z'],
      [0x18, '20510101120000'],
      [0x17, '26010112000oZ'],
    ];
    for (const [tag, text] of bad) assert.throws(() => at(tag, text), { code: 'IDENTITY_DER_INVALID' }, text);
    assert.throws(() => readTime(parseDer(integer(1))), { code: 'IDENTITY_DER_INVALID' });
    assert.throws(() => time(Date.UTC(1949, 0, 1)), RangeError);
    assert.throws(() => time(Date.UTC(10_000, 0, 1)), RangeError);
  });

  test('object identifiers read as they are written', () => {
    fc.assert(fc.property(dotted, (text) => assert.equal(readOid(parseDer(oid(text))), text)));
    assert.equal(readOid(parseDer(Buffer.from('06 03 88 37 03'.replaceAll(' ', ''), 'hex'))), '2.999.3');
  });

  test('named bits read as they are written, without trailing zeros', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(30)), (positions) => {
        assert.deepEqual(
          readNamedBits(parseDer(namedBits(...positions))),
          positions.toSorted((a, b) => a - b),
        );
      }),
    );
    assert.throws(() => readNamedBits(parseDer(bitString(Buffer.from([0x80])))), { code: 'IDENTITY_DER_INVALID' });
  });

  test('small integers read as they are written; negative and large ones are refused', () => {
    fc.assert(fc.property(fc.nat(), (n) => assert.equal(readSmallInteger(parseDer(integer(n))), n)));
    assert.throws(() => readSmallInteger(parseDer(Buffer.from('0201ff', 'hex'))), { code: 'IDENTITY_DER_INVALID' });
    assert.throws(() => readSmallInteger(parseDer(integer(Buffer.alloc(5, 1)))), { code: 'IDENTITY_DER_INVALID' });
  });
});
