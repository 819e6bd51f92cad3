// Redemption of a join token: one transaction decides who gets the one certificate. The same key before expiry gets
// the same bytes again (its reply was lost); another key is refused, and the audit log is told.
import { timingSafeEqual } from 'node:crypto';
import type { Kysely } from 'kysely';
import { deviceId as deviceSpiffeId, parseCsr, type ParsedCsr, type SpiffeId } from '../../identity/index.ts';
import { CodedError } from '../../runtime/errors.ts';
import { caErrors } from '../errors.ts';
import { tokenIdPattern } from '../join-line.ts';
import { limits } from '../limits.ts';
import { announce, reportEnrolled, reportRefusal } from './enrolment-reports.ts';
import { chainOf, completeReserved, keyHash, requireName, requireNewKey, reserveCertificate } from './issuance.ts';
import type { CaPorts } from './ports.ts';
import { listValid, lockSubject, markTokenUsed, readToken } from './queries.ts';
import { revokeAllOf, type Revocations } from './revocations.ts';
import type { CaTables, TokenRow } from './tables.ts';
import { alreadyEnrolled, hashSecret } from './tokens.ts';

export interface Redemption {
  readonly tokenId: string;
  readonly secret: Uint8Array;
  readonly csrDer: Uint8Array;
  readonly agentVersion: string;
  /** Address of the caller, for the audit log. */
  readonly peer: string;
}

export interface IssuedSvid {
  readonly id: SpiffeId;
  readonly serial: string;
  /** Leaf first, then the intermediate. DER. */
  readonly chain: readonly Buffer[];
  /** The answer was given before. */
  readonly repeated: boolean;
}

type Ca = CaPorts & { readonly revocations: Revocations };

/** Errors: CA_REQUEST_INVALID, IDENTITY_CSR_*, CA_TOKEN_*, CA_NAME_MISMATCH, CA_DEVICE_*, CA_KEY_*, CA_CERTIFICATE_REVOKED. */
export async function redeemToken(ca: Ca, request: Redemption): Promise<IssuedSvid> {
  let token: TokenRow | undefined;
  try {
    // Bytes and proof of possession first: nothing malformed reaches the database.
    const csr = parseRedemption(request);
    token = await authenticate(ca, request);
    return await redeem(ca, request, token, csr);
  } catch (error) {
    if (error instanceof CodedError) await reportRefusal(ca, request, token?.device_id, error);
    throw error;
  }
}

function parseRedemption(request: Redemption): ParsedCsr {
  const wrong = (what: string) => caErrors.error('CA_REQUEST_INVALID', `the enrolment request has ${what}`);
  if (!tokenIdPattern.test(request.tokenId)) throw wrong('a token id that is none');
  if (request.secret.length !== limits.tokenSecretBytes) throw wrong('a token secret of the wrong length');
  if (request.agentVersion.length > limits.agentVersionMaxCharacters || /\p{Cc}/u.test(request.agentVersion)) {
    throw wrong('an agent version that is too long or not printable');
  }
  if (request.csrDer.length > limits.csrMaxBytes) throw wrong('a certificate request that is too large');
  return parseCsr(request.csrDer);
}

/** The token whose secret the caller knows. A wrong secret gets the answer of an unknown token, after the same work. */
async function authenticate(ca: Ca, request: Redemption): Promise<TokenRow> {
  const token = await readToken(ca.database.withTables<CaTables>(), ca.authority.trustDomain, request.tokenId);
  const expected = Buffer.from(token?.secret_hash ?? '00'.repeat(32), 'hex');
  const known = timingSafeEqual(Buffer.from(hashSecret(request.secret), 'hex'), expected);
  if (token === undefined || !known) throw caErrors.error('CA_TOKEN_UNKNOWN', 'the token is not known here');
  return token;
}

async function redeem(ca: Ca, request: Redemption, token: TokenRow, csr: ParsedCsr): Promise<IssuedSvid> {
  const id = deviceSpiffeId(ca.authority.trustDomain, token.device_id);
  requireName(csr, id);
  const verdict = judgeToken(token, keyHash(csr.publicKey), ca.clock.now());
  // No refusal is ever taken back, so it needs no transaction: who floods a used token costs one reading.
  if (verdict !== 'open' && verdict !== 'repeat') throw tokenError(verdict, token);
  // Another room's word, so asked before our transaction; the transaction itself sees a token revoked meanwhile.
  if (verdict === 'open') await requireAllowed(ca, token);
  const decided = await ca.database.transaction<CaTables, Decided>(
    async (trx) => await decide(trx, ca, { id, csr, tokenId: token.token_id }),
    { isolation: 'read committed' },
  );
  if (decided.revoked.length > 0) await ca.revocations.refresh();
  const leaf = await completeReserved(ca, decided.serial, csr.publicKey);
  await announce(ca, decided.token, request.agentVersion);
  await reportEnrolled(ca, request, decided.token, decided.repeated);
  return { id, serial: decided.serial, chain: chainOf(ca, leaf), repeated: decided.repeated };
}

interface Decided {
  readonly token: TokenRow;
  readonly serial: string;
  readonly repeated: boolean;
  readonly revoked: readonly string[];
}

interface Claim {
  readonly id: SpiffeId;
  readonly csr: ParsedCsr;
  readonly tokenId: string;
}

async function decide(trx: Kysely<CaTables>, ca: Ca, { id, csr, tokenId }: Claim): Promise<Decided> {
  const { trustDomain } = ca.authority;
  const now = ca.clock.now();
  const hash = keyHash(csr.publicKey);
  await lockSubject(trx, trustDomain, id.uri);
  // Read again under the lock: this is the reading that counts.
  const token = await readToken(trx, trustDomain, tokenId);
  if (token === undefined) throw caErrors.error('CA_TOKEN_UNKNOWN', 'the token is not known here');
  const verdict = judgeToken(token, hash, now);
  if (verdict === 'repeat') return { token, serial: token.serial ?? '', repeated: true, revoked: [] };
  if (verdict !== 'open') throw tokenError(verdict, token);
  const reimage = token.reimage !== 0;
  const valid = await listValid(trx, trustDomain, id.uri, now);
  if (valid.length > 0 && !reimage) throw alreadyEnrolled(id.name);
  await requireNewKey(trx, trustDomain, hash, id.uri);
  const revoked = reimage ? await revokeAllOf(trx, ca, id.uri, `re-imaged, token ${tokenId}`) : [];
  const serial = await reserveCertificate(trx, ca, {
    subject: id,
    publicKey: csr.publicKey,
    ttlSeconds: limits.deviceTtlSeconds,
  });
  await markTokenUsed(trx, trustDomain, tokenId, { keyHash: hash, at: now, serial });
  return { token: { ...token, used_at: now, serial }, serial, repeated: false, revoked };
}

type TokenRefusal = 'CA_TOKEN_USED' | 'CA_TOKEN_REVOKED' | 'CA_TOKEN_EXPIRED';

/** What a token says to a key. A second key is told so at any time: that is the finding. */
function judgeToken(token: TokenRow, hash: string, now: number): 'open' | 'repeat' | TokenRefusal {
  if (token.used_key_hash !== null && token.used_key_hash !== hash) return 'CA_TOKEN_USED';
  if (token.revoked_at !== null) return 'CA_TOKEN_REVOKED';
  if (now >= token.expires_at) return 'CA_TOKEN_EXPIRED';
  return token.used_key_hash === null ? 'open' : 'repeat';
}

function tokenError(code: TokenRefusal, token: TokenRow): Error {
  const said: Record<TokenRefusal, string> = {
    CA_TOKEN_USED: 'was used already, with another key',
    CA_TOKEN_REVOKED: 'is revoked',
    CA_TOKEN_EXPIRED: 'is expired',
  };
  return caErrors.error(code, `token ${token.token_id} for device ${token.device_id} ${said[code]}`);
}

async function requireAllowed(ca: Ca, token: TokenRow): Promise<void> {
  if (!(await ca.inventory(token.trust_domain, token.device_id)).known) {
    throw caErrors.error('CA_DEVICE_UNKNOWN', `the inventory no longer has device ${token.device_id}`);
  }
  const verdict = await ca.mayEnroll(token.device_id, { reimage: token.reimage !== 0 });
  if (!verdict.allowed) throw verdict.refusal;
}
