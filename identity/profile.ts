// The three certificate profiles (SPIFFE X509-SVID, RFC 5280) as templates of the part to be signed: root,
// lock-down intermediate, leaf. Nothing here signs; see issue.ts.
import type { KeyObject } from 'node:crypto';
import { type Certificate, keyUsageBits } from './certificate.ts';
import { context, integer, oid, sequence, setOf, time, utf8String } from './der.ts';
import { identityError } from './errors.ts';
import {
  authorityKeyId,
  basicConstraints,
  extKeyUsage,
  keyUsage,
  lockDown,
  subjectAltUri,
  subjectKeyId,
} from './extensions.ts';
import { BACKDATE_SECONDS, SERIAL_BYTES } from './limits.ts';
import { oids } from './oids.ts';
import { encodePublicKey, subjectKeyIdentifier } from './public-key.ts';
import { parseSpiffeId, trustDomainId } from './spiffe-id.ts';

/** Milliseconds since the epoch; whole seconds, both ends inclusive. */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

interface Common extends Validity {
  /** Lowercase hex, from `newSerial`; stored before the certificate is signed. */
  readonly serialHex: string;
  readonly publicKey: KeyObject;
}

export interface RootRequest extends Common {
  readonly profile: 'root';
  readonly trustDomain: string;
}

export interface IntermediateRequest extends Common {
  readonly profile: 'intermediate';
  readonly issuer: Certificate;
  readonly trustDomain: string;
}

export interface LeafRequest extends Common {
  readonly profile: 'leaf';
  readonly issuer: Certificate;
  /** `spiffe://…` of one of our kinds, as the inventory says. */
  readonly spiffeId: string;
}

export type IssueRequest = RootRequest | IntermediateRequest | LeafRequest;

/** Random bytes; `crypto.randomBytes` in programs. */
export type RandomBytes = (count: number) => Buffer;

/** A serial of 19 random bytes, positive and of full length, lowercase hex. */
export function newSerial(random: RandomBytes): string {
  const bytes = random(SERIAL_BYTES);
  // Top bit clear: positive. Next bit set: never a leading zero byte, so text and bytes stay one to one.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/**
 * Validity of a certificate that is good for `ttlSeconds` from `now`: begins five minutes earlier, never before its
 * issuer, and ends with its issuer at the latest. An issuer that is not valid now issues nothing.
 */
export function validityFor(now: number, ttlSeconds: number, issuer?: Validity): Validity {
  const second = Math.floor(now / 1000) * 1000;
  if (issuer && (second < issuer.notBefore || second > issuer.notAfter)) {
    throw identityError('IDENTITY_ISSUER_UNUSABLE', 'the issuing certificate is not valid now');
  }
  const notBefore = second - BACKDATE_SECONDS * 1000;
  // notAfter is inclusive: one hour is 3599 seconds later.
  const notAfter = second + (ttlSeconds - 1) * 1000;
  return {
    notBefore: issuer ? Math.max(notBefore, issuer.notBefore) : notBefore,
    notAfter: issuer ? Math.min(notAfter, issuer.notAfter) : notAfter,
  };
}

/** `AlgorithmIdentifier` of every signature of ours. */
export const signatureAlgorithm: Buffer = sequence(oid(oids.ecdsaWithSha256));

function commonName(text: string): Buffer {
  return sequence(setOf(sequence(oid(oids.commonName), utf8String(text))));
}

/** Names of authorities differ by key, so that two generations are never taken for each other. */
function authorityName(role: 'root' | 'issuing', key: KeyObject): Buffer {
  return commonName(`Edgeward ${role} ${subjectKeyIdentifier(key).subarray(0, 8).toString('hex')}`);
}

/** The part to be signed. */
export function encodeTbs(request: IssueRequest): Buffer {
  const { issuer, subject, extensions } = encodeProfile(request);
  return sequence(
    context(0, integer(2)),
    integer(Buffer.from(request.serialHex, 'hex')),
    signatureAlgorithm,
    issuer,
    sequence(time(request.notBefore), time(request.notAfter)),
    subject,
    encodePublicKey(request.publicKey),
    context(3, sequence(...extensions)),
  );
}

interface ProfileFields {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly extensions: readonly Buffer[];
}

function encodeProfile(request: IssueRequest): ProfileFields {
  if (request.profile === 'root') return rootFields(request);
  return request.profile === 'intermediate' ? intermediateFields(request) : leafFields(request);
}

function rootFields({ publicKey, trustDomain }: RootRequest): ProfileFields {
  const name = authorityName('root', publicKey);
  return { issuer: name, subject: name, extensions: authorityExtensions(publicKey, publicKey, trustDomain, 1) };
}

function intermediateFields({ publicKey, trustDomain, issuer }: IntermediateRequest): ProfileFields {
  return {
    issuer: issuer.subject,
    subject: authorityName('issuing', publicKey),
    extensions: [...authorityExtensions(publicKey, issuer.publicKey, trustDomain, 0), lockDown(trustDomain)],
  };
}

function authorityExtensions(key: KeyObject, issuerKey: KeyObject, trustDomain: string, pathLen: number): Buffer[] {
  return [
    basicConstraints({ pathLen }),
    keyUsage(keyUsageBits.keyCertSign, keyUsageBits.cRLSign),
    subjectKeyId(subjectKeyIdentifier(key)),
    authorityKeyId(subjectKeyIdentifier(issuerKey)),
    subjectAltUri(trustDomainId(trustDomain), false),
  ];
}

function leafFields({ publicKey, spiffeId, issuer }: LeafRequest): ProfileFields {
  return {
    issuer: issuer.subject,
    // Empty: a common name would be taken for a DNS name by some verifiers. The name is the critical URI.
    subject: sequence(),
    extensions: [
      basicConstraints(undefined),
      keyUsage(keyUsageBits.digitalSignature),
      extKeyUsage(oids.serverAuth, oids.clientAuth),
      subjectKeyId(subjectKeyIdentifier(publicKey)),
      authorityKeyId(subjectKeyIdentifier(issuer.publicKey)),
      subjectAltUri(parseSpiffeId(spiffeId).uri, true),
    ],
  };
}
