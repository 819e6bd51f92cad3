// What the stream asks of the rest of the edge; bin/ joins these to the rooms that own them.
import type { EnrollResponse } from '../../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import type { ConnectRequest, ConnectResponse, ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';

/** A client of EdgeStreamService over one connection, made with the identity of the moment. */
export interface StreamConnection {
  connect(
    requests: AsyncIterable<ConnectRequest>,
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<ConnectResponse>;
  close(): void | Promise<void>;
}

/** What is in force after a resource was taken; goes into the ACK. */
export interface InForce {
  /** SHA-256; empty when nothing is in force. */
  readonly digest: Uint8Array;
  readonly selfTest?: { readonly vectors: number; readonly passed: number };
}

/**
 * Fetches chunks by lower case hex SHA-256 and hands each to `store` as soon as it came and its digest held. What was
 * stored before a failure need not be asked for again. Rejects with DISTRIBUTION_CHUNK_* or DISTRIBUTION_INTERRUPTED.
 */
export type FetchChunks = (
  digests: readonly string[],
  store: (digest: string, content: Uint8Array) => Promise<void>,
) => Promise<void>;

export interface ReceivedResource {
  readonly version: bigint;
  /** As stream.proto says for the type; not verified yet. */
  readonly payload: Uint8Array;
}

/** Takes resources of one type. Called for one resource at a time. */
export interface ResourceHandler {
  /** Version in force; 0 for nothing. */
  version(): bigint;
  /** Verifies and puts in force. Throws a CodedError, with which the edge refuses (NACK) and keeps what it has. */
  apply(resource: ReceivedResource, fetchChunks: FetchChunks): Promise<InForce>;
  /** The server has nothing newer than `version()`: says what is in force. */
  confirm(): Promise<InForce>;
}

export interface Renewal {
  /** Milliseconds until the identity is to be renewed; 0 or less for now. */
  dueInMs(): number;
  /** A certificate request (DER) with a new key. */
  createRequest(): Promise<Uint8Array>;
  /** Keeps the new identity, durably, so that the next `dial` uses it. */
  accept(response: EnrollResponse): Promise<void>;
}

export interface StreamHandlers {
  /** Types without a handler are not subscribed. TIME has its own. */
  readonly resources: Partial<Record<ResourceType, ResourceHandler>>;
  /** Takes a signed time (JWS typ edgeward-time+proto). */
  readonly time?: (jws: string) => Promise<void>;
  /** Collects evidence over a nonce: a JWS (typ edgeward-evidence+json). */
  readonly evidence: (challenge: { readonly nonce: Uint8Array; readonly deadlineMs: number }) => Promise<string>;
  readonly renewal?: Renewal;
}
