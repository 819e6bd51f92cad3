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

/** Connections above the bound that are kept for holders of a safety operation: a cell has a handful of such people's panels. */
export const SAFETY_PLACES = 32;
/** Of those, each peer's own: one that is half-open, and the new one. */
export const SAFETY_PLACES_PER_PEER = 2;

/** Milliseconds that a message waits for its record: clients give up after about as long. A safety operation waits for less. */
export const RECORD_MS = 5_000;
export const SAFETY_RECORD_MS = 250;

/** Written values of one request that its event holds: all registers of a write, and its first coils. */
export const maxRecordedValues = 256;

/** Milliseconds of silence before TCP probes a peer, so that a half-open connection does not keep its place. */
export const KEEP_ALIVE_MS = 30_000;

/** Bytes of our own answers to a server that may wait for it to read them, before its messages are no longer read. */
export const MAX_BACKLOG_BYTES = 256 * 1024;

/** Milliseconds that a proxy which ends waits for answers that are under way. */
export const DRAIN_MS = 2_000;

/** Milliseconds that a client has to end its side, once its last answer was sent and before it is closed. */
export const LAST_WORDS_MS = 1_000;

/** Modbus registers of which the values are remembered, of those written and of the others: the one seen longest ago is forgotten. */
export const MAX_IMAGE_REGISTERS = 16_384;

/** Bytes of an MQTT packet that is read and forwarded; images and files have other ways. */
export const MAX_MQTT_PACKET_BYTES = 1024 * 1024;

/** Bytes of an MQTT CONNECT: it comes before anybody is known, and holds a name, an account and a will. */
export const MAX_MQTT_CONNECT_BYTES = 128 * 1024;

/** Milliseconds for a CONNECT to come, and for its answer. */
export const MQTT_CONNECT_TIMEOUT_MS = 10_000;

/** Topic aliases of a client of MQTT 5.0, each a name of up to 64 KiB that is kept. */
export const MAX_MQTT_TOPIC_ALIASES = 16;

/** Messages of QoS 1 and 2 of one connection without their last answer; brokers take 20 to some hundreds at once. */
export const MAX_MQTT_UNACKNOWLEDGED = 4_096;

/** SUBSCRIBE and UNSUBSCRIBE packets of one connection that the server has not answered: then the client waits. */
export const MAX_MQTT_PENDING = 64;

/** Filters of one SUBSCRIBE or UNSUBSCRIBE, and how many all of them may become when they are narrowed. */
export const MAX_MQTT_FILTERS = 1_024;

/** Characters of the filters that one connection has subscribed to: they are kept, to be taken back. */
export const MAX_MQTT_FILTER_CHARACTERS = 256 * 1024;

/** Bytes of a payload that is read as JSON, where policy bounds what is in it; a longer one counts as unread. */
export const MAX_MQTT_JSON_BYTES = 64 * 1024;

/** Of the catalogue that is learned from traffic, for each interface: operations, ranges of each, subjects and names of each. */
export const MAX_LEARNED_OPERATIONS = 256;
export const MAX_LEARNED_RANGES = 32;
export const MAX_LEARNED_SUBJECTS = 64;

/** Different names at one level of topics or paths before they become a wildcard, and levels that are kept. */
export const MAX_LEARNED_NAMES_PER_LEVEL = 16;
export const MAX_LEARNED_LEVELS = 12;

/** Levels that all names of one operation have together, and characters of one name: beyond them names are open-ended. */
export const MAX_LEARNED_NODES = 1_024;
export const MAX_LEARNED_NAME_CHARACTERS = 512;

/** Operations of an interface that differ by a name of their own, as HTTP methods do: each holds names of the bound above. */
export const MAX_LEARNED_VERBS = 16;

/** Bytes of the learned catalogue on disk: a few interfaces of the bounds above. */
export const MAX_LEARNED_BYTES = 16 * 1024 * 1024;
