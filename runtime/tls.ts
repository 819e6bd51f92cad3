// TLS 1.3 between identities: no host names, no session resumption, certificates that can be replaced while running.
//
// Resumption would skip the check of the chain (a removed root or a revoked certificate would still open a session), so
// no session is ever resumed: SSL_OP_NO_TICKET turns tickets into stateful ones, Node keeps no server-side cache without
// a `resumeSession` listener, clients offer no session, and a resumed connection would be refused all the same.
import { constants, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import type { DetailedPeerCertificate, PeerCertificate, SecureContextOptions } from 'node:tls';
import { runtimeErrors } from './error-codes.ts';
import { maxChain } from './limits.ts';

/** PEM text, or DER and PEM pieces; a chain has its leaf first. */
export type CertificateList = string | readonly (string | Uint8Array)[];

export interface OwnTls {
  /** PKCS#8 PEM or a private KeyObject. */
  readonly key: string | KeyObject;
  readonly chain: CertificateList;
}

export interface ServerTls extends OwnTls {
  /** Who may issue client certificates. Without it, clients are not asked for one. */
  readonly roots?: CertificateList;
  /** Called with the verified chain of a client, leaf first; throwing closes the connection. */
  readonly verifyClient?: (chainDer: Buffer[]) => void;
}

export interface ClientTls extends Partial<OwnTls> {
  readonly roots: CertificateList;
  /** Called with the verified chain of the server, leaf first; throwing closes the connection. Checks the SPIFFE ID. */
  readonly verifyServer: (chainDer: Buffer[]) => void;
}

export const version13: SecureContextOptions = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
};

export function serverContext(tls: ServerTls): SecureContextOptions {
  return {
    ...version13,
    ...identity(tls),
    ...(tls.roots === undefined ? {} : { ca: pemList(tls.roots) }),
  };
}

/** Whose server is verified by `verifyServer` and not by a host name: give `checkServerIdentity` too. */
export function clientContext(tls: ClientTls): SecureContextOptions {
  const { key, chain } = tls;
  return {
    ...version13,
    ...(key === undefined || chain === undefined ? {} : identity({ key, chain })),
    ca: pemList(tls.roots),
  };
}

function identity(own: OwnTls): SecureContextOptions {
  const key = typeof own.key === 'string' ? own.key : own.key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const chain = pemList(own.chain);
  refuseForeignKey(own, chain);
  return { key, cert: chain.join('') };
}

/** Why `verify` is not content; undefined when it is. */
export function refusalBy(verify: () => void): Error | undefined {
  try {
    verify();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : runtimeErrors.error('PEER_REFUSED', String(error));
  }
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
function refuseForeignKey(own: OwnTls, [leaf]: readonly string[]): void {
  const spki = { type: 'spki', format: 'der' } as const;
  const fits =
    leaf !== undefined &&
    new X509Certificate(leaf).publicKey.export(spki).equals(createPublicKey(own.key).export(spki));
  if (!fits)
    throw runtimeErrors.error('CONFIG_INVALID', 'the key does not belong to the first certificate of the chain');
}
