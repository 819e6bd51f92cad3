// The streams of one connection: which frame may come on which (RFC 9113 sections 5 and 6), and what it means for its call.
import { runtimeErrors } from '../error-codes.ts';
import type { PeerBudgets } from './budget.ts';
import { Calls, type CallPorts } from './calls.ts';
import { ClosedStreams } from './closed-streams.ts';
import type { Counters } from './counters.ts';
import type { ReadMessage, RequestRules } from './grpc-request.ts';
import { HeaderBlocks, type HeaderBlock } from './header-blocks.ts';
import { connectionWindow, streamWindow, type UnaryServerLimits } from './limits.ts';
import { ConnectionFault, type ErrorName, flag, maxStreamId } from './protocol.ts';
import type { Sender } from './sender.ts';
import { Stream } from './stream.ts';

export interface StreamPorts extends CallPorts {
  readonly limits: UnaryServerLimits;
  readonly rules: RequestRules;
  readonly counters: Counters;
}

export interface StreamEnds {
  /** A method that took its time has ended. */
  ran(): void;
  /** The connection cannot go on. */
  broke(error: unknown): void;
}

const nothing = Buffer.alloc(0);

export class Streams {
  readonly #ports: StreamPorts;
  readonly #sender: Sender;
  readonly #budgets: PeerBudgets;
  readonly #ends: StreamEnds;
  readonly #calls: Calls;
  readonly #blocks: HeaderBlocks;
  readonly #closed = new ClosedStreams();
  readonly #streams = new Map<number, Stream>();
  #lastStreamId = 0;
  /** Streams above this are not served: our last GOAWAY said so. */
  #lastServed = maxStreamId;
  #isAcknowledged = false;
  /** Octets of DATA since the last WINDOW_UPDATE for the connection. */
  #taken = 0;
  /** Bytes of messages that are not complete. */
  #held = 0;
  /** Cancelled calls whose method still runs: they count, or a reset would make room for work that goes on. */
  #runningCancelled = 0;
  #blockMs: number | undefined;
  #usedMs: number;

  constructor(ports: StreamPorts, sender: Sender, budgets: PeerBudgets, ends: StreamEnds) {
    this.#ports = ports;
    this.#sender = sender;
    this.#budgets = budgets;
    this.#ends = ends;
    this.#usedMs = budgets.nowMs;
    this.#calls = new Calls(ports, sender, {
      ran: (stream) => this.#ran(stream),
      broke: (error) => ends.broke(error),
    });
    const knows = (path: string): boolean => ports.methods.has(path) || ports.streams.has(path);
    this.#blocks = new HeaderBlocks(ports.limits, (fields) => ports.rules.refusal(fields, knows));
  }

  get open(): ReadonlyMap<number, Stream> {
    return this.#streams;
  }

  /** The highest that the peer has opened. */
  get lastStreamId(): number {
    return this.#lastStreamId;
  }

  /** When the last call began or ended (milliseconds, monotonic). */
  get usedMs(): number {
    return this.#usedMs;
  }

  /** When the header block began that goes on in CONTINUATION, or undefined. */
  get blockMs(): number | undefined {
    return this.#blockMs;
  }

  /** No stream is opened any more. */
  get isSealed(): boolean {
    return this.#lastServed !== maxStreamId;
  }

  /** Our SETTINGS hold from now on. */
  acknowledged(): void {
    this.#isAcknowledged = true;
    this.#blocks.acknowledged();
  }

  get isAcknowledged(): boolean {
    return this.#isAcknowledged;
  }

  /** Serves no stream above those that are open; says which is the last. */
  seal(): number {
    this.#lastServed = this.#lastStreamId;
    return this.#lastServed;
  }

  /** The connection is over. */
  cancelAll(): void {
    for (const stream of this.#streams.values()) this.#cancel(stream);
  }

  /** Ends what takes too long: a request that does not end, an answer that the peer does not take. */
  endLate(nowMs: number): void {
    const { limits, counters } = this.#ports;
    const late = [...this.#streams.values()].filter(
      (stream) => !stream.isRequested && nowMs - stream.openedMs > limits.requestMs,
    );
    for (const stream of [...late, ...this.#sender.waitingSince(nowMs - limits.answerMs)]) {
      counters.timeouts++;
      this.#resetStream(stream, 'CANCEL');
    }
  }

  /** Streams and cancelled calls whose method runs. */
  get #active(): number {
    return this.#streams.size + this.#runningCancelled;
  }

  headers(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if ((streamId & 1) === 0) throw new ConnectionFault('PROTOCOL_ERROR', `HEADERS on stream ${streamId}`);
    let from = start;
    let until = end;
    if (flags & flag.padded) {
      until = end - paddingOf(bytes, start, end);
      from++;
    }
    if (flags & flag.priority) {
      if (from + 5 > until) throw new ConnectionFault('FRAME_SIZE_ERROR', 'HEADERS without its priority');
      refuseOwnDependency(streamId, bytes, from);
      from += 5;
    }
    if (until < from) throw new ConnectionFault('PROTOCOL_ERROR', 'more padding than payload');
    const endStream = (flags & flag.endStream) !== 0;
    if (flags & flag.endHeaders) this.#headerBlock({ streamId, endStream, bytes, start: from, end: until });
    else {
      this.#blockMs = this.#budgets.nowMs;
      this.#blocks.begin(streamId, endStream, bytes, from, until);
    }
  }

  continuation(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const whole = this.#blocks.proceed(streamId, (flags & flag.endHeaders) !== 0, bytes, start, end);
    if (whole === undefined) return;
    this.#blockMs = undefined;
    this.#headerBlock(whole);
  }

  #headerBlock(block: HeaderBlock): void {
    const { streamId } = block;
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) this.#trailers(stream, block);
    else if (streamId > this.#lastStreamId) this.#open(block);
    else this.#lateHeaders(block);
  }

  #open(block: HeaderBlock): void {
    const { streamId, endStream } = block;
    const head = this.#blocks.head(block);
    this.#lastStreamId = streamId;
    this.#closed.opened(streamId);
    this.#usedMs = this.#budgets.nowMs;
    if (streamId > this.#lastServed) {
      this.#closed.reset(streamId);
      return;
    }
    if ('malformed' in head) {
      this.#refuseStream(streamId, 'PROTOCOL_ERROR');
      return;
    }
    if (this.#active >= this.#ports.limits.maxConcurrentStreams) {
      this.#ports.counters.streamsRefused++;
      this.#refuseStream(streamId, 'REFUSED_STREAM');
      return;
    }
    const stream = new Stream(streamId, head, this.#budgets.nowMs, this.#sender.streamWindow);
    this.#streams.set(streamId, stream);
    this.#ports.counters.streamsOpened++;
    this.#ports.counters.streamsOpen++;
    if (endStream) this.#requested(stream);
  }

  #trailers(stream: Stream, block: HeaderBlock): void {
    const fault = this.#blocks.trailers(block);
    if (stream.isRequested) this.#resetStream(stream, 'STREAM_CLOSED');
    else if (!block.endStream || fault !== undefined) this.#resetStream(stream, 'PROTOCOL_ERROR');
    else this.#requested(stream);
  }

  #lateHeaders(block: HeaderBlock): void {
    this.#budgets.spendFrame();
    switch (this.#closed.fateOf(block.streamId)) {
      case 'unused':
        throw new ConnectionFault('PROTOCOL_ERROR', `stream ${block.streamId} after a higher one`);
      case 'ended':
        throw new ConnectionFault('STREAM_CLOSED', `HEADERS on stream ${block.streamId}, which has ended`);
      case 'reset':
      case 'forgotten':
        this.#blocks.trailers(block);
    }
  }

  data(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const octets = end - start;
    this.#taken += octets;
    let from = start;
    let until = end;
    if (flags & flag.padded) {
      until = end - paddingOf(bytes, start, end);
      from++;
      if (until < from) throw new ConnectionFault('PROTOCOL_ERROR', 'more padding than payload');
    }
    const endStream = (flags & flag.endStream) !== 0;
    if (from === until && !endStream) this.#budgets.spendFrame();
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#lateData(streamId);
      return;
    }
    if (stream.isRequested) {
      this.#resetStream(stream, 'STREAM_CLOSED');
      return;
    }
    stream.contentBytes += until - from;
    if (endStream && stream.bufferedBytes === 0) {
      this.#requested(stream, bytes, from, until);
      return;
    }
    // What is refused is read to its end, and nothing of it kept: an answer before the end would need a reset as well.
    if (stream.head.refusal === undefined) this.#hold(stream, bytes, from, until);
    if (stream.isAnswered) return;
    if (endStream) this.#requested(stream);
    else this.#giveStreamWindow(stream, octets);
  }

  #lateData(streamId: number): void {
    if (streamId === 0 || (streamId & 1) === 0 || streamId > this.#lastStreamId) {
      throw new ConnectionFault('PROTOCOL_ERROR', `DATA on stream ${streamId}, which is idle`);
    }
    const fate = this.#closed.fateOf(streamId);
    if (fate === 'ended' || fate === 'unused') {
      throw new ConnectionFault('STREAM_CLOSED', `DATA on stream ${streamId}, which is closed`);
    }
  }

  #hold(stream: Stream, bytes: Buffer, start: number, end: number): void {
    const { limits, counters } = this.#ports;
    const before = stream.heldBytes;
    stream.append(bytes, start, end);
    this.#held += stream.heldBytes - before;
    counters.bytesHeld += stream.heldBytes - before;
    const refusal =
      this.#held > limits.maxBufferedBytes || counters.bytesHeld > limits.maxBufferedBytesOfAll
        ? runtimeErrors.error('RPC_RESOURCE_EXHAUSTED', 'too many messages are not complete')
        : this.#messageOf(stream.buffered ?? nothing).tooLarge;
    if (refusal !== undefined) this.#calls.refuse(stream, refusal);
  }

  #release(stream: Stream): void {
    this.#held -= stream.heldBytes;
    this.#ports.counters.bytesHeld -= stream.heldBytes;
    stream.releaseBuffer();
  }

  /** END_STREAM has come: the message is what was held, or lies whole in `bytes`. */
  #requested(stream: Stream, bytes?: Buffer, start = 0, end = 0): void {
    stream.isRequested = true;
    const { contentLength } = stream.head;
    if (contentLength !== undefined && contentLength !== stream.contentBytes) {
      this.#resetStream(stream, 'PROTOCOL_ERROR');
      return;
    }
    if (stream.head.refusal !== undefined) {
      this.#sender.block(stream, stream.head.refusal, true);
      return;
    }
    const { message, tooLarge, fault } =
      bytes === undefined ? this.#messageOf(stream.buffered ?? nothing) : this.#messageOf(bytes, start, end);
    const refusal = tooLarge ?? fault;
    if (refusal !== undefined) this.#calls.refuse(stream, refusal);
    else if (message !== undefined) this.#calls.run(stream, message, this.#budgets.nowMs);
    this.#release(stream);
  }

  #messageOf(bytes: Buffer, start = 0, end: number = bytes.length): ReadMessage {
    return this.#ports.rules.message(bytes, start, end, this.#ports.maxMessageBytes);
  }

  /** END_STREAM of the answer has gone. */
  answered(stream: Stream): void {
    if (!stream.isRequested) {
      // Section 8.1: the whole answer has gone, the rest of the request is not wanted.
      this.#sender.reset(stream.id, 'NO_ERROR');
      this.#closed.reset(stream.id);
    } else if (stream.head.refusal === undefined) {
      this.#ports.counters.callsAnswered++;
      this.#budgets.earn();
    }
    this.#remove(stream);
  }

  #remove(stream: Stream): void {
    if (!this.#streams.delete(stream.id)) return;
    this.#ports.counters.streamsOpen--;
    this.#release(stream);
    if (stream.isRunning) this.#runningCancelled++;
    this.#usedMs = this.#budgets.nowMs;
  }

  #ran(stream: Stream): void {
    // Its stream was removed while it ran, or by its own answer.
    if (!this.#streams.has(stream.id)) this.#runningCancelled--;
    this.#ends.ran();
  }

  #cancel(stream: Stream): void {
    this.#sender.forget(stream);
    stream.cancel();
    this.#remove(stream);
  }

  /** A stream error (section 5.4.2), or an answer that nobody takes. */
  #resetStream(stream: Stream, code: ErrorName): void {
    this.#cancel(stream);
    this.#refuseStream(stream.id, code);
  }

  #refuseStream(streamId: number, code: ErrorName): void {
    this.#ports.counters.resetsSent++;
    this.#closed.reset(streamId);
    this.#sender.reset(streamId, code);
    // Who does not yet know how many streams it may open has done nothing wrong.
    if (code !== 'REFUSED_STREAM' || this.#isAcknowledged) this.#budgets.spendReset();
  }

  rstStream(streamId: number, octets: number): void {
    if (streamId === 0) throw new ConnectionFault('PROTOCOL_ERROR', 'RST_STREAM on stream 0');
    if (octets !== 4) throw new ConnectionFault('FRAME_SIZE_ERROR', 'RST_STREAM of a broken length');
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#refuseIdle(streamId, 'RST_STREAM');
      this.#budgets.spendFrame();
      return;
    }
    this.#ports.counters.resetsReceived++;
    this.#cancel(stream);
    this.#budgets.spendReset();
  }

  windowUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw new ConnectionFault('FRAME_SIZE_ERROR', 'WINDOW_UPDATE of a broken length');
    const octets = bytes.readUInt32BE(start) & 0x7fff_ffff;
    const stream = streamId === 0 ? undefined : this.#streams.get(streamId);
    if (stream === undefined && streamId !== 0) this.#refuseIdle(streamId, 'WINDOW_UPDATE');
    else if (stream === undefined) {
      if (octets === 0) throw new ConnectionFault('PROTOCOL_ERROR', 'WINDOW_UPDATE by nothing');
      this.#sender.grant(octets);
    } else if (octets === 0) this.#resetStream(stream, 'PROTOCOL_ERROR');
    else if (!this.#sender.grantStream(stream, octets)) this.#resetStream(stream, 'FLOW_CONTROL_ERROR');
  }

  priority(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0) throw new ConnectionFault('PROTOCOL_ERROR', 'PRIORITY on stream 0');
    if (end - start === 5) {
      refuseOwnDependency(streamId, bytes, start);
      return;
    }
    const stream = this.#streams.get(streamId);
    // A stream that is not open cannot be reset.
    if (stream === undefined) throw new ConnectionFault('FRAME_SIZE_ERROR', 'PRIORITY of a broken length');
    this.#resetStream(stream, 'FRAME_SIZE_ERROR');
  }

  #refuseIdle(streamId: number, what: string): void {
    if ((streamId & 1) === 0 || streamId > this.#lastStreamId) {
      throw new ConnectionFault('PROTOCOL_ERROR', `${what} on stream ${streamId}, which is idle`);
    }
  }

  #giveStreamWindow(stream: Stream, octets: number): void {
    stream.taken += octets;
    if (stream.taken < streamWindow / 2) return;
    this.#sender.windowUpdate(stream.id, stream.taken);
    stream.taken = 0;
  }

  /** Gives back what was taken once it is half of the window. What is held is bounded by maxBufferedBytes, not by the windows. */
  giveWindow(): void {
    if (this.#taken < connectionWindow / 2) return;
    this.#sender.windowUpdate(0, this.#taken);
    this.#taken = 0;
  }
}

function paddingOf(bytes: Buffer, start: number, end: number): number {
  if (start === end) throw new ConnectionFault('FRAME_SIZE_ERROR', 'a padded frame without the length of its padding');
  return bytes[start] ?? 0;
}

/** RFC 7540 section 5.3.1; priorities mean nothing here, but nobody sends this by mistake. */
function refuseOwnDependency(streamId: number, bytes: Buffer, at: number): void {
  if ((bytes.readUInt32BE(at) & 0x7fff_ffff) !== streamId) return;
  throw new ConnectionFault('PROTOCOL_ERROR', `stream ${streamId} depends on itself`);
}
