// What an edge pins at enrolment (edgeward.enrolment.v1.TrustAnchors), from and to the wire. Three kinds of signing
// keys that no edge confuses: authorities (roots), publishers (policy), orders.
import { create, fromJson, toJson } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import { type TrustAnchors, TrustAnchorsSchema } from '../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { type Certificate, isSignedBy, keyUsageBits, parseCertificate } from './certificate.ts';
import { identityError } from './errors.ts';
import { jwkOf, keyId, type PublicJwk, publicKeyFromJwk } from './keys.ts';
import { MAX_ANCHOR_KEYS, MAX_ROOTS } from './limits.ts';
import { parseVerifierKey } from './note.ts';
import { trustDomainId } from './spiffe-id.ts';

export interface ParsedTrustAnchors {
  readonly trustDomain: string;
  /** DER. */
  readonly roots: readonly Buffer[];
  readonly publisherKeys: readonly PublicJwk[];
  readonly ordersKeys: readonly PublicJwk[];
  /** `name+hash+base64` of the audit log. */
  readonly logVerifierKey: string;
}

function invalid(reason: string, cause?: unknown): Error {
  return identityError('IDENTITY_ANCHORS_INVALID', `trust anchors refused: ${reason}`, { cause });
}

/** Fingerprint of a root as join lines and people carry it: `sha256:` and 64 hex digits. */
export function fingerprint(rootDer: Uint8Array): string {
  return `sha256:${createHash('sha256').update(rootDer).digest('hex')}`;
}

export function trustAnchorsFromWire(message: TrustAnchors): ParsedTrustAnchors {
  try {
    trustDomainId(message.trustDomain);
    parseVerifierKey(message.logVerifierKey);
    const roots = message.rootCertificatesDer.map((der) => readRoot(der, message.trustDomain));
    if (roots.length === 0 || roots.length > MAX_ROOTS)
      throw invalid(`${roots.length} roots, 1 to ${MAX_ROOTS} are possible`);
    const publisherKeys = readKeys(message.publisherKeysJwk, 'publisher');
    const ordersKeys = readKeys(message.ordersKeysJwk, 'orders');
    requireDistinct([...roots.map((root) => jwkOf(root.publicKey)), ...publisherKeys, ...ordersKeys]);
    return {
      trustDomain: message.trustDomain,
      roots: roots.map((root) => root.raw),
      publisherKeys,
      ordersKeys,
      logVerifierKey: message.logVerifierKey,
    };
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** A root of ours: self-signed authority that carries the ID of the trust domain. */
function readRoot(der: Uint8Array, trustDomain: string): Certificate {
  const root = parseCertificate(der);
  const selfSigned = root.issuer.equals(root.subject) && isSignedBy(root, root);
  if (!selfSigned || !root.isCa || !root.keyUsage?.includes(keyUsageBits.keyCertSign))
    throw invalid('a root is no self-signed authority');
  if (root.trustDomain !== trustDomain || root.spiffeId !== undefined)
    throw invalid('a root is of another trust domain');
  return root;
}

function readKeys(texts: readonly string[], role: string): PublicJwk[] {
  if (texts.length > MAX_ANCHOR_KEYS) throw invalid(`more than ${MAX_ANCHOR_KEYS} ${role} keys`);
  return texts.map((text) => {
    if (text.length > 1024) throw invalid(`a ${role} key is too long`);
    return jwkOf(publicKeyFromJwk(JSON.parse(text)));
  });
}

/** A key in two roles would let the holder of one speak for the other. */
function requireDistinct(keys: readonly PublicJwk[]): void {
  if (new Set(keys.map(keyId)).size !== keys.length) throw invalid('a key occurs twice');
}

export function trustAnchorsToWire(anchors: ParsedTrustAnchors): TrustAnchors {
  return create(TrustAnchorsSchema, {
    trustDomain: anchors.trustDomain,
    rootCertificatesDer: anchors.roots.map((root) => new Uint8Array(root)),
    publisherKeysJwk: anchors.publisherKeys.map((key) => JSON.stringify(key)),
    ordersKeysJwk: anchors.ordersKeys.map((key) => JSON.stringify(key)),
    logVerifierKey: anchors.logVerifierKey,
  });
}

/** JSON text for a file on the edge; read back by `trustAnchorsFromJson`, which checks everything again. */
export function trustAnchorsToJson(anchors: ParsedTrustAnchors): string {
  return `${JSON.stringify(toJson(TrustAnchorsSchema, trustAnchorsToWire(anchors)), undefined, 2)}\n`;
}

export function trustAnchorsFromJson(text: string): ParsedTrustAnchors {
  let message: TrustAnchors;
  try {
    message = fromJson(TrustAnchorsSchema, JSON.parse(text));
  } catch (cause) {
    throw invalid('the file is not the JSON form of trust anchors', cause);
  }
  return trustAnchorsFromWire(message);
}
