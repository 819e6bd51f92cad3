// What carries Check and health: our own HTTP/2 server (runtime/h2) or grpc-js, the same services on both. Ours is for
// proxies on this host; grpc-js costs more than ten times as much a call and stays for whoever prefers it.
import { create, type DescMethod, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Authorization } from '../../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import {
  Health,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
} from '../../../proto/gen/grpc/health/v1/health_pb.ts';
import { type Connection, createGrpcServer, type GrpcServer, type Refusal } from '../../../runtime/grpc.ts';
import { createUnaryServer } from '../../../runtime/h2/server.ts';
import type { Logger } from '../../../runtime/log.ts';
import { authzErrors } from '../errors.ts';
import { idleConnectionMs, maxCheckRequestBytes, maxChecksPerConnection } from '../limits.ts';
import { healthStatus, watchHealth } from './health.ts';

export const checkTransports = ['h2', 'grpc-js'] as const;
export type CheckTransport = (typeof checkTransports)[number];

export interface CheckServer {
  /** `unix:/path` or `host:port`. Resolves with the port, 0 for a unix socket. */
  listen(address: string): Promise<number>;
  /** Stops accepting, lets calls finish for `graceMs`, then ends them. */
  close(graceMs: number): Promise<void>;
}

export interface CheckServices {
  /** `deadlineMs` on the clock of `performance.now()`; undefined where the call has none. */
  readonly check: (message: Buffer, deadlineMs?: number) => Uint8Array | Promise<Uint8Array>;
  readonly serving: () => boolean;
  /** Mode of unix sockets. */
  readonly socketMode: number;
  readonly log?: Logger | undefined;
}

export function createCheckServer(transport: CheckTransport, services: CheckServices): CheckServer {
  return transport === 'h2' ? ownServer(services) : grpcJsServer(services);
}

/** Throws AUTHZ_UNKNOWN_SERVICE. */
function healthOf(service: string, serving: () => boolean): HealthCheckResponse {
  const status = healthStatus(service, serving);
  if (status === undefined) throw authzErrors.error('AUTHZ_UNKNOWN_SERVICE', `no service "${service}" here`);
  return create(HealthCheckResponseSchema, { status });
}

const pathOf = ({ parent, name }: DescMethod): string => `/${parent.typeName}/${name}`;
const serviceOf = (message: Uint8Array): string => fromBinary(HealthCheckRequestSchema, message).service;

function ownServer({ check, serving, socketMode, log }: CheckServices): CheckServer {
  const server = createUnaryServer({
    methods: new Map([
      [pathOf(Authorization.method.check), (message, deadlineMs) => check(asBuffer(message), deadlineMs)],
      [
        pathOf(Health.method.check),
        (message) => toBinary(HealthCheckResponseSchema, healthOf(serviceOf(message), serving)),
      ],
    ]),
    streams: new Map([
      [
        pathOf(Health.method.watch),
        async function* (message, _, call) {
          for await (const status of watchHealth(serviceOf(message), serving, call.signal)) {
            yield toBinary(HealthCheckResponseSchema, status);
          }
        },
      ],
    ]),
    limits: {
      maxMessageBytes: maxCheckRequestBytes,
      maxConcurrentStreams: maxChecksPerConnection,
      idleMs: idleConnectionMs,
    },
    onFault: (error) => log?.error({ err: error }, 'a request of a proxy could not be answered'),
    ...(log === undefined ? {} : { log }),
  });
  return { listen: (address) => server.listen(address, socketMode), close: (graceMs) => server.close(graceMs) };
}

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function grpcJsServer(services: CheckServices): CheckServer {
  const server = createGrpcCheckServer(services);
  return { listen: (address) => server.listen(address, 'insecure'), close: (graceMs) => server.close(graceMs) };
}

/** Who may ask over TLS: at the handshake `ServerTls.verifyClient` said yes; this is asked again at each call. */
export interface CheckGate {
  /** Throws what the call is refused with. `connection` is undefined for a client without a certificate. */
  readonly admit: (connection: Connection | undefined) => void;
  /** Told of every client that TLS or `verifyClient` did not let in. */
  readonly refused: (refusal: Refusal) => void;
}

/** The services on grpc-js, to listen on with TLS or without. */
export function createGrpcCheckServer(
  { check, serving, socketMode, log }: CheckServices,
  gate?: CheckGate,
): GrpcServer {
  const server = createGrpcServer({
    maxMessageBytes: maxCheckRequestBytes,
    maxConnectionIdleMs: idleConnectionMs,
    maxCallsPerConnection: maxChecksPerConnection,
    socketMode,
    ...(log === undefined ? {} : { log }),
    ...(gate === undefined ? {} : { onRefused: gate.refused }),
  });
  server.addUnary(Authorization.method.check, (message, call) => {
    gate?.admit(call.connection());
    return check(message, call.deadlineMs());
  });
  server.addService(
    Health,
    {
      check: async ({ service }) => await Promise.resolve(healthOf(service, serving)),
      watch: (request, call) => watchHealth(request.service, serving, call.signal),
    },
    gate === undefined ? {} : ({ connection }) => gate.admit(connection),
  );
  return server;
}
