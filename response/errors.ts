// Closed table of what response refuses.
import { errorTable } from '../runtime/errors.ts';

export const responseErrors = errorTable({
  RESPONSE_DEVICE_UNKNOWN: {
    status: 'NOT_FOUND',
    remedy: 'List the devices with: edgeward device list; a new one comes from the inventory of a published policy.',
  },
  RESPONSE_TRANSITION_REFUSED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Look at the state and its history with: edgeward device timeline DEVICE',
  },
  RESPONSE_REIMAGE_NEEDED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Re-image the device, then: edgeward token create DEVICE --reimage, and enroll it with a new key.',
  },
  RESPONSE_NOT_ATTESTED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Wait for an affirming appraisal after the recovery, or mend what edgeward device timeline DEVICE shows.',
  },
  RESPONSE_FINDING_OPEN: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Look at it with: edgeward finding list --state open; an open finding keeps the quarantine.',
  },
  RESPONSE_PLAYBOOK_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct the playbook in the policy repository and publish again; edgeward policy lint names the place.',
  },
});
