// TLS 1.3 between identities: no host names, no session resumption, certificates that can be replaced while running.
//
// Resumption would skip the check of the chain (a removed root or a revoked certificate would still open a session), so
// no session is ever resumed: SSL_OP_NO_TICKET turns tickets into stateful ones, Node keeps no server-side cache without
// a `resumeSession` listener, clients offer no session, and a resumed connection would be refused all the same.
import { constants, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import {
  connect,
  createSecureContext,
  type DetailedPeerCertificate,
  type PeerCertificate,
  type SecureContextOptions,
} from 'node:tls';
import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import { runtimeErrors } from './error-codes.ts';
import { maxChain } from './limits.ts';

/** PEM text, or DER and PEM pieces; a chain has its leaf first. */
export type CertificateList = string | readonly (string | Uint8Array)[];

interface OwnIdentity {
  /** PKCS#8 PEM or a private KeyObject. */
  readonly key: string | KeyObject;
  readonly chain: CertificateList;
}

export interface ServerTls extends OwnIdentity {
  /** Who may issue client certificates. Without it, clients are not asked for one. */
  readonly roots?: CertificateList;
  /** Called with the verified chain of a client, leaf first; throwing closes the connection. */
  readonly verifyClient?: (chainDer: Buffer[]) => void;
}

export interface ClientTls extends Partial<OwnIdentity> {
  readonly roots: CertificateList;
  /** Called with the verified chain of the server, leaf first; throwing closes the connection. Checks the SPIFFE ID. */
  readonly verifyServer: (chainDer: Buffer[]) => void;
}

const version: SecureContextOptions = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
};

export function serverContext(tls: ServerTls): SecureContextOptions {
  return {
    ...version,
    ...identity(tls),
    ...(tls.roots === undefined ? {} : { ca: pemList(tls.roots) }),
  };
}

function identity(own: OwnIdentity): SecureContextOptions {
  const key = typeof own.key === 'string' ? own.key : own.key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const chain = pemList(own.chain);
  refuseForeignKey(own, chain);
  return { key, cert: chain.join('') };
}

/** `onVerified` hears of every handshake: undefined when `verifyServer` was content, else why it was not. */
export function clientCredentials(
  tls: ClientTls,
  onVerified: (refusal: Error | undefined) => void,
): ChannelCredentials {
  const { key, chain } = tls;
  const context = createSecureContext({
    ...version,
    ...(key === undefined || chain === undefined ? {} : identity({ key, chain })),
    ca: pemList(tls.roots),
  });
  return credentials.createFromSecureContext(context, {
    // Replaces the check of the host name: our certificates carry a SPIFFE ID and no host.
    checkServerIdentity: (_host, certificate) => {
      const refusal = refusalBy(() => tls.verifyServer(chainOf(certificate)));
      onVerified(refusal);
      return refusal;
    },
  });
}

function refusalBy(verify: () => void): Error | undefined {
  try {
    verify();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : runtimeErrors.error('PEER_REFUSED', String(error));
  }
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
    const socket = connect({ ...parseAddress(address), ...version, ALPNProtocols: ['h2'], rejectUnauthorized: false });
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

/** The DER chain of a peer, leaf first, as far as TLS completed it (it may end with the root). */
export function chainOf(certificate: PeerCertificate | DetailedPeerCertificate): Buffer[] {
  const chain: Buffer[] = [];
  let next: PeerCertificate | DetailedPeerCertificate | undefined = certificate;
  while (
    next?.raw !== undefined &&
    chain.length < maxChain &&
    !chain.some((known) => known.equals(next?.raw ?? known))
  ) {
    chain.push(next.raw);
    next = 'issuerCertificate' in next ? next.issuerCertificate : undefined;
  }
  return chain;
}

function pemList(list: CertificateList): string[] {
  return (typeof list === 'string' ? [list] : list).map((piece) =>
    typeof piece === 'string' ? `${piece.trim()}\n` : new X509Certificate(piece).toString(),
  );
}

/** OpenSSL would say "key values mismatch" at the first handshake, or not at all. */
function refuseForeignKey(own: OwnIdentity, [leaf]: readonly string[]): void {
  const spki = { type: 'spki', format: 'der' } as const;
  const fits =
    leaf !== undefined &&
    new X509Certificate(leaf).publicKey.export(spki).equals(createPublicKey(own.key).export(spki));
  if (!fits)
    throw runtimeErrors.error('CONFIG_INVALID', 'the key does not belong to the first certificate of the chain');
}
