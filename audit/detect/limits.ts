// Limits of detection, each with unit and reason.

/** Groups one correlation remembers; the least recently seen goes first, so that a flood of keys costs bounded memory. */
export const maxGroups = 10_000;
/** Events one group keeps in its window; beyond it the oldest two become one that weighs as much as both. */
export const maxEventsPerGroup = 1_000;
/** Log indices kept as evidence of one finding. */
export const maxEvidence = 200;
/** An event older than this when it is received is judged in retro mode: it makes a finding and no live response. */
export const retroAfterMs = 10 * 60_000;
/** The same rule on the same device adds to its open finding instead of opening another within this time. */
export const sameFindingMs = 60 * 60_000;
/** Deepest nesting of a condition. */
export const maxConditionDepth = 32;
/** Findings waiting for webhook or syslog; older ones are dropped with a log line, the database keeps all. */
export const maxDeliveryQueue = 1_000;
/** Attempts to deliver a finding before it is given up with a log line. */
export const maxDeliveryAttempts = 8;
/** Records judged in one transaction: enough to keep up with ingest, little enough for a finding to wait milliseconds. */
export const judgedBatch = 500;
/** Records read again at most to fill the windows of a detector that starts; older ones would only matter to a slow scan. */
export const maxWarmUpRecords = 20_000;
/** Findings handed on in one round, oldest first. */
export const maxHandedOn = 200;
/** Milliseconds one delivery attempt may take. */
export const deliveryTimeoutMs = 5_000;
/** Log indices named in one syslog message: it has to stay below the 2,048 bytes that RFC 5424 receivers should take. */
export const maxSyslogEvidence = 20;
