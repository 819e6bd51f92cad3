// HTTP operations: methods and path patterns, one trie per method, and what is asked beside them (http-bounds.ts). The
// possible matches fold case and ignore a last slash, because many servers do; of an interface with a profile they also
// take the path as readers see it who normalise less.
import type { SliceInterface, SliceOperation } from '../bundle/slice.ts';
import { compileHttpBounds } from './http-bounds.ts';
import { readPath } from './http-path.ts';
import { ascending, noMatch, type MatchOperation } from './operation-match.ts';
import { pathProfile } from './path-profile.ts';
import { createPathTrie, readPathPattern, type PathPattern, type PathTrie } from './path-trie.ts';

type HttpOperation = Extract<SliceOperation, { protocol: 'http' }>;

interface MethodPaths {
  readonly exact: PathTrie;
  readonly folded: PathTrie;
}

/** `operations[i]` belongs to index `i`; undefined where the operation is of another protocol. */
export function compileHttp(entry: SliceInterface, operations: readonly (HttpOperation | undefined)[]): MatchOperation {
  const methods = new Map<string, MethodPaths>();
  const profile = entry.normalise === undefined ? undefined : pathProfile(entry.normalise);
  const bounds = operations.map((operation) => (operation === undefined ? undefined : compileHttpBounds(operation)));
  for (const [index, operation] of operations.entries()) {
    if (operation === undefined) continue;
    const patterns = operation.paths.map((path) => readPathPattern(path, entry.place, profile));
    for (const method of new Set(operation.methods)) {
      const paths = methods.get(method) ?? { exact: createPathTrie(), folded: createPathTrie() };
      methods.set(method, paths);
      for (const pattern of patterns) {
        paths.exact.add(pattern, index);
        paths.folded.add(foldPattern(pattern), index);
      }
    }
  }
  return (operation) => {
    if (operation.protocol !== 'http') return noMatch;
    const target = operation.path;
    const reading = profile === undefined ? readPath(target) : profile.read(target);
    if (reading.kind === 'ambiguous') return reading;
    const paths = methods.get(operation.method);
    if (paths === undefined) return noMatch;
    const { segments } = reading;
    return {
      kind: 'matched',
      sure: ascending(paths.exact.match(segments)).filter((index) => bounds[index]?.isInside(operation) ?? true),
      possible: () => {
        const readings = profile === undefined ? [segments] : [segments, ...profile.otherReadings(target)];
        const folded = readings.map((one) => one.map(foldSegment));
        const reached = folded.flatMap((one) => [...paths.folded.match(one), ...paths.folded.match(otherEnd(one))]);
        return ascending(reached).filter((index) => bounds[index]?.mayBeInside(operation) ?? true);
      },
      ...(reading.path === undefined ? {} : { path: reading.path }),
    };
  };
}

function foldPattern(pattern: PathPattern): PathPattern {
  return {
    ...pattern,
    segments: pattern.segments.map((segment) => (segment === undefined ? undefined : foldSegment(segment))),
  };
}

/** How a server may read a segment that takes spellings for the same. */
export function foldSegment(segment: string): string {
  if (isFolded(segment)) return segment;
  return segment.normalize('NFKC').toLowerCase();
}

/** ASCII without capitals, as most segments are, folds to itself. */
function isFolded(segment: string): boolean {
  for (let at = 0; at < segment.length; at++) {
    const code = segment.charCodeAt(at);
    if (code > 0x7f || (code >= 0x41 && code <= 0x5a)) return false;
  }
  return true;
}

/** With the last slash when it has none, without it when it has one. */
function otherEnd(segments: readonly string[]): readonly string[] {
  return segments.at(-1) === '' ? segments.slice(0, -1) : [...segments, ''];
}
