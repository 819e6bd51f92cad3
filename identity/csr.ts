// Certificate requests (PKCS#10, RFC 2986). Written by hand; read twice, by our strict reader and by @peculiar/x509,
// and refused when the two disagree. What a request asks for is only ever a request.
import { type KeyObject, sign, verify } from 'node:crypto';
import { createRequire } from 'node:module';
import type * as X509 from '@peculiar/x509';
import {
  bitString,
  context,
  contextTag,
  type DerNode,
  DerFields,
  integer,
  oid,
  parseDer,
  readBitStringBytes,
  readOid,
  readSmallInteger,
  sequence,
  setOf,
  tags,
} from './der.ts';
import { identityError } from './errors.ts';
import { readExtensionList, readSubjectAltName, subjectAltUri } from './extensions.ts';
import type { KeyPair } from './keys.ts';
import { MAX_CSR_BYTES } from './limits.ts';
import { oids } from './oids.ts';
import { signatureAlgorithm } from './profile.ts';
import { encodePublicKey, readPublicKey } from './public-key.ts';
import { CodedError } from '../runtime/errors.ts';

/** A request whose sender has shown that it holds the key. */
export interface ParsedCsr {
  readonly publicKey: KeyObject;
  /** DER SubjectPublicKeyInfo. */
  readonly publicKeyDer: Buffer;
  /** URIs that are asked for; the issuer compares, it never copies. */
  readonly uris: readonly string[];
  /** Whether names of other kinds are asked for. */
  readonly otherNames: boolean;
}

function invalid(reason: string, cause?: unknown): Error {
  return identityError('IDENTITY_CSR_INVALID', `certificate request refused: ${reason}`, { cause });
}

/** A request for the key, with an empty subject and, if given, one URI. DER. */
export function createCsr(keyPair: KeyPair, spiffeUri?: string): Buffer {
  const attributes =
    spiffeUri === undefined
      ? []
      : [sequence(oid(oids.extensionRequest), setOf(sequence(subjectAltUri(spiffeUri, true))))];
  const info = sequence(integer(0), sequence(), encodePublicKey(keyPair.publicKey), context(0, ...attributes));
  return sequence(info, signatureAlgorithm, bitString(sign('sha256', info, keyPair.privateKey)));
}

/** Reads a request and checks its proof of possession. Size and algorithm are looked at before the signature. */
export function parseCsr(der: Uint8Array): ParsedCsr {
  if (der.length > MAX_CSR_BYTES)
    throw identityError(
      'IDENTITY_TOO_LARGE',
      `certificate request of ${der.length} bytes, at most ${MAX_CSR_BYTES} are read`,
    );
  const request = readRequest(der);
  if (!verify('sha256', request.info, request.publicKey, request.signature)) {
    throw identityError('IDENTITY_CSR_NOT_PROVEN', 'the request is not signed by the key that it contains');
  }
  crossCheck(der, request);
  const { publicKey, publicKeyDer, uris, otherNames } = request;
  return { publicKey, publicKeyDer, uris, otherNames };
}

interface Request extends ParsedCsr {
  readonly info: Buffer;
  readonly signature: Buffer;
}

function readRequest(der: Uint8Array): Request {
  try {
    const outer = new DerFields(parseDer(der, MAX_CSR_BYTES), tags.sequence, 'CertificationRequest');
    const info = outer.next(tags.sequence, 'certificationRequestInfo');
    const algorithm = outer.next(tags.sequence, 'signatureAlgorithm');
    const signature = readBitStringBytes(outer.next(tags.bitString, 'signature'));
    outer.end();
    if (!algorithm.raw.equals(signatureAlgorithm)) throw invalid('it is not signed with ecdsa-with-SHA256');
    const fields = new DerFields(info, tags.sequence, 'CertificationRequestInfo');
    if (readSmallInteger(fields.next(tags.integer, 'version')) !== 0) throw invalid('it is not of version 1');
    fields.next(tags.sequence, 'subject');
    const spki = fields.next(tags.sequence, 'subjectPKInfo');
    const names = readAttributes(fields.next(contextTag(0, true), 'attributes'));
    fields.end();
    return { info: info.raw, signature, publicKey: readPublicKey(spki), publicKeyDer: spki.raw, ...names };
  } catch (error) {
    // One code for the sender of a request; the cause keeps the detail, and key errors say what to use instead.
    if (
      error instanceof CodedError &&
      (error.code === 'IDENTITY_DER_INVALID' || error.code === 'IDENTITY_CERTIFICATE_INVALID')
    ) {
      throw invalid(error.message, error);
    }
    throw error;
  }
}

function readAttributes(node: DerNode): Pick<ParsedCsr, 'uris' | 'otherNames'> {
  const seen = new Set<string>();
  let names: Pick<ParsedCsr, 'uris' | 'otherNames'> = { uris: [], otherNames: false };
  for (const child of node.children) {
    const fields = new DerFields(child, tags.sequence, 'Attribute');
    const type = readOid(fields.next(tags.oid, 'type'));
    const values = fields.next(tags.set, 'values');
    fields.end();
    if (seen.has(type)) throw invalid(`attribute ${type} occurs twice`);
    seen.add(type);
    if (type === oids.extensionRequest) names = readRequestedNames(values);
  }
  return names;
}

function readRequestedNames(values: DerNode): Pick<ParsedCsr, 'uris' | 'otherNames'> {
  const fields = new DerFields(values, tags.set, 'extensionRequest');
  const list = fields.next(tags.sequence, 'Extensions');
  fields.end();
  const found = readExtensionList(list).find((extension) => extension.oid === oids.subjectAltName);
  if (found === undefined) return { uris: [], otherNames: false };
  const names = readSubjectAltName(parseDer(found.value), found.critical);
  return { uris: names.uris, otherNames: names.count !== names.uris.length };
}

/** A second, independent reading: no identity hangs on the quirks of one parser. */
function crossCheck(der: Uint8Array, request: Request): void {
  let second: { publicKeyDer: Buffer; uris: string[] };
  try {
    const x509 = secondReader();
    const parsed = new x509.Pkcs10CertificateRequest(Buffer.from(der));
    const san = parsed.getExtension(oids.subjectAltName);
    const items = san instanceof x509.SubjectAlternativeNameExtension ? san.names.items : [];
    const uris = items.filter((name) => name.type === 'url').map((name) => name.value);
    second = { publicKeyDer: Buffer.from(parsed.publicKey.rawData), uris };
  } catch (cause) {
    throw invalid('a second parser cannot read it', cause);
  }
  const agree = second.publicKeyDer.equals(request.publicKeyDer) && second.uris.join('\n') === request.uris.join('\n');
  if (!agree) throw invalid('two parsers read it differently');
}

/** Loaded with the first request: only who issues reads one, and an edge has no memory to spare for it. */
function secondReader(): typeof X509 {
  createRequire(import.meta.url)('reflect-metadata');
  return createRequire(import.meta.url)('@peculiar/x509') as typeof X509;
}
