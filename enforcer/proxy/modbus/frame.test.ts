// Frames put together again from any pieces, and garbage noticed at its first byte.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { answers, createFrameReader, exceptionResponse } from './frame.ts';
import { frame, readRegisters } from '../../../test/proxy/wire.ts';

const pieces = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const ends = [...cuts.filter((cut) => cut > 0 && cut < bytes.length), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
};

function read(chunks: readonly Buffer[]): { frames: string[]; fault: string | undefined } {
  const reader = createFrameReader();
  const frames: string[] = [];
  let fault: string | undefined;
  for (const chunk of chunks) {
    const batch = reader.push(chunk);
    frames.push(...batch.frames.map(({ bytes }) => bytes.toString('hex')));
    fault = batch.fault;
  }
  return { frames, fault };
}

test('frame: cut at every byte it is the same frame', () => {
  const bytes = readRegisters(0x1234, 7, 3, 17);
  for (let cut = 1; cut < bytes.length; cut++) {
    const reader = createFrameReader();
    assert.deepEqual(reader.push(bytes.subarray(0, cut)), { frames: [], fault: undefined });
    assert.equal(reader.isPartial(), true);
    const [whole] = reader.push(bytes.subarray(cut)).frames;
    assert.deepEqual(whole, { transaction: 0x1234, unit: 17, pdu: bytes.subarray(7), bytes });
    assert.equal(reader.isPartial(), false);
  }
});

const anyFrame = fc
  .tuple(fc.nat(0xffff), fc.nat(255), fc.uint8Array({ minLength: 1, maxLength: 253 }))
  .map(([transaction, unit, pdu]) => frame(transaction, unit, [...pdu]));

test('frame: any frames in any pieces come out whole and in order', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 6 }), fc.array(fc.nat(1_600), { maxLength: 30 }), (frames, cuts) => {
      const stream = Buffer.concat(frames);
      const expected = frames.map((bytes) => bytes.toString('hex'));
      assert.deepEqual(read(pieces(stream, cuts)), { frames: expected, fault: undefined });
    }),
    { numRuns: 1_000 },
  );
});

test('frame: how garbage is cut does not change where it is noticed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400), { maxLength: 20 }), (bytes, cuts) => {
      const stream = Buffer.from(bytes);
      assert.deepEqual(read(pieces(stream, cuts)), read([stream]));
    }),
    { numRuns: 1_000 },
  );
});

test('frame: a wrong header is noticed at its first wrong byte, and nothing after it is read', () => {
  const rows: [number[], string][] = [
    [[0, 1, 1], 'protocol identifier is not 0'],
    [[0, 1, 0, 1], 'protocol identifier is not 0'],
    [[0, 1, 0, 0, 1], 'length is not 2 to 254'],
    [[0, 1, 0, 0, 0, 0], 'length is not 2 to 254'],
    [[0, 1, 0, 0, 0, 1], 'length is not 2 to 254'],
    [[0, 1, 0, 0, 0, 255], 'length is not 2 to 254'],
  ];
  for (const [bytes, fault] of rows) {
    assert.equal(read([Buffer.from(bytes.slice(0, -1))]).fault, undefined);
    const reader = createFrameReader();
    assert.deepEqual(reader.push(Buffer.from(bytes)), { frames: [], fault });
    assert.deepEqual(reader.push(readRegisters(1, 0)), { frames: [], fault }, 'dead for good');
  }
  const largest = frame(
    1,
    1,
    Array.from({ length: 253 }, () => 3),
  );
  assert.equal(read([largest]).frames.length, 1);
});

test('frame: a frame keeps its bytes when the chunk it came in is used again', () => {
  const chunk = Buffer.from(readRegisters(1, 2));
  const copy = Buffer.from(chunk);
  const [kept] = createFrameReader().push(chunk).frames;
  chunk.fill(0xff);
  assert.deepEqual(kept?.bytes, copy);
});

test('exception: the request’s transaction, unit and function with the high bit', () => {
  const [request] = createFrameReader().push(readRegisters(0xabcd, 0, 1, 9)).frames;
  assert.ok(request);
  assert.equal(exceptionResponse(request, 1).toString('hex'), 'abcd00000003098301');
});

test('answer: belongs to the request with the same transaction, unit and function', () => {
  const request = { transaction: 7, unit: 1, functionCode: 3 };
  const of = (transaction: number, unit: number, code: number): boolean => {
    const [response] = createFrameReader().push(frame(transaction, unit, [code, 1])).frames;
    return response !== undefined && answers(response, request);
  };
  assert.ok(of(7, 1, 3) && of(7, 1, 0x83));
  assert.ok(!of(8, 1, 3) && !of(7, 2, 3) && !of(7, 1, 4) && !of(7, 1, 0x84));
});
