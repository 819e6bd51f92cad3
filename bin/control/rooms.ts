// The rooms of the control plane, opened on one database and joined by plain functions: what each declares that it needs
// is given here and in the wire-*.ts beside it, and nowhere else.
import { type KeyObject, randomBytes } from 'node:crypto';
import type { Attestation } from '../../attest/cloud/index.ts';
import { type AuditLog, openAuditLog } from '../../audit/cloud/index.ts';
import {
  type Detection,
  detectMigrations,
  type FindingDelivery,
  type Findings,
  type Review,
} from '../../audit/detect/cloud/index.ts';
import { type Authority, caMigrations, type CertificateAuthority } from '../../ca/cloud/index.ts';
import { signJws } from '../../identity/index.ts';
import { policyMigrations, type Publications } from '../../policy/cloud/index.ts';
import type { ConnectedDevice } from '../../policy/distribution/cloud/index.ts';
import {
  type Devices,
  type Playbooks,
  type Reports,
  responseMigrations,
  type Sites,
} from '../../response/cloud/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { openDatabase } from '../../store/database.ts';
import { migrate } from '../../store/migrations.ts';
import { type ControlConfig, databaseUrl } from './config.ts';
import type { Ground, Notices } from './ground.ts';
import { createRefusals, type Refusals } from './refusals.ts';
import { wireAttestation, wireAuthority } from './wire-identity.ts';
import { wirePolicy } from './wire-policy.ts';
import { wireDetection, wireDevices, wireSites } from './wire-response.ts';

export interface ControlRooms {
  readonly trustDomain: string;
  readonly authority: Authority;
  readonly log: AuditLog;
  readonly refusals: Refusals;
  readonly publications: Publications;
  readonly findings: Findings;
  /** Closes a finding about break-glass. */
  readonly review: (review: Review) => Promise<void>;
  readonly responses: Devices;
  readonly playbooks: Playbooks;
  /** Orders for many devices at once. */
  readonly sites: Sites;
  readonly reports: Reports;
  readonly ca: CertificateAuthority;
  readonly attestation: Attestation;
  readonly detection: Detection;
  readonly delivery: FindingDelivery;
  /** Signs with the orders key. */
  readonly sign: (typ: string, payload: Uint8Array) => Promise<string>;
  /** Public key of the certificate that a device's stream authenticated with; evidence has to be signed by it. */
  readonly deviceKeys: Map<string, KeyObject>;
  /** Devices with an open stream; empty until there is one. */
  connected: () => readonly ConnectedDevice[];
  /** Tells the stream, once there is one, what to push. */
  readonly events: Notices;
  readonly close: () => Promise<void>;
}

export async function openRooms(config: ControlConfig, authority: Authority, logger: Logger): Promise<ControlRooms> {
  const ground = await openGround(config, authority, logger);
  const { trustDomain, log, sign, events, db } = ground;
  const deviceKeys = new Map<string, KeyObject>();
  const policy = wirePolicy(ground, async () => (await ca.listPublishers()).map((publisher) => publisher.jwk));
  const { findings, responses } = wireDevices(ground, policy.inInventory);
  const ca = await wireAuthority(ground, responses, findings, policy.inInventory);
  const attestation = wireAttestation(ground, policy, responses, deviceKeys);
  const { playbooks, review, delivery, detection } = wireDetection(ground, policy, findings, responses);
  const { sites, reports } = wireSites(ground, policy.inForce);
  await policy.takeRelease();
  return {
    trustDomain,
    authority,
    log,
    refusals: ground.refusals,
    publications: policy.publications,
    findings,
    review,
    responses,
    playbooks,
    sites,
    reports,
    ca,
    attestation,
    detection,
    delivery,
    sign,
    deviceKeys,
    connected: () => [],
    events,
    close: async () => await db.close(),
  };
}

async function openGround(config: ControlConfig, authority: Authority, logger: Logger): Promise<Ground> {
  const { trustDomain } = config;
  const db = await openDatabase(databaseUrl(config));
  await migrate(db, 'ca', caMigrations);
  await migrate(db, 'policy', policyMigrations);
  await migrate(db, 'response', responseMigrations);
  await migrate(db, 'detect', detectMigrations);
  const log = await openAuditLog({
    db,
    trustDomain,
    clock: systemClock,
    random: randomBytes,
    signer: { name: authority.logName, key: authority.log },
    log: logger,
  });
  return {
    config,
    authority,
    db,
    trustDomain,
    clock: systemClock,
    logger,
    log,
    refusals: createRefusals(async (event) => await log.emit(event), systemClock, logger),
    sign: async (typ, payload) => await signJws({ key: authority.orders, keyId: authority.ordersKeyId, typ }, payload),
    events: { changed: () => undefined, revoked: () => undefined, reappraise: () => undefined },
  };
}
