// Messages of nfnetlink_log, without a kernel. With one: test/firewall/denials.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { requires } from '../test/support/capabilities.ts';
import { openNflog, parseNflog, SequenceGaps } from './linux-nflog.ts';

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

function message(type: number, ...attributes: Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from([2, 0, 0, 5]), ...attributes]);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16 + body.length, 0);
  head.writeUInt16LE(type, 4);
  return Buffer.concat([head, body]);
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const payload = Buffer.from('450000280001000040110000 0a140003 0a140002 9c4001f6'.replaceAll(' ', ''), 'hex');
const packet = (sequence: number): Buffer =>
  message(
    0x400,
    attribute(10, Buffer.from('ew:default-in\0')),
    attribute(4, u32(7)),
    attribute(8, Buffer.from([0, 6, 0, 0, 2, 0, 0, 0, 0, 5, 0, 0])),
    attribute(9, payload),
    attribute(12, u32(sequence)),
  );
const nameOf = (index: number): string => `eth${index}`;

test('a datagram holds several packets and ends with DONE', () => {
  const datagram = Buffer.concat([packet(0), packet(1), message(3), packet(2)]);
  const parsed = [...parseNflog(datagram, nameOf)];
  assert.deepEqual(
    parsed.map((entry) => entry.sequence),
    [0, 1],
  );
  assert.deepEqual(parsed[0]?.packet, {
    prefix: 'ew:default-in',
    inInterface: 'eth7',
    outInterface: '',
    hardwareSource: '02:00:00:00:00:05',
    network: {
      source: '10.20.0.3',
      destination: '10.20.0.2',
      protocol: 'udp',
      sourcePort: 40_000,
      destinationPort: 502,
    },
  });
});

test('a message cut short ends the datagram; no bytes make it throw', () => {
  assert.equal([...parseNflog(packet(0).subarray(0, 60), nameOf)].length, 0);
  fc.assert(
    fc.property(fc.nat({ max: packet(0).length }), fc.uint8Array({ maxLength: 40 }), (cut, noise) => {
      const whole = packet(0);
      const broken = Buffer.concat([whole.subarray(0, cut), Buffer.from(noise), whole.subarray(cut)]);
      assert.ok([...parseNflog(broken, nameOf)].length <= 2);
    }),
    { numRuns: 2_000 },
  );
});

test('an attribute too short for its type counts as absent', () => {
  for (let type = 0; type < 32; type += 1) {
    for (let length = 0; length < 12; length += 1) {
      const [read] = parseNflog(message(0x400, attribute(type, Buffer.alloc(length))), nameOf);
      if (length < 2) {
        const packet = { prefix: '', inInterface: '', outInterface: '' };
        assert.deepEqual(read, { packet, sequence: undefined }, `type ${type}, ${length} bytes`);
      }
    }
  }
});

test('gaps are counted from the first number on, also over the wrap', () => {
  const gaps = new SequenceGaps();
  assert.deepEqual(
    [0, 1, 5, 6].map((sequence) => gaps.before(sequence)),
    [0, 0, 3, 0],
  );
  const late = new SequenceGaps();
  assert.equal(late.before(2), 2);
  const wrapping = new SequenceGaps();
  wrapping.before(0xfffffffe);
  assert.deepEqual(
    [0xffffffff, 0, 3].map((sequence) => wrapping.before(sequence)),
    [0, 0, 2],
  );
});

test('a group belongs to one reader', (t) => {
  if (!requires(t, 'root', 'linux')) return;
  const handlers = { packet: () => {}, lost: () => {}, fault: () => {} };
  const reader = openNflog({ group: 6_543 }, handlers);
  assert.throws(() => openNflog({ group: 6_543 }, handlers), {
    code: 'LINUX_CALL',
    message: /another program reads it/,
  });
  assert.deepEqual(reader.counts(), { received: 0, lost: 0, overruns: 0 });
  reader.close();
  reader.close();
});
