// Serves AuthZEN on a unix socket and, where that is asked for, on loopback TCP to who shows the token.
import type { Server } from 'node:http';
import { listenTcp, listenUnix, mustBeLocal } from '../listen.ts';
import type { SearchPorts } from './search.ts';
import { type AuthzenOptions, createAuthzen } from './service.ts';

export interface AuthzenEndpoints {
  readonly socket: string;
  /** Mode of the socket: who may ask. */
  readonly socketMode: number;
  /** Loopback `host:port`, and the bearer token that callers show there. */
  readonly tcp: { readonly address: string; readonly token: string } | undefined;
}

export interface AuthzenServer {
  readonly close: () => Promise<void>;
}

export async function serveAuthzen(
  ports: SearchPorts,
  options: Omit<AuthzenOptions, 'token'>,
  { socket, socketMode, tcp }: AuthzenEndpoints,
): Promise<AuthzenServer> {
  if (tcp !== undefined) mustBeLocal(tcp.address);
  const servers = [
    await listenUnix(createAuthzen(ports, { ...options, token: undefined }), socket, socketMode, 'authzen'),
  ];
  const close = async (): Promise<void> => void (await Promise.all(servers.map(closed)));
  try {
    if (tcp !== undefined) {
      const server = createAuthzen(ports, { ...options, token: tcp.token });
      servers.push(await listenTcp(server, tcp.address, 'authzen'));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
