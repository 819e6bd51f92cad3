// Named bounds of the protocol proxies, each with its unit and reason.

export interface ModbusLimits {
  /** Connections at the same time; a PLC behind it accepts a handful. */
  readonly maxConnections: number;
  /** Connections of one address: masters open one to a few, a flood opens all. */
  readonly maxConnectionsPerPeer: number;
  /** Requests forwarded on one connection and not yet answered (the specification's guide names up to 16). */
  readonly maxOutstanding: number;
  /** Milliseconds after which an answer is no longer expected; units behind a gateway may never answer. */
  readonly responseTimeoutMs: number;
  /** Milliseconds a begun frame may stay unfinished; serial lines behind terminal servers are slow, nobody is this slow. */
  readonly frameTimeoutMs: number;
  /** Milliseconds a peer may leave its answers unread. */
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

export const defaultModbusLimits: ModbusLimits = {
  maxConnections: 256,
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
