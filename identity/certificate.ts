// Reads an X.509 version 3 certificate (RFC 5280 section 4) of our kind: P-256, ecdsa-with-SHA256. What this parser
// does not know it keeps as an unknown extension, for the path validator to refuse if it is critical.
import { type KeyObject, verify } from 'node:crypto';
import {
  contextTag,
  type DerNode,
  DerFields,
  parseDer,
  readBitStringBytes,
  readOid,
  readSmallInteger,
  readTime,
  tags,
} from './der.ts';
import { identityError } from './errors.ts';
import { type Extension, type NameConstraints, readExtensions, type SubjectAltName } from './extensions.ts';
import { MAX_CERTIFICATE_BYTES } from './limits.ts';
import { oids } from './oids.ts';
import { readPublicKey } from './public-key.ts';
import { parseSpiffeId, parseSpiffeUri, type SpiffeId } from './spiffe-id.ts';

export interface Certificate {
  /** Lowercase hex of the serial's magnitude: the one form in which serials are stored, compared and revoked. */
  readonly serialHex: string;
  /** Milliseconds since the epoch; whole seconds, both ends inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of the issuer and subject names; compared byte for byte. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  /** DER SubjectPublicKeyInfo. */
  readonly publicKeyDer: Buffer;
  readonly isCa: boolean;
  readonly pathLen: number | undefined;
  /** Bit positions of RFC 5280 section 4.2.1.3; undefined without the extension. */
  readonly keyUsage: readonly number[] | undefined;
  readonly extKeyUsage: readonly string[] | undefined;
  readonly subjectAltName: SubjectAltName | undefined;
  /** The identity, when the only name is one SPIFFE URI of a kind that we know. */
  readonly spiffeId: SpiffeId | undefined;
  /** The trust domain of the only URI, also of an authority, whose ID has no path. */
  readonly trustDomain: string | undefined;
  readonly subjectKeyId: Buffer | undefined;
  readonly authorityKeyId: Buffer | undefined;
  readonly nameConstraints: NameConstraints | undefined;
  /** Every extension in order, the known ones too. */
  readonly extensions: readonly Extension[];
  /** The signed part. */
  readonly tbs: Buffer;
  readonly signature: Buffer;
  /** The whole certificate. */
  readonly raw: Buffer;
}

/** Positions in KeyUsage (RFC 5280 section 4.2.1.3). */
export const keyUsageBits = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 } as const;

function invalid(reason: string): Error {
  return identityError('IDENTITY_CERTIFICATE_INVALID', `certificate refused: ${reason}`);
}

/** Parses one DER certificate. Checks its form, never its signature or place in a chain. */
export function parseCertificate(der: Uint8Array): Certificate {
  const root = parseDer(der, MAX_CERTIFICATE_BYTES);
  const outer = new DerFields(root, tags.sequence, 'Certificate');
  const tbs = outer.next(tags.sequence, 'tbsCertificate');
  const outerAlgorithm = outer.next(tags.sequence, 'signatureAlgorithm');
  const signature = readBitStringBytes(outer.next(tags.bitString, 'signatureValue'));
  outer.end();

  const fields = new DerFields(tbs, tags.sequence, 'TBSCertificate');
  readVersion(fields.next(contextTag(0, true), 'version'));
  const serialHex = readSerial(fields.next(tags.integer, 'serialNumber'));
  const algorithm = fields.next(tags.sequence, 'signature');
  if (!algorithm.raw.equals(outerAlgorithm.raw)) throw invalid('the two signature algorithms differ');
  readSignatureAlgorithm(algorithm);
  const issuer = fields.next(tags.sequence, 'issuer');
  const validity = new DerFields(fields.next(tags.sequence, 'validity'), tags.sequence, 'Validity');
  const notBefore = readTime(validity.any('notBefore'));
  const notAfter = readTime(validity.any('notAfter'));
  validity.end();
  const subject = fields.next(tags.sequence, 'subject');
  const spki = fields.next(tags.sequence, 'subjectPublicKeyInfo');
  const extensions = readExtensions(fields.next(contextTag(3, true), 'extensions'));
  fields.end();
  if (notAfter < notBefore) throw invalid('it ends before it begins');

  return {
    serialHex,
    notBefore,
    notAfter,
    issuer: issuer.raw,
    subject: subject.raw,
    publicKey: readPublicKey(spki),
    publicKeyDer: spki.raw,
    ...extensions,
    ...readIdentity(extensions.subjectAltName),
    tbs: tbs.raw,
    signature,
    raw: root.raw,
  };
}

function readVersion(node: DerNode): void {
  const fields = new DerFields(node, contextTag(0, true), 'version');
  if (readSmallInteger(fields.next(tags.integer, 'version')) !== 2) throw invalid('it is not of version 3');
  fields.end();
}

function readSerial(node: DerNode): string {
  const bytes = node.contents;
  if (bytes.length > 20) throw invalid('the serial has more than 20 bytes');
  if ((bytes[0] ?? 0) >= 0x80) throw invalid('the serial is negative');
  const hex = bytes.toString('hex').replace(/^00(?=.)/, '');
  if (/^0*$/.test(hex)) throw invalid('the serial is zero');
  return hex;
}

function readSignatureAlgorithm(node: DerNode): void {
  const fields = new DerFields(node, tags.sequence, 'AlgorithmIdentifier');
  const name = readOid(fields.next(tags.oid, 'algorithm'));
  if (name !== oids.ecdsaWithSha256)
    throw identityError('IDENTITY_ALGORITHM_REFUSED', `certificate signed with ${name}, not with ecdsa-with-SHA256`);
  // RFC 5758 section 3.2: no parameters, not even NULL.
  fields.end();
}

function readIdentity(names: SubjectAltName | undefined): Pick<Certificate, 'spiffeId' | 'trustDomain'> {
  const uri = names?.uris.length === 1 && names.count === 1 ? names.uris[0] : undefined;
  if (uri === undefined || !uri.toLowerCase().startsWith('spiffe:'))
    return { spiffeId: undefined, trustDomain: undefined };
  const { trustDomain, path } = parseSpiffeUri(uri);
  return { trustDomain, spiffeId: path === '' ? undefined : parseSpiffeId(uri) };
}

/** Whether `issuer`'s key made the signature of `certificate`. Says nothing about names, validity or constraints. */
export function isSignedBy(certificate: Certificate, issuer: Pick<Certificate, 'publicKey'>): boolean {
  return verify('sha256', certificate.tbs, issuer.publicKey, certificate.signature);
}
