// What others are told of enrolments: `onEnrolled` at least once for every device that got a certificate, and the audit
// log of every answer and every refusal.
import { deviceId as deviceSpiffeId } from '../../identity/index.ts';
import { CodedError, type StatusName } from '../../runtime/errors.ts';
import type { CaErrorCode } from '../errors.ts';
import { tokenIdPattern } from '../join-line.ts';
import type { CaPorts } from './ports.ts';
import { listUnannounced, markTokenAnnounced, readCertificate } from './queries.ts';
import type { CaTables, TokenRow } from './tables.ts';

/** Until `onEnrolled` has resolved once for the token. */
export async function announce(ca: CaPorts, token: TokenRow, agentVersion: string): Promise<void> {
  if (token.announced_at !== null) return;
  const { trustDomain } = ca.authority;
  await ca.onEnrolled({
    deviceId: token.device_id,
    id: deviceSpiffeId(trustDomain, token.device_id),
    serial: token.serial ?? '',
    reimage: token.reimage !== 0,
    tokenId: token.token_id,
    createdBy: token.created_by,
    agentVersion,
  });
  await markTokenAnnounced(ca.database.withTables<CaTables>(), trustDomain, token.token_id, ca.clock.now());
}

/**
 * After a restart: tells of devices whose certificate left while nobody could be told. A device that others refuse to
 * hear of does not keep the control plane from starting; it is tried again at the next start.
 */
export async function announceMissed(ca: CaPorts): Promise<void> {
  const { trustDomain } = ca.authority;
  const tables = ca.database.withTables<CaTables>();
  for (const token of await listUnannounced(tables, trustDomain)) {
    const certificate = await readCertificate(tables, trustDomain, token.serial ?? '');
    // Not signed yet: the device has nothing; its retry completes and announces. Revoked: no longer true.
    if (certificate?.state !== 'issued' || certificate.revoked_at !== null) continue;
    try {
      await announce(ca, token, '');
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      ca.log.error({ device: token.device_id, code: error.code, err: error }, 'an enrolment could not be announced');
    }
  }
}

interface Caller {
  readonly tokenId: string;
  readonly agentVersion: string;
  readonly peer: string;
}

export async function reportEnrolled(ca: CaPorts, caller: Caller, token: TokenRow, repeated: boolean): Promise<void> {
  await ca.emit({
    kind: 'device',
    activity: repeated ? 'enroll_repeat' : 'enroll',
    severity: 'info',
    data: {
      device: token.device_id,
      subject: deviceSpiffeId(ca.authority.trustDomain, token.device_id).uri,
      token: token.token_id,
      serial: token.serial ?? '',
      peer: caller.peer,
      reimage: token.reimage !== 0,
      agent_version: caller.agentVersion,
    },
  });
}

/** Refusals that an honest device does not meet. */
const grave: ReadonlySet<string> = new Set<CaErrorCode>([
  'CA_TOKEN_USED',
  'CA_NAME_MISMATCH',
  'CA_KEY_IN_USE',
  'CA_DEVICE_DECOMMISSIONED',
]);

/** Faults of ours are no refusals; they belong in the log, not in the evidence. */
const faults: ReadonlySet<StatusName> = new Set([
  'UNAVAILABLE',
  'ABORTED',
  'INTERNAL',
  'DATA_LOSS',
  'RESOURCE_EXHAUSTED',
]);

/** `deviceId` is of a token whose secret the caller knew. */
export async function reportRefusal(
  ca: CaPorts,
  caller: Caller,
  deviceId: string | undefined,
  error: CodedError,
): Promise<void> {
  if (faults.has(error.status)) return;
  await ca.emit({
    kind: 'device',
    activity: 'enroll_refuse',
    severity: grave.has(error.code) ? 'high' : 'medium',
    data: {
      ...(deviceId === undefined ? {} : { device: deviceId }),
      ...(tokenIdPattern.test(caller.tokenId) ? { token: caller.tokenId } : {}),
      code: error.code,
      message: error.message,
      peer: caller.peer,
    },
  });
}
