// The closed table of what attestation refuses. A refusal is not an appraisal: what was known before goes stale.
import { type CodedError, type ErrorDetails, type ErrorTable, errorTable } from '../runtime/errors.ts';

const codes = {
  ATTEST_EVIDENCE_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy:
      'Send evidence of format 1 as canonical JSON in a JWS; upgrade the edge if it is older than the control plane',
  },
  ATTEST_EVIDENCE_TOO_LARGE: { status: 'INVALID_ARGUMENT', remedy: 'Configure fewer executables to measure' },
  ATTEST_EVIDENCE_UNTRUSTED: {
    status: 'UNAUTHENTICATED',
    remedy: 'Sign evidence with the key of the device; enrol again if the key is lost',
  },
  ATTEST_EVIDENCE_LATE: {
    status: 'DEADLINE_EXCEEDED',
    remedy: 'Wait for the next challenge; measure fewer or smaller files if it happens again',
  },
  ATTEST_NONCE_UNKNOWN: { status: 'FAILED_PRECONDITION', remedy: 'Answer only challenges of this connection' },
  ATTEST_NONCE_REPLAYED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Find out who sends evidence twice; the challenge was answered before',
  },
  ATTEST_DEVICE_MISMATCH: {
    status: 'PERMISSION_DENIED',
    remedy: 'Find out why one device speaks for another; each sends its own evidence over its own connection',
  },
  ATTEST_BUSY: { status: 'RESOURCE_EXHAUSTED', remedy: 'Wait; too many challenges are open on this control plane' },
  ATTEST_MEASURE_FAILED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Check that the installation of this program is complete and readable',
  },
} as const;

export type AttestErrorCode = keyof typeof codes;

export const attestErrors: ErrorTable<AttestErrorCode> = errorTable(codes);

/** Makes (does not throw) an error of attestation. */
export function attestError(code: AttestErrorCode, message: string, details?: ErrorDetails): CodedError {
  return attestErrors.error(code, message, details);
}
