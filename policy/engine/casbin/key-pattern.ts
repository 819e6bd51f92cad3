// keyMatch and keyMatch2 to 5: path patterns. What the reference loops on forever (fault 7) or reads as a regex
// (fault 10) is refused.
import { RE2JS } from 're2js';
import type { PathPattern } from './path-pattern.ts';
import type { Fail, Pattern } from './pattern.ts';
import { countWork } from './work.ts';

/** keyMatch: equality, or a prefix before one final star. */
export function keyPattern(pattern: string, fail: Fail): Pattern {
  const star = pattern.indexOf('*');
  if (star === -1) {
    return textPattern(pattern);
  }
  if (star !== pattern.length - 1) {
    throw fail(`keyMatch "${pattern}": casbin ignores everything after *, so * may only end the pattern`);
  }
  return prefixPattern(pattern.slice(0, -1));
}

function textPattern(text: string): Pattern {
  const matches = (value: string): boolean => value === text;
  return {
    exact: matches,
    wide: matches,
    path: () => ({ segments: text.split('/'), tail: undefined, complete: true }),
  };
}

function prefixPattern(prefix: string): Pattern {
  const matches = (value: string): boolean => value.startsWith(prefix);
  const path = (): PathPattern => {
    const parts = prefix.split('/');
    const tail = parts.pop() ?? '';
    return { segments: parts, tail, complete: true };
  };
  return { exact: matches, wide: matches, path };
}

type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'parameter'; readonly name: string }
  | { readonly kind: 'rest' };

/** How parameters are written: `/:name` (keyMatch2), `/{name}` (3 and 5), `/{name}` equal where named twice (4). */
export type ParameterStyle = 'colon' | 'braces' | 'repeated-braces';

/** Whole segments only; `*` as a segment matches any rest, as in casbin. */
export function parameterPattern(pattern: string, style: ParameterStyle, fail: Fail): Pattern {
  if (pattern === '*' && style === 'colon') return prefixPattern('');
  const segments = pattern.split('/').map((text, index) => segmentOf(text, index, pattern, style, fail));
  const exact = exactly(segments, style);
  if (style === 'repeated-braces' && exact.path === undefined) {
    throw fail(`keyMatch4 "${pattern}": * may only be the last segment`);
  }
  if (!pattern.includes('.')) return { ...exact, wide: exact.exact };
  // The reference pastes literals into a regex, where a dot is any character (fault 10).
  return { ...exact, wide: byRegex(segments, (text) => text) };
}

function segmentOf(text: string, index: number, pattern: string, style: ParameterStyle, fail: Fail): Segment {
  const parameter = (style === 'colon' ? /^:([A-Za-z0-9_-]+)$/ : /^\{([A-Za-z0-9_-]+)\}$/).exec(text)?.[1];
  if (index > 0 && parameter !== undefined) return { kind: 'parameter', name: parameter };
  if (index > 0 && text === '*') return { kind: 'rest' };
  if (/[*:|(){}[\]+?^$\\]/.test(text)) {
    throw fail(
      `"${text}" in "${pattern}": a segment is plain text, ${style === 'colon' ? ':name' : '{name}'} or *, and not a regex`,
    );
  }
  return { kind: 'literal', text };
}

function exactly(segments: readonly Segment[], style: ParameterStyle): Pick<Pattern, 'exact' | 'path'> {
  const rest = segments.findIndex((segment) => segment.kind === 'rest');
  if (rest !== -1 && rest !== segments.length - 1) return { exact: byRegex(segments, (text) => RE2JS.quote(text)) };
  const named = rest === -1 ? segments : segments.slice(0, rest);
  const first = named.findIndex((segment) => segment.kind === 'parameter');
  if (first === -1) {
    const text = named.map((segment) => (segment.kind === 'literal' ? segment.text : '')).join('/');
    return rest === -1 ? textPattern(text) : prefixPattern(`${text}/`);
  }
  const twins = style === 'repeated-braces' ? namedTwice(named) : [];
  const fits = betweenParameters(named, rest !== -1);
  const path = (): PathPattern => ({
    segments: named.map((segment) => (segment.kind === 'literal' ? segment.text : undefined)),
    tail: rest === -1 ? undefined : '',
    complete: twins.length === 0,
  });
  if (twins.length === 0) return { exact: fits, path };
  return {
    exact: (value) => {
      if (!fits(value)) return false;
      countWork(value.length);
      const parts = value.split('/');
      return twins.every(([one, other]) => parts[one] === parts[other]);
    },
    path,
  };
}

/** The texts around the parameters, compared where they stand: linear, and nothing is allocated. */
function betweenParameters(segments: readonly Segment[], open: boolean): (value: string) => boolean {
  const texts: string[] = [''];
  for (const [index, segment] of segments.entries()) {
    const slash = index === 0 ? '' : '/';
    texts[texts.length - 1] += segment.kind === 'literal' ? slash + segment.text : slash;
    if (segment.kind === 'parameter') texts.push('');
  }
  if (open) texts[texts.length - 1] += '/';
  const [start = '', ...others] = texts;
  return (value) => {
    if (!value.startsWith(start)) return false;
    let at = start.length;
    for (const text of others) {
      const slash = value.indexOf('/', at);
      const end = slash === -1 ? value.length : slash;
      if (end === at || !value.startsWith(text, end)) return false;
      at = end + text.length;
    }
    return open || at === value.length;
  };
}

/** Indexes of segments that have to be equal. */
function namedTwice(segments: readonly Segment[]): (readonly [number, number])[] {
  const first = new Map<string, number>();
  const twins: (readonly [number, number])[] = [];
  for (const [index, segment] of segments.entries()) {
    if (segment.kind !== 'parameter') continue;
    const earlier = first.get(segment.name);
    if (earlier === undefined) first.set(segment.name, index);
    else twins.push([earlier, index]);
  }
  return twins;
}

function byRegex(segments: readonly Segment[], literal: (text: string) => string): (value: string) => boolean {
  const parts = segments.map((segment) => {
    switch (segment.kind) {
      case 'literal':
        return literal(segment.text);
      case 'parameter':
        return '[^/]+';
      case 'rest':
        return '.*';
    }
  });
  const expression = RE2JS.compile(inUnits(parts.join('/')));
  const instructions = expression.programSize();
  return (value) => {
    countWork(instructions * (value.length + 1));
    return expression.testExact(inUnits(value));
  };
}

/** A character outside the BMP is two characters to the reference, and one to RE2. */
const inUnits = (text: string): string => text.replaceAll(/[\u{10000}-\u{10ffff}]/gu, '\ue000\ue000');
