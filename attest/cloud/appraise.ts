// Appraises a posture against reference values: pure, total, the worst claim wins. Fails closed: what is required and
// not reported, reported and missing, or other than accepted contraindicates; what nobody approved is a warning.
import { MISSING, type Posture } from '../posture/posture.ts';
import {
  type AttestationResult,
  type ClaimCode,
  claimCodes,
  type ClaimName,
  type Finding,
  worstTier,
} from '../posture/result.ts';
import { BUNDLE, PROGRAM, referenceDigest, type ReferenceValues } from './reference-values.ts';

/** Evidence whose signature, nonce and device were checked. */
export interface VerifiedEvidence {
  readonly posture: Posture;
  /** Hex SHA-256 of the signed bytes. */
  readonly digest: string;
}

export function appraise(evidence: VerifiedEvidence, reference: ReferenceValues, now: number): AttestationResult {
  const { posture } = evidence;
  const findings = [
    ...judgeProgram(posture, reference),
    ...judgeRequired(posture, reference),
    ...judgeUnrequired(posture, reference),
    ...judgeBundle(posture, reference),
  ];
  const claims: Record<ClaimName, ClaimCode> = {
    // The signature over a fresh nonce was by the key of this device, see index.ts.
    'instance-identity': claimCodes.approved,
    executables: worstCode(findings, 'executables', claimCodes.approved),
    configuration: worstCode(
      findings,
      'configuration',
      accepted(reference, BUNDLE) ? claimCodes.approved : claimCodes.noClaim,
    ),
  };
  return {
    deviceId: posture.deviceId,
    status: worstTier(Object.values(claims)),
    hardwareClass: 'software',
    claims,
    findings,
    appraisedAt: now,
    evidenceDigest: evidence.digest,
    referenceDigest: referenceDigest(reference),
    bundle: posture.bundle,
  };
}

/** Code of each problem: a table, so that none is decided in passing. */
const severity: Record<Finding['problem'], ClaimCode> = {
  changed: claimCodes.contraindicated,
  missing: claimCodes.contraindicated,
  'not-reported': claimCodes.contraindicated,
  'no-reference-value': claimCodes.unrecognised,
  'not-active': claimCodes.unsafe,
};

function worstCode(findings: readonly Finding[], claim: ClaimName, otherwise: ClaimCode): ClaimCode {
  const codes = findings.filter((finding) => finding.claim === claim).map((finding) => severity[finding.problem]);
  return codes.toSorted((a, b) => b - a)[0] ?? otherwise;
}

/** Accepted digests; undefined when the reference values do not speak of it. */
function accepted(reference: ReferenceValues, key: string): readonly string[] | undefined {
  return Object.hasOwn(reference, key) ? reference[key] : undefined;
}

function* judgeProgram({ program }: Posture, reference: ReferenceValues): Generator<Finding> {
  const digests = accepted(reference, PROGRAM);
  const finding = { claim: 'executables', subject: PROGRAM, measured: program.digest } as const;
  if (digests === undefined) yield { ...finding, problem: 'no-reference-value' };
  else if (!digests.includes(program.digest)) yield { ...finding, problem: 'changed' };
}

/** Everything that the reference values name, whether the device reports it or not. */
function* judgeRequired({ executables }: Posture, reference: ReferenceValues): Generator<Finding> {
  for (const [subject, digests] of Object.entries(reference)) {
    if (subject === PROGRAM || subject === BUNDLE) continue;
    const measured = Object.hasOwn(executables, subject) ? executables[subject] : undefined;
    const finding = { claim: 'executables', subject, measured: measured ?? '' } as const;
    if (measured === undefined) yield { ...finding, problem: 'not-reported' };
    else if (measured === MISSING) yield { ...finding, problem: 'missing' };
    else if (!digests.includes(measured)) yield { ...finding, problem: 'changed' };
  }
}

/** What the device reports of itself and nobody gave a value for. */
function* judgeUnrequired({ executables }: Posture, reference: ReferenceValues): Generator<Finding> {
  for (const [subject, measured] of Object.entries(executables)) {
    if (Object.hasOwn(reference, subject)) continue;
    const problem = measured === MISSING ? 'missing' : 'no-reference-value';
    yield { claim: 'executables', subject, measured, problem };
  }
}

function* judgeBundle({ bundle }: Posture, reference: ReferenceValues): Generator<Finding> {
  const digests = accepted(reference, BUNDLE);
  if (digests === undefined || digests.includes(bundle)) return;
  yield {
    claim: 'configuration',
    subject: BUNDLE,
    measured: bundle,
    problem: bundle === '' ? 'not-active' : 'changed',
  };
}
