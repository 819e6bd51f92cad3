// Join tokens as operators see them: make, list, revoke. Redemption is in redeem-token.ts.
import { createHash } from 'node:crypto';
import { deviceId as deviceSpiffeId } from '../../identity/index.ts';
import { caErrors } from '../errors.ts';
import { formatJoinLine } from '../join-line.ts';
import { limits } from '../limits.ts';
import type { CaPorts } from './ports.ts';
import { insertToken, listTokens as readTokens, listValid, readToken, revokeToken as markRevoked } from './queries.ts';
import type { CaTables, TokenRow } from './tables.ts';

export interface NewToken {
  readonly deviceId: string;
  /** 0 for the default of one hour; at most 24 hours. */
  readonly ttlSeconds: number;
  /** The device was re-imaged: its valid certificates are revoked at redemption. */
  readonly reimage: boolean;
  /** SPIFFE ID of the operator. */
  readonly by: string;
}

export interface CreatedToken {
  readonly tokenId: string;
  /** Holds the secret; shown once, stored nowhere. */
  readonly joinLine: string;
  readonly expiresAtMs: number;
}

export type TokenState = 'open' | 'used' | 'expired' | 'revoked';

export interface Token {
  readonly tokenId: string;
  readonly deviceId: string;
  readonly expiresAtMs: number;
  readonly state: TokenState;
  readonly createdBy: string;
  readonly reimage: boolean;
}

/** Errors: CA_TOKEN_TTL, CA_DEVICE_UNKNOWN, CA_DEVICE_ENROLLED, or what `mayEnroll` refuses with. */
export async function createToken(ca: CaPorts, request: NewToken): Promise<CreatedToken> {
  const { authority, clock, random, database } = ca;
  const { trustDomain } = authority;
  const ttlSeconds = request.ttlSeconds === 0 ? limits.tokenTtlSeconds : request.ttlSeconds;
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > limits.tokenTtlMaxSeconds) {
    throw caErrors.error('CA_TOKEN_TTL', `a token cannot live ${ttlSeconds} seconds`);
  }
  await requireEnrollable(ca, request);
  const now = clock.now();
  const secret = random(limits.tokenSecretBytes);
  const tokenId = random(limits.tokenIdBytes).toString('hex');
  const expiresAtMs = now + ttlSeconds * 1000;
  await insertToken(database.withTables<CaTables>(), {
    trust_domain: trustDomain,
    token_id: tokenId,
    secret_hash: hashSecret(secret),
    device_id: request.deviceId,
    created_at: now,
    created_by: request.by,
    expires_at: expiresAtMs,
    reimage: request.reimage ? 1 : 0,
    used_key_hash: null,
    used_at: null,
    revoked_at: null,
    serial: null,
    announced_at: null,
  });
  await ca.emit({
    kind: 'admin',
    activity: 'token_create',
    severity: request.reimage ? 'medium' : 'info',
    data: {
      token: tokenId,
      device: request.deviceId,
      subject: request.by,
      reimage: request.reimage,
      expires_at: expiresAtMs,
    },
  });
  const joinLine = formatJoinLine({
    trustDomain,
    address: ca.enrolmentAddress,
    tokenId,
    secret,
    rootFingerprint: authority.rootFingerprint,
  });
  return { tokenId, joinLine, expiresAtMs };
}

/** Said when the token is made, so that the operator hears it and not the technician on site. Redemption asks again. */
async function requireEnrollable(ca: CaPorts, { deviceId, reimage }: NewToken): Promise<void> {
  const { trustDomain } = ca.authority;
  const subject = deviceSpiffeId(trustDomain, deviceId);
  if (!(await ca.inventory(trustDomain, deviceId)).known) {
    throw caErrors.error('CA_DEVICE_UNKNOWN', `the inventory of ${trustDomain} has no device ${deviceId}`);
  }
  const verdict = await ca.mayEnroll(deviceId, { reimage });
  if (!verdict.allowed) throw verdict.refusal;
  const valid = await listValid(ca.database.withTables<CaTables>(), trustDomain, subject.uri, ca.clock.now());
  if (valid.length > 0 && !reimage) throw alreadyEnrolled(deviceId);
}

export function alreadyEnrolled(deviceId: string): Error {
  return caErrors.error('CA_DEVICE_ENROLLED', `device ${deviceId} has a valid certificate already`);
}

/** Newest first, at most `limits.tokenListMax`. */
export async function listTokens(ca: CaPorts): Promise<Token[]> {
  const rows = await readTokens(ca.database.withTables<CaTables>(), ca.authority.trustDomain, limits.tokenListMax);
  const now = ca.clock.now();
  return rows.map((row) => ({
    tokenId: row.token_id,
    deviceId: row.device_id,
    expiresAtMs: row.expires_at,
    state: tokenState(row, now),
    createdBy: row.created_by,
    reimage: row.reimage !== 0,
  }));
}

function tokenState(row: TokenRow, now: number): TokenState {
  if (row.used_at !== null) return 'used';
  if (row.revoked_at !== null) return 'revoked';
  return now >= row.expires_at ? 'expired' : 'open';
}

/** Revoking twice is no fault. A used token is revoked too: it then repeats no answer. Errors: CA_TOKEN_ABSENT. */
export async function revokeToken(
  ca: CaPorts,
  request: { readonly tokenId: string; readonly by: string },
): Promise<void> {
  const { trustDomain } = ca.authority;
  const tables = ca.database.withTables<CaTables>();
  const token = await readToken(tables, trustDomain, request.tokenId);
  if (token === undefined) throw caErrors.error('CA_TOKEN_ABSENT', `there is no token ${request.tokenId}`);
  if (!(await markRevoked(tables, trustDomain, request.tokenId, ca.clock.now()))) return;
  await ca.emit({
    kind: 'admin',
    activity: 'token_revoke',
    severity: 'info',
    data: { token: request.tokenId, device: token.device_id, subject: request.by },
  });
}

/** What is stored of a secret. 256 random bits need no slow hash. */
export function hashSecret(secret: Uint8Array): string {
  return createHash('sha256').update(secret).digest('hex');
}
