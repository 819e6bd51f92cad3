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
  RESPONSE_TARGET_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Name devices, or a site, or for blocks and pardons the fleet: one of them.',
  },
  RESPONSE_SITE_UNKNOWN: {
    status: 'NOT_FOUND',
    remedy: 'Give the devices of a site the label site in inventory/ and publish; edgeward device list shows labels.',
  },
  RESPONSE_BLOCK_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Give one IPv4 or IPv6 address and a time of one second to seven days; longer is a rule under firewall/.',
  },
  RESPONSE_BLOCKS_FULL: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Pardon what need not be blocked (edgeward response blocks), or write a deny rule under firewall/.',
  },
  RESPONSE_PLAYBOOK_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct the playbook in the policy repository and publish again; edgeward policy lint names the place.',
  },
});
