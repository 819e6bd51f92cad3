// Serves the request enforcement points: ext_authz and health over gRPC on a unix socket and on loopback TCP, and
// forward-auth over HTTP likewise. What is not reachable here is denied by the proxies that ask.
import type { Server } from 'node:http';
import type { Logger } from '../../runtime/log.ts';
import type { AuthzPorts } from './authorize.ts';
import { type CheckTransport, createCheckServer } from './envoy/check-server.ts';
import { check } from './envoy/ext-authz.ts';
import { createForwardAuth } from './forward-auth/server.ts';
import { listenTcp, listenUnix, mustBeLocal } from './listen.ts';

export interface AuthzEndpoints {
  /** `unix:/path` and loopback `host:port` addresses of the gRPC server. */
  readonly grpc: readonly string[];
  /** Path of the forward-auth socket; undefined for none. */
  readonly forwardAuthSocket: string | undefined;
  /** Loopback `host:port` of forward-auth, for proxies that cannot ask a unix socket (Traefik); undefined for none. */
  readonly forwardAuthTcp?: string | undefined;
  /** Mode of the unix sockets: whose proxies may ask. Default 0660. */
  readonly socketMode?: number;
  /** What carries gRPC. Default `h2`, our own. */
  readonly transport?: CheckTransport | undefined;
  readonly log?: Logger | undefined;
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
  const { transport = 'h2', log } = endpoints;
  const grpc = createCheckServer(transport, {
    check: (message, deadlineMs) => check(ports, message, deadlineMs),
    serving,
    socketMode: mode,
    log,
  });
  for (const address of endpoints.grpc) {
    mustBeLocal(address);
    await grpc.listen(address);
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
