// One call on the server: from grpc-js's handlers to async functions and generators, with refusal before decoding.
import type { Metadata, sendUnaryData, ServerDuplexStream, ServerUnaryCall, UntypedHandleCall } from '@grpc/grpc-js';
import type { DescMethod } from '@bufbuild/protobuf';
import { CodedError } from './errors.ts';
import { runtimeErrors } from './error-codes.ts';
import { connectionOf, type Connection } from './grpc-listener.ts';
import { createSender } from './grpc-sender.ts';
import { decodeMessage, encodeMessage, methodPath, statusOf, type DecodeRules } from './grpc-wire.ts';
import type { Logger } from './log.ts';

/** One call. The same object from interceptor to handler, so rooms can hang what they found on it in a WeakMap. */
export interface CallContext {
  readonly method: DescMethod;
  /** With a client certificate: one object for all calls of a connection, key for what is true of the connection. */
  readonly connection: Connection;
  /** DER of the client's verified leaf certificate. */
  readonly peerCertificate: Buffer | undefined;
  readonly peerChain: readonly Buffer[];
  /** `address:port`, or `unix`. */
  readonly peer: string;
  /** Aborts when the call is over for the client: cancelled, past its deadline, connection lost (or answered). */
  readonly signal: AbortSignal;
  readonly metadata: Metadata;
}

/** Runs before the request is decoded; throwing refuses the call. */
export type Interceptor = (call: CallContext) => void | Promise<void>;

export interface CallRecord {
  /** `/package.Service/Method` */
  readonly method: string;
  readonly peer: string;
  /** `OK`, or the code of the coded error. */
  readonly code: string;
  readonly durationMs: number;
}

export interface ServiceOptions extends DecodeRules {
  readonly interceptor?: Interceptor;
}

export type AnyHandler = (request: unknown, call: CallContext) => Promise<never> | AsyncIterable<never>;
type Unary = ServerUnaryCall<Buffer, Buffer>;
type Streaming = ServerDuplexStream<Buffer, Buffer>;

export interface Wiring {
  readonly rules: ServiceOptions;
  readonly log: Logger | undefined;
  readonly onCall: ((record: CallRecord) => void) | undefined;
  readonly maxMessageBytes: number;
}

export function adaptHandler(method: DescMethod, handler: AnyHandler, wiring: Wiring): UntypedHandleCall {
  const { input, output, methodKind } = method;
  const decode = (bytes: Buffer): unknown => decodeMessage(input, bytes, wiring.rules);
  const encode = (value: never): Buffer => withinLimit(encodeMessage(output, value), wiring.maxMessageBytes);
  const streamIn = methodKind === 'client_streaming' || methodKind === 'bidi_streaming';

  const admit = async (call: Unary | Streaming, context: CallContext): Promise<unknown> => {
    await wiring.rules.interceptor?.(context);
    return streamIn ? readRequests(call as Streaming, decode) : decode((call as Unary).request);
  };

  if (methodKind === 'server_streaming' || methodKind === 'bidi_streaming') {
    return (call: Streaming) => {
      const send = createSender(call);
      recorded(call, method, wiring, async (context) => {
        for await (const response of handler(await admit(call, context), context) as AsyncIterable<never>) {
          context.signal.throwIfAborted();
          await send(encode(response));
        }
      }).then(
        () => call.end(),
        (error: unknown) => {
          if (!call.cancelled) call.emit('error', statusOf(error));
        },
      );
    };
  }
  const answer = async (call: Unary, done: sendUnaryData<Buffer>): Promise<void> => {
    let bytes: Buffer;
    try {
      bytes = await recorded(call, method, wiring, async (context) =>
        encode(await (handler(await admit(call, context), context) as Promise<never>)),
      );
    } catch (error) {
      done(statusOf(error));
      return;
    }
    done(null, bytes);
  };
  return (call: Unary, done: sendUnaryData<Buffer>) => void answer(call, done);
}

function withinLimit(bytes: Buffer, maxBytes: number): Buffer {
  if (bytes.length <= maxBytes) return bytes;
  throw runtimeErrors.error('RPC_RESOURCE_EXHAUSTED', `the answer has ${bytes.length} bytes, more than ${maxBytes}`);
}

/** Requests as they come; reading one lets the client send the next. Ends with the client's half-close. */
async function* readRequests(call: Streaming, decode: (bytes: Buffer) => unknown): AsyncGenerator<unknown> {
  try {
    // A handler may stop reading and still answer, so leaving the loop must not destroy the call.
    for await (const bytes of call.iterator({ destroyOnReturn: false })) yield decode(bytes as Buffer);
  } catch (error) {
    throw call.cancelled ? cancelled() : error;
  }
  if (call.cancelled) throw cancelled();
}

const cancelled = (): CodedError => runtimeErrors.error('RPC_CANCELLED', 'the client ended the call');

/** Runs `work` and tells the log and `onCall` how it ended. */
async function recorded<T>(
  call: Unary | Streaming,
  method: DescMethod,
  wiring: Wiring,
  work: (context: CallContext) => Promise<T>,
): Promise<T> {
  const context = contextOf(call, method);
  const started = performance.now();
  let code = 'OK';
  try {
    return await work(context);
  } catch (error) {
    code = error instanceof CodedError ? error.code : call.cancelled ? 'RPC_CANCELLED' : 'RPC_INTERNAL';
    if (code === 'RPC_INTERNAL') wiring.log?.error({ method: methodPath(method), err: error }, 'handler failed');
    throw error;
  } finally {
    const durationMs = performance.now() - started;
    wiring.onCall?.({ method: methodPath(method), peer: context.peer, code, durationMs });
  }
}

function contextOf(call: Unary | Streaming, method: DescMethod): CallContext {
  const found = connectionOf(call.getAuthContext().sslPeerCertificate);
  const connection = found ?? { peer: call.getPeer().replace(/^unknown$/, 'unix'), peerChain: [] };
  const abort = new AbortController();
  const cancel = (): void => abort.abort(cancelled());
  if (call.cancelled) cancel();
  else call.once('cancelled', cancel);
  return {
    method,
    connection,
    peerCertificate: connection.peerChain[0],
    peerChain: connection.peerChain,
    peer: connection.peer,
    signal: abort.signal,
    metadata: call.metadata,
  };
}
