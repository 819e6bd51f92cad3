// The closed table of what the edge refuses while it activates a bundle, takes orders, or is told the time. What the
// bundle itself is refused for (BUNDLE_*) and a full disk (FILE_SYSTEM_FULL) come from those who find it.
import { errorTable } from '../../runtime/errors.ts';

export const activationErrors = errorTable({
  ACTIVATION_ROLLBACK: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Publish the wanted content under a new version; an older one is never activated again',
  },
  ACTIVATION_VERSION_MISMATCH: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Check the control plane: it announced another version than it sent',
  },
  ACTIVATION_SELF_TEST: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Correct the policy or its test at the place named, then publish again',
  },
  ACTIVATION_FIREWALL: {
    status: 'FAILED_PRECONDITION',
    remedy: 'See the cause in the log of the edge; the last good bundle stays in force',
  },
  ACTIVATION_COMPILE: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Build the bundle again; if it repeats, report it with the log of the edge',
  },
  ACTIVATION_STORE: { status: 'INTERNAL', remedy: 'Check the disk and the permissions of the state directory' },
  ORDERS_INVALID: { status: 'INVALID_ARGUMENT', remedy: 'Check the control plane: it sent what no order looks like' },
  ORDERS_TRUST_DOMAIN: {
    status: 'PERMISSION_DENIED',
    remedy: 'Connect the edge to the control plane of its own trust domain',
  },
  ORDERS_GAP: { status: 'FAILED_PRECONDITION', remedy: 'Send the orders from the one after the active version on' },
  ORDERS_OLDER: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Sign the state again under a new version; an older one is never taken again',
  },
  ORDERS_NOT_ENFORCED: {
    status: 'UNAVAILABLE',
    remedy: 'See the cause in the log of the edge; it tries again whenever the order is sent again',
  },
  CLOCK_TIME_INVALID: { status: 'INVALID_ARGUMENT', remedy: 'Check the control plane: it signed no usable time' },
  CLOCK_JUMP_REFUSED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Correct the clock of the control plane; if the edge is wrong, restart its host',
  },
});

export type ActivationErrorCode = keyof typeof activationErrors.codes;
