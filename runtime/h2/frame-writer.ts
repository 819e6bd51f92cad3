// Frames into batches: everything that one read of a socket leads to goes out with one write.
import { answerBlock, doneBlock } from './answer-blocks.ts';
import { batchBytes, maxSpareBatches } from './limits.ts';
import { flag, frameHeaderBytes, frameType } from './protocol.ts';
import { prefixBytes } from './stream.ts';

/** Empty batches, shared by the connections of a server; a connection has one only while it has something to write. */
export class SpareBatches {
  readonly #spare: Buffer[] = [];

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(batchBytes);
  }

  give(batch: Buffer): void {
    if (batch.length === batchBytes && this.#spare.length < maxSpareBatches) this.#spare.push(batch);
  }
}

export interface Batch {
  readonly buffer: Buffer;
  readonly length: number;
}

/** An answer that leaves at once: HEADERS, the DATA header and the message prefix, then after the message the trailers. */
const opening = Buffer.concat([
  frame(frameType.headers, flag.endHeaders, answerBlock),
  frame(frameType.data, 0, Buffer.alloc(0)),
  Buffer.alloc(prefixBytes),
]);
const dataAt = frameHeaderBytes + answerBlock.length;
const prefixAt = dataAt + frameHeaderBytes;
const closing = frame(frameType.headers, flag.endHeaders | flag.endStream, doneBlock);

function frame(type: number, flags: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  return Buffer.concat([header, payload]);
}

/** What `writeAnswer` adds to the octets of the message. */
export const answerOverhead = opening.length + closing.length;

export class FrameWriter {
  readonly #spare: SpareBatches;
  readonly #full: Batch[] = [];
  #buffer: Buffer | undefined;
  #length = 0;

  constructor(spare: SpareBatches) {
    this.#spare = spare;
  }

  /** What is ready to be written, in order. */
  takeBatches(each: (batch: Batch) => void): void {
    for (const batch of this.#full.splice(0)) each(batch);
    if (this.#buffer === undefined) return;
    const batch = { buffer: this.#buffer, length: this.#length };
    this.#buffer = undefined;
    this.#length = 0;
    each(batch);
  }

  /** A whole successful answer. The caller has looked at the windows, and that message and prefix fit in one frame. */
  writeAnswer(streamId: number, message: Uint8Array): void {
    const buffer = this.#reserve(answerOverhead + message.length);
    let at = this.#length;
    opening.copy(buffer, at);
    putStreamId(buffer, at, streamId);
    putStreamId(buffer, at + dataAt, streamId);
    putLength(buffer, at + dataAt, prefixBytes + message.length);
    // The length of a message that fits in one frame has at most three octets of the prefix's four.
    putLength(buffer, at + prefixAt + 2, message.length);
    at += opening.length;
    buffer.set(message, at);
    at += message.length;
    closing.copy(buffer, at);
    putStreamId(buffer, at, streamId);
    this.#length = at + closing.length;
  }

  write(type: number, flags: number, streamId: number, payload: Uint8Array, prefix?: Uint8Array): void {
    const length = payload.length + (prefix?.length ?? 0);
    const buffer = this.#reserve(frameHeaderBytes + length);
    let at = this.#length;
    putLength(buffer, at, length);
    buffer[at + 3] = type;
    buffer[at + 4] = flags;
    putStreamId(buffer, at, streamId);
    at += frameHeaderBytes;
    if (prefix !== undefined) buffer.set(prefix, at);
    buffer.set(payload, at + (prefix?.length ?? 0));
    this.#length = at + length;
  }

  /** A frame whose payload is one number of four octets: RST_STREAM, WINDOW_UPDATE. */
  writeNumber(type: number, streamId: number, value: number): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(value);
    this.write(type, 0, streamId, payload);
  }

  #reserve(bytes: number): Buffer {
    if (this.#buffer !== undefined && this.#length + bytes > this.#buffer.length) {
      this.#full.push({ buffer: this.#buffer, length: this.#length });
      this.#buffer = undefined;
    }
    if (this.#buffer === undefined) {
      this.#length = 0;
      this.#buffer = bytes > batchBytes ? Buffer.allocUnsafeSlow(bytes) : this.#spare.take();
    }
    return this.#buffer;
  }
}

function putLength(buffer: Buffer, at: number, length: number): void {
  buffer[at] = length >>> 16;
  buffer[at + 1] = length >>> 8;
  buffer[at + 2] = length;
}

function putStreamId(buffer: Buffer, frameAt: number, streamId: number): void {
  buffer[frameAt + 5] = streamId >>> 24;
  buffer[frameAt + 6] = streamId >>> 16;
  buffer[frameAt + 7] = streamId >>> 8;
  buffer[frameAt + 8] = streamId;
}
