// Closed table of what detection refuses.
import { type CodedError, errorTable, type Place } from '../../runtime/errors.ts';

export const detectErrors = errorTable({
  DETECT_RULE_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct the Sigma rule at the place named; docs/detection.md lists what is evaluated.',
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
