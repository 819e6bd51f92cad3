// Sockets of the request enforcement points: unix sockets whose mode says who may ask, TCP for this host only.
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:net';
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
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(authzErrors.error('AUTHZ_LISTEN_FAILED', `${what} cannot listen on ${path}: ${cause.message}`, { cause })),
    );
    server.listen(path, resolve);
  });
  chmodSync(path, mode);
  return server;
}
