// Each normalisation by itself and in Istio's order, over the spellings of the field's CVEs; and what no profile ever takes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type PathNormalisation, pathNormalisations } from '../bundle/path-normalisations.ts';
import { readPath } from './http-path.ts';
import { pathProfile } from './path-profile.ts';

const none = 'ambiguous';
/** Normal form, or `ambiguous`. */
function normal(target: string, ...terms: readonly PathNormalisation[]): string {
  const reading = pathProfile(terms).read(target);
  return reading.kind === 'ambiguous' ? none : (reading.path ?? 'missing');
}

/** For each term: target and what it is with that term alone. */
const alone: Readonly<Record<PathNormalisation, readonly (readonly [string, string])[]>> = {
  'path-parameters': [
    ['/admin;x=1', '/admin'],
    ['/a;v=1.1/b;jsessionid=7', '/a/b'],
    ['/a;', '/a'],
    ['/a;x;y', '/a'],
    ['/..;/admin', none],
    ['/.;x/admin', none],
    ['/;x/admin', none],
    ['/%2e%2e;/admin', none],
    ['/a;x=%2f../b', none],
    ['/a%2f;x', none],
    ['/a;x=\\..\\b', none],
    ['/a%3bx', none],
  ],
  'encoded-slashes': [
    ['/a%2fb', '/a/b'],
    ['/a%2Fb', '/a/b'],
    ['/a%5cb', none],
    ['/%2fadmin', none],
    ['/a%2f..%2fb', none],
    ['/a%252fb', none],
    ['/a%%32fb', none],
    ['/a%25%32fb', none],
  ],
  'percent-encoding': [
    ['/%61dmin', '/admin'],
    ['/adm%69n', '/admin'],
    ['/%7euser', '/~user'],
    ['/caf%C3%a9', '/caf%C3%a9'],
    ['/%2e%2e/admin', none],
    ['/a%2fb', none],
    ['/a%00', none],
    ['/%c0%af', none],
    ['/%252e', none],
    ['/%25%32%65', none],
    ['/%%36%31', none],
    ['/%%633%a9', none],
    ['/%%340', none],
    ['/a%', none],
  ],
  backslashes: [
    ['/a\\b', '/a/b'],
    ['/\\admin', none],
    ['\\admin', none],
    ['/..\\admin', none],
    ['/a%5cb', none],
  ],
  'dot-segments': [
    ['/public/../admin', '/admin'],
    ['/a/./b', '/a/b'],
    ['/a/b/..', '/a/'],
    ['/a/.', '/a/'],
    ['/..', '/'],
    ['/../admin', '/admin'],
    ['/...', '/...'],
    ['/.well-known/x', '/.well-known/x'],
    ['/%2e%2e/admin', none],
    ['/..%2fadmin', none],
    ['//../admin', none],
    ['/a//../b', none],
    ['/a//b', none],
  ],
  'merge-slashes': [
    ['//admin', '/admin'],
    ['/a///b//', '/a/b/'],
    ['//', '/'],
    ['//../admin', none],
    ['/%2fadmin', none],
  ],
  'trailing-slash': [
    ['/a/', '/a'],
    ['/a', '/a'],
    ['/', '/'],
    ['/a//', none],
    ['//', none],
    ['/a/?x=/', '/a'],
  ],
  case: [
    ['/Admin', '/admin'],
    ['/caf%C3%89', '/caf%c3%89'],
    ['/%41', none],
  ],
};

for (const term of pathNormalisations) {
  test(`normalise: ${term} alone`, () => {
    for (const [target, expected] of alone[term]) assert.equal(normal(target, term), expected, target);
  });
}

test('normalise: the steps follow each other as in Istio', () => {
  const istio = ['encoded-slashes', 'percent-encoding', 'backslashes', 'dot-segments', 'merge-slashes'] as const;
  const rows: readonly (readonly [string, string])[] = [
    ['/public%2f%2e%2e%5cadmin', '/admin'],
    ['/a%2f%2fb', '/a/b'],
    ['/a/.%2f/b', '/a/b'],
    ['/%2fadmin', '/admin'],
    ['\\admin', none],
    ['/a%5C..%5Cb', '/b'],
    ['/a%2f/..%2fb', none],
    ['/a//..//b', none],
  ];
  for (const [target, expected] of rows) {
    assert.equal(normal(target, ...istio), expected, target);
    assert.equal(normal(target, ...istio.toReversed()), expected, `${target}, written in another order`);
  }
});

/** What no server reads as any other does. */
const never = [
  ['', 'admin', '*', 'http://evil/admin', 'evil:443', '?x', '/a#b', '/a?b#c', '/a\u0000', '/a%00', '/a?\n', '/a b'],
  ['/\u00e4', '/a\uff0fb', '/%c0%ae%c0%ae/b', '/%ed%a0%80', '/%ff', '/%252e%252e/b', '/a%25%32%66b', '/a%zz', '/a%3fb'],
  ['/a%23b', '/a%3bb', `/${'a'.repeat(8_192)}`, `/${'a/'.repeat(256)}`, `/${'./'.repeat(256)}`],
].flat();

const someTerms = fc.subarray([...pathNormalisations]);

test('property: no profile reads what has no reading', () => {
  fc.assert(
    fc.property(someTerms, fc.constantFrom(...never), (terms, target) => {
      assert.equal(normal(target, ...terms), none);
    }),
    { numRuns: 2_000 },
  );
});

const pieces = fc.constantFrom(
  ...[
    ['/', '/', '//', '.', '..', '/../', 'a', 'B', '%2e', '%2E', '%2f', '%5C', '%41', '%61', '%c3%a9', '%25', '%', '2f'],
    [';', ';x=1', '\\', '?', '#', '%00', '\u00e4', 'admin', 'public'],
  ].flat(),
);
const target = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(pieces, { maxLength: 12 }).map((parts) => `/${parts.join('')}`),
);

test('property: any target is read without a fault, and a normal form is read as itself, with the profile and without', () => {
  fc.assert(
    fc.property(someTerms, target, (terms, text) => {
      const profile = pathProfile(terms);
      const reading = profile.read(text);
      if (reading.kind === 'ambiguous') return;
      const { path = '', segments } = reading;
      assert.deepEqual(profile.read(path), reading);
      assert.deepEqual(readPath(path), { kind: 'segments', segments });
      assert.ok(profile.otherReadings(text).length <= terms.length);
    }),
    { numRuns: 10_000 },
  );
});

test('property: what needs no normalising is read alike with and without a profile, but for case and last slash', () => {
  const plain = pathNormalisations.filter((term) => term !== 'case' && term !== 'trailing-slash');
  fc.assert(
    fc.property(fc.subarray([...plain]), target, (terms, text) => {
      const written = readPath(text);
      if (written.kind === 'ambiguous') return;
      const reading = pathProfile(terms).read(text);
      assert.ok(reading.kind === 'segments');
      assert.deepEqual(reading.segments, written.segments);
      assert.deepEqual(pathProfile(terms).otherReadings(text), []);
    }),
    { numRuns: 5_000 },
  );
});

test('property: dots, backslashes and encoding come out as of the URL parser', () => {
  fc.assert(
    fc.property(target, (text) => {
      const path = normal(text, 'percent-encoding', 'backslashes', 'dot-segments');
      if (path === none) return;
      const parsed = new URL(`http://edge.example${text}`).pathname;
      assert.equal(normal(parsed, 'percent-encoding'), path);
    }),
    { numRuns: 10_000 },
  );
});

test('other readings are what readers see who stop before a step', () => {
  const profile = pathProfile(['encoded-slashes', 'percent-encoding', 'dot-segments', 'merge-slashes']);
  assert.deepEqual(profile.otherReadings('/admin%2f%2e%2e//x?y'), [
    ['admin/..', '', 'x'],
    ['admin', '..', '', 'x'],
    ['', 'x'],
  ]);
});
