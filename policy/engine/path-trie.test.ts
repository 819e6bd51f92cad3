// The trie against the plain reading of its patterns, and against paths made to be slow.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CodedError } from '../../runtime/errors.ts';
import { createPathTrie, readPathPattern } from './path-trie.ts';

const matches = (pattern: string, path: string): boolean => {
  const trie = createPathTrie();
  trie.add(readPathPattern(pattern, 'interfaces/web.yaml:7'), 0);
  return trie.match(path.slice(1).split('/')).length > 0;
};

test('path pattern: literal, one whole segment, any rest', () => {
  const rows: readonly [string, string, boolean][] = [
    ['/a', '/a', true],
    ['/a', '/a/', false],
    ['/a', '/ab', false],
    ['/a', '/A', false],
    ['/a/', '/a/', true],
    ['/a/*', '/a/b', true],
    ['/a/*', '/a/', false],
    ['/a/*', '/a', false],
    ['/a/*', '/a/b/c', false],
    ['/*/c', '/b/c', true],
    ['/*/c', '/c', false],
    ['/a/*/c', '/a/b/b/c', false],
    ['/a/**', '/a/b', true],
    ['/a/**', '/a/b/c', true],
    ['/a/**', '/a/', true],
    ['/a/**', '/a', false],
    ['/a/**', '/ab', false],
    ['/**', '/', true],
    ['/**', '/a/b', true],
    ['/', '/', true],
    ['/', '/a', false],
  ];
  for (const [pattern, path, expected] of rows) assert.equal(matches(pattern, path), expected, `${pattern} ${path}`);
});

test('path pattern: what no canonical request could match is refused with its place', () => {
  for (const pattern of ['/a*', '/*.js', '/**/a', '/a/../b', '//a', '/a;b', '/a?b', '/%2a', '/%41', '/a b', '/x/***']) {
    assert.throws(
      () => readPathPattern(pattern, 'interfaces/web.yaml:7'),
      (error) => error instanceof CodedError && error.code === 'ENGINE_PATH_PATTERN' && error.place?.line === 7,
      pattern,
    );
  }
});

const segment = fc.constantFrom('a', 'b', 'c', '');
const patternSegment = fc.constantFrom('a', 'b', 'c', '*', '*');

function plainly(pattern: readonly string[], path: readonly string[]): boolean {
  if (pattern.at(-1) === '**') {
    const fixed = pattern.slice(0, -1);
    return path.length > fixed.length && plainly(fixed, path.slice(0, fixed.length));
  }
  return (
    pattern.length === path.length &&
    pattern.every((part, index) => (part === '*' ? path[index] !== '' : part === path[index]))
  );
}

test('path trie: many patterns at once match what each of them matches alone', () => {
  const pattern = fc
    .tuple(fc.array(patternSegment, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([segments, rest]) => (rest ? [...segments, '**'] : segments));
  fc.assert(
    fc.property(
      fc.array(pattern, { maxLength: 12 }),
      fc.array(segment, { minLength: 1, maxLength: 5 }),
      (patterns, path) => {
        const trie = createPathTrie();
        for (const [index, parts] of patterns.entries()) trie.add(readPathPattern(`/${parts.join('/')}`, 'x:1'), index);
        const expected = patterns.flatMap((parts, index) => (plainly(parts, path) ? [index] : []));
        assert.deepEqual(
          [...new Set(trie.match(path))].sort((a, b) => a - b),
          expected,
        );
      },
    ),
    { numRuns: 2_000 },
  );
});

test('path trie: a hostile path visits no more nodes than the patterns have', () => {
  const trie = createPathTrie();
  for (let stars = 1; stars <= 20; stars++) {
    trie.add(readPathPattern(`${'/*'.repeat(stars)}/x`, 'x:1'), stars);
    trie.add(readPathPattern(`${'/a'.repeat(stars)}/x`, 'x:1'), stars);
  }
  // Twenty stars over 30,000 segments: exponential in a backtracking matcher, the test would not end.
  assert.deepEqual(trie.match(Array.from({ length: 30_000 }, () => 'a')), []);
});
