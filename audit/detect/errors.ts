// Closed table of what detection refuses.
import { type CodedError, errorTable, type Place } from '../../runtime/errors.ts';

export const detectErrors = errorTable({
  DETECT_RULE_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct the Sigma rule at the place named; docs/detection.md lists what is evaluated.',
  },
  DETECT_FINDING_UNKNOWN: { status: 'NOT_FOUND', remedy: 'List them with: edgeward finding list' },
  DETECT_REVIEW_REFUSED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Only an open finding about break-glass is reviewed; look at it again with: edgeward finding show FINDING',
  },
  DETECT_REVIEW_OWN: {
    status: 'PERMISSION_DENIED',
    remedy: 'Have it reviewed by an auditor who neither asked for the opening nor approved it.',
  },
  DETECT_REVIEW_EVIDENCE: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Keep "by" out of audit.mask of the edge: a review has to see who opened.',
  },
  DETECT_TARGET_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct findings.webhook or findings.syslog in the control plane configuration.',
  },
  DETECT_DELIVERY_FAILED: {
    status: 'UNAVAILABLE',
    remedy: 'Check the webhook or syslog address in the control plane configuration; findings stay in the database.',
  },
});

export function ruleInvalid(place: Place, message: string, cause?: unknown): CodedError {
  return detectErrors.error('DETECT_RULE_INVALID', message, { place, cause });
}
