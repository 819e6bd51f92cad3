// Named bounds of the counts of use, each with its unit and reason.

/** Bytes of a journal after which it is folded into a new snapshot: some thousand uses, read in milliseconds. */
export const MAX_JOURNAL_BYTES = 1024 * 1024;
/** Bytes of a journal that are read: one batch may come on top of the bound above. */
export const MAX_JOURNAL_READ_BYTES = 8 * 1024 * 1024;
/** Bytes of a snapshot: every key and every time that is counted at most (policy/engine/limits.ts). */
export const MAX_SNAPSHOT_BYTES = 64 * 1024 * 1024;
/** Uses that wait for the disk; more are denied. */
export const MAX_WAITING_USES = 4_096;
/** Milliseconds between two tries to write after the disk failed. */
export const REPAIR_MS = 1_000;
/**
 * Milliseconds of a rate's window up to which its uses stay in memory, because writing them would wear out flash for
 * nothing: after a start such a rate lets nothing through for one window.
 */
export const MAX_UNWRITTEN_WINDOW_MS = 10_000;
