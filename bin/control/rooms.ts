// The rooms of the control plane, opened on one database and joined by plain functions: what each declares that it needs
// is given here, and nowhere else.
import { type KeyObject, randomBytes } from 'node:crypto';
import { type AttestationResult } from '../../attest/index.ts';
import { BUNDLE, createAttestation, referenceValuesOf } from '../../attest/cloud/index.ts';
import { type AuditLog, openAuditLog } from '../../audit/cloud/index.ts';
import { createDetector, type Detector } from '../../audit/detect/index.ts';
import {
  createDetection,
  createFindingDelivery,
  createFindings,
  detectMigrations,
  type Finding,
  syslog,
  webhook,
} from '../../audit/detect/cloud/index.ts';
import {
  type Authority,
  caMigrations,
  type CertificateAuthority,
  openCertificateAuthority,
} from '../../ca/cloud/index.ts';
import { signJws } from '../../identity/index.ts';
import { createPublications, policyMigrations, type Publications } from '../../policy/cloud/index.ts';
import type { ConnectedDevice } from '../../policy/distribution/cloud/index.ts';
import type { Release } from '../../policy/bundle/index.ts';
import { parsePlaybook, type Playbook } from '../../response/index.ts';
import {
  createDevices,
  createPlaybooks,
  type Devices,
  type Playbooks,
  responseMigrations,
} from '../../response/cloud/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { openDatabase } from '../../store/database.ts';
import { migrate } from '../../store/migrations.ts';
import { type ControlConfig, databaseUrl } from './config.ts';

export interface ControlRooms {
  readonly trustDomain: string;
  readonly authority: Authority;
  readonly log: AuditLog;
  readonly publications: Publications;
  readonly findings: ReturnType<typeof createFindings>;
  readonly responses: Devices;
  readonly playbooks: Playbooks;
  readonly ca: CertificateAuthority;
  readonly attestation: ReturnType<typeof createAttestation>;
  readonly detection: ReturnType<typeof createDetection>;
  readonly delivery: ReturnType<typeof createFindingDelivery>;
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

/** What the stream pushes; the sides meet here because rooms are opened before the stream. */
export interface Notices {
  changed: (what: 'orders' | 'states' | 'anchors' | 'policy' | 'revocations') => void;
  revoked: (serials: readonly string[]) => void;
  reappraise: (deviceId: string) => void;
}

/** Rules and playbooks of the release in force; replaced as a whole. */
interface Active {
  release: Release | undefined;
  detector: Detector;
  playbooks: readonly Playbook[];
}

export async function openRooms(config: ControlConfig, authority: Authority, logger: Logger): Promise<ControlRooms> {
  const { trustDomain } = config;
  const db = await openDatabase(databaseUrl(config));
  await migrate(db, 'ca', caMigrations);
  await migrate(db, 'policy', policyMigrations);
  await migrate(db, 'response', responseMigrations);
  await migrate(db, 'detect', detectMigrations);

  const common = { db, trustDomain, clock: systemClock };
  const events: Notices = { changed: () => undefined, revoked: () => undefined, reappraise: () => undefined };
  const sign = async (typ: string, payload: Uint8Array): Promise<string> =>
    await signJws({ key: authority.orders, keyId: authority.ordersKeyId, typ }, payload);
  const log = await openAuditLog({
    ...common,
    random: randomBytes,
    signer: { name: authority.logName, key: authority.log },
    log: logger,
  });
  const deviceKeys = new Map<string, KeyObject>();
  const active: Active = { release: undefined, detector: createDetector({}), playbooks: [] };

  const publications = createPublications({
    ...common,
    publisherKeys: async () => (await ca.listPublishers()).map((publisher) => publisher.jwk),
    checkRelease: (release) => void readRelease(release),
    onPublished: async (published) => {
      await takeRelease();
      await log.emit({
        kind: 'policy',
        activity: 'publish',
        data: {
          version: published.version,
          commit: published.commit,
          author: published.author,
          digest: published.digest,
          key: published.publisherKeyId,
        },
      });
      events.changed('policy');
    },
  });
  const takeRelease = async (): Promise<void> => {
    const current = await publications.release();
    if (current === undefined) return;
    Object.assign(active, readRelease(current.release), { release: current.release });
  };
  const inInventory = (deviceId: string): Promise<boolean> =>
    Promise.resolve(active.release?.devices.some((device) => device.id === deviceId) ?? false);

  const findings = createFindings(common);
  const responses = createDevices({
    ...common,
    sign,
    emit: async (event) => await log.emit(event),
    changed: (what) => events.changed(what),
    inInventory,
    openFindings: async (deviceId, since) => await findings.openSince(deviceId, since),
  });
  const ca = await openCertificateAuthority({
    database: db,
    authority,
    clock: systemClock,
    random: randomBytes,
    log: logger,
    emit: async (event) => await log.emit(event),
    enrolmentAddress: config.advertise.enrolment,
    inventory: async (_, deviceId) => ({ known: await inInventory(deviceId) }),
    mayEnroll: async (deviceId, { reimage }) => await responses.mayEnroll(deviceId, reimage),
    mayRenew: async (deviceId) => await responses.mayRenew(deviceId),
    onEnrolled: async ({ deviceId, reimage, createdBy }) => {
      if (reimage) await findings.close(deviceId, 're-imaged');
      await responses.apply({
        deviceId,
        event: reimage ? 'reimaged' : 'enrolled',
        cause: reimage ? 're-imaged and enrolled with a new key' : 'enrolled',
        by: createdBy,
      });
    },
    onRevoked: (serials) => {
      events.revoked(serials);
      events.changed('revocations');
    },
  });
  const playbooks = createPlaybooks({
    ...common,
    devices: responses,
    playbooks: () => active.playbooks,
    inventory: () => Promise.resolve(active.release?.devices ?? []),
    findingsOn: async (device) =>
      (await findings.list({ state: 'open', limit: 1_000 })).filter((finding) => finding.device === device),
    emit: async (event) => await log.emit(event),
  });
  const attestation = createAttestation({
    clock: systemClock,
    random: randomBytes,
    referenceValues: async (deviceId) => {
      // What the device has to enforce is known here; what it has to run is said by the publisher.
      const bundles = await publications.acceptedBundles(deviceId);
      return {
        ...referenceValuesOf(active.release?.referenceValues ?? {}, deviceId),
        ...(bundles.length === 0 ? {} : { [BUNDLE]: bundles }),
      };
    },
    deviceKey: (deviceId) => {
      const key = deviceKeys.get(deviceId);
      return key === undefined ? Promise.reject(new Error(`no stream of ${deviceId}`)) : Promise.resolve(key);
    },
    onResult: async (deviceId, result) => await appraised(responses, deviceId, result),
    emit: async (event) => await log.emit(event),
  });
  const delivery = createFindingDelivery({ targets: targetsOf(config), clock: systemClock, log: logger });
  const detection = createDetection({
    clock: systemClock,
    log: logger,
    findings,
    detector: () => active.detector,
    read: async (from, limit) =>
      (await log.reader.read(from, limit)).map((entry) => ({ ...entry, receivedAt: entry.receivedAtMs })),
    onFinding: async (finding, isNew) => {
      await playbooks.onFinding(finding);
      if (!isNew) return;
      await log.emit(findingEvent(finding));
      delivery.enqueue(finding);
      events.reappraise(finding.device);
    },
  });
  log.onStored(() => detection.wake());
  await takeRelease();
  return {
    trustDomain,
    authority,
    log,
    publications,
    findings,
    responses,
    playbooks,
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

/** Compiles what the control plane runs of a release; throws with file and place when it cannot. */
function readRelease(release: Release): Pick<Active, 'detector' | 'playbooks'> {
  return {
    detector: createDetector(release.detections),
    playbooks: Object.entries(release.playbooks).map(([file, text]) => parsePlaybook(text, file)),
  };
}

async function appraised(responses: Devices, deviceId: string, result: AttestationResult): Promise<void> {
  const attestation = { class: 'software', at: systemClock.now() };
  const cause = result.findings.map((finding) => `${finding.subject} ${finding.problem}`).join(', ');
  if (result.status === 'affirming') {
    await responses.apply({ deviceId, event: 'affirmed', attestation, cause: 'affirming appraisal', by: 'attest' });
  } else if (result.status === 'contraindicated') {
    await responses.apply({
      deviceId,
      event: 'contradicted',
      cause: cause === '' ? 'contraindicated appraisal' : cause,
      by: 'attest',
    });
  }
}

function findingEvent(finding: Finding) {
  return {
    kind: 'finding' as const,
    activity: 'open',
    severity: finding.level === 'informational' ? ('info' as const) : finding.level,
    data: {
      finding: finding.id,
      rule: finding.ruleId,
      message: finding.title,
      device: finding.device,
      count: finding.count,
      evidence: [...finding.evidence],
    },
  };
}

const targetsOf = (config: ControlConfig) => ({
  ...(config.findings.webhook === undefined ? {} : { webhook: webhook(config.findings.webhook) }),
  ...(config.findings.syslog === undefined ? {} : { syslog: syslog(config.findings.syslog) }),
});
