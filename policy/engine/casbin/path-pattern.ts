// Path patterns as segments: what keyMatch, keyMatch2 to 5 and globMatch have in common, and what the index's trie holds.
// Text is compared as text; no pattern becomes a regex that an attacker's path can make slow (fault 8).
import { MAX_CASBIN_COLUMN_LENGTH } from '../limits.ts';

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

/**
 * A number for the text of a pattern's first segments, and in its lowest bits of how many: values are compared with
 * numbers before they are compared with texts. ANY_START where a pattern starts with anything.
 */
export type Start = number;
export const ANY_START: Start = 0;
const countBits = 3;
const mostSegments = 7;

/** The starts of one value: compute once, compare with many. */
export class Starts {
  readonly #starts = new Uint32Array(mostSegments + 1);

  read(value: string): void {
    const starts = this.#starts;
    starts.fill(ANY_START);
    let hash = seed;
    let segments = 0;
    for (let at = 0; at < value.length; at++) {
      // No pattern has a beginning as long as this.
      if (at > MAX_CASBIN_COLUMN_LENGTH) return;
      const code = value.charCodeAt(at);
      if (code === slash) {
        segments++;
        starts[segments] = startFrom(hash, segments);
        if (segments === mostSegments) return;
      }
      hash = Math.imul(hash ^ code, prime);
    }
    segments++;
    starts[segments] = startFrom(hash, segments);
  }

  /** False only when the value cannot fit a pattern that starts so. */
  mayFit(start: Start): boolean {
    return start === ANY_START || this.#starts[start & mostSegments] === start;
  }
}

const slash = 0x2f;
const seed = 0x811c9dc5;
const prime = 0x01000193;
const startFrom = (hash: number, segments: number): Start => ((hash << countBits) >>> 0) + segments;

/** What every value that fits the pattern starts with. */
export function startOf({ segments }: PathPattern): Start {
  const open = segments.indexOf(undefined);
  const literal = segments.slice(0, Math.min(mostSegments, open === -1 ? segments.length : open));
  if (literal.length === 0) return ANY_START;
  let hash = seed;
  const text = literal.join('/');
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), prime);
  return startFrom(hash, literal.length);
}
