// Signed messages: JWS compact serialisation (RFC 7515), ES256 alone, `typ` pinned by the reader (RFC 8725 section
// 3.11), the key chosen among pinned keys by its RFC 7638 id. The payload is bytes; what was verified is what is returned.
import { compactVerify, CompactSign } from 'jose';
import { KeyObject } from 'node:crypto';
import { identityError } from './errors.ts';
import { keyId, type PublicJwk, publicKeyFromJwk, requireP256 } from './keys.ts';
import { MAX_JWS_BYTES } from './limits.ts';

export interface JwsSigner {
  /** Private P-256 key. */
  readonly key: KeyObject;
  /** `keyId(key)`; goes into `kid`. */
  readonly keyId: string;
  /** Media type without `application/`, e.g. `edgeward-manifest+json`. */
  readonly typ: string;
}

export interface VerifiedJws {
  readonly payload: Uint8Array;
  /** Id of the pinned key that signed. */
  readonly keyId: string;
}

export async function signJws(signer: JwsSigner, payload: Uint8Array): Promise<string> {
  requireP256(signer.key);
  if (keyId(signer.key) !== signer.keyId)
    throw identityError('IDENTITY_KEY_INVALID', 'the key id is not that of the signing key');
  return new CompactSign(payload)
    .setProtectedHeader({ alg: 'ES256', kid: signer.keyId, typ: signer.typ })
    .sign(signer.key);
}

export interface JwsExpectation {
  /** The only `typ` that is accepted. */
  readonly typ: string;
  /** Keys that are pinned for this purpose. */
  readonly keys: readonly (KeyObject | PublicJwk)[];
}

/** Verifies a compact JWS. ECDSA signatures are malleable: never use the JWS text to recognise a message again. */
export async function verifyJws(jws: string, expectation: JwsExpectation): Promise<VerifiedJws> {
  if (jws.length > MAX_JWS_BYTES)
    throw identityError('IDENTITY_TOO_LARGE', `JWS of ${jws.length} bytes, at most ${MAX_JWS_BYTES} are read`);
  const { kid, typ } = readHeader(jws);
  if (typ !== expectation.typ)
    throw identityError('IDENTITY_JWS_INVALID', `a JWS of type ${expectation.typ} was expected`);
  const key = expectation.keys.find((candidate) => keyId(candidate) === kid);
  if (key === undefined)
    throw identityError('IDENTITY_JWS_KEY_UNKNOWN', 'the JWS is signed by a key that is not pinned for this purpose');
  const publicKey = key instanceof KeyObject ? key : publicKeyFromJwk(key);
  try {
    const { payload } = await compactVerify(jws, publicKey, { algorithms: ['ES256'] });
    return { payload, keyId: kid };
  } catch (cause) {
    throw identityError('IDENTITY_JWS_SIGNATURE_INVALID', 'the signature of the JWS does not hold', { cause });
  }
}

const base64url = /^[A-Za-z0-9_-]+$/;

/** The protected header: exactly alg, kid and typ. `crit`, `jwk`, `x5c` and everything else are refused unread. */
function readHeader(jws: string): { kid: string; typ: string } {
  const parts = jws.split('.');
  const [header = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3 || ![header, payload, signature].every(isCanonicalBase64url)) {
    throw identityError('IDENTITY_JWS_INVALID', 'not a compact JWS');
  }
  const text = Buffer.from(header, 'base64url').toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw identityError('IDENTITY_JWS_INVALID', 'the header of the JWS is not JSON', { cause });
  }
  const { alg, kid, typ } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  // Compared as text: no second member of the same name, no further member, one spelling.
  const canonical = text === JSON.stringify({ alg, kid, typ });
  if (alg !== 'ES256' || typeof kid !== 'string' || typeof typ !== 'string' || !canonical) {
    throw identityError('IDENTITY_JWS_INVALID', 'the header of the JWS is not {alg: ES256, kid, typ}');
  }
  return { kid, typ };
}

/** One text for one string of bytes: no padding, no stray bits at the end. */
function isCanonicalBase64url(text: string): boolean {
  if (!base64url.test(text)) return false;
  const tail = text.slice(-(text.length % 4 || 4));
  return Buffer.from(tail, 'base64url').toString('base64url') === tail;
}
