// Chunks of a socket to frames (RFC 9113 section 4.1). A frame that lies whole in a chunk is handed on in place; one that
// is cut by chunks is put together in a buffer of its own.
import { ConnectionFault, frameHeaderBytes, maxFrameBytes } from './protocol.ts';

export interface FrameSink {
  /** The payload is `bytes[start, end)`, and only during this call. */
  frame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void;
}

export class FrameReader {
  readonly #sink: FrameSink;
  #held: Buffer | undefined;
  #heldBytes = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** A frame has begun and is not complete. */
  get isInsideFrame(): boolean {
    return this.#heldBytes > 0;
  }

  /** Throws what the sink throws, and FRAME_SIZE_ERROR. */
  read(chunk: Buffer, from: number): void {
    let at = this.#heldBytes === 0 ? from : this.#complete(chunk, from);
    while (at + frameHeaderBytes <= chunk.length) {
      const end = at + frameHeaderBytes + payloadBytes(chunk, at);
      if (end > chunk.length) break;
      this.#hand(chunk, at, end);
      at = end;
    }
    if (at < chunk.length) this.#hold(chunk, at, chunk.length);
  }

  /** Says where the chunk goes on after the frame that was held. */
  #complete(chunk: Buffer, from: number): number {
    const held = (this.#held ??= Buffer.allocUnsafeSlow(frameHeaderBytes + maxFrameBytes));
    let at = this.#hold(chunk, from, from + frameHeaderBytes - this.#heldBytes);
    if (this.#heldBytes < frameHeaderBytes) return at;
    const whole = frameHeaderBytes + payloadBytes(held, 0);
    at = this.#hold(chunk, at, at + whole - this.#heldBytes);
    if (this.#heldBytes < whole) return at;
    this.#heldBytes = 0;
    this.#hand(held, 0, whole);
    return at;
  }

  #hold(chunk: Buffer, from: number, until: number): number {
    const held = (this.#held ??= Buffer.allocUnsafeSlow(frameHeaderBytes + maxFrameBytes));
    const end = Math.max(from, Math.min(until, chunk.length));
    chunk.copy(held, this.#heldBytes, from, end);
    this.#heldBytes += end - from;
    return end;
  }

  #hand(bytes: Buffer, at: number, end: number): void {
    const streamId =
      (((bytes[at + 5] ?? 0) & 0x7f) << 24) |
      ((bytes[at + 6] ?? 0) << 16) |
      ((bytes[at + 7] ?? 0) << 8) |
      (bytes[at + 8] ?? 0);
    this.#sink.frame(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, streamId, bytes, at + frameHeaderBytes, end);
  }
}

function payloadBytes(bytes: Buffer, at: number): number {
  const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
  if (length > maxFrameBytes) throw new ConnectionFault('FRAME_SIZE_ERROR', `a frame of ${length} octets`);
  return length;
}
