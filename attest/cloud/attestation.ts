// The verifier: challenge, check the evidence, appraise, hand on the result. Every refusal is a coded error and an
// event; nothing but fresh evidence by the device's own key ever becomes a result.
import { createHash, type KeyObject, timingSafeEqual } from 'node:crypto';
import { verifyJws } from '../../identity/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import { attestError } from '../errors.ts';
import { MAX_EVIDENCE_BYTES, MAX_REMEMBERED_RESULTS } from '../limits.ts';
import { decodePosture, EVIDENCE_TYPE } from '../posture/posture.ts';
import type { AttestationResult, Tier } from '../posture/result.ts';
import { appraise, type VerifiedEvidence } from './appraise.ts';
import { type Challenge, createChallenges } from './challenges.ts';
import type { ReferenceValues } from './reference-values.ts';

/** What the audit trail is told. */
export interface AttestationEvent {
  readonly kind: 'attestation';
  readonly activity: 'appraise' | 'refuse';
  readonly severity: 'info' | 'low' | 'medium' | 'high';
  readonly data: Record<string, string | number>;
}

export interface AttestationPorts {
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly random: (count: number) => Buffer;
  /** Signed reference values of the device, see `referenceValuesOf`. */
  readonly referenceValues: (deviceId: string) => Promise<ReferenceValues>;
  /** Public keys of the device's unrevoked certificates in use: one, or two while it renews. */
  readonly deviceKey: (deviceId: string) => Promise<KeyObject | readonly KeyObject[]>;
  /** Stores the result and moves the device's state; when it fails, there is no result. */
  readonly onResult: (deviceId: string, result: AttestationResult) => Promise<void>;
  readonly emit: (event: AttestationEvent) => Promise<void>;
}

export interface Attestation {
  /** A fresh challenge for a device. `connection` is any text that tells its connections apart. */
  challenge(deviceId: string, connection?: string): Challenge;
  /** Checks and appraises the answer to a challenge. `deviceId` comes from the connection's certificate alone. */
  submit(deviceId: string, nonce: Uint8Array, jws: string, connection?: string): Promise<AttestationResult>;
}

export function createAttestation(ports: AttestationPorts): Attestation {
  const challenges = createChallenges(ports.clock, ports.random);
  const isNews = rememberResults();

  async function verify(
    deviceId: string,
    nonce: Uint8Array,
    jws: string,
    connection: string,
  ): Promise<VerifiedEvidence> {
    challenges.redeem(nonce, deviceId, connection);
    if (jws.length > MAX_EVIDENCE_BYTES) {
      throw attestError('ATTEST_EVIDENCE_TOO_LARGE', `evidence of ${jws.length} bytes, at most ${MAX_EVIDENCE_BYTES}`);
    }
    const payload = await verifySignature(jws, [await ports.deviceKey(deviceId)].flat());
    const posture = decodePosture(payload);
    if (posture.deviceId !== deviceId)
      throw attestError('ATTEST_DEVICE_MISMATCH', 'the evidence speaks of another device');
    // Both have 32 bytes: the one was issued by us, the other has the form of a posture.
    const stated = Buffer.from(posture.nonce, 'base64url');
    if (!timingSafeEqual(stated, nonce)) {
      throw attestError('ATTEST_NONCE_UNKNOWN', 'the evidence is over another nonce');
    }
    return { posture, digest: createHash('sha256').update(payload).digest('hex') };
  }

  return {
    challenge: (deviceId, connection = '') => challenges.issue(deviceId, connection),

    async submit(deviceId, nonce, jws, connection = '') {
      let evidence: VerifiedEvidence;
      try {
        evidence = await verify(deviceId, nonce, jws, connection);
      } catch (error) {
        if (error instanceof CodedError && error.code.startsWith('ATTEST_')) await ports.emit(refusal(deviceId, error));
        throw error;
      }
      const result = appraise(evidence, await ports.referenceValues(deviceId), ports.clock.now());
      await ports.onResult(deviceId, result);
      if (isNews(result)) await ports.emit(report(result, evidence));
      return result;
    },
  };
}

async function verifySignature(jws: string, keys: readonly KeyObject[]): Promise<Uint8Array> {
  try {
    return (await verifyJws(jws, { typ: EVIDENCE_TYPE, keys })).payload;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw attestError('ATTEST_EVIDENCE_UNTRUSTED', `the evidence is not signed by the key of the device: ${reason}`, {
      cause,
    });
  }
}

function refusal(deviceId: string, error: CodedError): AttestationEvent {
  // A late answer happens to the honest; everything else is a program or a person doing what it should not.
  const severity = error.code === 'ATTEST_EVIDENCE_LATE' ? 'low' : 'high';
  const data = { device: deviceId, code: error.code, message: error.message };
  return { kind: 'attestation', activity: 'refuse', severity, data };
}

const severityOf: Record<Tier, AttestationEvent['severity']> = {
  affirming: 'info',
  none: 'medium',
  warning: 'medium',
  contraindicated: 'high',
};

function report(result: AttestationResult, { posture }: VerifiedEvidence): AttestationEvent {
  return {
    kind: 'attestation',
    activity: 'appraise',
    severity: severityOf[result.status],
    data: {
      device: result.deviceId,
      status: result.status,
      hardware_class: result.hardwareClass,
      reason: result.findings
        .slice(0, 16)
        .map(({ subject, problem }) => `${subject} ${problem}`)
        .join('; '),
      program_version: posture.program.version,
      program_digest: posture.program.digest,
      manifest: result.bundle,
      evidence: result.evidenceDigest,
      reference_values: result.referenceDigest,
    },
  };
}

/** An affirming result like the last one of the device is no news; everything else is told each time. */
function rememberResults(): (result: AttestationResult) => boolean {
  const last = new Map<string, string>();
  return (result) => {
    const state = `${result.status} ${result.referenceDigest} ${result.bundle}`;
    const same = last.get(result.deviceId) === state;
    last.delete(result.deviceId);
    last.set(result.deviceId, state);
    const oldest = last.size > MAX_REMEMBERED_RESULTS ? last.keys().next().value : undefined;
    if (oldest !== undefined) last.delete(oldest);
    return !same || result.status !== 'affirming';
  };
}
