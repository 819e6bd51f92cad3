// Validates a certificate chain: the subset of RFC 5280 section 6 that our profiles use, plus the rules of SPIFFE
// X509-SVID. Node has no path validation; `X509Certificate.verify` checks one signature and nothing else.
import type { KeyObject } from 'node:crypto';
import { type Certificate, isSignedBy, keyUsageBits, parseCertificate } from './certificate.ts';
import { identityError } from './errors.ts';
import { MAX_CHAIN_LENGTH, MAX_INTERMEDIATES, MAX_ROOTS, MAX_SIGNATURE_CHECKS } from './limits.ts';
import { checkNames } from './name-constraints.ts';
import { oids } from './oids.ts';
import type { SpiffeId } from './spiffe-id.ts';

/** A leaf that was verified; only this module makes one. */
export interface VerifiedSvid {
  readonly id: SpiffeId;
  readonly serialHex: string;
  /** Milliseconds since the epoch, inclusive. */
  readonly notAfter: number;
  readonly publicKey: KeyObject;
  readonly der: Buffer;
  /** Leaf first, root last. */
  readonly path: readonly PathElement[];
  /** When all of the path is valid. */
  readonly pathFrom: number;
  readonly pathTo: number;
}

/** What of a verified certificate may be otherwise later: its time passes, and its serial may be revoked. */
interface PathElement {
  readonly serialHex: string;
  /** Milliseconds since the epoch, inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface ChainOptions {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The trust domain that the roots belong to; the SVID has to be of it. */
  readonly trustDomain: string;
  /** Asked for every certificate of the chain. */
  readonly revoked?: (serialHex: string) => boolean;
}

/** Critical extensions that this validator processes. */
const processed: ReadonlySet<string> = new Set([
  oids.basicConstraints,
  oids.keyUsage,
  oids.extKeyUsage,
  oids.subjectAltName,
  oids.nameConstraints,
]);

/**
 * Verifies an X.509-SVID up to one of the roots. Throws a CodedError IDENTITY_* that names the clause that failed.
 *
 * `intermediatesDer` is what the peer sent and what the verifier knows, in any order. A TLS server has to add what it
 * knows: Node 24.21 forgets the first intermediate that a client sent (nodejs/node#65579).
 */
export function verifyChain(
  leafDer: Uint8Array,
  intermediatesDer: readonly Uint8Array[],
  rootsDer: readonly Uint8Array[],
  options: ChainOptions,
): VerifiedSvid {
  // Counted before anything is parsed: length is the caller's, CPU is ours.
  if (intermediatesDer.length > MAX_INTERMEDIATES) {
    throw identityError('IDENTITY_CHAIN_TOO_LONG', `more than ${MAX_INTERMEDIATES} certificates besides the leaf`);
  }
  if (rootsDer.length > MAX_ROOTS) throw identityError('IDENTITY_ANCHORS_INVALID', `more than ${MAX_ROOTS} roots`);
  const leaf = parseCertificate(leafDer);
  const id = checkSvid(leaf, options.trustDomain);
  const chain = buildPath(leaf, intermediatesDer.map(parseCertificate), rootsDer.map(parseCertificate));
  validatePath(chain, options);
  const path = chain.map(({ serialHex, notBefore, notAfter }) => ({ serialHex, notBefore, notAfter }));
  const pathFrom = Math.max(...path.map(({ notBefore }) => notBefore));
  const pathTo = Math.min(...path.map(({ notAfter }) => notAfter));
  const { serialHex, notAfter, publicKey, raw: der } = leaf;
  return { id, serialHex, notAfter, publicKey, der, path, pathFrom, pathTo };
}

/**
 * Asks again what may have changed since `verifyChain`: dates, and revocation where `revoked` is given. Only while the roots
 * are the same. Throws as it does.
 */
export function verifyAgain(
  { path, pathFrom, pathTo }: VerifiedSvid,
  { now, revoked }: Omit<ChainOptions, 'trustDomain'>,
): void {
  if (!(pathFrom <= now && now <= pathTo)) for (const certificate of path) checkValidity(certificate, now);
  if (revoked !== undefined) for (const certificate of path) checkRevoked(certificate, revoked);
}

/** Roots of every trust domain that is trusted, by name. Never pooled. */
export type TrustBundles = ReadonlyMap<string, readonly Uint8Array[]>;

/** Like `verifyChain`, with the roots chosen by the trust domain that stands in the SVID. */
export function verifyChainInBundles(
  leafDer: Uint8Array,
  intermediatesDer: readonly Uint8Array[],
  bundles: TrustBundles,
  options: Omit<ChainOptions, 'trustDomain'>,
): VerifiedSvid {
  const { trustDomain } = parseCertificate(leafDer);
  const roots = trustDomain === undefined ? undefined : bundles.get(trustDomain);
  if (trustDomain === undefined || roots === undefined) {
    throw identityError('IDENTITY_TRUST_DOMAIN_MISMATCH', 'the SVID is of no trust domain that is trusted here');
  }
  return verifyChain(leafDer, intermediatesDer, roots, { ...options, trustDomain });
}

/** The rules of X509-SVID sections 2 to 5 for the leaf alone. */
function checkSvid(leaf: Certificate, trustDomain: string): SpiffeId {
  const invalid = (reason: string) => identityError('IDENTITY_SVID_INVALID', `not an X.509-SVID: ${reason}`);
  const names = leaf.subjectAltName;
  if (names === undefined) throw invalid('it has no subject alternative name');
  if (names.uris.length !== 1) throw invalid(`it has ${names.uris.length} URIs, one is required`);
  if (names.count !== 1) throw invalid('it has names besides its URI');
  if (leaf.isCa) throw invalid('it is an authority');
  if (leaf.spiffeId === undefined) throw invalid('its URI is no SPIFFE ID of an identity');
  if (leaf.keyUsage === undefined || !leaf.keyUsage.includes(keyUsageBits.digitalSignature))
    throw invalid('it may not sign');
  if (leaf.keyUsage.includes(keyUsageBits.keyCertSign) || leaf.keyUsage.includes(keyUsageBits.cRLSign)) {
    throw invalid('it may sign certificates or revocations');
  }
  if (leaf.extKeyUsage && !(leaf.extKeyUsage.includes(oids.serverAuth) && leaf.extKeyUsage.includes(oids.clientAuth))) {
    throw invalid('it is not for both sides of TLS');
  }
  if (leaf.spiffeId.trustDomain !== trustDomain) {
    throw identityError('IDENTITY_TRUST_DOMAIN_MISMATCH', 'the SVID is of another trust domain than the roots');
  }
  return leaf.spiffeId;
}

/** Finds leaf … root by name, key identifier and signature. Each intermediate is used once; the work is bounded. */
function buildPath(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  roots: readonly Certificate[],
): Certificate[] {
  let checks = 0;
  let sawBadSignature = false;
  let sawLongChain = false;
  const signed = (child: Certificate, issuer: Certificate): boolean => {
    if (++checks > MAX_SIGNATURE_CHECKS) {
      throw identityError('IDENTITY_CHAIN_TOO_LONG', 'the search for a chain was given up');
    }
    const good = isSignedBy(child, issuer);
    sawBadSignature ||= !good;
    return good;
  };
  const extend = (chain: readonly Certificate[], child: Certificate): Certificate[] | undefined => {
    if (chain.length >= MAX_CHAIN_LENGTH) {
      sawLongChain = true;
      return undefined;
    }
    for (const root of roots) if (isNamedIssuer(root, child) && signed(child, root)) return [...chain, root];
    for (const issuer of intermediates) {
      if (chain.includes(issuer) || !isNamedIssuer(issuer, child) || !signed(child, issuer)) continue;
      const path = extend([...chain, issuer], issuer);
      if (path) return path;
    }
    return undefined;
  };
  const path = extend([leaf], leaf);
  if (path) return path;
  if (sawBadSignature) {
    throw identityError('IDENTITY_SIGNATURE_INVALID', 'a signature in the chain is not by the issuer that it names');
  }
  if (sawLongChain)
    throw identityError('IDENTITY_CHAIN_TOO_LONG', `chain of more than ${MAX_CHAIN_LENGTH} certificates`);
  throw identityError('IDENTITY_ISSUER_UNKNOWN', 'the chain leads to no root of this trust domain');
}

function isNamedIssuer(issuer: Certificate, child: Certificate): boolean {
  if (!issuer.subject.equals(child.issuer)) return false;
  return child.authorityKeyId !== undefined && issuer.subjectKeyId?.equals(child.authorityKeyId) === true;
}

/** RFC 5280 section 6.1.3 to 6.1.5 over a chain whose signatures hold; leaf first, root last. */
function validatePath(chain: readonly Certificate[], options: ChainOptions): void {
  chain.forEach((certificate, index) => {
    checkValidity(certificate, options.now);
    checkCriticalExtensions(certificate);
    checkRevoked(certificate, options.revoked);
    if (index > 0) checkAuthority(certificate, index - 1, options.trustDomain);
    for (const authority of chain.slice(index + 1)) checkNames(certificate, authority);
  });
}

function checkRevoked({ serialHex }: PathElement, revoked: ChainOptions['revoked']): void {
  if (revoked?.(serialHex) === true) {
    throw identityError('IDENTITY_REVOKED', `certificate ${serialHex} is revoked`);
  }
}

function checkValidity(certificate: PathElement, now: number): void {
  const second = Math.floor(now / 1000) * 1000;
  if (second < certificate.notBefore) {
    throw identityError(
      'IDENTITY_NOT_YET_VALID',
      `certificate ${certificate.serialHex} begins ${new Date(certificate.notBefore).toISOString()}`,
    );
  }
  if (second > certificate.notAfter) {
    throw identityError(
      'IDENTITY_EXPIRED',
      `certificate ${certificate.serialHex} ended ${new Date(certificate.notAfter).toISOString()}`,
    );
  }
}

function checkCriticalExtensions(certificate: Certificate): void {
  for (const { oid, critical } of certificate.extensions) {
    if (critical && !processed.has(oid)) {
      throw identityError(
        'IDENTITY_CRITICAL_EXTENSION',
        `certificate ${certificate.serialHex} has the unknown critical extension ${oid}`,
      );
    }
  }
}

/** Section 6.1.4 (k) to (n), and X509-SVID section 3.2: an authority carries the ID of its trust domain. */
function checkAuthority(certificate: Certificate, authoritiesBelow: number, trustDomain: string): void {
  const { serialHex } = certificate;
  if (!certificate.isCa)
    throw identityError('IDENTITY_NOT_AN_AUTHORITY', `certificate ${serialHex} issued one, but is no authority`);
  if (!certificate.keyUsage?.includes(keyUsageBits.keyCertSign)) {
    throw identityError('IDENTITY_NOT_AN_AUTHORITY', `certificate ${serialHex} issued one without keyCertSign`);
  }
  if (authoritiesBelow > (certificate.pathLen ?? Number.POSITIVE_INFINITY)) {
    throw identityError(
      'IDENTITY_PATH_LENGTH_EXCEEDED',
      `certificate ${serialHex} has more authorities below it than it may`,
    );
  }
  if (certificate.trustDomain !== trustDomain || certificate.spiffeId !== undefined) {
    throw identityError(
      'IDENTITY_TRUST_DOMAIN_MISMATCH',
      `authority ${serialHex} is not of the trust domain ${trustDomain}`,
    );
  }
}
