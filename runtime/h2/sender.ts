// The sending half of a connection: batches to the socket, and DATA only as far as the peer's windows go
// (RFC 9113 section 5.2). What has to wait is bounded in bytes and in time.
import type { Socket } from 'node:net';
import { answerBlock, doneBlock, noDynamicTable } from './answer-blocks.ts';
import { FrameWriter, type SpareBatches } from './frame-writer.ts';
import { maxUnsentBytes } from './limits.ts';
import {
  ConnectionFault,
  defaultWindow,
  errorCode,
  type ErrorName,
  flag,
  frameType,
  maxFrameBytes,
  maxWindow,
} from './protocol.ts';
import { prefixBytes, type Stream } from './stream.ts';

export class Sender {
  readonly #socket: Socket;
  readonly #spare: SpareBatches;
  readonly #writer: FrameWriter;
  readonly #maxQueuedBytes: number;
  /** Told of a stream whose END_STREAM has gone. */
  readonly #answered: (stream: Stream) => void;
  readonly #waiting = new Set<Stream>();
  #queuedBytes = 0;
  #window = defaultWindow;
  #streamWindow = defaultWindow;
  #isFirstBlock = true;
  #isCorked = false;
  #isScheduled = false;
  #isOver = false;
  #takenMs = 0;
  #now: () => number;

  constructor(
    socket: Socket,
    spare: SpareBatches,
    maxQueuedBytes: number,
    now: () => number,
    answered: (stream: Stream) => void,
  ) {
    this.#socket = socket;
    this.#spare = spare;
    this.#writer = new FrameWriter(spare);
    this.#maxQueuedBytes = maxQueuedBytes;
    this.#now = now;
    this.#answered = answered;
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE of the peer. */
  get streamWindow(): number {
    return this.#streamWindow;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** The socket does not take what we write: read nothing more until it does. */
  get isStuffed(): boolean {
    return this.#socket.writableLength > maxUnsentBytes;
  }

  /** Since when the socket has taken nothing although there is something to take, or undefined. */
  get stuckSinceMs(): number | undefined {
    return this.#socket.writableLength === 0 ? undefined : this.#takenMs;
  }

  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#writer.write(type, flags, streamId, payload);
    this.#schedule();
  }

  reset(streamId: number, code: ErrorName): void {
    this.#writer.writeNumber(frameType.rstStream, streamId, errorCode[code]);
    this.#schedule();
  }

  windowUpdate(streamId: number, octets: number): void {
    this.#writer.writeNumber(frameType.windowUpdate, streamId, octets);
    this.#schedule();
  }

  /** A whole header block; with `end` the last thing of the stream. */
  block(stream: Stream, block: Uint8Array, end: boolean): void {
    const flags = end ? flag.endHeaders | flag.endStream : flag.endHeaders;
    this.#writer.write(frameType.headers, flags, stream.id, block, this.#isFirstBlock ? noDynamicTable : undefined);
    this.#isFirstBlock = false;
    stream.hasSentHead = true;
    if (end) this.#end(stream);
    this.#schedule();
  }

  /** The whole successful answer of a unary call. `message` may be used again when this returns. */
  answer(stream: Stream, message: Uint8Array): void {
    const bytes = prefixBytes + message.length;
    const fits = bytes <= this.#window && bytes <= stream.sendWindow && bytes <= maxFrameBytes;
    if (!fits || this.#isFirstBlock) {
      this.message(stream, message, doneBlock);
      return;
    }
    this.#window -= bytes;
    this.#writer.writeAnswer(stream.id, message);
    this.#end(stream);
    this.#schedule();
  }

  /** One message, as far as the windows go; the rest waits. `sent` is called when all of it has gone, or never will. */
  message(stream: Stream, message: Uint8Array, trailers?: Buffer, sent?: () => void): void {
    if (!stream.hasSentHead) this.block(stream, answerBlock, false);
    const bytes = Buffer.allocUnsafe(prefixBytes + message.length);
    bytes[0] = 0;
    bytes.writeUInt32BE(message.length, 1);
    bytes.set(message, prefixBytes);
    stream.waiting = { bytes, at: 0, trailers, sinceMs: this.#now(), sent };
    this.#queuedBytes += bytes.length;
    this.#waiting.add(stream);
    this.#advance(stream);
    if (this.#queuedBytes > this.#maxQueuedBytes) {
      throw new ConnectionFault('ENHANCE_YOUR_CALM', 'too many answers wait for the window');
    }
    this.#schedule();
  }

  /** The stream is over: what waits for it waits no more. */
  forget(stream: Stream): void {
    if (!this.#waiting.delete(stream) || stream.waiting === undefined) return;
    this.#queuedBytes -= stream.waiting.bytes.length;
    const { sent } = stream.waiting;
    stream.waiting = undefined;
    sent?.();
  }

  /** WINDOW_UPDATE for the connection. */
  grant(octets: number): void {
    if (this.#window + octets > maxWindow) throw new ConnectionFault('FLOW_CONTROL_ERROR', 'the window overflows');
    this.#window += octets;
    this.#advanceAll();
  }

  /** WINDOW_UPDATE for a stream; false when its window overflows. */
  grantStream(stream: Stream, octets: number): boolean {
    if (stream.sendWindow + octets > maxWindow) return false;
    stream.sendWindow += octets;
    if (stream.waiting !== undefined) this.#advance(stream);
    return true;
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE: counts for streams that are open, too (RFC 9113 section 6.9.2). */
  setStreamWindow(octets: number, open: Iterable<Stream>): void {
    const change = octets - this.#streamWindow;
    this.#streamWindow = octets;
    for (const stream of open) {
      if (stream.sendWindow + change > maxWindow) throw new ConnectionFault('FLOW_CONTROL_ERROR', 'a window overflows');
      stream.sendWindow += change;
    }
    if (change > 0) this.#advanceAll();
  }

  /** Streams of which something has waited since before `sinceMs`. */
  waitingSince(sinceMs: number): Stream[] {
    return [...this.#waiting].filter(({ waiting }) => waiting !== undefined && waiting.sinceMs < sinceMs);
  }

  /** Until `uncork` nothing is written. */
  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.flush();
  }

  flush(): void {
    if (this.#isOver) return;
    this.#writer.takeBatches(({ buffer, length }) => {
      if (this.#socket.writableLength === 0) this.#takenMs = this.#now();
      this.#socket.write(buffer.subarray(0, length), () => {
        this.#takenMs = this.#now();
        this.#spare.give(buffer);
      });
    });
  }

  /** Writes what there is and no more after that. */
  end(): void {
    this.flush();
    this.#isOver = true;
  }

  #advanceAll(): void {
    for (const stream of this.#waiting) {
      if (this.#window <= 0) return;
      this.#advance(stream);
    }
  }

  #advance(stream: Stream): void {
    const { waiting } = stream;
    if (waiting === undefined) return;
    const { bytes, trailers, sent } = waiting;
    while (waiting.at < bytes.length) {
      const octets = Math.min(bytes.length - waiting.at, this.#window, stream.sendWindow, maxFrameBytes);
      if (octets <= 0) return;
      this.#window -= octets;
      stream.sendWindow -= octets;
      this.#writer.write(frameType.data, 0, stream.id, bytes.subarray(waiting.at, waiting.at + octets));
      waiting.at += octets;
      this.#schedule();
    }
    this.#waiting.delete(stream);
    this.#queuedBytes -= bytes.length;
    stream.waiting = undefined;
    if (trailers !== undefined) this.block(stream, trailers, true);
    sent?.();
  }

  #end(stream: Stream): void {
    stream.isAnswered = true;
    this.#answered(stream);
  }

  #schedule(): void {
    if (this.#isCorked || this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (!this.#isCorked) this.flush();
    });
  }
}
