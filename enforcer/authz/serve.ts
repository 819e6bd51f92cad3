// Serves the request enforcement points: ext_authz and health over gRPC on a unix socket and on loopback TCP, and
// forward-auth over HTTP likewise. What is not reachable here is denied by the proxies that ask.
import type { Server } from 'node:http';
import { create } from '@bufbuild/protobuf';
import { Authorization } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Health, HealthCheckResponseSchema } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { createGrpcServer, type GrpcServer } from '../../runtime/grpc.ts';
import type { AuthzPorts } from './authorize.ts';
import { authzErrors } from './errors.ts';
import { check } from './envoy/ext-authz.ts';
import { healthStatus, watchHealth } from './envoy/health.ts';
import { createForwardAuth } from './forward-auth/server.ts';
import { idleConnectionMs, maxCheckRequestBytes } from './limits.ts';
import { listenTcp, listenUnix, mustBeLocal } from './listen.ts';

export interface AuthzEndpoints {
  /** `unix:/path` and loopback `host:port` addresses of the gRPC server. */
  readonly grpc: readonly string[];
  /** Path of the forward-auth socket; undefined for none. */
  readonly forwardAuthSocket: string | undefined;
  /** Loopback `host:port` of forward-auth, for proxies that cannot ask a unix socket (Traefik); undefined for none. */
  readonly forwardAuthTcp?: string | undefined;
  /** Group of the unix sockets' users; undefined leaves the process's group. */
  readonly socketMode?: number;
}

export interface AuthzServer {
  close(graceMs: number): Promise<void>;
}

export async function serveAuthz(
  ports: AuthzPorts,
  serving: () => boolean,
  endpoints: AuthzEndpoints,
): Promise<AuthzServer> {
  const mode = endpoints.socketMode ?? 0o660;
  const grpc = grpcServer(ports, serving, mode);
  for (const address of endpoints.grpc) {
    mustBeLocal(address);
    await grpc.listen(address, 'insecure');
  }
  const http = await listenForwardAuth(ports, endpoints, mode);
  return {
    close: async (graceMs) => {
      for (const server of http) {
        server.close();
        server.closeAllConnections();
      }
      await grpc.close(graceMs);
    },
  };
}

async function listenForwardAuth(
  ports: AuthzPorts,
  { forwardAuthSocket: path, forwardAuthTcp: address }: AuthzEndpoints,
  mode: number,
): Promise<Server[]> {
  if (address !== undefined) mustBeLocal(address);
  const what = 'forward-auth';
  return [
    ...(path === undefined ? [] : [await listenUnix(createForwardAuth(ports), path, mode, what)]),
    ...(address === undefined ? [] : [await listenTcp(createForwardAuth(ports), address, what)]),
  ];
}

function grpcServer(ports: AuthzPorts, serving: () => boolean, socketMode: number): GrpcServer {
  const server = createGrpcServer({
    maxMessageBytes: maxCheckRequestBytes,
    maxConnectionIdleMs: idleConnectionMs,
    // Envoy multiplexes all of a worker's requests on one connection; 100 is a cliff (envoyproxy/envoy#2941).
    maxCallsPerConnection: 2_048,
    socketMode,
  });
  server.addUnary(Authorization.method.check, (message) => check(ports, message));
  server.addService(Health, {
    check: (request) => {
      const status = healthStatus(request.service, serving);
      if (status === undefined)
        throw authzErrors.error('AUTHZ_UNKNOWN_SERVICE', `no service "${request.service}" here`);
      return Promise.resolve(create(HealthCheckResponseSchema, { status }));
    },
    watch: (request, call) => watchHealth(request.service, serving, call.signal),
  });
  return server;
}
