// One connection of a peer: which frame may come when (RFC 9113 sections 5 and 6), and what it means for which call.
import type { Socket } from 'node:net';
import { runtimeErrors } from '../error-codes.ts';
import { Budget } from './budget.ts';
import { Calls, type CallPorts } from './calls.ts';
import { ClosedStreams } from './closed-streams.ts';
import type { Counters } from './counters.ts';
import { FrameReader } from './frame-reader.ts';
import type { SpareBatches } from './frame-writer.ts';
import { HeaderBlocks, type HeaderBlock } from './header-blocks.ts';
import { connectionWindow, lingerMs, streamWindow, type UnaryServerLimits } from './limits.ts';
import type { ReadMessage, RequestRules } from './grpc-request.ts';
import {
  ConnectionFault,
  defaultWindow,
  errorCode,
  type ErrorName,
  flag,
  frameType,
  maxStreamId,
  preface,
} from './protocol.ts';
import { Sender } from './sender.ts';
import { ourSettings, readSettings } from './settings.ts';
import { Stream } from './stream.ts';

export interface ConnectionPorts extends CallPorts {
  readonly limits: UnaryServerLimits;
  readonly rules: RequestRules;
  readonly counters: Counters;
  readonly spare: SpareBatches;
}

/** `closing`: GOAWAY has gone, the calls that the peer may still have begun are served. `over`: nothing is read any more. */
type State = 'open' | 'closing' | 'over';

const drainPing = Buffer.from('edgeward');

export class Connection {
  readonly #ports: ConnectionPorts;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #sender: Sender;
  readonly #calls: Calls;
  readonly #blocks: HeaderBlocks;
  readonly #closed = new ClosedStreams();
  readonly #idleFrames: Budget;
  readonly #resets: Budget;
  readonly #streams = new Map<number, Stream>();
  readonly #openedMs: number;
  #now: number;
  #state: State = 'open';
  #overMs = 0;
  #prefaceAt = 0;
  #hasSettings = false;
  #isAcknowledged = false;
  #lastStreamId = 0;
  /** Streams above this are not served: our last GOAWAY said so. */
  #lastServed = maxStreamId;
  /** Octets of DATA since the last WINDOW_UPDATE for the connection. */
  #taken = 0;
  /** Bytes of messages that are not complete. */
  #held = 0;
  /** Cancelled calls whose method still runs: they count, or a reset would make room for work that goes on. */
  #runningCancelled = 0;
  /** When the frame began that is not complete, and the header block over several frames. */
  #frameMs: number | undefined;
  #blockMs: number | undefined;
  #drainMs: number | undefined;
  #usedMs: number;

  constructor(socket: Socket, ports: ConnectionPorts) {
    const { limits, clock } = ports;
    this.#ports = ports;
    this.#socket = socket;
    this.#now = clock.monotonic();
    this.#openedMs = this.#now;
    this.#usedMs = this.#now;
    this.#idleFrames = new Budget(limits.idleFrames, this.#now);
    this.#resets = new Budget(limits.resets, this.#now);
    this.#reader = new FrameReader(this);
    this.#sender = new Sender(
      socket,
      ports.spare,
      limits.maxQueuedBytes,
      () => clock.monotonic(),
      (stream) => this.#answered(stream),
    );
    this.#calls = new Calls(ports, this.#sender, {
      ran: (stream) => this.#ran(stream),
      broke: (error) => this.#fail(error),
    });
    const knows = (path: string): boolean => ports.methods.has(path) || ports.streams.has(path);
    this.#blocks = new HeaderBlocks(limits, (fields) => ports.rules.refusal(fields, knows));
    this.#sender.frame(frameType.settings, 0, 0, ourSettings(limits));
    this.#sender.windowUpdate(0, connectionWindow - defaultWindow);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#resume());
    socket.once('close', () => this.#lost());
  }

  /** Streams and cancelled calls whose method runs. */
  get #active(): number {
    return this.#streams.size + this.#runningCancelled;
  }

  #receive(chunk: Buffer): void {
    if (this.#state === 'over') return;
    this.#now = this.#ports.clock.monotonic();
    this.#sender.cork();
    try {
      const from = this.#prefaceAt < preface.length ? this.#readPreface(chunk) : 0;
      this.#reader.read(chunk, from);
      this.#giveWindow();
    } catch (error) {
      this.#fail(error);
    }
    this.#sender.uncork();
    if (this.#reader.isInsideFrame) this.#frameMs ??= this.#now;
    if (this.#sender.isStuffed) this.#socket.pause();
    this.#endWhenDone();
  }

  #resume(): void {
    if (!this.#sender.isStuffed) this.#socket.resume();
  }

  #readPreface(chunk: Buffer): number {
    let at = 0;
    for (; at < chunk.length && this.#prefaceAt < preface.length; at++, this.#prefaceAt++) {
      if (chunk[at] !== preface[this.#prefaceAt]) throw new ConnectionFault('PROTOCOL_ERROR', 'no HTTP/2 preface');
    }
    return at;
  }

  frame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (this.#state === 'over') return;
    this.#frameMs = undefined;
    if (!this.#hasSettings && (type !== frameType.settings || (flags & flag.ack) !== 0)) {
      throw new ConnectionFault('PROTOCOL_ERROR', 'the first frame is not SETTINGS');
    }
    if (this.#blocks.isInside && type !== frameType.continuation) {
      throw new ConnectionFault('PROTOCOL_ERROR', 'a frame inside a header block');
    }
    switch (type) {
      case frameType.data:
        this.#data(flags, streamId, bytes, start, end);
        return;
      case frameType.headers:
        this.#headers(flags, streamId, bytes, start, end);
        return;
      case frameType.continuation:
        this.#continuation(flags, streamId, bytes, start, end);
        return;
      case frameType.windowUpdate:
        this.#idle();
        this.#windowUpdate(streamId, bytes, start, end);
        return;
      case frameType.rstStream:
        this.#rstStream(streamId, end - start);
        return;
      case frameType.ping:
        this.#idle();
        this.#ping(flags, streamId, bytes, start, end);
        return;
      case frameType.settings:
        this.#idle();
        this.#settings(flags, streamId, bytes, start, end);
        return;
      case frameType.priority:
        this.#idle();
        this.#priority(streamId, bytes, start, end);
        return;
      case frameType.goaway:
        this.#idle();
        if (streamId !== 0) throw new ConnectionFault('PROTOCOL_ERROR', 'GOAWAY on a stream');
        if (end - start < 8) throw new ConnectionFault('FRAME_SIZE_ERROR', 'GOAWAY of a broken length');
        return;
      case frameType.pushPromise:
        throw new ConnectionFault('PROTOCOL_ERROR', 'PUSH_PROMISE from a client');
      default:
        // Section 4.1: unknown types are discarded.
        this.#idle();
    }
  }

  // --- requests

  #headers(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
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
      this.#blockMs = this.#now;
      this.#blocks.begin(streamId, endStream, bytes, from, until);
    }
  }

  #continuation(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (start === end) this.#idle();
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
    this.#usedMs = this.#now;
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
    const stream = new Stream(streamId, head, this.#now, this.#sender.streamWindow);
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
    this.#idle();
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

  #data(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
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
    if (from === until && !endStream) this.#idle();
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
    const before = stream.heldBytes;
    stream.append(bytes, start, end);
    this.#held += stream.heldBytes - before;
    const refusal =
      this.#held > this.#ports.limits.maxBufferedBytes
        ? runtimeErrors.error('RPC_RESOURCE_EXHAUSTED', 'too many messages are not complete')
        : this.#messageOf(stream.buffered ?? nothing).tooLarge;
    if (refusal !== undefined) this.#calls.refuse(stream, refusal);
  }

  #release(stream: Stream): void {
    this.#held -= stream.heldBytes;
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
    else if (message !== undefined) this.#calls.run(stream, message, this.#now);
    this.#release(stream);
  }

  #messageOf(bytes: Buffer, start = 0, end: number = bytes.length): ReadMessage {
    return this.#ports.rules.message(bytes, start, end, this.#ports.maxMessageBytes);
  }

  // --- the ends of streams

  #answered(stream: Stream): void {
    if (!stream.isRequested) {
      // Section 8.1: the whole answer has gone, the rest of the request is not wanted.
      this.#sender.reset(stream.id, 'NO_ERROR');
      this.#closed.reset(stream.id);
    } else if (stream.head.refusal === undefined) {
      this.#ports.counters.callsAnswered++;
      this.#idleFrames.earn();
      this.#resets.earn();
    }
    this.#remove(stream);
  }

  #remove(stream: Stream): void {
    if (!this.#streams.delete(stream.id)) return;
    this.#ports.counters.streamsOpen--;
    this.#release(stream);
    if (stream.isRunning) this.#runningCancelled++;
    this.#usedMs = this.#now;
  }

  #ran(stream: Stream): void {
    // Its stream was removed while it ran, or by its own answer.
    if (!this.#streams.has(stream.id)) this.#runningCancelled--;
    this.#endWhenDone();
  }

  /** A stream error (section 5.4.2), or an answer that nobody takes. */
  #resetStream(stream: Stream, code: ErrorName): void {
    this.#sender.forget(stream);
    stream.cancel();
    this.#remove(stream);
    this.#refuseStream(stream.id, code);
  }

  #refuseStream(streamId: number, code: ErrorName): void {
    this.#ports.counters.resetsSent++;
    this.#closed.reset(streamId);
    this.#sender.reset(streamId, code);
    // Who does not yet know how many streams it may open has done nothing wrong.
    if (code !== 'REFUSED_STREAM' || this.#isAcknowledged) this.#spendReset();
  }

  #rstStream(streamId: number, octets: number): void {
    if (streamId === 0) throw new ConnectionFault('PROTOCOL_ERROR', 'RST_STREAM on stream 0');
    if (octets !== 4) throw new ConnectionFault('FRAME_SIZE_ERROR', 'RST_STREAM of a broken length');
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#refuseIdle(streamId, 'RST_STREAM');
      this.#idle();
      return;
    }
    this.#ports.counters.resetsReceived++;
    this.#sender.forget(stream);
    stream.cancel();
    this.#remove(stream);
    this.#spendReset();
  }

  // --- the connection

  #windowUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
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

  #ping(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw new ConnectionFault('PROTOCOL_ERROR', 'PING on a stream');
    if (end - start !== 8) throw new ConnectionFault('FRAME_SIZE_ERROR', 'PING of a broken length');
    const payload = bytes.subarray(start, end);
    if ((flags & flag.ack) === 0) this.#sender.frame(frameType.ping, flag.ack, 0, payload);
    else if (this.#state === 'closing' && payload.equals(drainPing)) this.#stopOpening();
  }

  #settings(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw new ConnectionFault('PROTOCOL_ERROR', 'SETTINGS on a stream');
    if (flags & flag.ack) {
      if (start !== end) throw new ConnectionFault('FRAME_SIZE_ERROR', 'SETTINGS acknowledgement with a payload');
      this.#isAcknowledged = true;
      this.#blocks.acknowledged();
      return;
    }
    const window = readSettings(bytes, start, end);
    this.#hasSettings = true;
    if (window !== undefined) this.#sender.setStreamWindow(window, this.#streams.values());
    this.#sender.frame(frameType.settings, flag.ack, 0, nothing);
  }

  #priority(streamId: number, bytes: Buffer, start: number, end: number): void {
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

  /** Gives back what was taken once it is half of the window. What is held is bounded by maxBufferedBytes, not by the windows. */
  #giveWindow(): void {
    if (this.#taken < connectionWindow / 2) return;
    this.#sender.windowUpdate(0, this.#taken);
    this.#taken = 0;
  }

  #giveStreamWindow(stream: Stream, octets: number): void {
    stream.taken += octets;
    if (stream.taken < streamWindow / 2) return;
    this.#sender.windowUpdate(stream.id, stream.taken);
    stream.taken = 0;
  }

  #idle(): void {
    if (!this.#idleFrames.take(this.#now))
      throw new ConnectionFault('ENHANCE_YOUR_CALM', 'too many frames that ask nothing');
  }

  #spendReset(): void {
    if (!this.#resets.take(this.#now))
      throw new ConnectionFault('ENHANCE_YOUR_CALM', 'too many streams that are reset');
  }

  // --- the end

  /** Serves what the peer has begun, then ends. */
  drain(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#drainMs = this.#now;
    // Section 6.8: the peer may have begun calls that have not come yet; its answer to the PING comes after them.
    this.#goaway(maxStreamId, 'NO_ERROR', '');
    this.#sender.frame(frameType.ping, 0, 0, drainPing);
    if (!this.#hasSettings) this.#stopOpening();
    this.#endWhenDone();
  }

  #stopOpening(): void {
    if (this.#lastServed !== maxStreamId) return;
    this.#lastServed = this.#lastStreamId;
    this.#goaway(this.#lastServed, 'NO_ERROR', '');
  }

  #endWhenDone(): void {
    if (this.#state !== 'closing' || this.#lastServed === maxStreamId) return;
    if (this.#streams.size === 0) this.#finish();
  }

  #finish(): void {
    this.#state = 'over';
    this.#overMs = this.#ports.clock.monotonic();
    for (const stream of this.#streams.values()) {
      this.#sender.forget(stream);
      stream.cancel();
      this.#remove(stream);
    }
    this.#sender.end();
    this.#socket.end();
    // What still comes is thrown away: unread input would turn the end into a reset, and the GOAWAY would be lost.
    this.#socket.resume();
  }

  #goaway(lastStreamId: number, code: ErrorName, text: string): void {
    const payload = Buffer.alloc(8 + text.length);
    payload.writeUInt32BE(lastStreamId);
    payload.writeUInt32BE(errorCode[code], 4);
    payload.write(text, 8, 'latin1');
    this.#sender.frame(frameType.goaway, 0, 0, payload);
  }

  #fail(error: unknown): void {
    if (this.#state === 'over') return;
    const { counters } = this.#ports;
    const fault =
      error instanceof ConnectionFault ? error : new ConnectionFault('INTERNAL_ERROR', 'a fault of the server');
    if (fault !== error) this.#ports.onFault(error);
    if (fault.code === 'ENHANCE_YOUR_CALM') counters.floodsRefused++;
    else counters.connectionsFailed++;
    this.#goaway(this.#lastStreamId, fault.code, fault.message);
    this.#finish();
  }

  #lost(): void {
    this.#state = 'over';
    for (const stream of this.#streams.values()) {
      this.#sender.forget(stream);
      stream.cancel();
      this.#remove(stream);
    }
  }

  /** Ends what takes too long; called now and then. */
  sweep(nowMs: number): void {
    this.#now = nowMs;
    const { limits, counters } = this.#ports;
    const late = (sinceMs: number | undefined, allowedMs: number): boolean =>
      sinceMs !== undefined && nowMs - sinceMs > allowedMs;
    if (this.#state === 'over') {
      if (late(this.#overMs, lingerMs)) this.#socket.destroy();
      return;
    }
    if (late(this.#sender.stuckSinceMs, limits.answerMs)) {
      counters.timeouts++;
      this.#socket.destroy();
      return;
    }
    try {
      this.#endLate(nowMs, late);
    } catch (error) {
      this.#fail(error);
    }
  }

  #endLate(nowMs: number, late: (sinceMs: number | undefined, allowedMs: number) => boolean): void {
    const { limits, counters } = this.#ports;
    const fail = (code: ErrorName, message: string): never => {
      counters.timeouts++;
      throw new ConnectionFault(code, message);
    };
    if (!this.#hasSettings && late(this.#openedMs, limits.prefaceMs)) fail('PROTOCOL_ERROR', 'no preface in time');
    if (!this.#isAcknowledged && late(this.#openedMs, 2 * limits.prefaceMs)) {
      fail('SETTINGS_TIMEOUT', 'SETTINGS were not acknowledged in time');
    }
    if (late(this.#frameMs, limits.frameMs) || late(this.#blockMs, limits.frameMs)) {
      fail('ENHANCE_YOUR_CALM', 'a frame or header block without end');
    }
    for (const stream of this.#streams.values()) {
      if (stream.isRequested || !late(stream.openedMs, limits.requestMs)) continue;
      counters.timeouts++;
      this.#resetStream(stream, 'CANCEL');
    }
    for (const stream of this.#sender.waitingSince(nowMs - limits.answerMs)) {
      counters.timeouts++;
      this.#resetStream(stream, 'CANCEL');
    }
    if (this.#streams.size === 0 && late(this.#usedMs, limits.idleMs)) this.drain();
    if (late(this.#drainMs, limits.prefaceMs)) this.#stopOpening();
    this.#endWhenDone();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

const nothing = Buffer.alloc(0);

function paddingOf(bytes: Buffer, start: number, end: number): number {
  if (start === end) throw new ConnectionFault('FRAME_SIZE_ERROR', 'a padded frame without the length of its padding');
  return bytes[start] ?? 0;
}

/** RFC 7540 section 5.3.1; priorities mean nothing here, but nobody sends this by mistake. */
function refuseOwnDependency(streamId: number, bytes: Buffer, at: number): void {
  if ((bytes.readUInt32BE(at) & 0x7fff_ffff) !== streamId) return;
  throw new ConnectionFault('PROTOCOL_ERROR', `stream ${streamId} depends on itself`);
}
