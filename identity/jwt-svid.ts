// JWT-SVIDs (spiffe/spiffe standards/JWT-SVID.md): a bearer token that names one workload of the trust domain, for one of our
// audiences, for minutes. Stricter than the standard where it leaves room: kid is required, and the lifetime is bounded.
import { jwtVerify } from 'jose';
import { z } from 'zod';
import { readIJson } from '../runtime/i-json.ts';
import { identityError } from './errors.ts';
import type { JwtAuthority, JwtBundle, JwtSvidAlgorithm } from './jwt-bundle.ts';
import { JWT_SVID_SKEW_SECONDS, MAX_JWT_SVID_CHARACTERS, MAX_JWT_SVID_LIFETIME_SECONDS } from './limits.ts';
import { parseSpiffeId, type SpiffeId } from './spiffe-id.ts';

export interface JwtSvidExpectation {
  readonly trustDomain: string;
  readonly bundle: JwtBundle;
  /** Names of the verifier; a token has to be for one of them. At least one. */
  readonly audiences: readonly string[];
  /** The only `iss`; undefined leaves it unread. */
  readonly issuer?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface VerifiedJwtSvid {
  readonly id: SpiffeId;
  /** `exp`, milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Every claim, verified to be what the authority signed. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Any further header must not be there (section 2): `jwk`, `jku`, `x5c`, `x5u` choose a key, `crit` another meaning. */
const headerSchema = z.strictObject({
  alg: z.enum(['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512']),
  kid: z.string().min(1),
  typ: z.enum(['JWT', 'JOSE']).optional(),
});
const audience = z.string().min(1);
const seconds = z.number().positive();
const claimsSchema = z.looseObject({
  sub: z.string(),
  aud: z.union([audience, z.array(audience).min(1).max(64)]),
  exp: seconds,
  iat: seconds.optional(),
  nbf: seconds.optional(),
});

/** The authority that a token says signed it; undefined when it names none of ours. Nothing is verified. Never throws. */
export function authorityOf(token: string, { authorities }: JwtBundle): JwtAuthority | undefined {
  try {
    return authorities.get(readHeader(token).kid);
  } catch {
    return undefined;
  }
}

/** Throws IDENTITY_JWT_SVID_INVALID, _KEY_UNKNOWN or _EXPIRED. The token is never repeated: it is a credential. */
export async function verifyJwtSvid(token: string, expected: JwtSvidExpectation): Promise<VerifiedJwtSvid> {
  const { alg, kid } = readHeader(token);
  const authority = expected.bundle.authorities.get(kid);
  if (authority === undefined) {
    throw identityError(
      'IDENTITY_JWT_SVID_KEY_UNKNOWN',
      'no JWT authority of this trust domain has the kid of the token',
    );
  }
  if (!authority.algorithms.includes(alg)) throw invalid(`its key does not sign with ${alg}`);
  const claims = readClaims(token);
  await verifySignature(token, authority, alg, expected);
  mustBeOfNow(claims, expected.now / 1_000);
  return { id: subjectOf(claims.sub, expected.trustDomain), expiresAt: claims.exp * 1_000, claims };
}

async function verifySignature(
  token: string,
  { key }: JwtAuthority,
  alg: JwtSvidAlgorithm,
  { audiences, issuer, now }: JwtSvidExpectation,
): Promise<void> {
  if (audiences.length === 0) throw invalid('this verifier has no audience');
  try {
    await jwtVerify(token, key, {
      algorithms: [alg],
      audience: [...audiences],
      ...(issuer === undefined ? {} : { issuer }),
      requiredClaims: ['exp', 'aud', 'sub'],
      clockTolerance: 0,
      currentDate: new Date(now),
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unverifiable';
    throw identityError('IDENTITY_JWT_SVID_INVALID', `the JWT-SVID is refused: ${why}`, { cause });
  }
}

/** Beside `exp` and `nbf`, which jwtVerify has looked at in whole seconds. */
function mustBeOfNow({ exp, iat }: z.infer<typeof claimsSchema>, now: number): void {
  if (exp <= now) throw invalid('it has expired');
  if (iat !== undefined && iat > now + JWT_SVID_SKEW_SECONDS) throw invalid('it was issued in the future');
  const longest = MAX_JWT_SVID_LIFETIME_SECONDS;
  if (exp - now > longest + JWT_SVID_SKEW_SECONDS || (iat !== undefined && exp - iat > longest)) {
    throw invalid(`it is valid for more than ${longest} s`);
  }
}

function subjectOf(sub: string, trustDomain: string): SpiffeId {
  const id = parseSpiffeId(sub);
  if (id.uri !== sub) throw invalid('its subject is not written as a SPIFFE ID is');
  if (id.trustDomain !== trustDomain) throw invalid('its subject is of another trust domain');
  return id;
}

const compact = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

function readHeader(token: string): z.infer<typeof headerSchema> {
  if (token.length > MAX_JWT_SVID_CHARACTERS) throw invalid(`it has more than ${MAX_JWT_SVID_CHARACTERS} characters`);
  if (!compact.test(token)) throw invalid('it is not a compact JWS');
  const parsed = headerSchema.safeParse(readPart(token, 0));
  if (!parsed.success) throw invalid('its header is not alg, kid and typ as JWT-SVID section 2 allows them');
  return parsed.data;
}

function readClaims(token: string): z.infer<typeof claimsSchema> {
  const parsed = claimsSchema.safeParse(readPart(token, 1));
  if (!parsed.success) throw invalid('it lacks sub, aud or exp, or one of its claims is of another type');
  return parsed.data;
}

function readPart(token: string, index: 0 | 1): unknown {
  const reading = readIJson(Buffer.from(token.split('.')[index] ?? '', 'base64url'));
  if (!reading.ok) throw invalid(`a part of it is no I-JSON (${reading.fault})`);
  return reading.value;
}

const invalid = (reason: string): Error =>
  identityError('IDENTITY_JWT_SVID_INVALID', `the JWT-SVID is refused: ${reason}`);
