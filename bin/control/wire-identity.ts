// Who devices and operators are: the certificate authority and the appraisal of evidence, joined with device states.
import { type KeyObject, randomBytes } from 'node:crypto';
import { BUNDLE, createAttestation, referenceValuesOf } from '../../attest/cloud/index.ts';
import type { AttestationResult } from '../../attest/index.ts';
import type { Findings } from '../../audit/detect/cloud/index.ts';
import { type CertificateAuthority, openCertificateAuthority } from '../../ca/cloud/index.ts';
import type { Devices } from '../../response/cloud/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Ground } from './ground.ts';
import { nobody } from './refusals.ts';
import type { PolicyWiring } from './wire-policy.ts';

export async function wireAuthority(
  ground: Ground,
  responses: Devices,
  findings: Findings,
  inInventory: PolicyWiring['inInventory'],
): Promise<CertificateAuthority> {
  const { config, authority, db, clock, logger, log, refusals, events } = ground;
  return await openCertificateAuthority({
    database: db,
    authority,
    clock,
    random: randomBytes,
    log: logger,
    // Without a device the caller knew no token's secret: it may be anybody, any number of times.
    emit: async (event) =>
      event.activity === 'enroll_refuse' && event.data['device'] === undefined
        ? await refusals.tell(nobody, event)
        : await log.emit(event),
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
}

export function wireAttestation(
  { log, clock }: Ground,
  { publications, inForce }: PolicyWiring,
  responses: Devices,
  deviceKeys: ReadonlyMap<string, KeyObject>,
) {
  return createAttestation({
    clock,
    random: randomBytes,
    referenceValues: async (deviceId) => {
      // What the device has to enforce is known here; what it has to run is said by the publisher.
      const bundles = await publications.acceptedBundles(deviceId);
      return {
        ...referenceValuesOf(inForce.release?.referenceValues ?? {}, deviceId),
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
