// What both sides share. The sides themselves: edge/index.ts and cloud/index.ts.
export { type AttestErrorCode, attestErrors } from './errors.ts';
export { decodePosture, encodePosture, EVIDENCE_TYPE, type Posture } from './posture/posture.ts';
export {
  type AttestationResult,
  type ClaimName,
  type Finding,
  isStale,
  tierOf,
  type Tier,
  worstTier,
} from './posture/result.ts';
