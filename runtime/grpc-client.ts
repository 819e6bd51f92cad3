// A typed gRPC client for one protobuf-es service: promises and async iterables, cancellation by signal, coded errors.
import { Client, credentials, Metadata, type CallOptions as GrpcCallOptions } from '@grpc/grpc-js';
import type { ClientDuplexStream, ClientUnaryCall, ServiceError } from '@grpc/grpc-js';
import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { CodedError } from './errors.ts';
import { runtimeErrors } from './error-codes.ts';
import * as limits from './limits.ts';
import { createSender } from './grpc-sender.ts';
import { clientCredentials } from './grpc-tls.ts';
import type { ClientTls } from './tls.ts';
import { decodeMessage, encodeMessage, errorOf, methodPath } from './grpc-wire.ts';

export interface CallOptions {
  /** Cancels the call; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Rejects with RPC_DEADLINE_EXCEEDED after this. Default: 15 s for unary calls, none for streams. */
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

type Method<M> = M extends { methodKind: infer Kind; input: infer I; output: infer O }
  ? I extends DescMessage
    ? O extends DescMessage
      ? Kind extends 'unary'
        ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
        : Kind extends 'server_streaming'
          ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
          : Kind extends 'client_streaming'
            ? (requests: AsyncIterable<MessageInitShape<I>>, options?: CallOptions) => Promise<MessageShape<O>>
            : (requests: AsyncIterable<MessageInitShape<I>>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
      : never
    : never
  : never;

export type GrpcClient<S extends DescService> = { readonly [K in keyof S['method']]: Method<S['method'][K]> } & {
  /** Ends the connection; calls under way fail. */
  close(): void;
};

export interface GrpcClientOptions {
  /** Bytes a message may have, both ways. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Ping after this much silence during a call, and how long to wait for the answer. Default 20 s, 10 s. */
  readonly keepaliveMs?: number;
  readonly keepaliveTimeoutMs?: number;
  /** Waits between tries to connect. Default 0.5 s doubling to 10 s. */
  readonly reconnectMs?: { readonly first: number; readonly max: number };
  /** Goes through the HTTP proxy that the environment names (https_proxy, no_proxy). Default false. */
  readonly proxyFromEnvironment?: boolean;
}

/** Why the last handshake was refused by `verifyServer`; grpc-js only says UNAVAILABLE. */
interface Refusal {
  error: Error | undefined;
}

export function createGrpcClient<S extends DescService>(
  service: S,
  address: string,
  tls: ClientTls | 'insecure',
  options: GrpcClientOptions = {},
): GrpcClient<S> {
  const refusal: Refusal = { error: undefined };
  const channel =
    tls === 'insecure'
      ? credentials.createInsecure()
      : clientCredentials(tls, (error) => {
          refusal.error = error;
        });
  const target = address.startsWith('unix:') ? address : `dns:${address}`;
  const client = new Client(target, channel, channelOptions(options));
  const methods = service.methods.map((method) => [method.localName, caller(client, method, refusal)] as const);
  return { ...Object.fromEntries(methods), close: () => client.close() } as GrpcClient<S>;
}

function channelOptions(options: GrpcClientOptions): Record<string, number | string> {
  const maxBytes = options.maxMessageBytes ?? limits.maxMessageBytes;
  return {
    'grpc.max_receive_message_length': maxBytes,
    'grpc.max_send_message_length': maxBytes,
    'grpc.keepalive_time_ms': options.keepaliveMs ?? limits.clientKeepaliveMs,
    'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs ?? limits.keepaliveTimeoutMs,
    'grpc.initial_reconnect_backoff_ms': (options.reconnectMs ?? limits.reconnectMs).first,
    'grpc.max_reconnect_backoff_ms': (options.reconnectMs ?? limits.reconnectMs).max,
    'grpc.enable_http_proxy': options.proxyFromEnvironment ? 1 : 0,
    // A repeated call could be a second effect; who may repeat is decided above.
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    // Connections are not shared between clients, so closing one or changing its identity concerns no other.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
    // Sent as SNI, which must not be an IP address; nobody checks it, identities are SPIFFE IDs.
    'grpc.ssl_target_name_override': 'edgeward.internal',
  };
}

type Duplex = ClientDuplexStream<Buffer, Buffer>;
const bytes = (value: Buffer): Buffer => value;

function caller(client: Client, method: DescMethod, refusal: Refusal): unknown {
  const path = methodPath(method);
  const encode = (value: unknown): Buffer => encodeMessage(method.input, value as MessageInitShape<DescMessage>);
  const decode = (answer: Buffer): unknown => decodeMessage(method.output, answer);
  const stream = (requests: AsyncIterable<unknown>, options: CallOptions): AsyncGenerator<unknown> => {
    options.signal?.throwIfAborted();
    const call = client.makeBidiStreamRequest(path, bytes, bytes, metadataOf(options), callOptions(options));
    return exchange(call, requests, encode, decode, options.signal, refusal);
  };
  switch (method.methodKind) {
    case 'unary':
      return (request: unknown, options: CallOptions = {}) =>
        unary(
          (done) =>
            client.makeUnaryRequest(
              path,
              bytes,
              bytes,
              encode(request),
              metadataOf(options),
              {
                ...callOptions({ timeoutMs: limits.unaryTimeoutMs, ...options }),
              },
              done,
            ),
          decode,
          options.signal,
          refusal,
        );
    case 'server_streaming':
      return (request: unknown, options: CallOptions = {}) => stream(only(request), options);
    case 'client_streaming':
      return (requests: AsyncIterable<unknown>, options: CallOptions = {}) => last(stream(requests, options));
    case 'bidi_streaming':
      return (requests: AsyncIterable<unknown>, options: CallOptions = {}) => stream(requests, options);
  }
}

function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(options.metadata ?? {})) metadata.set(name, value);
  return metadata;
}

function callOptions(options: CallOptions): GrpcCallOptions {
  return options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
}

// On the wire the four kinds differ only in how many messages each side sends.
async function* only(request: unknown): AsyncGenerator<unknown> {
  yield request;
}

async function last(answers: AsyncIterable<unknown>): Promise<unknown> {
  let found: { answer: unknown } | undefined;
  for await (const answer of answers) found = { answer };
  if (found === undefined) throw runtimeErrors.error('WIRE_MALFORMED', 'the server ended the call without an answer');
  return found.answer;
}

async function unary(
  start: (done: (error: ServiceError | null, answer?: Buffer) => void) => ClientUnaryCall,
  decode: (answer: Buffer) => unknown,
  signal: AbortSignal | undefined,
  refusal: Refusal,
): Promise<unknown> {
  signal?.throwIfAborted();
  let call: ClientUnaryCall | undefined;
  const cancel = (): void => call?.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    const answer = await new Promise<Buffer>((resolve, reject) => {
      call = start((error, found) => (error === null && found !== undefined ? resolve(found) : reject(error)));
    });
    return decode(answer);
  } catch (error) {
    throw failureOf(error, signal, refusal);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/** Sends `requests` while yielding answers. Leaving the loop cancels the call and stops `requests`. */
function exchange(
  call: Duplex,
  requests: AsyncIterable<unknown>,
  encode: (value: unknown) => Buffer,
  decode: (answer: Buffer) => unknown,
  signal: AbortSignal | undefined,
  refusal: Refusal,
): AsyncGenerator<unknown> {
  let failure: { error: unknown } | undefined;
  let finished = false;
  const cancel = (): void => call.cancel();
  const source = requests[Symbol.asyncIterator]();
  call.on('error', (error: unknown) => (failure ??= { error }));
  call.once('status', () => {
    finished = true;
    // Not awaited: a generator that waits for its next value answers only then.
    source.return?.().catch(() => undefined);
  });
  signal?.addEventListener('abort', cancel, { once: true });
  sendAll(source, call, encode, () => finished).catch((error: unknown) => {
    failure ??= { error };
    call.cancel();
  });
  return answers();

  async function* answers(): AsyncGenerator<unknown> {
    try {
      for await (const answer of call.iterator({ destroyOnReturn: false })) yield decode(answer as Buffer);
    } catch (error) {
      failure ??= { error };
    } finally {
      signal?.removeEventListener('abort', cancel);
      if (!finished) call.cancel();
    }
    if (failure !== undefined) throw failureOf(failure.error, signal, refusal);
  }
}

async function sendAll(
  source: AsyncIterator<unknown>,
  call: Duplex,
  encode: (value: unknown) => Buffer,
  finished: () => boolean,
): Promise<void> {
  const send = createSender(call);
  for (let next = await source.next(); next.done !== true; next = await source.next()) {
    if (finished()) return;
    await send(encode(next.value));
  }
  if (!finished()) call.end();
}

function failureOf(error: unknown, signal: AbortSignal | undefined, refusal: Refusal): unknown {
  if (error instanceof CodedError) return error;
  if (signal?.aborted) return signal.reason;
  // Not from the wire: the caller's own iterable failed.
  if (!(error instanceof Error && 'code' in error && 'metadata' in error)) return error;
  const failure = errorOf(error as ServiceError);
  // The server was there, but is not who it should be: say that, not "unavailable".
  return failure.code === 'RPC_UNAVAILABLE' && refusal.error instanceof CodedError ? refusal.error : failure;
}
