// The closed table of what the authority refuses, and what the reader does next. Used by cloud and edge.
import { errorTable } from '../runtime/errors.ts';

export const caErrors = errorTable({
  // Join tokens
  CA_TOKEN_UNKNOWN: {
    status: 'UNAUTHENTICATED',
    remedy: 'Check that the join line is complete and meant for this control plane, or make a new one',
  },
  CA_TOKEN_EXPIRED: { status: 'PERMISSION_DENIED', remedy: 'Make a new token with `edgeward token create`' },
  CA_TOKEN_REVOKED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Ask who revoked the token; make a new one if it was not meant',
  },
  CA_TOKEN_USED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Find out which machine redeemed the token first; if it was not yours, revoke the device',
  },
  CA_TOKEN_ABSENT: { status: 'NOT_FOUND', remedy: 'Look the token up with `edgeward token list`' },
  CA_TOKEN_TTL: { status: 'INVALID_ARGUMENT', remedy: 'Choose a lifetime between 1 second and 24 hours' },
  // Devices
  CA_DEVICE_UNKNOWN: {
    status: 'NOT_FOUND',
    remedy: 'Add the device to inventory/ in the policy repository and publish, or correct its name',
  },
  CA_DEVICE_ENROLLED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Make a token with `--reimage` if the device was re-imaged; its old certificates are revoked then',
  },
  CA_DEVICE_DECOMMISSIONED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Give the hardware a new name in the inventory; a decommissioned name does not come back',
  },
  // Requests for certificates
  CA_PROTOCOL_VERSION: { status: 'FAILED_PRECONDITION', remedy: 'Update the older of agent and control plane' },
  CA_REQUEST_INVALID: { status: 'INVALID_ARGUMENT', remedy: 'Correct the named field' },
  CA_NAME_MISMATCH: {
    status: 'PERMISSION_DENIED',
    remedy: 'Leave the name out of the request; it comes from the inventory, never from the device',
  },
  CA_KEY_IN_USE: {
    status: 'PERMISSION_DENIED',
    remedy: 'Make a key of its own on every device; do not clone images that hold one',
  },
  CA_KEY_NOT_NEW: { status: 'FAILED_PRECONDITION', remedy: 'Make a new key and ask again' },
  CA_CERTIFICATE_UNKNOWN: { status: 'PERMISSION_DENIED', remedy: 'Enrol the device again with a new token' },
  CA_CERTIFICATE_REVOKED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Find out why it was revoked; enrol again with a new key and a new token',
  },
  CA_CERTIFICATE_EXPIRED: { status: 'PERMISSION_DENIED', remedy: 'Enrol the device again with a new token' },
  // People
  CA_OPERATOR_INVALID: { status: 'INVALID_ARGUMENT', remedy: 'Correct the operator’s name, roles or lifetime' },
  CA_PUBLISHER_KEY_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Give the public half of a P-256 key as JWK; the private half stays with the publisher',
  },
  // The authority itself
  CA_AUTHORITY_EXISTS: { status: 'ALREADY_EXISTS', remedy: 'Keep the key file that is there, or choose another path' },
  CA_AUTHORITY_INVALID: { status: 'FAILED_PRECONDITION', remedy: 'Restore the authority’s key file from the backup' },
  CA_AUTHORITY_EXPIRED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Check the clock; rotate the intermediate if it is right',
  },
  CA_ROOT_KEY_ABSENT: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Bring the root key back from offline custody for this step',
  },
  CA_REVOCATIONS_STALE: {
    status: 'UNAVAILABLE',
    remedy: 'Restore the database; certificates are refused while revocations cannot be read',
  },
  // The edge
  CA_JOIN_LINE_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Copy the whole join line, from `ew1.` to its end, or make a new token',
  },
  CA_SERVER_UNREACHABLE: {
    status: 'UNAVAILABLE',
    remedy: 'Check the address in the join line, the network and the control plane',
  },
  CA_SERVER_UNTRUSTED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Do not retry before you know who answers at that address; the secret was not sent',
  },
  CA_ANSWER_INVALID: { status: 'DATA_LOSS', remedy: 'Report this with both versions; the answer was not stored' },
  CA_IDENTITY_ABSENT: { status: 'FAILED_PRECONDITION', remedy: 'Run `edgeward enroll` with a join line first' },
  CA_IDENTITY_BROKEN: {
    status: 'DATA_LOSS',
    remedy:
      'Remove the identity directory and enrol again with a `--reimage` token; packet rules stay in force until ' +
      '`nft delete table inet edgeward`',
  },
  CA_IDENTITY_EXISTS: {
    status: 'ALREADY_EXISTS',
    remedy: 'Nothing needs to be done; to start over, remove the identity directory and use a `--reimage` token',
  },
});

export type CaErrorCode = keyof typeof caErrors.codes;
