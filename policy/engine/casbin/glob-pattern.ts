// globMatch: `*` and `?` inside a segment, `**` as the last one. A leading dot is matched by a dot only, as in minimatch,
// which also joins slashes and drops the last one: the wide reading. Braces, classes, extended globs, `!` and `#` are refused.
import type { PathPattern } from './path-pattern.ts';
import type { Fail, Pattern } from './pattern.ts';
import { countWork } from './work.ts';

export function globPattern(pattern: string, fail: Fail): Pattern {
  if (/[[\]{}()\\|+@!#]/.test(pattern)) {
    throw fail(`globMatch "${pattern}": only * and ? in a segment and a last /** are supported`);
  }
  if (pattern.startsWith('*/')) throw fail(`globMatch "${pattern}": casbin drops a star before the first slash`);
  const parts = pattern.split('/');
  if (parts.some((part, index) => part === '' && index > 0)) {
    throw fail(`globMatch "${pattern}": minimatch joins slashes and drops the last one`);
  }
  if (parts.some((part) => part === '.' || part === '..')) throw fail(`globMatch "${pattern}": a dot segment`);
  const open = parts.at(-1) === '**';
  const named = open ? parts.slice(0, -1) : parts;
  if (named.some((part) => part.includes('**'))) {
    throw fail(`globMatch "${pattern}": ** may only be the last segment`);
  }
  const fits = named.map((part) =>
    segmentPattern(part, () => fail(`globMatch "${pattern}": * and ? in one segment are not supported`)),
  );
  const exact = (value: string): boolean => {
    countWork(value.length);
    const segments = value.split('/');
    const rest = segments.slice(named.length);
    // Alone, ** is any path, also one that begins with a slash.
    if (named.length === 0 && rest[0] === '') rest.shift();
    return (
      (open ? rest.length > 0 : segments.length === named.length) &&
      fits.every((fitsSegment, index) => fitsSegment(segments[index] ?? '')) &&
      rest.every((segment) => segment !== '' && !segment.startsWith('.'))
    );
  };
  const wide = (value: string): boolean => {
    countWork(value.length);
    const joined = value.replaceAll(/\/+/g, '/').replace(/(.)\/$/, '$1');
    // To minimatch a last slash is something that ** matches.
    return exact(value) || exact(joined) || (open && value.endsWith('/') && exact(`${joined.replace(/\/$/, '')}/x`));
  };
  return {
    exact,
    wide,
    path: (): PathPattern => ({
      segments: named.map((part) => (/[*?]/.test(part) ? undefined : part)),
      tail: open ? '' : undefined,
      complete: false,
    }),
  };
}

type FitsSegment = (segment: string) => boolean;

/** Texts between stars are looked for from left to right: linear, where a regex or a glob walker backtracks. */
function segmentPattern(text: string, fail: () => Error): FitsSegment {
  const fits = wildcardPattern(text, fail);
  // No wildcard stands for a dot segment: `.*` is a hidden file, not the folder above.
  return (segment) => segment !== '.' && segment !== '..' && fits(segment);
}

function wildcardPattern(text: string, fail: () => Error): FitsSegment {
  if (text.includes('?')) {
    if (text.includes('*')) throw fail();
    return (segment) =>
      segment.length === text.length &&
      (text[0] === '.' || segment[0] !== '.') &&
      text.split('').every((sign, index) => sign === '?' || sign === segment[index]);
  }
  const [first = '', ...others] = text.split('*');
  const last = others.pop();
  if (last === undefined) return (segment) => segment === text;
  return (segment) => {
    if (segment.length < first.length + last.length || !segment.startsWith(first) || !segment.endsWith(last))
      return false;
    if (segment === '' || (first === '' && segment.startsWith('.'))) return false;
    const end = segment.length - last.length;
    let from = first.length;
    for (const other of others) {
      const at = segment.indexOf(other, from);
      if (at === -1 || at + other.length > end) return false;
      from = at + other.length;
    }
    return true;
  };
}
