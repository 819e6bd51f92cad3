// Paths and methods that stand for all of them. Two paths that leave every pattern of an interface in the same place
// get the same answer, so the patterns are followed as a set (the subset construction of automata) and each set that
// can be reached gives one path and that path with a last slash. Exact, unless a Casbin model or a Rego package reads
// the text itself.
import type { SliceOperation } from '../../bundle/slice.ts';
import { readPath } from '../../engine/index.ts';
import type { Operation } from '../../engine/index.ts';
import { readPathPattern, type PathPattern } from '../../engine/path-trie.ts';
import { MAX_BOUND_CELLS, MAX_PATH_SETS } from '../../limits.ts';
import { httpBoundCells } from './http-bound-cells.ts';
import type { OperationCells } from './operation-cells.ts';

type HttpOperation = Extract<SliceOperation, { protocol: 'http' }>;

/** RFC 9110, 9.2.1: methods that change nothing. */
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
const commonMethods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'];

export function changesOverHttp(method: string): boolean {
  return !safeMethods.has(method);
}

export function httpCells(operations: readonly HttpOperation[], read: readonly HttpOperation[]): OperationCells {
  const patterns = operations.flatMap(({ paths }) => paths);
  const walk = walkPatterns([...new Set(patterns)].map((pattern) => readPathPattern(pattern, '')));
  const methods = methodsOf(operations);
  const bounded = httpBoundCells(operations);
  const cells = [...walk.targets, '/%00'].flatMap((path) =>
    methods.flatMap((method) =>
      (bounded ?? [{}]).map((known): Operation => ({ protocol: 'http', method, path, ...known })),
    ),
  );
  const gaps = walk.complete ? [] : [`more than ${MAX_PATH_SETS} different places in the path patterns`];
  if (bounded === undefined) gaps.push(`more than ${MAX_BOUND_CELLS} combinations of hosts, headers and bodies`);
  if (read.some(({ paths }) => paths.some((path) => path.includes('*')))) {
    gaps.push('paths under a wildcard are samples where a Casbin model or a Rego package reads them');
  }
  return { cells, gaps };
}

/** Every method that is named, and one that is not of each kind. */
function methodsOf(operations: readonly HttpOperation[]): string[] {
  const named = new Set(operations.flatMap(({ methods }) => methods));
  const other = [true, false].flatMap(
    (safe) => commonMethods.find((method) => !named.has(method) && safeMethods.has(method) === safe) ?? [],
  );
  return [...named, ...other];
}

/** Segments read of each pattern, by its index; `rest` when its `**` has taken one. */
type Place = `${number}:${number | 'rest'}`;

interface Front {
  /** Read exactly, and with case folded, as denies read. */
  readonly exact: ReadonlySet<Place>;
  readonly folded: ReadonlySet<Place>;
}

function walkPatterns(patterns: readonly PathPattern[]): { targets: string[]; complete: boolean } {
  const every = new Set(patterns.map((_, index): Place => `${index}:0`));
  const seen = new Set<string>();
  const targets = new Set<string>();
  const queue: { front: Front; path: readonly string[] }[] = [{ front: { exact: every, folded: every }, path: [] }];
  for (let at = 0; at < queue.length; at++) {
    const { front, path } = queue[at] ?? { front: { exact: every, folded: every }, path: [] };
    for (const segments of [path, [...path, '']]) {
      const target = targetOf(segments);
      if (segments.length > 0 && target !== undefined) targets.add(target);
    }
    if (front.folded.size === 0) continue;
    for (const segment of choices(patterns, front)) {
      const next = {
        exact: step(patterns, front.exact, segment, same),
        folded: step(patterns, front.folded, segment, fold),
      };
      const key = `${[...next.exact].sort().join(' ')}|${[...next.folded].sort().join(' ')}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > MAX_PATH_SETS) return { targets: [...targets], complete: false };
      queue.push({ front: next, path: [...path, segment] });
    }
  }
  return { targets: [...targets], complete: true };
}

/** Segments that can make a difference here: each literal, each literal spelt differently, and one nobody wrote. */
function choices(patterns: readonly PathPattern[], { folded }: Front): string[] {
  const literals = new Set<string>();
  for (const place of folded) {
    const { pattern, read } = readPlace(patterns, place);
    const literal = read === 'rest' ? undefined : pattern?.segments[read];
    if (literal !== undefined && literal !== '') literals.add(literal);
  }
  const variants = [...literals].flatMap(
    (literal) =>
      [literal.toUpperCase(), literal.toLowerCase(), widened(literal)].find((text) => !literals.has(text)) ?? [],
  );
  let fresh = 'x';
  while ([...literals].some((literal) => fold(literal) === fold(fresh))) fresh += 'x';
  return [...literals, ...variants, fresh];
}

/** The first character as its full-width form, which compatibility folding takes for the same. */
function widened(text: string): string {
  const code = text.charCodeAt(0);
  return code > 0x20 && code < 0x7f ? String.fromCharCode(code + 0xfee0) + text.slice(1) : text;
}

function step(
  patterns: readonly PathPattern[],
  front: ReadonlySet<Place>,
  segment: string,
  read: (segment: string) => string,
): Set<Place> {
  const next = new Set<Place>();
  for (const place of front) {
    const { index, pattern, read: count } = readPlace(patterns, place);
    if (pattern === undefined) continue;
    if (count === 'rest' || (pattern.rest && count === pattern.segments.length)) next.add(`${index}:rest`);
    else if (count < pattern.segments.length) {
      const wanted = pattern.segments[count];
      if (wanted === undefined ? segment !== '' : read(wanted) === read(segment)) next.add(`${index}:${count + 1}`);
    }
  }
  return next;
}

function readPlace(patterns: readonly PathPattern[], place: Place) {
  const [index = '', read = ''] = place.split(':');
  return {
    index: Number(index),
    pattern: patterns[Number(index)],
    read: read === 'rest' ? ('rest' as const) : Number(read),
  };
}

const same = (segment: string): string => segment;
const fold = (segment: string): string => segment.normalize('NFKC').toLowerCase();

/** The canonical target of the segments, or undefined when there is none. */
function targetOf(segments: readonly string[]): string | undefined {
  const target = `/${segments.map((segment) => encodeURIComponent(segment)).join('/')}`;
  const reading = readPath(target);
  const isSame = reading.kind === 'segments' && reading.segments.join('/') === segments.join('/');
  return isSame ? target : undefined;
}
