// Serves the request enforcement points: ext_authz and health over gRPC on a unix socket and on loopback TCP, and
// forward-auth over HTTP likewise; gRPC over mutual TLS for proxies on other hosts. What is not reachable here is denied by the proxies that ask.
import type { Server } from 'node:http';
import type { Logger } from '../../runtime/log.ts';
import type { AuthzPorts } from './authorize.ts';
import { type CheckServices, type CheckTransport, createCheckServer } from './envoy/check-server.ts';
import { check } from './envoy/ext-authz.ts';
import { createForwardAuth } from './forward-auth/server.ts';
import { listenTcp, listenUnix, mustBeLocal } from './listen.ts';
import { type RemoteProxies, type RemoteServer, serveRemote } from './remote.ts';

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
  /** Proxies on other hosts that may ask; without it nothing listens beyond this host. */
  readonly remote?: RemoteProxies | undefined;
  readonly log?: Logger | undefined;
}

export interface AuthzServer {
  /** Of `AuthzEndpoints.remote`. */
  readonly remote: RemoteServer | undefined;
  close(graceMs: number): Promise<void>;
}

export async function serveAuthz(
  ports: AuthzPorts,
  serving: () => boolean,
  endpoints: AuthzEndpoints,
): Promise<AuthzServer> {
  const mode = endpoints.socketMode ?? 0o660;
  const { transport = 'h2', log } = endpoints;
  const services: CheckServices = {
    check: (message, deadlineMs) => check(ports, message, deadlineMs),
    serving,
    socketMode: mode,
    log,
  };
  const grpc = createCheckServer(transport, services);
  for (const address of endpoints.grpc) {
    mustBeLocal(address);
    await grpc.listen(address);
  }
  const http = await listenForwardAuth(ports, endpoints, mode);
  const remote = endpoints.remote && (await serveRemote(services, endpoints.remote));
  return {
    remote,
    close: async (graceMs) => {
      for (const server of http) {
        server.close();
        server.closeAllConnections();
      }
      await Promise.all([grpc.close(graceMs), remote?.close(graceMs)]);
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
