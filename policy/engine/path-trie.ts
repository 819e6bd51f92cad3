// Path patterns as a trie over segments: literal, `*` for one whole segment, a final `**` for any rest (one segment or
// more, the empty one after a last slash too). No regex, and a hostile path costs no more than the trie has nodes.
import { engineErrors, placeOf } from './errors.ts';
import { readPath } from './http-path.ts';
import type { PathProfile } from './path-profile.ts';

interface Node {
  readonly literals: Map<string, Node>;
  any: Node | undefined;
  /** Values of patterns that end here, and of patterns whose rest starts here. */
  readonly ends: number[];
  readonly rests: number[];
}

export interface PathTrie {
  readonly add: (pattern: PathPattern, value: number) => void;
  /** Values of all matching patterns; a value can appear twice. */
  readonly match: (segments: readonly string[]) => readonly number[];
}

export interface PathPattern {
  /** Literal text, or undefined for one whole segment. */
  readonly segments: readonly (string | undefined)[];
  readonly rest: boolean;
}

export function createPathTrie(): PathTrie {
  const root = node();
  return {
    add(pattern, value) {
      let at = root;
      for (const segment of pattern.segments) at = child(at, segment);
      (pattern.rest ? at.rests : at.ends).push(value);
    },
    match(segments) {
      let found = nothing;
      // Most paths meet one node at each step: a list only where a literal and a star both go on.
      let only: Node | undefined = root;
      let front: Node[] | undefined;
      for (let index = 0; index < segments.length; index++) {
        const segment = segments[index] as string;
        if (only !== undefined) {
          if (only.rests.length > 0) found = joined(found, only.rests);
          const literal = only.literals.get(segment);
          // An empty segment is no segment: `/files/` is not a file.
          const any: Node | undefined = segment === '' ? undefined : only.any;
          if (literal === undefined && any === undefined) return found;
          if (literal !== undefined && any !== undefined) {
            only = undefined;
            front = [literal, any];
          } else only = literal ?? any;
          continue;
        }
        const next: Node[] = [];
        for (const at of front ?? []) {
          if (at.rests.length > 0) found = joined(found, at.rests);
          const literal = at.literals.get(segment);
          if (literal !== undefined) next.push(literal);
          if (at.any !== undefined && segment !== '') next.push(at.any);
        }
        if (next.length === 0) return found;
        front = next;
      }
      for (const at of only === undefined ? (front ?? []) : [only]) found = joined(found, at.ends);
      return found;
    },
  };
}

const nothing: readonly number[] = [];

/** The lists belong to the trie: they are not added to. */
function joined(found: readonly number[], more: readonly number[]): readonly number[] {
  if (found.length === 0) return more;
  return more.length === 0 ? found : [...found, ...more];
}

function node(): Node {
  return { literals: new Map(), any: undefined, ends: [], rests: [] };
}

function child(at: Node, segment: string | undefined): Node {
  if (segment === undefined) return (at.any ??= node());
  let next = at.literals.get(segment);
  if (next === undefined) {
    next = node();
    at.literals.set(segment, next);
  }
  return next;
}

/** Throws ENGINE_PATH_PATTERN for a pattern that is not canonical: no canonical request could ever match it. */
export function readPathPattern(pattern: string, place: string, profile?: PathProfile): PathPattern {
  const fail = (why: string): Error =>
    engineErrors.error('ENGINE_PATH_PATTERN', `path "${pattern}": ${why}`, { place: placeOf(place) });
  if (pattern.includes('?')) throw fail('a query is not part of a path');
  if (/%2a/i.test(pattern)) throw fail('an encoded star');
  const reading = readPath(pattern);
  if (reading.kind === 'ambiguous') throw fail(reading.why);
  if (profile?.isNormal(pattern) === false) throw fail('not as the interface normalises paths');
  const rest = reading.segments.at(-1) === '**';
  const segments = rest ? reading.segments.slice(0, -1) : reading.segments;
  return {
    rest,
    segments: segments.map((segment) => {
      if (segment === '*') return undefined;
      if (segment === '**') throw fail('** may only be the last segment');
      if (segment.includes('*')) throw fail('* stands for a whole segment');
      return segment;
    }),
  };
}
