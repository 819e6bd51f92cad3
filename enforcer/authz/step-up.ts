// Step-up: a request that a grant opens only to who has proven themselves again says so to the client, in the form of
// RFC 9470 (OAuth 2.0 Step Up Authentication Challenge Protocol). Met by a verified bearer token alone.
import type { Answer } from './question.ts';
import { maxAuthenticationAgeMs, maxAuthenticationSkewMs } from './limits.ts';

/** Of a bearer token whose signature, issuer, audience and expiry have been verified (OpenID Connect Core 1.0, section 2). */
export interface AuthenticationClaims {
  /** Authentication context class reference: the level. */
  readonly acr?: unknown;
  /** When the authentication took place, seconds since the epoch. */
  readonly auth_time?: unknown;
}

/** The level that the token proves now; undefined for none, and where the authentication is too old or of the future. */
export function provenLevel({ acr, auth_time: at }: AuthenticationClaims, nowMs: number): string | undefined {
  if (typeof acr !== 'string' || acr === '') return undefined;
  if (at === undefined) return acr;
  if (typeof at !== 'number' || !Number.isFinite(at)) return undefined;
  const ageMs = nowMs - at * 1_000;
  return ageMs >= -maxAuthenticationSkewMs && ageMs <= maxAuthenticationAgeMs ? acr : undefined;
}

/** One value of `acr_values`: a list separated by spaces, in a quoted-string (RFC 9110, section 5.6.4). */
const singleValue = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;

/** Headers beside the identity headers of a denial that a step-up would turn into an allow; none for any other answer. */
export function challengeHeaders({ decision }: Answer): Readonly<Record<string, string>> {
  const { allow, stepUp } = decision;
  if (allow || stepUp === undefined) return {};
  const level = singleValue.test(stepUp) ? `, acr_values="${stepUp}"` : '';
  return { 'www-authenticate': `Bearer error="insufficient_user_authentication"${level}` };
}

/** 401 where the client can do something about it: nobody was established, or not well enough. */
export function denialStatus({ decision, subject }: Answer): 401 | 403 {
  return subject === '' || decision.stepUp !== undefined ? 401 : 403;
}
