// Named bounds of TLS at the proxies, each with its unit and reason.

/** Bytes of a ClientHello: with post-quantum key shares, tickets and padding some 2 KiB; OpenSSL takes 131,396. */
export const MAX_HELLO_BYTES = 16 * 1024;

/** Records over which a ClientHello may be spread: real ones take one, rarely two; every piece costs a header. */
export const MAX_HELLO_RECORDS = 32;

/** Bytes of a plain fragment (RFC 8446, 5.1), and what protection may add to it at most (RFC 5246, 6.2.3). */
export const MAX_FRAGMENT_BYTES = 16 * 1024;
export const MAX_EXPANSION_BYTES = 2_048;

/** Application protocols that one client may offer: browsers offer two, the registry has some forty. */
export const MAX_APPLICATION_PROTOCOLS = 32;

/** Characters of a host name and of one of its labels (RFC 1035, 2.3.4). */
export const MAX_NAME_CHARACTERS = 253;
export const MAX_LABEL_CHARACTERS = 63;

/** Milliseconds from the first byte of a TLS client until its handshake is done: slow links take seconds. */
export const HANDSHAKE_MS = 10_000;

/** Milliseconds that a client of TLS which is passed through may take until it has said hello; clients do at once. */
export const HELLO_MS = 10_000;

/** Handshakes of all proxies: at a time (a millisecond of CPU each), until one counts as slow, and in line. */
export const HANDSHAKE_LIMITS = {
  maxHandshakesInFlight: 8,
  handshakeSlotMs: 250,
  maxHandshakesWaiting: 256,
} as const;

/** Clients of this host on one egress at a time: programs of one machine open a handful. */
export const MAX_EGRESS_CONNECTIONS = 256;
