// Netlink's bytes: what is written is read back, and no bytes do more than throw the coded error.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  attributesOf,
  eachAttribute,
  netlinkMessages,
  NetlinkWriter,
  NLM_F,
  NLMSG,
  numberOf,
  outcomeOf,
  textOf,
} from './linux-netlink-wire.ts';

const malformed = { code: 'LINUX_NETLINK_MALFORMED' };

test('the layout is that of netlink(7): host-order headers, padded attributes, netfilter numbers big-endian', () => {
  const writer = new NetlinkWriter(1).begin(0x0a09, NLM_F.request | NLM_F.ack).netfilter(1, 0x0102);
  writer.string(2, 'abc').nested(3, () => writer.u8(1, 7).u16(2, 0x0a0b).u32(3, 0xfffffffe).u64(4, 5));
  const { bytes, acknowledged, messages } = writer.finish();
  assert.deepEqual([acknowledged, messages], [[0], 1]);
  const sequence = bytes.toString('hex', 8, 12);
  assert.equal(
    bytes.toString('hex'),
    [
      '44000000090a0500',
      `${sequence}00000000`,
      '01000102',
      '0800020061626300',
      '28000380',
      '0500010007000000',
      '060002000a0b0000',
      '08000300fffffffe',
      '0c0004000000000000000005',
    ].join(''),
  );
});

test('what was written is read back, message by message', () => {
  const value = fc.uint8Array({ maxLength: 300 });
  const attribute = fc.tuple(fc.nat({ max: 0x3fff }), value);
  const message = fc.record(
    {
      type: fc.integer({ min: 0x10, max: 0xffff }),
      flags: fc.nat({ max: 0xffff }),
      attributes: fc.uniqueArray(attribute, { selector: ([type]) => type, maxLength: 8 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 8 }), (wanted) => {
      const writer = new NetlinkWriter(16);
      for (const { type, flags, attributes } of wanted) {
        writer.begin(type, flags);
        for (const [kind, bytes] of attributes) writer.bytes(kind, bytes);
      }
      const request = writer.finish();
      const read = [...netlinkMessages(request.bytes)];
      assert.deepEqual(
        read.map(({ type, flags, payload }) => ({
          type,
          flags,
          attributes: [...attributesOf(payload)].map(([kind, bytes]) => [kind, new Uint8Array(bytes)]),
        })),
        wanted,
      );
      assert.deepEqual(
        read.map(({ sequence }) => sequence - request.firstSequence),
        wanted.map((_, index) => index),
      );
    }),
  );
});

test('two requests never share a sequence number, and none is 0', () => {
  const requests = [1, 3, 1].map((count) => {
    const writer = new NetlinkWriter();
    for (let made = 0; made < count; made += 1) writer.begin(0x10, NLM_F.request);
    return writer.finish();
  });
  const numbers = requests.flatMap(({ bytes }) => [...netlinkMessages(bytes)].map(({ sequence }) => sequence));
  assert.equal(new Set(numbers).size, 5);
  assert.ok(!numbers.includes(0));
});

test('an attribute longer than its 16-bit length can say is refused, not cut', () => {
  const writer = new NetlinkWriter().begin(0x10, 0);
  assert.throws(() => writer.bytes(1, Buffer.alloc(65_532)), { code: 'LINUX_NETLINK_TOO_LONG' });
  assert.throws(
    () =>
      writer.nested(1, () => {
        for (let part = 0; part < 3; part += 1) writer.bytes(1, Buffer.alloc(30_000));
      }),
    { code: 'LINUX_NETLINK_TOO_LONG' },
  );
});

test('a length that lies is a coded error, for messages and attributes', () => {
  const whole = new NetlinkWriter().begin(0x10, 0).u32(1, 1).u32(2, 2).finish().bytes;
  const lying = (at: number, length: number): Buffer => {
    const bytes = Buffer.from(whole);
    bytes.writeUInt16LE(length, at);
    return bytes;
  };
  for (const length of [0, 15, whole.length + 1, 0xffff]) {
    assert.throws(() => [...netlinkMessages(lying(0, length))], malformed, `message of ${length}`);
  }
  for (const length of [0, 3, 17, 0xffff]) {
    assert.throws(() => attributesOf(lying(16, length), 16), malformed, `attribute of ${length}`);
  }
  assert.throws(() => [...netlinkMessages(whole.subarray(0, 12))], malformed);
  assert.throws(() => attributesOf(whole.subarray(16, 18)), malformed);
});

test('values of another length than their type are coded errors', () => {
  assert.equal(numberOf(Buffer.of(0, 0, 1, 0), 4, 'x'), 256);
  for (const value of [undefined, Buffer.alloc(0), Buffer.alloc(3), Buffer.alloc(5)]) {
    assert.throws(() => numberOf(value, 4, 'x'), malformed);
  }
  assert.throws(() => numberOf(Buffer.alloc(8, 0xff), 8, 'x'), malformed);
  assert.throws(() => textOf(undefined, 'x'), malformed);
  assert.equal(textOf(Buffer.from('drop\0x'), 'x'), 'drop');
});

test('an error tells its errno, its words and the place; a short or impossible one is malformed', () => {
  const header = Buffer.alloc(16);
  const said = new NetlinkWriter()
    .raw(Buffer.from([0xfe, 0xff, 0xff, 0xff]))
    .raw(header)
    .string(1, 'no such chain');
  const error = { type: NLMSG.error, flags: NLM_F.capped | NLM_F.ackAttributes, sequence: 1, port: 0 };
  const payload = said.bytes(2, Buffer.of(20, 0, 0, 0)).finish().bytes;
  assert.deepEqual(outcomeOf({ ...error, payload }), {
    errno: 2,
    reason: 'no such chain',
    offset: 20,
    missing: undefined,
  });
  const of = (...bytes: number[]): Buffer => Buffer.from(bytes);
  for (const bad of [of(), of(0, 0), of(1, 0, 0, 0), of(0, 0, 0, 0x80), of(0xfe, 0xff, 0xff, 0xff)]) {
    assert.throws(() => outcomeOf({ ...error, payload: bad }), malformed);
  }
});

test('no bytes do more than throw the coded error', () => {
  const coded = (run: () => void): void => {
    try {
      run();
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'LINUX_NETLINK_MALFORMED');
    }
  };
  const valid = new NetlinkWriter().begin(2, 0x300).raw(Buffer.alloc(20)).string(1, 'text').finish().bytes;
  const mutated = fc
    .tuple(fc.nat({ max: valid.length }), fc.uint8Array({ maxLength: 30 }), fc.nat({ max: 40 }))
    .map(([at, noise, skip]) => Buffer.concat([valid.subarray(0, at), noise, valid.subarray(at + skip)]));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        mutated,
      ),
      (bytes) => {
        coded(() => eachAttribute(bytes, 0, bytes.length, () => {}));
        coded(() => {
          for (const message of netlinkMessages(bytes)) outcomeOf(message);
        });
      },
    ),
    { numRuns: 3_000 },
  );
});
