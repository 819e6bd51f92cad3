// Named bounds of the HTTP proxy, each with its unit and reason. Header lines and characters together are bounded as
// everywhere (`enforcer/authz/limits.ts`), the target by the engine.

/** Octets of a request line or a status line: the longest target that the engine reads, and what stands around it. */
export const maxStartLineBytes = 17 * 1024;
/** Octets of one header line: nginx reads 8 KiB, Node 16 KiB of all. */
export const maxFieldLineBytes = 16 * 1024;
/** Octets of a head with its lines' ends. */
export const maxHeadBytes = 64 * 1024;
/** Hexadecimal digits of a chunk's size: 2 GiB, within what every reader holds in 32 bits. */
export const maxChunkSizeDigits = 8;
export const maxChunkBytes = 0x7fff_ffff;
/** Octets of all trailers of an answer. */
export const maxTrailerBytes = 16 * 1024;
/** Octets of a denied request's body that are read and thrown away, so that its connection can stay. */
export const maxDrainedBytes = 256 * 1024;
/** Interim answers (1xx) to one request: one `100 Continue`, some `102` and `103`. */
export const maxInterimAnswers = 16;
/** Milliseconds in which neither side moves a body on after which it counts as given up. */
export const bodyIdleMs = 60_000;
/** Streams of one HTTP/2 connection at a time: what grpc-js and nginx allow, and 100 at least (RFC 9113, 6.5.2). */
export const maxConcurrentStreams = 128;
/** Octets of all fields of a request or an answer, 32 more for each (RFC 9113, 6.5.2). */
export const maxHeaderListBytes = 64 * 1024;
/** Octets that a peer may have under way on a stream, and on a connection: streams that wait leave room for the others. */
export const streamWindowBytes = 256 * 1024;
export const connectionWindowBytes = 4 * 1024 * 1024;
/** MB that a connection may take of this process (Node's `maxSessionMemory`). */
export const maxSessionMegabytes = 16;
/** PING and SETTINGS of a peer; clients that measure bandwidth send a PING a round trip while they have calls. */
export const idleFrames = { burst: 1_000, perSecond: 100, perCall: 4 };
/** Streams that end by the client's RST_STREAM, or by ours because of what it sent (CVE-2023-44487, CVE-2025-8671). */
export const streamResets = { burst: 500, perSecond: 50, perCall: 1 };
