// An HTTP/2 server for unary gRPC calls (and server streams), made for one kind of peer: proxies on this host, by unix sockets
// and loopback TCP, without TLS. See README.md for what it keeps and how that is shown.
import { type Clock, systemClock } from '../clock.ts';
import { openListener, type Listener } from '../grpc-listener.ts';
import { listenerLimits } from '../limits.ts';
import type { Logger } from '../log.ts';
import type { StreamMethod, UnaryMethod } from './calls.ts';
import { Connection, type ConnectionPorts } from './connection.ts';
import { type Counters, newCounters } from './counters.ts';
import { SpareBatches } from './frame-writer.ts';
import { grpcRequests } from './grpc-request.ts';
import { defaultLimits, sweepMs, type UnaryServerLimits } from './limits.ts';

export type { StreamMethod, UnaryMethod } from './calls.ts';
export type { Call } from './stream.ts';
export type { Counters } from './counters.ts';
export { defaultLimits, type UnaryServerLimits } from './limits.ts';

export interface UnaryServerOptions {
  /** By exact `:path`, e.g. `/envoy.service.auth.v3.Authorization/Check`. Other paths are UNIMPLEMENTED. */
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  /** Methods that answer with a stream, e.g. `/grpc.health.v1.Health/Watch`. Default none. */
  readonly streams?: ReadonlyMap<string, StreamMethod>;
  /** What differs from `defaultLimits`. */
  readonly limits?: Partial<UnaryServerLimits>;
  /** Told of what a method threw that is not a coded error, and of faults of the server itself. Must not throw. */
  readonly onFault: (error: unknown) => void;
  readonly clock?: Clock;
  readonly log?: Logger;
}

export interface UnaryServer {
  /**
   * `unix:/path` or `host:port` (port 0 for any); `mode` is that of the unix socket. Resolves with the port, 0 for a unix
   * socket. Throws LISTEN_FAILED, CONFIG_INVALID.
   */
  listen(address: string, mode?: number): Promise<number>;
  /** Stops accepting, lets calls finish for `graceMs`, then ends them. Idempotent. */
  close(graceMs: number): Promise<void>;
  /** The present values. */
  readonly counters: Readonly<Counters>;
}

export function createUnaryServer(options: UnaryServerOptions): UnaryServer {
  const { methods, streams = new Map(), onFault, clock = systemClock, log } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const counters = newCounters();
  const spare = new SpareBatches();
  const connections = new Set<Connection>();
  const listeners: Listener[] = [];
  const swept = new AbortController();
  const ports: ConnectionPorts = {
    methods,
    streams,
    maxMessageBytes: limits.maxMessageBytes,
    clock,
    onFault,
    limits,
    rules: grpcRequests,
    counters,
    spare,
  };
  let sweeping: Promise<void> | undefined;
  let closing: Promise<void> | undefined;

  const sweep = async (): Promise<void> => {
    while (!swept.signal.aborted) {
      await clock.sleep(sweepMs, swept.signal);
      const now = clock.monotonic();
      for (const connection of connections) connection.sweep(now);
    }
  };

  const close = async (graceMs: number): Promise<void> => {
    for (const listener of listeners) listener.stopAccepting();
    for (const connection of connections) connection.drain();
    const patience = new AbortController();
    if (graceMs > 0) {
      await Promise.race([
        Promise.all(listeners.map((listener) => listener.empty())),
        clock.sleep(graceMs, patience.signal).catch(() => undefined),
      ]);
    }
    patience.abort();
    for (const connection of connections) connection.destroy();
    await Promise.all(listeners.map((listener) => listener.empty()));
    swept.abort();
    await sweeping;
  };

  return {
    async listen(address, mode = 0o660) {
      const listener = await openListener({
        address,
        tls: 'insecure',
        limits: { ...listenerLimits, maxConnections: limits.maxConnections },
        socketMode: mode,
        log,
        onRefused: undefined,
        accept: (socket) => {
          const connection = new Connection(socket, ports);
          connections.add(connection);
          counters.connectionsOpened++;
          counters.connectionsOpen++;
          socket.once('close', () => {
            connections.delete(connection);
            counters.connectionsOpen--;
          });
        },
      });
      listeners.push(listener);
      sweeping ??= sweep().catch(() => undefined);
      return listener.port;
    },
    close: (graceMs) => (closing ??= close(graceMs)),
    counters,
  };
}
