// The authority of one trust domain, running: its operations bound to a database, keys and the outside.
import type { Implementation } from '../../runtime/grpc.ts';
import type { EnrolmentService } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { type Certificate, deviceId as deviceSpiffeId, parseSpiffeId, trustDomainId } from '../../identity/index.ts';
import { caErrors } from '../errors.ts';
import { announceMissed } from './enrolment-reports.ts';
import { enrolmentHandler } from './enrolment-service.ts';
import { keyHash } from './issuance.ts';
import { bootstrapAdministrator, issueOperator, revokeOperator, rolesOf } from './operators.ts';
import type { CaPorts } from './ports.ts';
import { listCurrent, listSerials, markInterrupted, readCertificate, recordCertificate } from './queries.ts';
import { redeemToken } from './redeem-token.ts';
import { renew } from './renew.ts';
import { openRevocations, revokeDevice, type Revocations } from './revocations.ts';
import type { CaTables } from './tables.ts';
import { createToken, listTokens, revokeToken } from './tokens.ts';
import { addPublisher, listPublishers, trustAnchors } from './trust-anchors.ts';

/** The operation `fn` with its first argument taken: what is left for callers. */
type Bound<F> = F extends (ca: never, ...rest: infer Rest) => infer Result ? (...rest: Rest) => Result : never;

export interface CurrentCertificate {
  readonly deviceId: string;
  readonly serial: string;
  /** Milliseconds since the epoch, inclusive. */
  readonly notAfterMs: number;
}

export interface CertificateAuthority {
  readonly trustDomain: string;
  readonly createToken: Bound<typeof createToken>;
  readonly listTokens: Bound<typeof listTokens>;
  readonly revokeToken: Bound<typeof revokeToken>;
  readonly redeemToken: Bound<typeof redeemToken>;
  readonly renew: Bound<typeof renew>;
  readonly issueOperator: Bound<typeof issueOperator>;
  readonly bootstrapAdministrator: Bound<typeof bootstrapAdministrator>;
  readonly revokeOperator: Bound<typeof revokeOperator>;
  readonly rolesOf: Bound<typeof rolesOf>;
  readonly addPublisher: Bound<typeof addPublisher>;
  readonly listPublishers: Bound<typeof listPublishers>;
  readonly trustAnchors: Bound<typeof trustAnchors>;
  readonly revokeDevice: Bound<typeof revokeDevice>;
  /** Run `revocations.keepFresh` as a task; give `revocations.isRevoked` to every path validation. */
  readonly revocations: Revocations;
  /** The newest valid certificate of each device, or of one. */
  readonly currentCertificates: (deviceId?: string) => Promise<CurrentCertificate[]>;
  /**
   * DER of the newest valid certificate of a device. For a moment after a renewal the device may still use the one
   * before; on a connection, take the certificate of the connection. Errors: CA_CERTIFICATE_UNKNOWN.
   */
  readonly certificateInUse: (deviceId: string) => Promise<Buffer>;
  readonly enrolment: Implementation<typeof EnrolmentService>;
}

/**
 * Opens the authority on a migrated database (`caMigrations`): accounts for what an earlier process left half done and
 * tells `onEnrolled` what it missed. Errors: CA_AUTHORITY_INVALID when the database belongs to another authority.
 */
export async function openCertificateAuthority(ports: CaPorts): Promise<CertificateAuthority> {
  await recordAuthority(ports);
  const { trustDomain } = ports.authority;
  const tables = ports.database.withTables<CaTables>();
  const interrupted = await markInterrupted(tables, trustDomain);
  if (interrupted > 0)
    ports.log.warn({ interrupted }, 'certificates were reserved and not signed when a process ended');
  await announceMissed(ports);
  const ca = { ...ports, revocations: await openRevocations(ports) };
  return {
    trustDomain,
    createToken: async (request) => await createToken(ca, request),
    listTokens: async () => await listTokens(ca),
    revokeToken: async (request) => await revokeToken(ca, request),
    redeemToken: async (request) => await redeemToken(ca, request),
    renew: async (request) => await renew(ca, request),
    issueOperator: async (request) => await issueOperator(ca, request),
    bootstrapAdministrator: async (request) => await bootstrapAdministrator(ca, request),
    revokeOperator: async (request) => await revokeOperator(ca, request),
    rolesOf: async (name) => await rolesOf(ca, name),
    addPublisher: async (request) => await addPublisher(ca, request),
    listPublishers: async () => await listPublishers(ca),
    trustAnchors: async () => await trustAnchors(ca),
    revokeDevice: async (request) => await revokeDevice(ca, request),
    revocations: ca.revocations,
    currentCertificates: async (deviceId) => await currentCertificates(ca, deviceId),
    certificateInUse: async (deviceId) => await certificateInUse(ca, deviceId),
    enrolment: enrolmentHandler(ca),
  };
}

/** The authority's own certificates are rows too; they also tell whose database this is. */
async function recordAuthority({ database, authority }: CaPorts): Promise<void> {
  const { trustDomain, root, intermediate, server } = authority;
  const tables = database.withTables<CaTables>();
  const own = trustDomainId(trustDomain);
  const recorded = await listSerials(tables, trustDomain, own);
  if (recorded.length > 0 && !recorded.includes(root.certificate.serialHex)) {
    throw caErrors.error(
      'CA_AUTHORITY_INVALID',
      `the database holds another authority of ${trustDomain} than the key file`,
      {
        remedy: 'Open the key file that belongs to this database, or use another database',
      },
    );
  }
  const record = async (certificate: Certificate) => {
    await recordCertificate(tables, {
      trust_domain: trustDomain,
      serial: certificate.serialHex,
      subject: certificate.spiffeId?.uri ?? own,
      key_hash: keyHash(certificate.publicKey),
      not_before: certificate.notBefore,
      not_after: certificate.notAfter,
      state: 'issued',
      tbs: null,
      der: certificate.raw,
      replaces: null,
      reserved_at: certificate.notBefore,
      issued_at: certificate.notBefore,
      revoked_at: null,
      reason: null,
    });
  };
  await record(root.certificate);
  await record(intermediate.certificate);
  await record(server.certificate);
}

async function currentCertificates(ca: CaPorts, deviceId: string | undefined): Promise<CurrentCertificate[]> {
  const { trustDomain } = ca.authority;
  const subject = deviceId === undefined ? undefined : deviceSpiffeId(trustDomain, deviceId).uri;
  const rows = await listCurrent(ca.database.withTables<CaTables>(), trustDomain, ca.clock.now(), subject);
  const newest = new Map<string, CurrentCertificate>();
  for (const row of rows) {
    if (row.subject === trustDomainId(trustDomain)) continue;
    const id = parseSpiffeId(row.subject);
    if (id.kind !== 'device') continue;
    newest.set(id.name, { deviceId: id.name, serial: row.serial, notAfterMs: row.not_after });
  }
  return [...newest.values()];
}

async function certificateInUse(ca: CaPorts, deviceId: string): Promise<Buffer> {
  const [current] = await currentCertificates(ca, deviceId);
  const tables = ca.database.withTables<CaTables>();
  const row = current && (await readCertificate(tables, ca.authority.trustDomain, current.serial));
  if (!row?.der) throw caErrors.error('CA_CERTIFICATE_UNKNOWN', `device ${deviceId} has no valid certificate`);
  return Buffer.from(row.der);
}
