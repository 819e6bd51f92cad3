// The closed table of what the one stream refuses. STREAM_*: the control plane's side of the wire contract;
// DISTRIBUTION_*: the edge's side.
import { errorTable } from '../../runtime/errors.ts';

export const distributionErrors = errorTable({
  STREAM_PROTOCOL_VERSION: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Update the older of edge and control plane so that both speak version 1 of the stream',
  },
  STREAM_HELLO_MISSING: { status: 'INVALID_ARGUMENT', remedy: 'Send Hello as the first message of every Connect' },
  STREAM_HELLO_REPEATED: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Send Hello once; open another Connect to subscribe anew',
  },
  STREAM_MESSAGE_EMPTY: { status: 'INVALID_ARGUMENT', remedy: 'Set one of the messages of the stream contract' },
  STREAM_SUBSCRIPTION_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Subscribe to at least one resource type, and to each only once',
  },
  STREAM_TYPE_UNKNOWN: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Update the control plane, or subscribe only to resource types of version 1 of the stream',
  },
  STREAM_TYPE_NOT_SERVED: {
    status: 'UNIMPLEMENTED',
    remedy: 'Update the control plane, or subscribe without this resource type',
  },
  STREAM_OVERSIZED: { status: 'INVALID_ARGUMENT', remedy: 'Send a message within the limits of the stream contract' },
  STREAM_NONCE_UNKNOWN: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Answer each resource once, with the nonce and type it came with, on the stream it came on',
  },
  STREAM_VERSION_MISMATCH: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Answer a resource with the version it came with',
  },
  STREAM_CHUNK_NOT_NAMED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Request only chunks that the manifest of this device names, after it was received on this stream',
  },
  STREAM_CHUNK_MISSING: {
    status: 'DATA_LOSS',
    remedy: 'Publish the policy again; a chunk that a manifest names is not in the store',
  },
  STREAM_OVERRUN: { status: 'RESOURCE_EXHAUSTED', remedy: 'Wait for the answers before asking for more' },
  STREAM_CHALLENGE_UNKNOWN: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Answer each challenge once, on the stream it came on, before its deadline',
  },
  STREAM_NOT_A_DEVICE: { status: 'PERMISSION_DENIED', remedy: 'Connect with the X.509-SVID of a device' },
  STREAM_REPLACED: { status: 'ABORTED', remedy: 'Stop the other edge process that uses this identity' },
  STREAM_SVID_EXPIRED: { status: 'UNAUTHENTICATED', remedy: 'Connect again with the renewed identity' },
  STREAM_DISCONNECTED: { status: 'PERMISSION_DENIED', remedy: 'Ask an operator why this device was disconnected' },
  STREAM_FULL: {
    status: 'UNAVAILABLE',
    remedy: 'Connect again later; this control plane holds all the streams it can',
  },
  STREAM_STOPPING: { status: 'UNAVAILABLE', remedy: 'Connect again; the control plane is stopping' },
  STREAM_ACK_OVERDUE: { status: 'DEADLINE_EXCEEDED', remedy: 'Check the edge: it took a resource and never answered' },

  DISTRIBUTION_ANSWER_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Update the edge; the control plane sent what version 1 of the stream does not have',
  },
  DISTRIBUTION_SILENT: { status: 'UNAVAILABLE', remedy: 'Check the network path; the control plane fell silent' },
  DISTRIBUTION_INTERRUPTED: { status: 'UNAVAILABLE', remedy: 'Wait; the edge connects again by itself' },
  DISTRIBUTION_CHUNK_TAMPERED: {
    status: 'DATA_LOSS',
    remedy: 'Check the control plane: a chunk does not have the digest that the manifest names',
  },
  DISTRIBUTION_CHUNK_OVERDUE: { status: 'DEADLINE_EXCEEDED', remedy: 'Wait; the edge resumes with the chunks it has' },
  DISTRIBUTION_RENEWAL_OVERDUE: { status: 'DEADLINE_EXCEEDED', remedy: 'Wait; the edge asks for renewal again' },
  DISTRIBUTION_HANDLER_FAILED: { status: 'INTERNAL', remedy: 'See the log of the edge; the last good resource stays' },
});

export type DistributionErrorCode = keyof typeof distributionErrors.codes;
