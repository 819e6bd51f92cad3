// The one narrow query file of the authority: everything it asks of the database. `db` is a transaction where the
// caller needs one; who changes a subject's tokens or certificates holds `lockSubject` first, so that under read
// committed isolation one writer decides at a time. Order of locks: subject, key, version.
import type { Insertable, Kysely } from 'kysely';
import type { CaTables, CertificateRow, NewCertificateRow, TokenRow, VersionName } from './tables.ts';

type Db = Kysely<CaTables>;

// ---- subjects and keys -------------------------------------------------------------------------------------------

/** Waits until no other transaction holds the subject, and holds it until this one ends. */
export async function lockSubject(db: Db, trustDomain: string, subject: string): Promise<void> {
  await db
    .insertInto('ca_subjects')
    .values({ trust_domain: trustDomain, subject, revision: 1 })
    .onConflict((conflict) =>
      conflict
        .columns(['trust_domain', 'subject'])
        .doUpdateSet((row) => ({ revision: row('ca_subjects.revision', '+', 1) })),
    )
    .execute();
}

/** Writes down whose key it is. Tells whose it was before: undefined when nobody's. */
export async function claimKey(
  db: Db,
  trustDomain: string,
  keyHash: string,
  subject: string,
): Promise<string | undefined> {
  const claimed = await db
    .insertInto('ca_keys')
    .values({ trust_domain: trustDomain, key_hash: keyHash, subject })
    .onConflict((conflict) => conflict.columns(['trust_domain', 'key_hash']).doNothing())
    .returning('subject')
    .executeTakeFirst();
  if (claimed !== undefined) return undefined;
  const row = await db
    .selectFrom('ca_keys')
    .select('subject')
    .where('trust_domain', '=', trustDomain)
    .where('key_hash', '=', keyHash)
    .executeTakeFirstOrThrow();
  return row.subject;
}

// ---- tokens ------------------------------------------------------------------------------------------------------

export async function insertToken(db: Db, row: Insertable<CaTables['ca_tokens']>): Promise<void> {
  await db.insertInto('ca_tokens').values(row).execute();
}

export async function readToken(db: Db, trustDomain: string, tokenId: string): Promise<TokenRow | undefined> {
  return await db
    .selectFrom('ca_tokens')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('token_id', '=', tokenId)
    .executeTakeFirst();
}

export async function listTokens(db: Db, trustDomain: string, limit: number): Promise<TokenRow[]> {
  return await db
    .selectFrom('ca_tokens')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .orderBy('created_at', 'desc')
    .orderBy('token_id')
    .limit(limit)
    .execute();
}

export async function markTokenUsed(
  db: Db,
  trustDomain: string,
  tokenId: string,
  used: { keyHash: string; at: number; serial: string },
): Promise<void> {
  await db
    .updateTable('ca_tokens')
    .set({ used_key_hash: used.keyHash, used_at: used.at, serial: used.serial })
    .where('trust_domain', '=', trustDomain)
    .where('token_id', '=', tokenId)
    .execute();
}

export async function markTokenAnnounced(db: Db, trustDomain: string, tokenId: string, at: number): Promise<void> {
  await db
    .updateTable('ca_tokens')
    .set({ announced_at: at })
    .where('trust_domain', '=', trustDomain)
    .where('token_id', '=', tokenId)
    .execute();
}

/** Redeemed tokens of which `onEnrolled` was not told, oldest first. */
export async function listUnannounced(db: Db, trustDomain: string): Promise<TokenRow[]> {
  return await db
    .selectFrom('ca_tokens')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('used_at', 'is not', null)
    .where('announced_at', 'is', null)
    .orderBy('used_at')
    .execute();
}

/** Revokes one token that is not revoked yet; tells whether it did. */
export async function revokeToken(db: Db, trustDomain: string, tokenId: string, at: number): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('ca_tokens')
    .set({ revoked_at: at })
    .where('trust_domain', '=', trustDomain)
    .where('token_id', '=', tokenId)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

export async function revokeTokensOf(db: Db, trustDomain: string, deviceId: string, at: number): Promise<void> {
  await db
    .updateTable('ca_tokens')
    .set({ revoked_at: at })
    .where('trust_domain', '=', trustDomain)
    .where('device_id', '=', deviceId)
    .where('revoked_at', 'is', null)
    .execute();
}

// ---- certificates ------------------------------------------------------------------------------------------------

export async function insertCertificate(db: Db, row: NewCertificateRow): Promise<void> {
  await db.insertInto('ca_certificates').values(row).execute();
}

export async function readCertificate(
  db: Db,
  trustDomain: string,
  serial: string,
): Promise<CertificateRow | undefined> {
  return await db
    .selectFrom('ca_certificates')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('serial', '=', serial)
    .executeTakeFirst();
}

/** The newest certificate of a subject for a key, whatever became of it. */
export async function readCertificateOfKey(
  db: Db,
  trustDomain: string,
  subject: string,
  keyHash: string,
): Promise<CertificateRow | undefined> {
  return await db
    .selectFrom('ca_certificates')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('key_hash', '=', keyHash)
    .where('subject', '=', subject)
    .orderBy('reserved_at', 'desc')
    .executeTakeFirst();
}

/** Like `insertCertificate`, for a certificate that may be recorded already. */
export async function recordCertificate(db: Db, row: NewCertificateRow): Promise<void> {
  await db
    .insertInto('ca_certificates')
    .values(row)
    .onConflict((conflict) => conflict.columns(['trust_domain', 'serial']).doNothing())
    .execute();
}

/** Certificates of a subject that somebody could still present, newest first; also those only reserved. */
export async function listValid(db: Db, trustDomain: string, subject: string, now: number): Promise<CertificateRow[]> {
  return await db
    .selectFrom('ca_certificates')
    .selectAll()
    .where('trust_domain', '=', trustDomain)
    .where('subject', '=', subject)
    .where('not_after', '>=', now)
    .where('revoked_at', 'is', null)
    .orderBy('not_after', 'desc')
    .execute();
}

/** Issued certificates that count now, of one subject or of all; newest last. Without their bytes. */
export async function listCurrent(db: Db, trustDomain: string, now: number, subject?: string) {
  let query = db
    .selectFrom('ca_certificates')
    .select(['serial', 'subject', 'not_after'])
    .where('trust_domain', '=', trustDomain)
    .where('state', '=', 'issued')
    .where('not_after', '>=', now)
    .where('revoked_at', 'is', null);
  if (subject !== undefined) query = query.where('subject', '=', subject);
  return await query.orderBy('not_after').orderBy('reserved_at').execute();
}

/** Serials of every certificate with that subject. */
export async function listSerials(db: Db, trustDomain: string, subject: string): Promise<string[]> {
  const rows = await db
    .selectFrom('ca_certificates')
    .select('serial')
    .where('trust_domain', '=', trustDomain)
    .where('subject', '=', subject)
    .execute();
  return rows.map((row) => row.serial);
}

/** Puts the signed certificate in its reserved row. False when the row is issued already, or was revoked meanwhile. */
export async function completeCertificate(
  db: Db,
  trustDomain: string,
  serial: string,
  der: Buffer,
  at: number,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('ca_certificates')
    .set({ state: 'issued', der, tbs: null, issued_at: at })
    .where('trust_domain', '=', trustDomain)
    .where('serial', '=', serial)
    .where('state', 'in', ['reserved', 'interrupted'])
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Rows that were reserved by a process that is gone. Tells how many. */
export async function markInterrupted(db: Db, trustDomain: string): Promise<number> {
  const { numUpdatedRows } = await db
    .updateTable('ca_certificates')
    .set({ state: 'interrupted' })
    .where('trust_domain', '=', trustDomain)
    .where('state', '=', 'reserved')
    .executeTakeFirst();
  return Number(numUpdatedRows);
}

/** Revokes what a subject could still present; expired certificates need no revocation. Returns the serials. */
export async function revokeCertificatesOf(
  db: Db,
  trustDomain: string,
  subject: string,
  revoked: { at: number; reason: string },
): Promise<string[]> {
  const rows = await db
    .updateTable('ca_certificates')
    .set({ revoked_at: revoked.at, reason: revoked.reason })
    .where('trust_domain', '=', trustDomain)
    .where('subject', '=', subject)
    .where('not_after', '>=', revoked.at)
    .where('revoked_at', 'is', null)
    .returning('serial')
    .execute();
  return rows.map((row) => row.serial).sort();
}

/** Serials revoked and not expired at `at`, sorted. */
export async function listRevokedSerials(db: Db, trustDomain: string, at: number): Promise<string[]> {
  const rows = await db
    .selectFrom('ca_certificates')
    .select('serial')
    .where('trust_domain', '=', trustDomain)
    .where('revoked_at', 'is not', null)
    .where('not_after', '>=', at)
    .execute();
  // Sorted here: collations of the two databases differ.
  return rows.map((row) => row.serial).sort();
}

// ---- versions ----------------------------------------------------------------------------------------------------

export interface Version {
  readonly version: number;
  /** When it was made; 0 for version 0, which is nothing. */
  readonly at: number;
}

/** Allots the next version; the row stays locked until the transaction ends, so none is seen out of order. */
export async function bumpVersion(db: Db, trustDomain: string, name: VersionName, at: number): Promise<Version> {
  return await db
    .insertInto('ca_versions')
    .values({ trust_domain: trustDomain, name, version: 1, at })
    .onConflict((conflict) =>
      conflict
        .columns(['trust_domain', 'name'])
        .doUpdateSet((row) => ({ version: row('ca_versions.version', '+', 1), at })),
    )
    .returning(['version', 'at'])
    .executeTakeFirstOrThrow();
}

export async function readVersion(db: Db, trustDomain: string, name: VersionName): Promise<Version> {
  const row = await db
    .selectFrom('ca_versions')
    .select(['version', 'at'])
    .where('trust_domain', '=', trustDomain)
    .where('name', '=', name)
    .executeTakeFirst();
  return row ?? { version: 0, at: 0 };
}

// ---- people ------------------------------------------------------------------------------------------------------

export async function saveOperator(db: Db, row: Insertable<CaTables['ca_operators']>): Promise<void> {
  await db
    .insertInto('ca_operators')
    .values(row)
    .onConflict((conflict) =>
      conflict
        .columns(['trust_domain', 'name'])
        .doUpdateSet({ roles: row.roles, updated_at: row.updated_at, updated_by: row.updated_by }),
    )
    .execute();
}

export async function readOperatorRoles(db: Db, trustDomain: string, name: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('ca_operators')
    .select('roles')
    .where('trust_domain', '=', trustDomain)
    .where('name', '=', name)
    .executeTakeFirst();
  return row?.roles;
}

/** False when the key was there already. */
export async function insertPublisher(db: Db, row: Insertable<CaTables['ca_publishers']>): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('ca_publishers')
    .values(row)
    .onConflict((conflict) => conflict.columns(['trust_domain', 'key_id']).doNothing())
    .executeTakeFirst();
  return (numInsertedOrUpdatedRows ?? 0n) > 0n;
}

export async function listPublishers(db: Db, trustDomain: string): Promise<{ key_id: string; jwk: string }[]> {
  return await db
    .selectFrom('ca_publishers')
    .select(['key_id', 'jwk'])
    .where('trust_domain', '=', trustDomain)
    .orderBy('added_at')
    .orderBy('key_id')
    .execute();
}
