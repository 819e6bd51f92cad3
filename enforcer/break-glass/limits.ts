// Named bounds of break-glass on the edge, each with its unit and reason.

/** Milliseconds between two looks for openings that have ended; an ended one opens nothing in between. */
export const TICK_MS = 1_000;
/** Openings remembered: sixty-four generations of the largest quota. */
export const MAX_SPENT = 1_024;
/** Milliseconds for which one of an earlier generation is remembered after its validity: more than any step of the clock's floor. */
export const KEPT_AFTER_MS = 7 * 86_400_000;
/** Bytes of the file that holds them: of the largest tickets about 10 KiB each. */
export const MAX_SPENT_BYTES = 16 * 1024 * 1024;
/** Refused tickets recorded one by one after a rest, and each second from then on: no flood fills the spool. */
export const REFUSAL_BURST = 20;
export const REFUSALS_PER_SECOND = 0.1;
