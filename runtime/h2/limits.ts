// What one peer may take, each with unit and reason. Peers are proxies on this host: few, busy, and not to be trusted.
import type { BudgetLimits } from './budget.ts';

export interface UnaryServerLimits {
  readonly maxConnections: number;
  /** Calls at a time on one connection, cancelled ones included while their method still runs. */
  readonly maxConcurrentStreams: number;
  /** Bytes of one message, both ways. */
  readonly maxMessageBytes: number;
  /** Octets of all fields of a request, 32 more for each (RFC 9113 section 6.5.2). */
  readonly maxHeaderListBytes: number;
  /**
   * Octets of the dynamic table that a peer's encoder may use (SETTINGS_HEADER_TABLE_SIZE). With 0, header blocks have no memory:
   * equal octets mean equal fields and need not be decoded again.
   */
  readonly headerTableBytes: number;
  /** Octets of a header block on the wire, and CONTINUATION frames of it. */
  readonly maxHeaderBlockBytes: number;
  readonly maxContinuations: number;
  /** Bytes that a connection may hold of messages that are not complete. */
  readonly maxBufferedBytes: number;
  /** The same of all connections together: who may open one may open them all. */
  readonly maxBufferedBytesOfAll: number;
  /** Bytes of answers that a connection may hold because its peer does not take them. */
  readonly maxQueuedBytes: number;
  /** Frames that ask nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, frames of closed or unknown kinds. */
  readonly idleFrames: BudgetLimits;
  /** Streams that end by RST_STREAM of the peer, or of us because of what it sent (CVE-2023-44487, CVE-2025-8671). */
  readonly resets: BudgetLimits;
  /** Milliseconds from the connection to its first SETTINGS, and to the acknowledgement of ours. */
  readonly prefaceMs: number;
  /** Milliseconds that a frame, or a header block over several frames, may take. */
  readonly frameMs: number;
  /** Milliseconds that a request may take from its header to its end. */
  readonly requestMs: number;
  /** Milliseconds that an answer may wait for the peer to take it. */
  readonly answerMs: number;
  /** Milliseconds without a call after which a connection ends. */
  readonly idleMs: number;
}

export const defaultLimits: UnaryServerLimits = {
  maxConnections: 256,
  // Envoy multiplexes all of a worker's requests on one connection; 100 is a cliff (envoyproxy/envoy#2941).
  maxConcurrentStreams: 2048,
  maxMessageBytes: 128 * 1024,
  maxHeaderListBytes: 16 * 1024,
  headerTableBytes: 0,
  maxHeaderBlockBytes: 64 * 1024,
  maxContinuations: 16,
  maxBufferedBytes: 8 * 1024 * 1024,
  maxBufferedBytesOfAll: 32 * 1024 * 1024,
  maxQueuedBytes: 4 * 1024 * 1024,
  // Clients that measure bandwidth send a PING a round trip while they have calls, so calls pay for them.
  idleFrames: { burst: 1000, perSecond: 100, perCall: 4 },
  // A proxy whose own clients go away cancels what it asked, at most all of it at once.
  resets: { burst: 4096, perSecond: 200, perCall: 1 },
  prefaceMs: 5_000,
  frameMs: 5_000,
  requestMs: 10_000,
  answerMs: 20_000,
  idleMs: 120_000,
};

/** Octets that peers may have under way on a connection and on a stream; a Check is about 1 KiB. */
export const connectionWindow = 4 * 1024 * 1024;
export const streamWindow = 65_535;
/** Bytes written with one system call. Larger writes gain nothing, smaller ones cost a call each. */
export const batchBytes = 64 * 1024;
/** Batches kept for all connections together. */
export const maxSpareBatches = 64;
/** Bytes handed to a socket and not taken by it above which its connection is not read. */
export const maxUnsentBytes = 128 * 1024;
/** Header blocks of a connection that are remembered, and bytes of the longest one. */
export const maxKnownHeads = 4;
export const maxKnownHeadBytes = 1024;
/** Closed streams that are remembered, to tell late frames from wrong ones; a power of two. */
export const rememberedStreams = 2048;
/** Milliseconds between looks at what takes too long. */
export const sweepMs = 250;
/** Milliseconds for which a refused peer is still read, so that it can read why. */
export const lingerMs = 1_000;
