// Named bounds of the second layer at a broker, each with its unit and reason.

/** Milliseconds for a connection, and for each answer: the broker is on this host. */
export const BROKER_TIMEOUT_MS = 5_000;

/** Bytes of one answer: a broker with some thousand accounts lists them in less. */
export const MAX_BROKER_ANSWER_BYTES = 4 * 1024 * 1024;

/** Commands of one request: each rewrites the broker's file. */
export const MAX_COMMANDS = 100;

/** Bytes of the secret that the accounts are derived from (HKDF with SHA-256, RFC 5869). */
export const ACCOUNT_KEY_BYTES = 32;

/** Comparisons of one repair: the second sees what the first left, the third that somebody works against it. */
export const MAX_ROUNDS = 3;
