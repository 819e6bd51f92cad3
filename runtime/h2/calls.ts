// Runs the methods: an answer that comes at once leaves with the batch of its request, one that comes later when it does.
import type { Clock } from '../clock.ts';
import { runtimeErrors } from '../error-codes.ts';
import { CodedError } from '../errors.ts';
import { answerBlock, doneBlock, errorBlock, errorTrailers } from './answer-blocks.ts';
import { ConnectionFault } from './protocol.ts';
import type { Sender } from './sender.ts';
import type { Call, Stream } from './stream.ts';

/**
 * Answers one call. `message` is valid until the method returns, longer only as a copy; the bytes of an answer that is
 * given at once may be used again after the next call has begun. `deadlineMs` is a point on the server's monotonic clock.
 * What it throws becomes the status: a coded error its own, anything else INTERNAL without a word.
 */
export type UnaryMethod = (
  message: Uint8Array,
  deadlineMs: number | undefined,
  call: Call,
) => Uint8Array | Promise<Uint8Array>;

/** Answers with any number of messages, each asked for when the one before has left. */
export type StreamMethod = (
  message: Uint8Array,
  deadlineMs: number | undefined,
  call: Call,
) => AsyncIterable<Uint8Array>;

export interface CallPorts {
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  readonly streams: ReadonlyMap<string, StreamMethod>;
  readonly maxMessageBytes: number;
  readonly clock: Clock;
  /** Told of what a method threw that is not a coded error. */
  readonly onFault: (error: unknown) => void;
}

export interface CallEnds {
  /** A method that took its time has ended. */
  ran(stream: Stream): void;
  /** The connection cannot go on. */
  broke(error: unknown): void;
}

export class Calls {
  readonly #ports: CallPorts;
  readonly #sender: Sender;
  readonly #ends: CallEnds;

  constructor(ports: CallPorts, sender: Sender, ends: CallEnds) {
    this.#ports = ports;
    this.#sender = sender;
    this.#ends = ends;
  }

  run(stream: Stream, message: Uint8Array, nowMs: number): void {
    if (stream.deadlineMs !== undefined && stream.deadlineMs <= nowMs) {
      this.refuse(stream, tooLate());
      return;
    }
    const method = this.#ports.methods.get(stream.head.path);
    if (method === undefined) {
      this.#runStream(stream, Buffer.from(message));
      return;
    }
    let answer: Uint8Array | Promise<Uint8Array>;
    try {
      answer = method(message, stream.deadlineMs, stream);
    } catch (error) {
      this.refuse(stream, error);
      return;
    }
    if (answer instanceof Uint8Array) this.#give(stream, answer);
    else this.#wait(stream, async () => this.#give(stream, await answer));
  }

  /** Ends the call with the status of `error`. */
  refuse(stream: Stream, error: unknown): void {
    if (!(error instanceof CodedError)) this.#ports.onFault(error);
    this.#sender.forget(stream);
    this.#sender.block(stream, stream.hasSentHead ? errorTrailers(error) : errorBlock(error), true);
  }

  #give(stream: Stream, answer: unknown): void {
    if (isOver(stream)) return;
    const error = this.#faultOf(answer);
    if (error === undefined) this.#sender.answer(stream, answer as Uint8Array);
    else this.refuse(stream, error);
  }

  #faultOf(message: unknown): Error | undefined {
    if (!(message instanceof Uint8Array)) return new TypeError('a method answered with something other than bytes');
    const { maxMessageBytes } = this.#ports;
    if (message.length <= maxMessageBytes) return undefined;
    return runtimeErrors.error(
      'RPC_RESOURCE_EXHAUSTED',
      `the answer has ${message.length} bytes, more than ${maxMessageBytes}`,
    );
  }

  #runStream(stream: Stream, message: Uint8Array): void {
    const method = this.#ports.streams.get(stream.head.path);
    this.#wait(stream, async () => {
      const messages = method?.(message, stream.deadlineMs, stream) ?? [];
      for await (const next of messages) {
        if (isOver(stream)) return;
        const error = this.#faultOf(next);
        if (error !== undefined) throw error;
        await new Promise<void>((sent) => this.#sender.message(stream, next, undefined, sent));
        if (isOver(stream)) return;
      }
      if (isOver(stream)) return;
      if (!stream.hasSentHead) this.#sender.block(stream, answerBlock, false);
      this.#sender.block(stream, doneBlock, true);
    });
  }

  #wait(stream: Stream, work: () => Promise<void>): void {
    stream.isRunning = true;
    const ended = new AbortController();
    if (stream.deadlineMs !== undefined) this.#endAt(stream, stream.deadlineMs, ended.signal);
    work()
      .catch((error: unknown) => {
        if (error instanceof ConnectionFault) this.#ends.broke(error);
        else if (!isOver(stream)) this.refuse(stream, error);
      })
      .catch((error: unknown) => this.#ends.broke(error))
      .finally(() => {
        ended.abort();
        stream.isRunning = false;
        this.#ends.ran(stream);
      });
  }

  #endAt(stream: Stream, deadlineMs: number, ended: AbortSignal): void {
    const { clock } = this.#ports;
    clock.sleep(deadlineMs - clock.monotonic(), ended).then(
      () => {
        if (isOver(stream)) return;
        this.refuse(stream, tooLate());
        stream.cancel(tooLate());
      },
      () => undefined,
    );
  }
}

const isOver = (stream: Stream): boolean => stream.isAnswered || stream.isCancelled;
const tooLate = (): CodedError => runtimeErrors.error('RPC_DEADLINE_EXCEEDED', 'the deadline of the call has passed');
