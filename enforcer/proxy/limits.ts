// Named bounds of the protocol proxies, each with its unit and reason.

export interface ProxyLimits {
  /** Connections at the same time, about 17 kB each; a PLC behind it accepts a handful, a broker many. */
  readonly maxConnections: number;
  /** Connections of one address: masters open one to a few, a flood opens all. */
  readonly maxConnectionsPerPeer: number;
  /** Modbus requests forwarded on one connection and not yet answered (the specification's guide names up to 16). */
  readonly maxOutstanding: number;
  /** Milliseconds after which a Modbus answer is no longer expected; units behind a gateway may never answer. */
  readonly responseTimeoutMs: number;
  /** Milliseconds a begun message may stay unfinished; serial lines behind terminal servers are slow, nobody is this slow. */
  readonly frameTimeoutMs: number;
  /** Milliseconds for which either side may take nothing of what waits for it. */
  readonly stallTimeoutMs: number;
  /** Milliseconds the server may take to accept a connection. */
  readonly connectTimeoutMs: number;
  /** Milliseconds over which identical denials become one event. */
  readonly denialWindowMs: number;
  /** Milliseconds over which allows of one peer and operation become one event. */
  readonly allowWindowMs: number;
  /** Different events kept apart within a window; what comes above is counted by subject, interface and reason. */
  readonly maxDistinctEvents: number;
}

export const defaultLimits: ProxyLimits = {
  maxConnections: 1_024,
  maxConnectionsPerPeer: 16,
  maxOutstanding: 16,
  responseTimeoutMs: 10_000,
  frameTimeoutMs: 10_000,
  stallTimeoutMs: 30_000,
  connectTimeoutMs: 5_000,
  denialWindowMs: 1_000,
  allowWindowMs: 60_000,
  maxDistinctEvents: 512,
};

/** Milliseconds between looks at windows and timeouts. */
export const TICK_MS = 500;

/** Written values of one request that its event holds: all registers of a write, and its first coils. */
export const maxRecordedValues = 256;

/** Milliseconds of silence before TCP probes a peer, so that a half-open connection does not keep its place. */
export const KEEP_ALIVE_MS = 30_000;

/** Bytes of our own answers to a server that may wait for it to read them, before its messages are no longer read. */
export const MAX_BACKLOG_BYTES = 256 * 1024;

/** Milliseconds that a proxy which ends waits for answers that are under way. */
export const DRAIN_MS = 2_000;

/** Modbus registers of which a listener remembers the values: more are forgotten from the one seen longest ago on. */
export const MAX_IMAGE_REGISTERS = 16_384;
