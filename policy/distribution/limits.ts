// Named bounds of the one stream, each with its unit and reason.

/** Version of the stream contract. */
export const PROTOCOL_VERSION = 1;

// ---- wire, both sides

/** Bytes of a nonce we make: unguessable, though it only has to be unique on its stream. */
export const NONCE_BYTES = 16;
/** Digests in one ChunkRequest, and outstanding on one stream (stream.proto). */
export const MAX_CHUNK_DIGESTS = 64;
/** Bytes of a chunk: the build cuts at 256 KiB; the rest is room for later builds below gRPC's 4 MiB message. */
export const MAX_CHUNK_BYTES = 1024 * 1024;
/** Bytes of a SHA-256 digest. */
export const DIGEST_BYTES = 32;
/** Characters of agent_version; ends in tables of terminals. */
export const MAX_AGENT_VERSION_CHARACTERS = 64;
/** Bytes of a certificate request, as at enrolment. */
export const MAX_CSR_BYTES = 16 * 1024;
/** Characters of an evidence JWS: digests of a few hundred executables, and a TPM quote with its event log later. */
export const MAX_EVIDENCE_CHARACTERS = 1024 * 1024;
/** Bytes of a challenge's nonce. */
export const MAX_CHALLENGE_NONCE_BYTES = 64;
/** Characters of code, message, remedy and file of a NACK that are kept; the rest is cut, never refused. */
export const MAX_ERROR_CHARACTERS = 1024;

// ---- control plane

/** Milliseconds a new stream may take until its Hello: a TLS peer that says nothing holds memory. */
export const HELLO_TIMEOUT_MS = 10_000;
/** Streams of one replica: two for each of 10,000 edges, and reconnects that overlap. */
export const MAX_STREAMS = 24_000;
/** Control messages (renewals, challenges) waiting on one stream. */
export const MAX_WAITING_CONTROL = 16;
/** Challenges outstanding on one stream. */
export const MAX_OUTSTANDING_CHALLENGES = 4;
/** Manifests whose chunks may still be asked for: the newest, and the one the edge was fetching when it came. */
export const MAX_OPEN_MANIFESTS = 2;
/** Milliseconds between two signed times on a stream; also its sign of life. */
export const TIME_INTERVAL_MS = 30_000;
/** Milliseconds after which every source is asked again: catches a notice lost between replicas; 10,000 edges make 170 questions a second. */
export const REFRESH_INTERVAL_MS = 5 * 60_000;
/** Milliseconds an edge may take to answer a resource; each chunk request starts it anew. */
export const ACK_OVERDUE_MS = 5 * 60_000;
/** Milliseconds until a refused resource is offered again; doubles up to the second. */
export const NACK_RETRY_MS = 2_000;
export const MAX_NACK_RETRY_MS = 5 * 60_000;
/** Milliseconds until a source or record that failed (database gone) is tried again; doubles up to the second. */
export const STORE_RETRY_MS = 1_000;
export const MAX_STORE_RETRY_MS = 30_000;
/** Loads of bulk resources (policy, trust bundle, intel, model) at the same time: a publication to all must not own the database. */
export const MAX_BULK_LOADS = 16;
/** Bytes of chunks per second that one replica sends to all edges together, and at once: 10,000 slices of 100 KiB in half a minute. */
export const CHUNK_BYTES_PER_SECOND = 32 * 1024 * 1024;
export const CHUNK_BURST_BYTES = 4 * 1024 * 1024;
/** Reconnects a second that Welcome plans for: below half of the 570 handshakes/s a core does (design section 7). */
export const RECONNECTS_PER_SECOND = 250;
/** Milliseconds of reconnect spread for a small fleet, and at most. */
export const MIN_RECONNECT_SPREAD_MS = 500;
export const MAX_RECONNECT_SPREAD_MS = 5 * 60_000;

// ---- edge

/** Milliseconds an edge waits for Welcome. */
export const WELCOME_TIMEOUT_MS = 15_000;
/** Milliseconds without a word on a stream with signed time until it counts as dead: three intervals and some. */
export const SILENCE_MS = 3 * TIME_INTERVAL_MS + 5_000;
/** Chunks asked for ahead of their arrival. Two of 256 KiB keep a fast link busy and let an order on the same connection wait at most for them. */
export const CHUNK_WINDOW = 2;
/** Milliseconds an edge waits for one chunk: 256 KiB at 64 kbit/s, twice. */
export const CHUNK_TIMEOUT_MS = 60_000;
/** Milliseconds of the longest pause between two attempts to connect; jitter comes on top. */
export const MAX_RECONNECT_MS = 30_000;
/** Milliseconds an edge waits for its renewed certificate. */
export const RENEWAL_TIMEOUT_MS = 60_000;
/** Milliseconds until a failed renewal is asked for again; doubles up to the second. */
export const RENEWAL_RETRY_MS = 10_000;
export const MAX_RENEWAL_RETRY_MS = 10 * 60_000;
/** Messages waiting to be sent by an edge: acknowledgements, a renewal, evidence, chunk requests. */
export const MAX_WAITING_REQUESTS = 256;
/** Resources of one type that wait for the handler: the server sends the next after the answer to the last. */
export const MAX_WAITING_RESOURCES = 4;
