// keyMatch, keyMatch2 and keyMatch3: path patterns. Segments are compared as text, never turned into a regex that an
// attacker's path can make slow (fault 8); what the reference loops on forever (fault 7) or reads as a regex is refused.
import { RE2JS } from 're2js';
import type { Fail, Pattern } from './pattern.ts';

/** keyMatch: equality, or a prefix before one final star. */
export function keyPattern(pattern: string, fail: Fail): Pattern {
  const star = pattern.indexOf('*');
  if (star === -1) return same((value) => value === pattern);
  if (star !== pattern.length - 1) {
    throw fail(`keyMatch "${pattern}": casbin ignores everything after *, so * may only end the pattern`);
  }
  const prefix = pattern.slice(0, -1);
  return same((value) => value.startsWith(prefix));
}

type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'parameter' }
  | { readonly kind: 'rest' };

/** keyMatch2 (`/:name`) and keyMatch3 (`/{name}`): whole segments only; `*` as a segment matches any rest, as in casbin. */
export function parameterPattern(pattern: string, style: 'colon' | 'braces', fail: Fail): Pattern {
  if (pattern === '*' && style === 'colon') return same(() => true);
  const segments = pattern.split('/').map((text, index) => segmentOf(text, index, pattern, style, fail));
  const rest = segments.findIndex((segment) => segment.kind === 'rest');
  const exact =
    rest === -1 || rest === segments.length - 1 ? bySegments(segments) : byRegex(segments, (text) => RE2JS.quote(text));
  if (!pattern.includes('.')) return same(exact);
  // The reference pastes literals into a regex, where a dot is any character (fault 10).
  return { exact, wide: byRegex(segments, (text) => text) };
}

function segmentOf(text: string, index: number, pattern: string, style: 'colon' | 'braces', fail: Fail): Segment {
  const parameter = style === 'colon' ? /^:[A-Za-z0-9_-]+$/ : /^\{[A-Za-z0-9_-]+\}$/;
  if (index > 0 && parameter.test(text)) return { kind: 'parameter' };
  if (index > 0 && text === '*') return { kind: 'rest' };
  if (/[*:|(){}[\]+?^$\\]/.test(text)) {
    throw fail(
      `"${text}" in "${pattern}": a segment is plain text, ${style === 'colon' ? ':name' : '{name}'} or *, and not a regex`,
    );
  }
  return { kind: 'literal', text };
}

/** Only the last segment may be a rest here. */
function bySegments(segments: readonly Segment[]): (value: string) => boolean {
  const open = segments.at(-1)?.kind === 'rest';
  return (value) => {
    const parts = value.split('/');
    if (open ? parts.length < segments.length : parts.length !== segments.length) return false;
    for (const [index, segment] of segments.entries()) {
      const part = parts[index] ?? '';
      if (segment.kind === 'literal' && part !== segment.text) return false;
      if (segment.kind === 'parameter' && part === '') return false;
    }
    return true;
  };
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
  const expression = RE2JS.compile(parts.join('/'));
  return (value) => expression.testExact(value);
}

function same(matches: (value: string) => boolean): Pattern {
  return { exact: matches, wide: matches };
}
