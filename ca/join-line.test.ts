// The join line's parser accepts exactly what the formatter writes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../runtime/errors.ts';
import { formatJoinLine, parseJoinLine, splitAddress } from './join-line.ts';
import type { JoinLine } from './join-line.ts';

const hex = (length: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes).toString('hex'));

const lines: fc.Arbitrary<JoinLine> = fc.record({
  trustDomain: fc.stringMatching(/^[a-z][a-z0-9]{0,20}(\.[a-z][a-z0-9]{0,20}){0,2}$/),
  address: fc.oneof(
    fc
      .tuple(fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?$/), fc.integer({ min: 1, max: 65_535 }))
      .map((p) => p.join(':')),
    fc.tuple(fc.ipV6(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `[${host}]:${port}`),
  ),
  tokenId: hex(10),
  secret: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  rootFingerprint: hex(32).map((text) => `sha256:${text}`),
});

const example: JoinLine = {
  trustDomain: 'plant.example',
  address: 'control.plant.example:8443',
  tokenId: '00112233445566778899',
  secret: Buffer.alloc(32, 7),
  rootFingerprint: `sha256:${'ab'.repeat(32)}`,
};

const encode = (json: string): string => `ew1.${Buffer.from(json).toString('base64url')}`;
const decode = (line: string): string => Buffer.from(line.slice(4), 'base64url').toString();

const refuses = (text: string): void => {
  assert.throws(
    () => parseJoinLine(text),
    (error) => error instanceof CodedError && error.code === 'CA_JOIN_LINE_INVALID',
    text,
  );
};

test('what is written is read back, also with white space around it', () => {
  fc.assert(
    fc.property(lines, fc.constantFrom('', ' ', '\n', '\r\n\t'), (line, space) => {
      // Spread, because fast-check makes objects without prototype.
      assert.deepEqual(parseJoinLine(space + formatJoinLine(line) + space), { ...line });
    }),
  );
});

test('one form only: any line that parses is the formatter’s own output', () => {
  fc.assert(
    fc.property(lines, fc.nat(), fc.integer({ min: 0, max: 255 }), (line, at, byte) => {
      const json = Buffer.from(decode(formatJoinLine(line)));
      json[at % json.length] = byte;
      const text = `ew1.${json.toString('base64url')}`;
      let parsed: JoinLine | undefined;
      try {
        parsed = parseJoinLine(text);
      } catch (error) {
        assert.ok(error instanceof CodedError && error.code === 'CA_JOIN_LINE_INVALID');
      }
      if (parsed !== undefined) assert.equal(formatJoinLine(parsed), text);
    }),
    { numRuns: 500 },
  );
});

test('any text either parses or is refused with the one code, and the error never repeats the line', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json().map(encode)), (text) => {
      try {
        parseJoinLine(text);
      } catch (error) {
        assert.ok(error instanceof CodedError && error.code === 'CA_JOIN_LINE_INVALID');
        if (text.length > 40) assert.ok(!error.message.includes(text));
      }
    }),
  );
});

test('a cut, lengthened or differently encoded line is refused', () => {
  const good = formatJoinLine(example);
  for (const length of [0, 3, 4, 5, 40, good.length - 1]) refuses(good.slice(0, length));
  refuses(`${good}=`);
  refuses(`${good}A`);
  refuses(good.replace('ew1.', 'ew2.'));
  refuses(`${good}\u0000`);
  refuses(`${good} ${good}`);
  refuses(encode(` ${decode(good)}`));
  refuses(encode(decode(good).replace('{"v":1,', '{"v":1,"v":1,')));
  refuses(encode(decode(good).replace('{"v":1,"td":"plant.example"', '{"td":"plant.example","v":1')));
  refuses(encode(decode(good).replace('"v":1', '"v":2')));
  refuses(encode(decode(good).replace('"v":1', '"v":1.0')));
  refuses(encode(decode(good).replace('}', ',"extra":1}')));
});

test('fields outside their form are refused', () => {
  const bad: Partial<JoinLine>[] = [
    { trustDomain: 'Plant.Example' },
    { trustDomain: '' },
    { trustDomain: 'plant.example/..' },
    { trustDomain: 'plant.example:443' },
    { address: 'control' },
    { address: 'control:0' },
    { address: 'control:65536' },
    { address: 'control:08443' },
    { address: 'http://control:443' },
    { address: 'user@control:443' },
    { address: '::1:443' },
    { tokenId: 'XYZ' },
    { tokenId: '00112233445566778899'.toUpperCase().replace('0', 'A') },
    { secret: Buffer.alloc(31) },
    { secret: Buffer.alloc(33) },
    { rootFingerprint: `sha1:${'ab'.repeat(20)}` },
    { rootFingerprint: `sha256:${'AB'.repeat(32)}` },
  ];
  for (const change of bad) refuses(formatJoinLine({ ...example, ...change }));
});

test('addresses split into host and port', () => {
  assert.deepEqual(splitAddress('[fd00::1]:8443'), { host: 'fd00::1', port: 8443 });
  assert.deepEqual(splitAddress('10.0.0.1:1'), { host: '10.0.0.1', port: 1 });
  assert.equal(splitAddress('[fd00::1]'), undefined);
});
