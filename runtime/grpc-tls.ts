// TLS of gRPC: credentials for grpc-js, a first look at a server, and addresses as gRPC writes them.
import { connect, createSecureContext } from 'node:tls';
import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import { runtimeErrors } from './error-codes.ts';
import { chainOf, clientContext, type ClientTls, refusalBy, version13 } from './tls.ts';

/** `onVerified` hears of every handshake: undefined when `verifyServer` was content, else why it was not. */
export function clientCredentials(
  tls: ClientTls,
  onVerified: (refusal: Error | undefined) => void,
): ChannelCredentials {
  const context = createSecureContext(clientContext(tls));
  return credentials.createFromSecureContext(context, {
    // Replaces the check of the host name: our certificates carry a SPIFFE ID and no host.
    checkServerIdentity: (_host, certificate) => {
      const refusal = refusalBy(() => tls.verifyServer(chainOf(certificate)));
      onVerified(refusal);
      return refusal;
    },
  });
}

/**
 * The chain that a server presents, leaf first, NOT verified. For a first contact that knows only the fingerprint of the
 * root: find the root in it, then connect again with that root as the only one trusted.
 */
export function presentedChain(address: string, signal: AbortSignal): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown): void => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      reject(runtimeErrors.error('RPC_UNAVAILABLE', `no TLS connection to ${address}: ${reason}`, { cause }));
      socket.destroy();
    };
    const abort = (): void => failed(signal.reason);
    const socket = connect({
      ...parseAddress(address),
      ...version13,
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
    });
    socket.once('error', failed);
    socket.once('close', () => signal.removeEventListener('abort', abort));
    socket.once('secureConnect', () => {
      resolve(chainOf(socket.getPeerCertificate(true)));
      socket.destroy();
    });
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
}

/** `host:port`, `[IPv6]:port` or `unix:/path`. */
export function parseAddress(address: string): { path: string } | { host: string; port: number } {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) };
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const port = Number(found?.[3]);
  if (found === null || port > 65_535) {
    throw runtimeErrors.error('CONFIG_INVALID', `expected host:port, [IPv6]:port or unix:/path, found ${address}`);
  }
  return { host: found[1] ?? found[2] ?? '', port };
}
