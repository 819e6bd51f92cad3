// JWT authorities of a trust domain: the keys of use jwt-svid in a SPIFFE trust bundle document (SPIFFE Trust Domain and Bundle,
// section 4), which is a JWK set (RFC 7517). Only asymmetric public keys, each by the one name that tokens call it.
import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { readIJson } from '../runtime/i-json.ts';
import { identityError } from './errors.ts';
import { MAX_JWT_AUTHORITIES, MAX_JWT_BUNDLE_BYTES, MIN_RSA_BITS } from './limits.ts';

/** RFC 7518 sections 3.3 to 3.5, as JWT-SVID section 2.1 allows them. */
export type JwtSvidAlgorithm = 'RS256' | 'RS384' | 'RS512' | 'ES256' | 'ES384' | 'ES512' | 'PS256' | 'PS384' | 'PS512';

export interface JwtAuthority {
  readonly key: KeyObject;
  /** What this key may sign with: one for a curve, or what its `alg` says. */
  readonly algorithms: readonly JwtSvidAlgorithm[];
}

export interface JwtBundle {
  /** By `kid`. */
  readonly authorities: ReadonlyMap<string, JwtAuthority>;
  /** `spiffe_sequence`: larger for a later document; undefined where the publisher keeps none. */
  readonly sequence: number | undefined;
  /** `spiffe_refresh_hint`: seconds after which the document should be read again; undefined for none. */
  readonly refreshHintSeconds: number | undefined;
}

const entrySchema = z.looseObject({ kty: z.string(), use: z.string().optional() });
const bundleSchema = z.looseObject({
  keys: z.array(entrySchema).max(MAX_JWT_AUTHORITIES),
  spiffe_sequence: z.int().min(0).optional(),
  spiffe_refresh_hint: z.int().min(0).optional(),
});
const authoritySchema = z.looseObject({
  kid: z.string().min(1).max(256),
  alg: z.string().optional(),
  // Private members (RFC 7518 section 6.2.2 and 6.3.2) and secrets have no business in a document that is published.
  d: z.undefined().optional(),
  k: z.undefined().optional(),
});

/** Throws IDENTITY_JWT_BUNDLE_INVALID. Entries of another use, which the standard asks to ignore, are not read. */
export function parseJwtBundle(document: Uint8Array): JwtBundle {
  if (document.length > MAX_JWT_BUNDLE_BYTES) throw invalid(`it has more than ${MAX_JWT_BUNDLE_BYTES} bytes`);
  const reading = readIJson(document);
  if (!reading.ok) throw invalid(reading.fault);
  const parsed = bundleSchema.safeParse(reading.value);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error));
  const authorities = new Map<string, JwtAuthority>();
  for (const entry of parsed.data.keys.filter(({ use }) => use === 'jwt-svid')) {
    const { kid, authority } = readAuthority(entry);
    if (authorities.has(kid)) throw invalid('two keys have one kid');
    authorities.set(kid, authority);
  }
  const { spiffe_sequence: sequence, spiffe_refresh_hint: refreshHintSeconds } = parsed.data;
  return { authorities, sequence, refreshHintSeconds };
}

function readAuthority(entry: z.infer<typeof entrySchema>): { kid: string; authority: JwtAuthority } {
  const parsed = authoritySchema.safeParse(entry);
  if (!parsed.success) throw invalid(`a key of use jwt-svid: ${z.prettifyError(parsed.error)}`);
  const { kid, alg } = parsed.data;
  let key: KeyObject;
  try {
    key = createPublicKey({ format: 'jwk', key: entry });
  } catch (cause) {
    throw identityError('IDENTITY_JWT_BUNDLE_INVALID', 'a key of use jwt-svid cannot be read', { cause });
  }
  const possible = algorithmsOf(key);
  const algorithms = alg === undefined ? possible : possible.filter((name) => name === alg);
  if (algorithms.length === 0) throw invalid('a key of use jwt-svid is of no kind that JWT-SVIDs are signed with');
  return { kid, authority: { key, algorithms } };
}

function algorithmsOf(key: KeyObject): readonly JwtSvidAlgorithm[] {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'rsa') return modulusLength < MIN_RSA_BITS ? [] : rsaAlgorithms;
  if (key.asymmetricKeyType !== 'ec' || namedCurve === undefined) return [];
  return curveAlgorithms.get(namedCurve) ?? [];
}

const rsaAlgorithms: readonly JwtSvidAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];

const curveAlgorithms: ReadonlyMap<string, readonly JwtSvidAlgorithm[]> = new Map([
  ['prime256v1', ['ES256']],
  ['secp384r1', ['ES384']],
  ['secp521r1', ['ES512']],
] as const);

const invalid = (reason: string): Error =>
  identityError('IDENTITY_JWT_BUNDLE_INVALID', `the trust bundle document is refused: ${reason}`);
