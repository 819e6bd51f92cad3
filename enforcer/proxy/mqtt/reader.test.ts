// Packets put together again from any pieces; what cannot be one is refused at its first byte, what is too long before
// its body.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { followers, openings } from '../../../test/proxy/mqtt-packets.ts';
import { encode } from './encode.ts';
import type { Sender } from './packet.ts';
import { createFrameReader } from './reader.ts';

const bounds = { maxPacketBytes: 5_000, maxFirstPacketBytes: 1_000 };
const connect = encode(
  { type: 'connect', version: 4, clean: true, keepAlive: 60, clientId: 'sensor-1', properties: [] },
  4,
);

const pieces = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const ends = [...cuts.filter((cut) => cut > 0 && cut < bytes.length), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
};

interface Read {
  readonly frames: readonly string[];
  readonly fault: string | undefined;
  readonly partial: boolean;
}

function read(chunks: readonly Buffer[], sender: Sender = 'client'): Read {
  const reader = createFrameReader(sender, bounds);
  const frames: string[] = [];
  let fault: string | undefined;
  for (const chunk of chunks) {
    const batch = reader.push(chunk);
    frames.push(
      ...batch.frames.map(
        ({ type, flags, body, bytes }) => `${type} ${flags} ${body.toString('hex')} of ${bytes.toString('hex')}`,
      ),
    );
    fault = batch.fault;
  }
  return { frames, fault, partial: fault === undefined && reader.isPartial() };
}

test('reader: cut at every byte it is the same packet', () => {
  for (let cut = 1; cut < connect.length; cut++) {
    const reader = createFrameReader('client', bounds);
    assert.deepEqual(reader.push(connect.subarray(0, cut)), { frames: [], fault: undefined });
    assert.equal(reader.isPartial(), true);
    const [whole] = reader.push(connect.subarray(cut)).frames;
    assert.deepEqual(whole, { type: 'connect', flags: 0, body: connect.subarray(2), bytes: connect });
    assert.equal(reader.isPartial(), false);
  }
});

for (const sender of ['client', 'server'] as const) {
  test(`reader: any packets of a ${sender} in any pieces come out whole and in order`, () => {
    const stream = fc
      .constantFrom(4 as const, 5 as const)
      .chain((version) =>
        fc
          .tuple(openings(version, sender), fc.array(followers(version, sender), { maxLength: 6 }))
          .map(([opening, others]) => [opening, ...others].map((packet) => encode(packet, version))),
      );
    fc.assert(
      fc.property(stream, fc.array(fc.nat(600), { maxLength: 30 }), (packets, cuts) => {
        const bytes = Buffer.concat(packets);
        const cut = read(pieces(bytes, cuts), sender);
        assert.deepEqual(
          cut.frames.map((frame) => frame.split(' of ')[1]),
          packets.map((packet) => packet.toString('hex')),
        );
        assert.deepEqual(cut, read([bytes], sender));
        assert.deepEqual([cut.fault, cut.partial], [undefined, false]);
      }),
      { numRuns: 500 },
    );
  });
}

test('reader: how garbage is cut does not change where it is noticed', () => {
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([connect, bytes])),
  );
  fc.assert(
    fc.property(garbage, fc.array(fc.nat(300), { maxLength: 20 }), (stream, cuts) => {
      assert.deepEqual(read(pieces(stream, cuts)), read([stream]));
    }),
    { numRuns: 2_000 },
  );
});

const afterConnect = (...bytes: number[]): Buffer => Buffer.concat([connect, Buffer.from(bytes)]);

const refused: readonly (readonly [name: string, stream: Buffer, fault: RegExp])[] = [
  ['HTTP', Buffer.from('G'), /flags 7 of puback/],
  ['a TLS ClientHello', Buffer.from([0x16]), /flags 6 of connect/],
  ['Modbus', Buffer.from([0x00]), /packet type 0/],
  ['PUBLISH first', Buffer.from([0x30]), /publish before connect/],
  ['a second CONNECT', afterConnect(0x10), /a second connect/],
  ['CONNACK from a client', Buffer.from([0x20]), /connack comes from the other side/],
  ['PINGRESP from a client', afterConnect(0xd0), /pingresp comes from the other side/],
  ['QoS 3', afterConnect(0x36), /flags 6 of publish/],
  ['QoS 0 with dup', afterConnect(0x38), /flags 8 of publish/],
  ['SUBSCRIBE without its flag', afterConnect(0x80), /flags 0 of subscribe/],
  ['PUBREL without its flag', afterConnect(0x60), /flags 0 of pubrel/],
  ['PINGREQ with a flag', afterConnect(0xc1), /flags 1 of pingreq/],
  ['a length of five bytes', afterConnect(0x30, 0x80, 0x80, 0x80, 0x80), /more than four bytes/],
  ['a length that is not minimal', afterConnect(0xc0, 0x80, 0x00), /more bytes than it needs/],
  ['the greatest length there is', afterConnect(0x30, 0xff, 0xff, 0xff, 0x7f), /268435460 bytes, more than 5000/],
  ['one byte too much', afterConnect(0x30, 0x86, 0x27), /a packet of 5001 bytes/],
  ['a CONNECT longer than a first packet may be', Buffer.from([0x10, 0xe6, 0x07]), /1001 bytes, more than 1000/],
];

for (const [name, stream, fault] of refused) {
  test(`reader: ${name} is refused at its last byte needed`, () => {
    assert.equal(read([stream.subarray(0, -1)]).fault, undefined);
    assert.match(read([stream]).fault ?? '', fault);
  });
}

test('reader: a packet of the greatest size passes, in pieces and in one', () => {
  const bytes = afterConnect(0x30, 0x85, 0x27, ...Array.from({ length: 4_997 }, () => 0x61));
  for (const chunks of [[bytes], pieces(bytes, [20, 21, 22, 23, 2_000])]) {
    const { frames, fault } = read(chunks);
    assert.equal(fault, undefined);
    assert.equal(frames.length, 2);
  }
});

test('reader: a server that speaks first of anything but CONNACK is refused', () => {
  assert.match(read([Buffer.from([0x30])], 'server').fault ?? '', /publish before connack/);
  assert.match(read([Buffer.from([0x10])], 'server').fault ?? '', /connect comes from the other side/);
  assert.match(read([Buffer.from([0xf0])], 'server').fault ?? '', /auth before connack/);
});

test('reader: nothing is read any more behind a fault', () => {
  const reader = createFrameReader('client', bounds);
  assert.match(reader.push(Buffer.concat([Buffer.from([0x00]), connect])).fault ?? '', /type 0/);
  const later = reader.push(connect);
  assert.deepEqual([later.frames.length, later.fault], [0, 'packet type 0']);
});
