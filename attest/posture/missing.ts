// Beside the format, so that the thread that measures does not load what checks it.

/** Reported for a path that cannot be read as a file, whatever the reason. */
export const MISSING = 'missing';
