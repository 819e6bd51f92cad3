// One connection of a peer: its beginning, its frames, its end (RFC 9113 sections 3.4, 5.4 and 6). What a frame means for a call
// is in streams.ts.
import type { Socket } from 'node:net';
import { PeerBudgets } from './budget.ts';
import { FrameReader } from './frame-reader.ts';
import type { SpareBatches } from './frame-writer.ts';
import { connectionWindow, lingerMs } from './limits.ts';
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
import { type StreamPorts, Streams } from './streams.ts';

export interface ConnectionPorts extends StreamPorts {
  readonly spare: SpareBatches;
}

/** `closing`: GOAWAY has gone, the calls that the peer may still have begun are served. `over`: nothing is read any more. */
type State = 'open' | 'closing' | 'over';

const drainPing = Buffer.from('edgeward');
const nothing = Buffer.alloc(0);

export class Connection {
  readonly #ports: ConnectionPorts;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #sender: Sender;
  readonly #budgets: PeerBudgets;
  readonly #streams: Streams;
  readonly #openedMs: number;
  #state: State = 'open';
  #prefaceAt = 0;
  #hasSettings = false;
  /** When the frame began that is not complete. */
  #frameMs: number | undefined;
  #drainMs: number | undefined;
  #overMs = 0;

  constructor(socket: Socket, ports: ConnectionPorts) {
    const { limits, clock } = ports;
    this.#ports = ports;
    this.#socket = socket;
    this.#openedMs = clock.monotonic();
    this.#budgets = new PeerBudgets(limits.idleFrames, limits.resets, this.#openedMs);
    this.#reader = new FrameReader(this);
    this.#sender = new Sender(
      socket,
      ports.spare,
      limits.maxQueuedBytes,
      () => clock.monotonic(),
      (stream) => this.#streams.answered(stream),
    );
    this.#streams = new Streams(ports, this.#sender, this.#budgets, {
      ran: () => this.#endWhenDone(),
      broke: (error) => this.#fail(error),
    });
    this.#sender.frame(frameType.settings, 0, 0, ourSettings(limits));
    this.#sender.windowUpdate(0, connectionWindow - defaultWindow);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#resume());
    socket.once('close', () => this.#lost());
  }

  #receive(chunk: Buffer): void {
    if (this.#state === 'over') return;
    this.#budgets.nowMs = this.#ports.clock.monotonic();
    this.#sender.cork();
    try {
      const from = this.#prefaceAt < preface.length ? this.#readPreface(chunk) : 0;
      this.#reader.read(chunk, from);
      this.#streams.giveWindow();
    } catch (error) {
      this.#fail(error);
    }
    this.#sender.uncork();
    if (this.#reader.isInsideFrame) this.#frameMs ??= this.#budgets.nowMs;
    // While a peer goes on sending, libuv reads up to 32 chunks before anything else in the process has a turn.
    this.#socket.pause();
    setImmediate(this.#resumeLater);
    this.#endWhenDone();
  }

  readonly #resumeLater = (): void => this.#resume();

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
    if (this.#streams.blockMs !== undefined && type !== frameType.continuation) {
      throw new ConnectionFault('PROTOCOL_ERROR', 'a frame inside a header block');
    }
    switch (type) {
      case frameType.data:
        this.#streams.data(flags, streamId, bytes, start, end);
        return;
      case frameType.headers:
        this.#streams.headers(flags, streamId, bytes, start, end);
        return;
      case frameType.continuation:
        this.#streams.continuation(flags, streamId, bytes, start, end);
        return;
      case frameType.windowUpdate:
        this.#budgets.spendFrame();
        this.#streams.windowUpdate(streamId, bytes, start, end);
        return;
      case frameType.rstStream:
        this.#streams.rstStream(streamId, end - start);
        return;
      case frameType.ping:
        this.#budgets.spendFrame();
        this.#ping(flags, streamId, bytes, start, end);
        return;
      case frameType.settings:
        this.#budgets.spendFrame();
        this.#settings(flags, streamId, bytes, start, end);
        return;
      case frameType.priority:
        this.#budgets.spendFrame();
        this.#streams.priority(streamId, bytes, start, end);
        return;
      case frameType.goaway:
        this.#budgets.spendFrame();
        if (streamId !== 0) throw new ConnectionFault('PROTOCOL_ERROR', 'GOAWAY on a stream');
        if (end - start < 8) throw new ConnectionFault('FRAME_SIZE_ERROR', 'GOAWAY of a broken length');
        return;
      case frameType.pushPromise:
        throw new ConnectionFault('PROTOCOL_ERROR', 'PUSH_PROMISE from a client');
      default:
        // Section 4.1: unknown types are discarded.
        this.#budgets.spendFrame();
    }
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
      this.#streams.acknowledged();
      return;
    }
    const window = readSettings(bytes, start, end);
    this.#hasSettings = true;
    if (window !== undefined) this.#sender.setStreamWindow(window, this.#streams.open.values());
    this.#sender.frame(frameType.settings, flag.ack, 0, nothing);
  }

  /** Serves what the peer has begun, then ends. */
  drain(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#drainMs = this.#ports.clock.monotonic();
    // Section 6.8: the peer may have begun calls that have not come yet; its answer to the PING comes after them.
    this.#goaway(maxStreamId, 'NO_ERROR', '');
    this.#sender.frame(frameType.ping, 0, 0, drainPing);
    if (!this.#hasSettings) this.#stopOpening();
    this.#endWhenDone();
  }

  #stopOpening(): void {
    if (!this.#streams.isSealed) this.#goaway(this.#streams.seal(), 'NO_ERROR', '');
  }

  #endWhenDone(): void {
    if (this.#state === 'closing' && this.#streams.isSealed && this.#streams.open.size === 0) this.#finish();
  }

  #finish(): void {
    this.#state = 'over';
    this.#overMs = this.#ports.clock.monotonic();
    this.#streams.cancelAll();
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
    this.#goaway(this.#streams.lastStreamId, fault.code, fault.message);
    this.#finish();
  }

  #lost(): void {
    this.#state = 'over';
    this.#streams.cancelAll();
  }

  /** Ends what takes too long; called now and then. */
  sweep(nowMs: number): void {
    this.#budgets.nowMs = nowMs;
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
    if (!this.#streams.isAcknowledged && late(this.#openedMs, 2 * limits.prefaceMs)) {
      fail('SETTINGS_TIMEOUT', 'SETTINGS were not acknowledged in time');
    }
    if (late(this.#frameMs, limits.frameMs) || late(this.#streams.blockMs, limits.frameMs)) {
      fail('ENHANCE_YOUR_CALM', 'a frame or header block without end');
    }
    this.#streams.endLate(nowMs);
    if (this.#streams.open.size === 0 && late(this.#streams.usedMs, limits.idleMs)) this.drain();
    if (late(this.#drainMs, limits.prefaceMs)) this.#stopOpening();
    this.#endWhenDone();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
