// One call: what of its request has come, what of its answer waits.
import { runtimeErrors } from '../error-codes.ts';
import type { RequestHead } from './request-head.ts';

/** What a method may know of its call. */
export interface Call {
  /** Aborts when the call is over for the client: cancelled, past its deadline, connection lost. */
  readonly signal: AbortSignal;
}

/** What waits for the peer's window: octets of DATA, then the trailers. */
export interface Waiting {
  readonly bytes: Buffer;
  at: number;
  /** Ends the stream after the bytes. */
  readonly trailers: Buffer | undefined;
  readonly sinceMs: number;
  readonly sent: (() => void) | undefined;
}

const firstBufferBytes = 1024;
/** gRPC over HTTP/2, "Length-Prefixed-Message": compressed flag (1), length (4). */
export const prefixBytes = 5;

export class Stream implements Call {
  readonly id: number;
  readonly head: RequestHead;
  readonly openedMs: number;
  /** The point in time at which the client stops to wait, on the monotonic clock. */
  readonly deadlineMs: number | undefined;
  /** END_STREAM has come. */
  isRequested = false;
  /** END_STREAM has gone. */
  isAnswered = false;
  /** Reset, or its connection is lost. */
  isCancelled = false;
  /** Its method has been called and has not ended. */
  isRunning = false;
  hasSentHead = false;
  /** Octets of DATA without padding. */
  contentBytes = 0;
  /** Octets of DATA since the last WINDOW_UPDATE. */
  taken = 0;
  sendWindow: number;
  waiting: Waiting | undefined;
  #buffer: Buffer | undefined;
  #buffered = 0;
  #abort: AbortController | undefined;

  constructor(id: number, head: RequestHead, nowMs: number, sendWindow: number) {
    this.id = id;
    this.head = head;
    this.openedMs = nowMs;
    this.deadlineMs = head.timeoutMs === undefined ? undefined : nowMs + head.timeoutMs;
    this.sendWindow = sendWindow;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.isCancelled) this.cancel();
    return this.#abort.signal;
  }

  cancel(reason: Error = runtimeErrors.error('RPC_CANCELLED', 'the client ended the call')): void {
    this.isCancelled = true;
    this.#abort?.abort(reason);
  }

  /** Bytes held of a message that is not complete. */
  get heldBytes(): number {
    return this.#buffer?.length ?? 0;
  }

  get buffered(): Buffer | undefined {
    return this.#buffer?.subarray(0, this.#buffered);
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  append(source: Buffer, start: number, end: number): void {
    const needed = this.#buffered + end - start;
    if (this.#buffer === undefined || this.#buffer.length < needed) {
      // Grows with what has come, not with what the prefix promises.
      const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.heldBytes, firstBufferBytes));
      this.#buffer?.copy(grown, 0, 0, this.#buffered);
      this.#buffer = grown;
    }
    source.copy(this.#buffer, this.#buffered, start, end);
    this.#buffered = needed;
  }

  releaseBuffer(): void {
    this.#buffer = undefined;
    this.#buffered = 0;
  }
}
