// What the stream asks of the rest of the control plane; bin/ joins these to the rooms that own them.
import type { VerifiedSvid } from '../../../identity/index.ts';
import type { EnrollResponse } from '../../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import type { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { CodedError } from '../../../runtime/errors.ts';

export interface SourcedResource {
  readonly version: bigint | number;
  /** As stream.proto says for the type: an OrderLog, or a JWS as UTF-8. */
  readonly payload: Uint8Array;
}

/** Where resources of one type come from. Asked per device; nothing here may be O(fleet). */
export interface ResourceSource {
  /** The newest for this device; undefined when there is none yet. */
  current(deviceId: string): Promise<SourcedResource | undefined>;
  /** For logs (orders): what comes after `version`; undefined when nothing does. Its version is that of its last entry. */
  since?(deviceId: string, version: bigint): Promise<SourcedResource | undefined>;
  /** For policy: content of a chunk. Asked only for digests that a manifest sent to this device names. */
  chunk?(deviceId: string, digestHex: string): Promise<Uint8Array | undefined>;
}

export interface Acknowledgement {
  readonly deviceId: string;
  readonly type: ResourceType;
  readonly version: bigint;
  /** Lower case hex; empty when nothing is in force. */
  readonly digest: string;
  readonly selfTest: { readonly vectors: number; readonly passed: number } | undefined;
}

export interface Refusal {
  readonly deviceId: string;
  readonly type: ResourceType;
  /** The refused version. */
  readonly version: bigint;
  /** What stays in force. */
  readonly activeVersion: bigint;
  readonly error: CodedError;
}

/** Where answers of edges are kept. When ack or nack reject with UNAVAILABLE they are retried; the stream waits meanwhile. */
export interface StreamRecord {
  /** Also told after each reconnect of what is unchanged; keep it idempotent. */
  ack(acknowledgement: Acknowledgement): Promise<void>;
  nack(refusal: Refusal): Promise<void>;
  /**
   * For the audit: a stream was refused, or ended because its edge broke the contract, or was replaced by another with
   * the same identity. Not told of losses, expired SVIDs and a stopping server.
   */
  refused(deviceId: string, error: CodedError): Promise<void>;
}

export interface ChallengePlan {
  /** Milliseconds between two challenges of a connected device; the first comes at once. */
  readonly intervalMs: number;
  /** A fresh nonce that the appraisal will recognise. */
  issue(device: VerifiedSvid): Promise<{ readonly nonce: Uint8Array; readonly deadlineMs: number }>;
  /** The deadline passed without evidence. */
  missed(deviceId: string, nonce: Uint8Array): Promise<void>;
}

export interface StreamPorts {
  readonly sources: Partial<Record<ResourceType, ResourceSource>>;
  /** Issues for the key in the request; the name is that of the authenticated device. */
  renew(device: VerifiedSvid, csrDer: Uint8Array): Promise<EnrollResponse>;
  submitEvidence(device: VerifiedSvid, evidence: { readonly nonce: Uint8Array; readonly jws: string }): Promise<void>;
  readonly challenge: ChallengePlan;
  readonly record: StreamRecord;
  /** Throws the CodedError with which this device is refused (revoked, decommissioned, too often). */
  admission(device: VerifiedSvid): Promise<void>;
}

export interface ConnectedDevice {
  readonly deviceId: string;
  readonly serialHex: string;
  readonly agentVersion: string;
  /** Milliseconds since the epoch at which its oldest stream began. */
  readonly since: number;
  /** Milliseconds since the epoch at which it last said something. */
  readonly lastSeen: number;
  readonly types: readonly ResourceType[];
}
