// The closed table of error codes of the audit pipeline: SPOOL_* on the edge's disk, AUDIT_* on the wire, in the
// cloud's log and in its verification.
import { errorTable } from '../runtime/errors.ts';

export const auditErrors = errorTable({
  SPOOL_FULL: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Free disk space, raise the spool quota, or restore the link to the control plane',
  },
  SPOOL_OVERLOADED: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Retry later: events arrive faster than the disk takes them',
  },
  SPOOL_UNWRITABLE: {
    status: 'UNAVAILABLE',
    remedy: 'Check the disk and the permissions of the spool directory',
  },
  SPOOL_EVENT_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Report this as a fault of the program that wrote the event',
  },
  SPOOL_DAMAGED: {
    status: 'DATA_LOSS',
    remedy:
      'Check the disk; what was readable continues under a new epoch, the damaged bytes are in the quarantine files',
  },
  SPOOL_CLOSED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Restart the edge',
  },
  AUDIT_PROTOCOL: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Run an edge whose version fits the control plane',
  },
  AUDIT_VERSION_UNSUPPORTED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Run an edge whose version fits the control plane',
  },
  AUDIT_DEVICE_RESERVED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Rename the device in the inventory: this name belongs to the control plane',
  },
  AUDIT_CREDIT_EXCEEDED: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Send no more records than were credited',
  },
  AUDIT_SEQUENCE_GAP: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Resume after the acknowledged sequence, or continue under a new epoch',
  },
  AUDIT_CHAIN_BROKEN: {
    status: 'DATA_LOSS',
    remedy: 'Treat the device as tampered with until its log is explained; it continues under a new epoch',
  },
  AUDIT_FORK: {
    status: 'DATA_LOSS',
    remedy: 'Treat the device as cloned or rolled back; compare both chains with `edgeward audit query`',
  },
  AUDIT_EVENT_MALFORMED: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Run an edge whose version fits the control plane',
  },
  AUDIT_HEAD_INVALID: {
    status: 'PERMISSION_DENIED',
    remedy: 'Check the key and certificate of the device',
  },
  AUDIT_STORE_INCONSISTENT: {
    status: 'DATA_LOSS',
    remedy: 'Run `edgeward audit verify` against a checkpoint held elsewhere and restore the database',
  },
  AUDIT_QUERY_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct the filter',
  },
  AUDIT_CHECKPOINT_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Pass the checkpoint exactly as it was saved, and the verifier key of this log',
  },
});
