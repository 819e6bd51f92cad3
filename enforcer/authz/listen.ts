// Sockets of the request enforcement points: unix sockets whose mode says who may ask, TCP for this host only.
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import type { ListenOptions, Server } from 'node:net';
import { dirname } from 'node:path';
import { authzErrors } from './errors.ts';

/** Without TLS the listener is for this host only. */
export function mustBeLocal(address: string): void {
  if (/^(unix:|127\.\d+\.\d+\.\d+:|\[::1\]:|localhost:)/.test(address)) return;
  throw authzErrors.error('AUTHZ_ADDRESS_REMOTE', `authz listens on unix sockets and loopback only, found ${address}`);
}

/** `what` names the server in errors, e.g. `forward-auth`. A socket of a process that is gone is replaced. */
export async function listenUnix<S extends Server>(server: S, path: string, mode: number, what: string): Promise<S> {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  await listening(server, { path }, what);
  chmodSync(path, mode);
  return server;
}

/** @param address `host:port`, IPv6 in brackets. */
export async function listenTcp<S extends Server>(server: S, address: string, what: string): Promise<S> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replaceAll(/^\[|\]$/g, '');
  return await listening(server, { host, port: Number(address.slice(colon + 1)) }, what);
}

async function listening<S extends Server>(server: S, where: ListenOptions, what: string): Promise<S> {
  const place = where.path ?? `${where.host}:${where.port}`;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        authzErrors.error('AUTHZ_LISTEN_FAILED', `${what} cannot listen on ${place}: ${cause.message}`, { cause }),
      ),
    );
    server.listen(where, resolve);
  });
  return server;
}
