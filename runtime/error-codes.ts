// The closed table of codes that the foundations themselves raise: configuration, the wire, remote calls, tasks.
import { errorTable, type ErrorTable, type StatusName } from './errors.ts';

export const runtimeErrors = errorTable({
  CONFIG_INVALID: { status: 'INVALID_ARGUMENT', remedy: 'Correct the file at the place named and try again' },
  CONFIG_UNREADABLE: { status: 'NOT_FOUND', remedy: 'Check that the file exists and that this user may read it' },
  CONFIG_TOO_LARGE: { status: 'INVALID_ARGUMENT', remedy: 'Split the file; one file may have at most 1 MiB' },
  SECRET_MISSING: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Give the secret in a file or in the environment variable named',
  },
  SECRET_FILE_EXPOSED: { status: 'FAILED_PRECONDITION', remedy: 'Run chmod 600 on the file' },
  CANONICAL_JSON_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Use only strings, finite numbers, booleans, null, lists and plain objects',
  },
  WIRE_UNKNOWN_FIELD: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Use the same version of Edgeward on both sides, or upgrade the side that answers first',
  },
  WIRE_MALFORMED: { status: 'INVALID_ARGUMENT', remedy: 'Check that both sides speak the same protocol' },
  LISTEN_FAILED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Choose a free address that belongs to this host, or stop the program that holds it',
  },
  PEER_REFUSED: { status: 'UNAUTHENTICATED', remedy: 'Check the address and the trust anchors of this installation' },
  TASK_NOT_DRAINED: { status: 'INTERNAL', remedy: 'Report this with the log; the program ended without a clean stop' },
  RPC_CANCELLED: { status: 'CANCELLED', remedy: 'Repeat the call if it was not you who cancelled it' },
  RPC_INVALID_ARGUMENT: { status: 'INVALID_ARGUMENT', remedy: 'Correct the request' },
  RPC_DEADLINE_EXCEEDED: {
    status: 'DEADLINE_EXCEEDED',
    remedy: 'Try again; check the network and the load of the server',
  },
  RPC_NOT_FOUND: { status: 'NOT_FOUND', remedy: 'Check the name' },
  RPC_ALREADY_EXISTS: { status: 'ALREADY_EXISTS', remedy: 'Choose another name' },
  RPC_PERMISSION_DENIED: { status: 'PERMISSION_DENIED', remedy: 'Ask for the role that this call needs' },
  RPC_RESOURCE_EXHAUSTED: { status: 'RESOURCE_EXHAUSTED', remedy: 'Wait and try again with less' },
  RPC_FAILED_PRECONDITION: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Read the message; the state does not allow this now',
  },
  RPC_ABORTED: { status: 'ABORTED', remedy: 'Try again' },
  RPC_OUT_OF_RANGE: { status: 'OUT_OF_RANGE', remedy: 'Correct the request' },
  RPC_UNIMPLEMENTED: { status: 'UNIMPLEMENTED', remedy: 'Upgrade the server; it does not know this call' },
  RPC_INTERNAL: { status: 'INTERNAL', remedy: 'Look in the log of the server' },
  RPC_UNAVAILABLE: {
    status: 'UNAVAILABLE',
    remedy: 'Check that the server runs and that the address is right; try again',
  },
  RPC_DATA_LOSS: { status: 'DATA_LOSS', remedy: 'Look in the log of the server' },
  RPC_UNAUTHENTICATED: { status: 'UNAUTHENTICATED', remedy: 'Check the certificate of this client' },
} as const);

export type RuntimeErrorCode = typeof runtimeErrors extends ErrorTable<infer Code> ? Code : never;

/** The code that stands for a bare gRPC status, when the other side sent no detail. */
export function rpcCode(status: StatusName): RuntimeErrorCode {
  return `RPC_${status}`;
}
