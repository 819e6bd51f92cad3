// JSON documents signed by a publisher: canonical JSON (RFC 8785) in a JWS (RFC 7515). One spelling per document, no
// unknown members; what fails to verify is never parsed.
import { createHash } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { z } from 'zod';
import { signJws, verifyJws } from '../../identity/index.ts';
import type { PublicJwk } from '../../identity/index.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { CodedError } from '../../runtime/errors.ts';

/** The private key of a publisher; lives with people or their CI, never in the control plane. */
export interface PublisherKey {
  readonly key: KeyObject;
  /** RFC 7638 thumbprint of the key. */
  readonly keyId: string;
}

export type PublisherPublicKey = KeyObject | PublicJwk;

export const MANIFEST_TYPE = 'edgeward-manifest+json';
export const RELEASE_TYPE = 'edgeward-release+json';

export function signDocument(document: unknown, typ: string, publisher: PublisherKey): Promise<string> {
  return signJws({ key: publisher.key, keyId: publisher.keyId, typ }, Buffer.from(canonicalJson(document), 'utf8'));
}

/** Why a document was refused: its signature, or its content. */
export type Refusal = (what: 'signature' | 'content', message: string, cause: unknown) => CodedError;

export interface VerifiedDocument<T> {
  readonly value: T;
  readonly keyId: string;
  /** SHA-256 of the JWS text, lower case hex. */
  readonly digest: string;
}

export async function verifyDocument<S extends z.ZodType>(
  jws: string,
  typ: string,
  keys: readonly PublisherPublicKey[],
  schema: S,
  refuse: Refusal,
): Promise<VerifiedDocument<z.infer<S>>> {
  let verified;
  try {
    verified = await verifyJws(jws, { typ, keys });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    throw refuse('signature', error.message, error);
  }
  const value = parseCanonical(verified.payload, schema, (message, cause) => refuse('content', message, cause));
  return { value, keyId: verified.keyId, digest: digestOf(jws) };
}

/** Parses bytes that have to be the canonical JSON of what the schema describes, and nothing else. */
export function parseCanonical<S extends z.ZodType>(
  bytes: Uint8Array,
  schema: S,
  refuse: (message: string, cause: unknown) => CodedError,
): z.infer<S> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (error) {
    throw refuse('not JSON in UTF-8', error);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refuse(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`, parsed.error);
  }
  // Duplicate members, other spellings of a number and white space all end here.
  if (canonicalJson(json) !== text) throw refuse('not canonical JSON', undefined);
  return parsed.data;
}

export function digestOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
