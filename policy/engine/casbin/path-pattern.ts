// Path patterns as segments: what keyMatch, keyMatch2 to 5 and globMatch have in common, and what the index's trie holds.
// Text is compared as text; no pattern becomes a regex that an attacker's path can make slow (fault 8).

export interface PathPattern {
  /** Texts between slashes; undefined for any one segment that is not empty. */
  readonly segments: readonly (string | undefined)[];
  /** With a tail anything may follow the segments that begins with this text; without one nothing. */
  readonly tail: string | undefined;
  /** False when a path that fits has to be asked about again: the pattern says more than its segments. */
  readonly complete: boolean;
}

/** Where the next segment starts; END when the last one is behind. */
export const END = -1;

/** Segments at the beginning that are compared by number before anything is compared as text. */
const startSegments = 3;
/** Stands for "may start with anything"; no start has this number. */
export const ANY_START = 0;

/** A number for the first segments of a value. Values that start alike have the same one, others nearly always not. */
export function startOf(value: string): number {
  let hash = 0x811c9dc5;
  let slashes = 0;
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code === slash && ++slashes === startSegments) break;
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  return (hash >>> 2) | 1;
}

const slash = 0x2f;

/** What every value that fits the pattern starts with; ANY_START where that is not one text. */
export function startOfPattern({ segments, tail }: PathPattern): number {
  const start = segments.slice(0, startSegments);
  if (start.includes(undefined)) return ANY_START;
  return start.length === startSegments || tail === undefined ? startOf(start.join('/')) : ANY_START;
}
