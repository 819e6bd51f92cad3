// Limits of the request enforcement points, each with unit and reason.

/** Bytes of one ext_authz message: the headers, and the body where the filter sends one (examples/envoy/http.yaml). */
export const maxCheckRequestBytes = 128 * 1024;
/** Bytes of forward-auth request headers: a client certificate in PEM, percent-encoded, is about 3 KiB. */
export const maxForwardAuthHeaderBytes = 32 * 1024;
/** Milliseconds until a forward-auth request has to be complete; nginx is on the same host. */
export const forwardAuthTimeoutMs = 2_000;
/** Milliseconds between two looks for connections that are over that; Node's 30 s would let them pile up. */
export const forwardAuthCheckIntervalMs = 500;
/** Connections at a time, each at most the header bytes above: 32 MiB. nginx opens one for each request. */
export const maxForwardAuthConnections = 1_024;
/** Seconds an idle Envoy connection is kept: longer than Envoy's own 50 s eviction would only hide leaks. */
export const idleConnectionMs = 120_000;
/** Characters of a recorded method, path, and of the other texts of a decision; a cut one is marked. */
export const maxRecordedMethod = 32;
export const maxRecordedPath = 2_048;
export const maxRecordedText = 256;
/** Lines of headers in one record, of those that the policy reads. */
export const maxRecordedHeaders = 32;
/** Denials of one subject and address recorded one by one after a rest, and each second from then on. */
export const denialBurst = 20;
export const denialsPerSecond = 1;
/** Denials of all together recorded one by one after a rest, and each second from then on: what a spool keeps for weeks. */
export const allDenialsBurst = 2_000;
export const allDenialsPerSecond = 100;
/** Milliseconds over which identical denials above that become one event with a count. */
export const denialWindowMs = 1_000;
/** Different denials kept apart within a window; above, so many by subject, interface and reason, and then by reason. */
export const maxDistinctDenials = 256;
/** Milliseconds over which identical refusals of proxies on other hosts are one event, and how many are kept apart. */
export const refusalWindowMs = 10_000;
export const maxDistinctRefusals = 64;
/** Different subjects, interfaces, operations and rules of which sampled allows are counted apart; above, by interface. */
export const maxDistinctAllows = 1_024;
/** Milliseconds after which counts of allows leave. */
export const allowWindowMs = 1_000;
/** Answers of one enforcement point that wait for the disk: those of some connections, a few KB each. */
export const maxWaitingAnswers = 8_192;
/** Milliseconds that one of them waits: longer than a disk stalls that is well, and than proxies have patience. */
export const maxWaitMs = 2_000;
/** Milliseconds before its deadline that an answer has to leave, to be there in time. */
export const answerMarginMs = 2;
/** Milliseconds between two looks of the watchdog; bad ones in a row until health turns, and good ones until it is back. */
export const watchIntervalMs = 250;
export const looksUntilIll = 4;
export const looksUntilWell = 12;
/** Milliseconds that the event loop may be late in the mean of a look: a proxy's patience is some 200. */
export const lagLimitMs = 20;
/** Milliseconds after which an answer, or a spool with events that wait, counts as stuck: a disk may stall for two. */
export const stuckMs = 5_000;
/** Context attributes that one filter's configuration may say. */
export const maxContextAttributes = 64;
/** Obligations that one proxy's configuration may say it carries out; a grant asks for at most 16. */
export const maxFulfilled = 64;
/** Milliseconds since the authentication that a bearer token dates (`auth_time`) for which it counts as a step-up. */
export const maxAuthenticationAgeMs = 15 * 60_000;
/** Milliseconds that the clock of its issuer may be ahead of ours. */
export const maxAuthenticationSkewMs = 60_000;
/** Header lines of one request, and characters of their names and values: Envoy takes 100 and 60 KiB by default. */
export const maxRequestHeaders = 200;
export const maxRequestHeaderCharacters = 64 * 1024;
/** Characters of a host with its port, and of one label (RFC 1035, 2.3.4). */
export const maxHostCharacters = 253 + 6;
export const maxHostLabelCharacters = 63;
/** Requests at a time on one connection: Envoy multiplexes all of a worker's on one, and 100 is a cliff (envoyproxy/envoy#2941). */
export const maxChecksPerConnection = 2_048;
