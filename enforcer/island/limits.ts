// Named bounds of island mode, each with its unit and reason.

/** Milliseconds between two looks for a lease that has ended; nothing is denied by an ended one in between. */
export const TICK_MS = 1_000;
/** Bytes of island.json: two entries and what was not told yet. */
export const MAX_ISLAND_BYTES = 64 * 1024;
/** What people did while no edge ran and its log was closed; the first and the last are kept. */
export const MAX_UNTOLD = 16;
/** Characters of who and why that are kept. */
export const MAX_TEXT_CHARACTERS = 512;
