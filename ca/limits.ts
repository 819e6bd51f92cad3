// Sizes, counts and lifetimes of the authority, each with unit and reason.

const SECOND_MS = 1000;
const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;

export const limits = {
  /** 256 bit: cannot be guessed, so a plain SHA-256 of it may be stored. */
  tokenSecretBytes: 32,
  /** Public; only has to be unique. Hex in the join line. */
  tokenIdBytes: 10,
  /** Design default for a join token. */
  tokenTtlSeconds: HOUR_S,
  /** A token lies in chats and shell histories; a day is as long as one may be good. */
  tokenTtlMaxSeconds: DAY_S,
  /** `edgeward token list` shows at most so many, newest first. */
  tokenListMax: 1000,
  /** A join line is about 300 characters; nothing longer is looked at. */
  joinLineMaxCharacters: 2048,
  /** Same cap as identity/csr.ts; checked before any parsing. */
  csrMaxBytes: 16 * 1024,
  /** Free text of the client, kept for the inventory. */
  agentVersionMaxCharacters: 64,

  /** Outlives the hard expiry of a bundle (7 days) also when renewal at half-life fails for a week. */
  deviceTtlSeconds: 14 * DAY_S,
  operatorTtlSeconds: 8 * HOUR_S,
  /** Also the bootstrap credential of the first administrator. */
  operatorTtlMaxSeconds: DAY_S,
  /** The server renews itself on open past half-life; long enough for a control plane that is restarted monthly. */
  serverTtlSeconds: 90 * DAY_S,
  intermediateTtlSeconds: 5 * 365 * DAY_S,
  rootTtlSeconds: 20 * 365 * DAY_S,

  /** A reader of revocations asks the database so often. */
  revocationPollMs: 1 * SECOND_MS,
  /** Older knowledge than this refuses every certificate: the database has been gone for that long. */
  revocationMaxAgeMs: 10 * SECOND_MS,
  /** Same bound as identity/limits.ts MAX_ANCHOR_KEYS: what an edge reads. */
  publishersMax: 32,
  /** A P-256 JWK has about 130 characters; members besides the key are dropped. */
  publisherJwkMaxCharacters: 1024,
  /** Operators' reasons and names in rows and events. */
  reasonMaxCharacters: 512,

  /** TLS pre-flight and the one RPC; a site behind a satellite needs seconds, not minutes. */
  enrolTimeoutMs: 20 * SECOND_MS,
  /** Same bound as identity/limits.ts: leaf, at most 2 intermediates, root. */
  chainMaxCertificates: 4,
  /** A chain has about 2 KiB, anchors with 32 publishers 8 KiB. */
  identityFileMaxBytes: 64 * 1024,
  /** Renewal at half-life, spread by this part of the lifetime to either side (SPIRE's rotation rule). */
  renewalJitter: 0.1,
} as const;

/** Version of the enrolment contract (proto/edgeward/enrolment/v1). */
export const enrolmentProtocolVersion = 1;
