// Named limits of the runtime, with unit and reason.

/** setTimeout fires at once for longer delays (milliseconds). */
export const maxTimerMs = 2 ** 31 - 1;

/** Bytes of one YAML file. People write kilobytes; more is a mistake or an attack. */
export const maxYamlBytes = 1024 * 1024;
/** Levels of a YAML file. The deepest of our formats has 9. */
export const maxYamlDepth = 64;
/** Bytes of a secret in a file. Secrets are short; a larger file is the wrong file. */
export const maxSecretBytes = 4096;

/** Levels of canonical JSON: more than every document we sign; bounds the recursion for hostile input. */
export const maxJsonDepth = 64;
/** Levels of a logged value; what is deeper is not worth a line. */
export const maxLogDepth = 6;

/** Keys of a rate limit that are remembered; a bucket takes about 100 bytes. */
export const maxRateLimitKeys = 10_000;

/** Milliseconds that tasks may take to stop once asked; the shutdown of systemd allows 90 s. */
export const drainMs = 10_000;

/** Levels of a protobuf message; the deepest of ours has 6. */
export const maxMessageDepth = 32;
/** Bytes of a message, both ways: a chunk of a bundle or a batch of events, with room. */
export const maxMessageBytes = 4 * 1024 * 1024;
/** Characters of an error on the wire: headers are limited to 16 KiB, and an error is a sentence. */
export const maxErrorText = 1024;
/** Characters of it in the status line, for foreign clients; percent-encoding makes them up to nine times as long. */
export const maxStatusText = 200;
/** Bytes handed to a stream that the peer has not yet made room for. */
export const maxBytesInFlight = 256 * 1024;
/** Certificates of a peer that are looked at: leaf, edge issuer, intermediate, root, with room for a cross-signed one. */
export const maxChain = 6;

/** Milliseconds of a unary call, unless the caller says otherwise. */
export const unaryTimeoutMs = 15_000;
/** A connection without calls is closed after this; without it, probes leak sessions (grpc-node #2975). */
export const maxConnectionIdleMs = 5 * 60_000;
/** Calls at a time on one connection; an edge has two streams and some renewals. */
export const maxCallsPerConnection = 100;
/** Milliseconds of silence before a ping, and to wait for its answer; clients ping sooner, middleboxes forget at 30 s. */
export const serverKeepaliveMs = 30_000;
export const clientKeepaliveMs = 20_000;
export const keepaliveTimeoutMs = 10_000;
/** Milliseconds between tries to connect, doubling. */
export const reconnectMs = { first: 500, max: 10_000 } as const;
/** What a listener takes on; see ListenerLimits. */
export const listenerLimits = {
  maxHandshakesInFlight: 32,
  handshakeSlotMs: 250,
  maxHandshakesWaiting: 4096,
  handshakeMs: 10_000,
  maxConnections: 20_000,
} as const;
/** Connections to the diagnostics port: a person and a scraper. */
export const maxDiagnosticsConnections = 64;
