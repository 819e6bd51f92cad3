// Limits of the AuthZEN service, each with unit and reason.

/** Bytes of one request body: a batch of `maxEvaluations` with properties. */
export const maxBodyBytes = 256 * 1024;
/** Bytes of request headers. */
export const maxHeaderBytes = 16 * 1024;
/** Evaluations of one batch; a larger one is refused with 413. */
export const maxEvaluations = 256;
/** Results of one page, and when the caller names no limit. A larger limit is lowered to this. */
export const maxPageResults = 1_000;
export const defaultPageResults = 100;
/** Decisions for one page: it ends early rather than hold up other requests. */
export const maxPageDecisions = 512;
/** Milliseconds of a batch or page after which others have their turn: proxies wait for the same event loop. */
export const maxTurnMs = 2;
/** Characters of a page token that is looked at. */
export const maxTokenLength = 512;
/** Searches after a rest, and each second from then on. */
export const searchBurst = 100;
export const searchesPerSecond = 50;
/** Milliseconds until headers, and a whole request, have to be there; callers are on the same host. */
export const headersTimeoutMs = 2_000;
export const requestTimeoutMs = 5_000;
/** Milliseconds between looks at slow connections. */
export const slowCheckMs = 500;
/** Milliseconds that an idle connection is kept, and requests on one. */
export const keepAliveMs = 10_000;
export const maxRequestsPerConnection = 10_000;
export const maxConnections = 256;
/** Requests being answered at once, above which 429. */
export const maxConcurrent = 256;
/** Attributes of one entity that are taken over. */
export const maxAsserted = 64;
/** Seconds that a caller may keep the metadata. */
export const metadataAgeSeconds = 300;
