// A gRPC server for protobuf-es services: handlers are async functions and generators, refusals are coded errors.
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { DescMethodUnary, DescService, MessageInitShape, MessageShape, DescMessage } from '@bufbuild/protobuf';
import type { Socket } from 'node:net';
import {
  adaptHandler,
  type AnyHandler,
  type CallContext,
  type CallRecord,
  type ServiceOptions,
} from './grpc-handler.ts';
import type { Interceptor } from './grpc-handler.ts';
import {
  connectionOf,
  openListener,
  type Connection,
  type Listener,
  type ListenerLimits,
  type Refusal,
} from './grpc-listener.ts';
import * as limits from './limits.ts';
import type { ServerTls } from './tls.ts';
import { methodPath, serviceDefinition, statusOf } from './grpc-wire.ts';
import type { Logger } from './log.ts';

type Handler<M> = M extends { methodKind: infer Kind; input: infer I; output: infer O }
  ? I extends DescMessage
    ? O extends DescMessage
      ? Kind extends 'unary'
        ? (request: MessageShape<I>, call: CallContext) => Promise<MessageInitShape<O>>
        : Kind extends 'server_streaming'
          ? (request: MessageShape<I>, call: CallContext) => AsyncIterable<MessageInitShape<O>>
          : Kind extends 'client_streaming'
            ? (requests: AsyncIterable<MessageShape<I>>, call: CallContext) => Promise<MessageInitShape<O>>
            : (requests: AsyncIterable<MessageShape<I>>, call: CallContext) => AsyncIterable<MessageInitShape<O>>
      : never
    : never
  : never;

export type Implementation<S extends DescService> = { readonly [K in keyof S['method']]: Handler<S['method'][K]> };

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;

/** What else is known of a call; each found when asked. */
export interface RawCall {
  /** Undefined for a client without a certificate. */
  readonly connection: () => Connection | undefined;
  /** On the clock of `performance.now()`; undefined where the client waits for ever. */
  readonly deadlineMs: () => number | undefined;
}

export interface GrpcServerOptions extends Partial<ListenerLimits> {
  readonly log?: Logger;
  /** Told of every call when it ends: metrics, access log. */
  readonly onCall?: (record: CallRecord) => void;
  /** Told of every client that TLS or `verifyClient` did not let in: for the audit log. */
  readonly onRefused?: (refusal: Refusal) => void;
  /** Bytes a message may have, both ways. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Default 100. */
  readonly maxCallsPerConnection?: number;
  /** A connection without calls is closed after this. Default 5 min; without it probes leak sessions (grpc-node #2975). */
  readonly maxConnectionIdleMs?: number;
  /** A connection is asked to come again after this (with jitter). Default never, because a stream lives in it. */
  readonly maxConnectionAgeMs?: number;
  readonly maxConnectionAgeGraceMs?: number;
  /** Ping after this much silence, and how long to wait for the answer. Default 30 s, 10 s. */
  readonly keepaliveMs?: number;
  readonly keepaliveTimeoutMs?: number;
  /** Mode of unix sockets. Default 0660. */
  readonly socketMode?: number;
}

export interface GrpcServer {
  addService<S extends DescService>(
    service: S,
    implementation: Implementation<S>,
    options?: ServiceOptions | Interceptor,
  ): void;
  /** A unary method whose bytes are not decoded here, for a handler that reads them itself. */
  addUnary(method: DescMethodUnary, answer: (message: Buffer, call: RawCall) => Uint8Array | Promise<Uint8Array>): void;
  /** `host:port` (port 0 for any), `[v6]:port` or `unix:/path`. Resolves with the port, 0 for a unix socket. */
  listen(address: string, tls: ServerTls | 'insecure'): Promise<number>;
  /** New key, chain and roots for new connections of all TLS listeners; open connections stay. */
  replaceTls(tls: ServerTls): void;
  /** Ends connections at once, for example those of a revoked certificate. Says how many. */
  closeConnections(match: (connection: Connection) => boolean): number;
  /** Stops accepting, lets calls finish for `graceMs`, then ends them. Idempotent. */
  close(graceMs: number): Promise<void>;
}

export function createGrpcServer(options: GrpcServerOptions = {}): GrpcServer {
  const server = new Server(channelOptions(options));
  const listeners: Listener[] = [];
  const secure: Listener[] = [];
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const accept = (socket: Socket): void => injector.injectConnection(socket);
  const { log, onCall, onRefused, socketMode = 0o660 } = options;
  let closing: Promise<void> | undefined;

  return {
    addService(service, implementation, serviceOptions = {}) {
      const rules = typeof serviceOptions === 'function' ? { interceptor: serviceOptions } : serviceOptions;
      const wiring = { rules, log, onCall, maxMessageBytes: options.maxMessageBytes ?? limits.maxMessageBytes };
      const handlers: UntypedServiceImplementation = {};
      for (const method of service.methods) {
        handlers[method.localName] = adaptHandler(
          method,
          implementation[method.localName]?.bind(implementation) as AnyHandler,
          wiring,
        );
      }
      server.addService(serviceDefinition(service), handlers);
    },
    addUnary(method, answer) {
      const same = (bytes: Buffer): Buffer => bytes;
      const handle = async (call: UnaryCall, done: sendUnaryData<Buffer>): Promise<void> => {
        try {
          const bytes = await answer(call.request, {
            connection: () => connectionOf(call.getAuthContext().sslPeerCertificate),
            deadlineMs: () => deadlineOf(call),
          });
          done(null, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
        } catch (error) {
          done(statusOf(error));
        }
      };
      const path = methodPath(method);
      const added = server.register(
        path,
        (call: UnaryCall, done: sendUnaryData<Buffer>) => void handle(call, done),
        same,
        same,
        'unary',
      );
      if (!added) throw new Error(`${path} is served already`);
    },
    async listen(address, tls) {
      const listener = await openListener({
        address,
        tls,
        limits: { ...limits.listenerLimits, ...defined(options) },
        socketMode,
        log,
        onRefused,
        accept,
      });
      listeners.push(listener);
      if (tls !== 'insecure') secure.push(listener);
      return listener.port;
    },
    replaceTls: (tls) => secure.forEach((listener) => listener.replaceTls(tls)),
    closeConnections: (match) => listeners.reduce((count, listener) => count + listener.closeConnections(match), 0),
    close: (graceMs) => (closing ??= shutDown(server, injector, listeners, graceMs)),
  };
}

function deadlineOf(call: UnaryCall): number | undefined {
  const deadline = call.getDeadline();
  const at = typeof deadline === 'number' ? deadline : deadline.getTime();
  return Number.isFinite(at) ? performance.now() + at - Date.now() : undefined;
}

function defined(options: GrpcServerOptions): Partial<ListenerLimits> {
  const names = Object.keys(limits.listenerLimits) as (keyof ListenerLimits)[];
  return Object.fromEntries(names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));
}

function channelOptions(options: GrpcServerOptions): Record<string, number> {
  const maxBytes = options.maxMessageBytes ?? limits.maxMessageBytes;
  return {
    'grpc.max_receive_message_length': maxBytes,
    'grpc.max_send_message_length': maxBytes,
    'grpc.max_concurrent_streams': options.maxCallsPerConnection ?? limits.maxCallsPerConnection,
    'grpc.max_connection_idle_ms': options.maxConnectionIdleMs ?? limits.maxConnectionIdleMs,
    'grpc.keepalive_time_ms': options.keepaliveMs ?? limits.serverKeepaliveMs,
    'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs ?? limits.keepaliveTimeoutMs,
    'grpc.enable_channelz': 0,
    ...(options.maxConnectionAgeMs === undefined ? {} : { 'grpc.max_connection_age_ms': options.maxConnectionAgeMs }),
    ...(options.maxConnectionAgeGraceMs === undefined
      ? {}
      : { 'grpc.max_connection_age_grace_ms': options.maxConnectionAgeGraceMs }),
  };
}

type Injector = ReturnType<Server['createConnectionInjector']>;

/** Not grpc-js's tryShutdown: it takes a session that is about to close for closed, and would cut its calls off. */
async function shutDown(
  server: Server,
  injector: Injector,
  listeners: readonly Listener[],
  graceMs: number,
): Promise<void> {
  for (const listener of listeners) listener.stopAccepting();
  injector.drain(graceMs);
  const finished = Promise.all(listeners.map((listener) => listener.empty()));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  await Promise.race([finished, late]);
  clearTimeout(timer);
  for (const listener of listeners) listener.closeConnections();
  injector.destroy();
  server.forceShutdown();
}
