// Attestation in the control plane: challenge, verify, appraise.
export { appraise, type VerifiedEvidence } from './appraise.ts';
export { type Attestation, type AttestationEvent, type AttestationPorts, createAttestation } from './attestation.ts';
export type { Challenge } from './challenges.ts';
export { BUNDLE, PROGRAM, referenceValuesOf, type ReferenceValues } from './reference-values.ts';
