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
