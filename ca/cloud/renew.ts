// Renewal: a device that holds a valid certificate gets the next one for a new key, under the same name. The mutually
// authenticated connection has verified the old certificate; whether it still counts is decided here, under a lock.
import type { Kysely } from 'kysely';
import { parseCsr, type ParsedCsr, type VerifiedSvid } from '../../identity/index.ts';
import { CodedError } from '../../runtime/errors.ts';
import { caErrors } from '../errors.ts';
import { limits } from '../limits.ts';
import { chainOf, completeReserved, keyHash, requireName, requireNewKey, reserveCertificate } from './issuance.ts';
import type { CaPorts } from './ports.ts';
import { lockSubject, readCertificate, readCertificateOfKey } from './queries.ts';
import type { IssuedSvid } from './redeem-token.ts';
import type { CaTables } from './tables.ts';

export interface Renewal {
  /** Verified on the connection that asks. */
  readonly svid: VerifiedSvid;
  readonly csrDer: Uint8Array;
  /** Address of the caller, for the audit log. */
  readonly peer: string;
}

/**
 * The same request over the same certificate gets the same bytes again. The old certificate stays valid until it ends.
 * Errors: CA_NAME_MISMATCH, CA_KEY_*, CA_CERTIFICATE_*, IDENTITY_CSR_*, or what `mayRenew` refuses with.
 */
export async function renew(ca: CaPorts, request: Renewal): Promise<IssuedSvid> {
  const { svid, peer } = request;
  try {
    const issued = await renewOrRefuse(ca, request);
    await ca.emit({
      kind: 'device',
      activity: issued.repeated ? 'renew_repeat' : 'renew',
      severity: 'info',
      data: { device: svid.id.name, subject: svid.id.uri, serial: issued.serial, replaces: svid.serialHex, peer },
    });
    return issued;
  } catch (error) {
    if (error instanceof CodedError && (error.status === 'PERMISSION_DENIED' || error.status === 'INVALID_ARGUMENT')) {
      await ca.emit({
        kind: 'device',
        activity: 'renew_refuse',
        severity: 'high',
        data: { device: svid.id.name, subject: svid.id.uri, code: error.code, message: error.message, peer },
      });
    }
    throw error;
  }
}

async function renewOrRefuse(ca: CaPorts, { svid, csrDer }: Renewal): Promise<IssuedSvid> {
  const { id } = svid;
  if (id.kind !== 'device' || id.trustDomain !== ca.authority.trustDomain) {
    throw caErrors.error('CA_NAME_MISMATCH', `${id.uri} is no device of ${ca.authority.trustDomain}`);
  }
  if (csrDer.length > limits.csrMaxBytes) {
    throw caErrors.error('CA_REQUEST_INVALID', 'the renewal has a certificate request that is too large');
  }
  const csr = parseCsr(csrDer);
  requireName(csr, id);
  const verdict = await ca.mayRenew(id.name);
  if (!verdict.allowed) throw verdict.refusal;
  const decided = await ca.database.transaction<CaTables, { serial: string; repeated: boolean }>(
    async (trx) => await decide(trx, ca, svid, csr),
    { isolation: 'read committed' },
  );
  const leaf = await completeReserved(ca, decided.serial, csr.publicKey);
  return { id, serial: decided.serial, chain: chainOf(ca, leaf), repeated: decided.repeated };
}

async function decide(
  trx: Kysely<CaTables>,
  ca: CaPorts,
  svid: VerifiedSvid,
  csr: ParsedCsr,
): Promise<{ serial: string; repeated: boolean }> {
  const { trustDomain } = ca.authority;
  const subject = svid.id.uri;
  await lockSubject(trx, trustDomain, subject);
  await requireGood(trx, ca, svid);
  const hash = keyHash(csr.publicKey);
  const earlier = await readCertificateOfKey(trx, trustDomain, subject, hash);
  if (earlier?.replaces === svid.serialHex) return { serial: earlier.serial, repeated: true };
  await requireNewKey(trx, trustDomain, hash, subject);
  const serial = await reserveCertificate(trx, ca, {
    subject: svid.id,
    publicKey: csr.publicKey,
    ttlSeconds: limits.deviceTtlSeconds,
    replaces: svid.serialHex,
  });
  return { serial, repeated: false };
}

/** The caller's certificate, as our own rows know it. */
async function requireGood(trx: Kysely<CaTables>, ca: CaPorts, svid: VerifiedSvid): Promise<void> {
  const row = await readCertificate(trx, ca.authority.trustDomain, svid.serialHex);
  if (row === undefined || row.subject !== svid.id.uri) {
    throw caErrors.error(
      'CA_CERTIFICATE_UNKNOWN',
      `certificate ${svid.serialHex} was not issued to ${svid.id.uri} here`,
    );
  }
  if (row.revoked_at !== null) {
    throw caErrors.error('CA_CERTIFICATE_REVOKED', `certificate ${row.serial} of ${row.subject} is revoked`);
  }
  if (ca.clock.now() > row.not_after) {
    throw caErrors.error('CA_CERTIFICATE_EXPIRED', `certificate ${row.serial} of ${row.subject} is expired`);
  }
}
