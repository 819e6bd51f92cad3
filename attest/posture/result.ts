// Result of an appraisal, in the vocabulary of EAR (draft-ietf-rats-ear-04, AR4SI trustworthiness vector).

import { CLOCK_SKEW_MS } from '../limits.ts';

/** Never compare tiers by number: `none` is 0 there and still no better than `affirming`. */
export type Tier = 'none' | 'affirming' | 'warning' | 'contraindicated';

/** Claims of the trustworthiness vector that software evidence speaks about. */
export type ClaimName = 'instance-identity' | 'executables' | 'configuration';

/** Codes of AR4SI that we give. */
export const claimCodes = {
  /** Nothing was claimed or nothing could be compared. */
  noClaim: 0,
  /** Recognised and approved; for the identity: it is who it says. */
  approved: 2,
  /** Configuration that leaves the device open. */
  unsafe: 32,
  /** Executables that nobody has approved or refused. */
  unrecognised: 33,
  /** Recognised as bad, or required and not there. */
  contraindicated: 96,
} as const;
export type ClaimCode = (typeof claimCodes)[keyof typeof claimCodes];

/** One reason why a claim is not affirming. */
export interface Finding {
  readonly claim: ClaimName;
  /** Path of an executable, `edgeward:program` or `edgeward:bundle`. */
  readonly subject: string;
  readonly problem: 'changed' | 'missing' | 'not-reported' | 'no-reference-value' | 'not-active';
  /** What was measured; empty when nothing was. */
  readonly measured: string;
}

export interface AttestationResult {
  readonly deviceId: string;
  /** The worst claim. */
  readonly status: Tier;
  /** What the evidence rests on; a TPM comes later. */
  readonly hardwareClass: 'software';
  readonly claims: Readonly<Record<ClaimName, ClaimCode>>;
  readonly findings: readonly Finding[];
  /** Verifier's clock, milliseconds since the epoch. */
  readonly appraisedAt: number;
  /** Hex SHA-256 of the signed posture. */
  readonly evidenceDigest: string;
  /** Hex SHA-256 of the canonical reference values it was compared with. */
  readonly referenceDigest: string;
  /** Digest of the policy manifest that the edge says is in force; empty for none. */
  readonly bundle: string;
}

/** Tier of a claim (AR4SI section 2.3.2): 0 and 1 claim nothing, from 2 affirming, from 32 warning, from 96 contraindicated. */
export function tierOf(code: number): Tier {
  if (code >= 96) return 'contraindicated';
  if (code >= 32) return 'warning';
  return code >= 2 ? 'affirming' : 'none';
}

/** From best to worst; `none` stands apart, it says nothing. */
const order: readonly Tier[] = ['affirming', 'warning', 'contraindicated'];

/** The worst claim wins; claims that say nothing do not count unless no other is there. */
export function worstTier(codes: readonly number[]): Tier {
  const worst = Math.max(...codes.map((code) => order.indexOf(tierOf(code))));
  return order[worst] ?? 'none';
}

/** Whether a result is too old to be relied on. A result from the future is, too: one of the clocks is wrong. */
export function isStale(result: Pick<AttestationResult, 'appraisedAt'>, now: number, maxAgeMs: number): boolean {
  const age = now - result.appraisedAt;
  return age > maxAgeMs || age < -CLOCK_SKEW_MS;
}
