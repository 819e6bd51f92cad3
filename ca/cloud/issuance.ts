// How a certificate comes into being: its serial and linted TBS are committed (`reserved`) before the authority signs,
// and the one signature that leaves is committed (`issued`) before it leaves. A crash in between leaves a row that
// accounts for whatever may exist, and that the same request completes later (boulder, docs/ISSUANCE-CYCLE.md).
import { createHash, type KeyObject } from 'node:crypto';
import type { Kysely } from 'kysely';
import {
  encodePublicKey,
  newSerial,
  type ParsedCsr,
  type PreparedCertificate,
  prepareCertificate,
  type SpiffeId,
  validityFor,
} from '../../identity/index.ts';
import { caErrors } from '../errors.ts';
import type { CaPorts } from './ports.ts';
import { claimKey, completeCertificate, insertCertificate, readCertificate } from './queries.ts';
import type { CaTables, CertificateRow } from './tables.ts';

type Issuer = Pick<CaPorts, 'database' | 'authority' | 'clock' | 'random'>;

export interface CertificateRequest {
  readonly subject: SpiffeId;
  readonly publicKey: KeyObject;
  readonly ttlSeconds: number;
  /** Serial of the certificate that authenticated a renewal. */
  readonly replaces?: string;
}

/** Lower case hex SHA-256 of the SubjectPublicKeyInfo. */
export function keyHash(publicKey: KeyObject): string {
  return createHash('sha256').update(encodePublicKey(publicKey)).digest('hex');
}

/** First step, inside the transaction that decides: puts serial and TBS in a row. Returns the serial. */
export async function reserveCertificate(
  trx: Kysely<CaTables>,
  ca: Issuer,
  request: CertificateRequest,
): Promise<string> {
  const { authority, clock, random } = ca;
  const serial = newSerial(random);
  const validity = validityFor(clock.now(), request.ttlSeconds, authority.intermediate.certificate);
  const { tbs } = prepareCertificate({
    profile: 'leaf',
    serialHex: serial,
    publicKey: request.publicKey,
    issuer: authority.intermediate.certificate,
    spiffeId: request.subject.uri,
    ...validity,
  });
  await insertCertificate(trx, {
    trust_domain: authority.trustDomain,
    serial,
    subject: request.subject.uri,
    key_hash: keyHash(request.publicKey),
    not_before: validity.notBefore,
    not_after: validity.notAfter,
    state: 'reserved',
    tbs,
    der: null,
    replaces: request.replaces ?? null,
    reserved_at: clock.now(),
    issued_at: null,
    revoked_at: null,
    reason: null,
  });
  return serial;
}

/**
 * Second step, after the commit: signs exactly the committed TBS and commits the result. Whoever comes second, also in
 * another process, gets the first one's bytes. Errors: CA_CERTIFICATE_REVOKED when it was revoked in between.
 */
export async function completeReserved(ca: Issuer, serial: string, publicKey: KeyObject): Promise<Buffer> {
  const { database, authority, clock } = ca;
  const tables = database.withTables<CaTables>();
  const row = await mustRead(tables, authority.trustDomain, serial);
  const before = issuedBytes(row);
  if (before !== undefined) return before;
  const der = await authority.sign(prepareAgain(ca, row, publicKey));
  if (await completeCertificate(tables, authority.trustDomain, serial, der, clock.now())) return der;
  const after = issuedBytes(await mustRead(tables, authority.trustDomain, serial));
  if (after === undefined) throw new Error(`certificate ${serial} was neither completed nor issued nor revoked`);
  return after;
}

/** The same bytes as were linted and committed, made again from the row: what is signed depends on nothing else. */
function prepareAgain(ca: Issuer, row: CertificateRow, publicKey: KeyObject): PreparedCertificate {
  const prepared = prepareCertificate({
    profile: 'leaf',
    serialHex: row.serial,
    publicKey,
    issuer: ca.authority.intermediate.certificate,
    spiffeId: row.subject,
    notBefore: row.not_before,
    notAfter: row.not_after,
  });
  if (row.tbs === null || !prepared.tbs.equals(row.tbs)) {
    throw caErrors.error(
      'CA_AUTHORITY_INVALID',
      `certificate ${row.serial} was reserved by another issuing key and is not signed by this one`,
      { remedy: 'Make a new token for the device' },
    );
  }
  return prepared;
}

function issuedBytes(row: CertificateRow): Buffer | undefined {
  if (row.revoked_at !== null) {
    throw caErrors.error('CA_CERTIFICATE_REVOKED', `certificate ${row.serial} of ${row.subject} is revoked`);
  }
  return row.der === null ? undefined : Buffer.from(row.der);
}

async function mustRead(tables: Kysely<CaTables>, trustDomain: string, serial: string): Promise<CertificateRow> {
  const row = await readCertificate(tables, trustDomain, serial);
  if (row === undefined) throw caErrors.error('CA_CERTIFICATE_UNKNOWN', `there is no certificate ${serial}`);
  return row;
}

/** Leaf first, then the intermediate; the root is in the trust anchors. */
export function chainOf(ca: Pick<CaPorts, 'authority'>, leaf: Buffer): Buffer[] {
  return [leaf, ca.authority.intermediate.certificate.raw];
}

/** A request may leave its name out; if it asks for one, it has to be the one that the inventory gives it. */
export function requireName(csr: ParsedCsr, id: SpiffeId): void {
  if (csr.otherNames || csr.uris.some((uri) => uri !== id.uri)) {
    throw caErrors.error('CA_NAME_MISMATCH', `the request asks for another name than ${id.uri}`);
  }
}

/** One key, one device, one certificate. */
export async function requireNewKey(
  trx: Kysely<CaTables>,
  trustDomain: string,
  hash: string,
  subject: string,
): Promise<void> {
  const owner = await claimKey(trx, trustDomain, hash, subject);
  if (owner === undefined) return;
  if (owner !== subject) throw caErrors.error('CA_KEY_IN_USE', 'the key belongs to another identity');
  throw caErrors.error('CA_KEY_NOT_NEW', `the key was in a certificate of ${subject} before`);
}
