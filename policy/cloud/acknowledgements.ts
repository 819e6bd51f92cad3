// What the edges say they enforce: the last acknowledgement and the last refusal of each, and the table that `policy
// status` shows.
import type { Kysely } from 'kysely';
import type { Clock } from '../../runtime/clock.ts';
import type { Database } from '../../store/database.ts';
import { MAX_NACK_MESSAGE } from '../limits.ts';
import type { CurrentRelease } from './publications.ts';
import * as queries from './queries.ts';
import type { AcknowledgementRow, PolicyTables } from './tables.ts';

export interface Ack {
  /** 0 when the edge has nothing in force. */
  readonly version: number;
  /** SHA-256 of the manifest JWS in force, lower case hex; empty for none. */
  readonly digest: string;
  readonly selfTest?: { readonly vectors: number; readonly passed: number };
}

export interface Nack {
  /** The refused version. */
  readonly version: number;
  readonly code: string;
  /** With file:line where the edge knows it. */
  readonly message: string;
}

export interface EdgePolicyStatus {
  readonly deviceId: string;
  /** Last acknowledged; 0 and empty for none. */
  readonly enforcedVersion: number;
  readonly enforcedDigest: string;
  readonly acknowledgedAt: number;
  readonly selfTestVectors: number;
  readonly selfTestPassed: number;
  /** Last refusal that no later activation answered; empty for none. */
  readonly nackCode: string;
  readonly nackMessage: string;
  readonly nackVersion: number;
}

export interface PolicyStatus {
  /** 0 and empty before the first publication. */
  readonly version: number;
  readonly commit: string;
  readonly author: string;
  readonly digest: string;
  readonly publisherKeyId: string;
  readonly publishedAt: number;
  /** Every device of the release, and every other that still acknowledges something. By id. */
  readonly edges: readonly EdgePolicyStatus[];
}

export interface Acknowledgements {
  /**
   * `unknown` when nothing with that digest was ever published for the device under that version: the edge runs a
   * bundle this control plane did not give it. Not recorded as enforced; shown as a refusal.
   */
  recordAck(deviceId: string, ack: Ack): Promise<'recorded' | 'unknown'>;
  recordNack(deviceId: string, nack: Nack): Promise<void>;
}

export interface AcknowledgementsOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly trustDomain: string;
}

export function createAcknowledgements({ db, clock, trustDomain }: AcknowledgementsOptions): Acknowledgements & {
  statusOf(release: CurrentRelease | undefined): Promise<PolicyStatus>;
} {
  const change = (deviceId: string, apply: Change): Promise<void> =>
    db.transaction<PolicyTables, void>(async (trx) => {
      const before = await queries.readAcknowledgement(trx, trustDomain, deviceId);
      await queries.writeAcknowledgement(trx, apply(before ?? nothingYet(trustDomain, deviceId)));
    });
  return {
    async recordAck(deviceId, ack) {
      const tables = db.withTables<PolicyTables>();
      const known =
        ack.version === 0 || (await queries.manifestDigest(tables, trustDomain, deviceId, ack.version)) === ack.digest;
      if (!known && !(await isStillThere(tables, trustDomain, deviceId, ack))) {
        const message = `acknowledged ${ack.digest}, which was not published for it as version ${ack.version}`;
        await change(deviceId, (row) => refused(row, { version: ack.version, code: 'POLICY_ACK_UNKNOWN', message }));
        return 'unknown';
      }
      await change(deviceId, (row) => enforced(row, ack, clock.now()));
      return 'recorded';
    },
    recordNack: (deviceId, nack) => change(deviceId, (row) => refused(row, nack)),
    statusOf: (release) => statusOf(db.withTables<PolicyTables>(), trustDomain, release),
  };
}

type Change = (row: AcknowledgementRow) => AcknowledgementRow;

/** Manifests of old versions are forgotten; an edge that was away repeats what it once acknowledged in time. */
async function isStillThere(tables: Kysely<PolicyTables>, trustDomain: string, deviceId: string, ack: Ack) {
  const row = await queries.readAcknowledgement(tables, trustDomain, deviceId);
  return row?.enforced_version === ack.version && row.enforced_digest === ack.digest;
}

function nothingYet(trustDomain: string, deviceId: string): AcknowledgementRow {
  return {
    trust_domain: trustDomain,
    device_id: deviceId,
    enforced_version: 0,
    enforced_digest: '',
    acknowledged_at: 0,
    self_test_vectors: 0,
    self_test_passed: 0,
    nack_code: '',
    nack_message: '',
    nack_version: 0,
  };
}

/** The last word counts, also when it is an older version: an edge that was reset enforces less, and that has to show. */
function enforced(row: AcknowledgementRow, ack: Ack, now: number): AcknowledgementRow {
  const answered = ack.version >= row.nack_version;
  return {
    ...row,
    enforced_version: ack.version,
    enforced_digest: ack.digest,
    acknowledged_at: now,
    self_test_vectors: ack.selfTest?.vectors ?? 0,
    self_test_passed: ack.selfTest?.passed ?? 0,
    ...(answered ? { nack_code: '', nack_message: '', nack_version: 0 } : {}),
  };
}

function refused(row: AcknowledgementRow, nack: Nack): AcknowledgementRow {
  return {
    ...row,
    nack_code: nack.code.slice(0, 64),
    nack_message: nack.message.slice(0, MAX_NACK_MESSAGE),
    nack_version: nack.version,
  };
}

async function statusOf(
  tables: Kysely<PolicyTables>,
  trustDomain: string,
  current: CurrentRelease | undefined,
): Promise<PolicyStatus> {
  const said = new Map((await queries.listAcknowledgements(tables, trustDomain)).map((row) => [row.device_id, row]));
  const ids = new Set([...(current?.release.devices ?? []).map((device) => device.id), ...said.keys()]);
  return {
    version: current?.version ?? 0,
    commit: current?.commit ?? '',
    author: current?.author ?? '',
    digest: current?.digest ?? '',
    publisherKeyId: current?.publisherKeyId ?? '',
    publishedAt: current?.publishedAt ?? 0,
    edges: [...ids].sort().map((id) => edgeStatus(said.get(id) ?? nothingYet(trustDomain, id))),
  };
}

function edgeStatus(row: AcknowledgementRow): EdgePolicyStatus {
  return {
    deviceId: row.device_id,
    enforcedVersion: row.enforced_version,
    enforcedDigest: row.enforced_digest,
    acknowledgedAt: row.acknowledged_at,
    selfTestVectors: row.self_test_vectors,
    selfTestPassed: row.self_test_passed,
    nackCode: row.nack_code,
    nackMessage: row.nack_message,
    nackVersion: row.nack_version,
  };
}
