import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { chainNext, chainStart } from '../log/chain.ts';
import {
  decodeSegmentHeader,
  encodeFrames,
  encodeSegmentHeader,
  frameOverheadBytes,
  scanFrames,
  segmentHeaderBytes,
  type SpoolRecord,
} from './segment.ts';

const epoch = Buffer.alloc(16, 1);

/** Groups of records as they are written, and the bytes of each frame. */
function written(groups: number[]): { records: SpoolRecord[]; frames: Buffer[] } {
  const records: SpoolRecord[] = [];
  const frames: Buffer[] = [];
  let chain = chainStart(epoch);
  for (const size of groups) {
    for (let at = 0; at < size; at += 1) {
      const sequence = records.length + 1;
      const payload = Buffer.from(`{"n":${sequence}}`);
      chain = chainNext(chain, sequence, payload);
      records.push({ sequence, payload, chain });
    }
    const group = records.slice(records.length - size);
    let bytes = encodeFrames(group, true);
    for (const { payload } of group) {
      const length = frameOverheadBytes + payload.length;
      frames.push(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
    assert.equal(bytes.length, 0);
  }
  return { records, frames };
}

const plain = (records: readonly SpoolRecord[]): object[] =>
  records.map((one) => ({ sequence: one.sequence, payload: one.payload.toString(), chain: one.chain.toString('hex') }));

test('a header comes back, and any flipped bit makes it unreadable', () => {
  const header = { epoch, firstSequence: 77, chain: chainStart(epoch) };
  const bytes = encodeSegmentHeader(header);
  assert.equal(bytes.length, segmentHeaderBytes);
  assert.deepEqual(decodeSegmentHeader(bytes), header);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.equal(decodeSegmentHeader(flipped), undefined);
  }
});

test('any cut of the last group keeps everything before it and reports no damage', () => {
  const { records, frames } = written([2, 3, 4]);
  const bytes = Buffer.concat(frames);
  const durable = Buffer.concat(frames.slice(0, 5)).length;
  for (let size = durable; size < bytes.length; size += 1) {
    const scan = scanFrames(bytes.subarray(0, size), 0, 1);
    assert.deepEqual(plain(scan.records.slice(0, 5)), plain(records.slice(0, 5)));
    assert.ok(scan.holes.every((hole) => !hole.provenDurable));
    assert.ok(scan.end <= size);
  }
});

test('a hole in the last group is a torn tail, the same hole before a later group is damage', () => {
  const { frames } = written([2, 3, 2]);
  const zeroed = frames.map((frame, at) => (at === 3 ? Buffer.alloc(frame.length) : frame));
  const torn = scanFrames(Buffer.concat(zeroed.slice(0, 5)), 0, 1);
  assert.deepEqual(
    torn.holes.map((hole) => hole.provenDurable),
    [false],
  );
  assert.equal(torn.end, Buffer.concat(frames.slice(0, 3)).length);
  const damaged = scanFrames(Buffer.concat(zeroed), 0, 1);
  assert.deepEqual(
    damaged.holes.map((hole) => hole.provenDurable),
    [true],
  );
  assert.deepEqual(
    damaged.records.map((record) => record.sequence),
    [1, 2, 3, 5, 6, 7],
  );
});

test('any single flipped bit costs at most the frame it is in', () => {
  const { frames } = written([1, 2, 1, 2]);
  const bytes = Buffer.concat(frames);
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      const scan = scanFrames(flipped, 0, 1);
      assert.equal(scan.records.length, 5);
      assert.equal(scan.holes.length, 1);
    }),
  );
});
