// Paths with two readings have none (policy note, "Paths, hosts, methods": the regression corpus of the field).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readPath } from './http-path.ts';

const ambiguous = [
  '',
  'admin',
  '*',
  'http://evil/admin',
  '?/admin', // no leading slash, GHSA-9f29-v6mm-pw6w, CVE-2026-33186
  '/./admin',
  '/public/../admin',
  '/a/..',
  '/a/.',
  '/..',
  '/.', // dot segments
  '/public/%2e%2e/admin',
  '/public/.%2E/admin',
  '/%2e/admin',
  '/%2fadmin',
  '/a%2Fb',
  '/a%5cb',
  '/a%5Cb',
  '/a\\b',
  '/..\\admin', // CVE-2021-31920, CVE-2021-29492
  '//admin',
  '/a//b',
  '/a///',
  '//',
  '/admin;x=1',
  '/admin;',
  '/admin%3bx', // path parameters
  '/admin#x',
  '/admin%23x',
  '/a%3Fb', // CVE-2021-39156
  '/a\u0000',
  '/a%00',
  '/a%0a',
  '/a\n',
  '/a%7f',
  '/a b',
  '/\u00e4',
  '/a\u2215b',
  '/a\uff0fb',
  '/%61dmin',
  '/adm%69n',
  '/%7euser',
  '/a%2db', // a second spelling of unreserved characters
  '/a%',
  '/a%2',
  '/a%zz',
  '/%c0%af',
  '/%e0%80%af',
  '/%ff',
  '/%ed%a0%80', // malformed, overlong, not UTF-8
  '/%252e%252e/admin',
  '/a%252fb',
  '/a%2541', // decodes twice
  '/a?b#c',
  '/a?#',
  '/a?b\u0000',
  '/a?b\n',
  '/a?b c',
  '/a?\u007f',
  '/a?\u00e4', // the query is part of the target
  'CONNECT',
  'evil.example:443',
  'https:/admin',
  `/a?${'b'.repeat(16_384)}`,
  `/${'a'.repeat(8_192)}`,
  `/${'a/'.repeat(256)}`,
];

const readable: readonly [string, readonly string[]][] = [
  ['/', ['']],
  ['/admin', ['admin']],
  ['/admin/', ['admin', '']],
  ['/a/b?x=../..//%2e;\\', ['a', 'b']],
  ['/caf%C3%A9', ['café']],
  ['/caf%c3%a9', ['café']],
  ['/a%20b', ['a b']],
  ['/@me', ['@me']],
  ['/%40me', ['@me']],
  ['/100%25', ['100%']],
  ['/.well-known/x', ['.well-known', 'x']],
  ['/...', ['...']],
  ['/a*b/%2A', ['a*b', '*']],
];

test('path: what proxies and servers read differently is ambiguous', () => {
  for (const path of ambiguous) assert.equal(readPath(path).kind, 'ambiguous', JSON.stringify(path));
});

test('path: what has one reading is split first and decoded after', () => {
  for (const [path, segments] of readable) assert.deepEqual(readPath(path), { kind: 'segments', segments }, path);
});

test('path: any text is read without a fault, and what is readable survives the URL parser unchanged', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc
          .array(fc.constantFrom('/', '.', '..', '%2e', '%2F', 'a', 'B', '%41', '%c3%a9', ';', '\\', '#', '?', '%'))
          .map((parts) => `/${parts.join('')}`),
      ),
      (path) => {
        const reading = readPath(path);
        if (reading.kind === 'ambiguous') return;
        const raw = path.split('?')[0] ?? '';
        assert.equal(new URL(`http://edge.example${path}`).pathname, raw);
        assert.equal(reading.segments.length, raw.split('/').length - 1);
        for (const segment of reading.segments) {
          assert.ok(segment !== '.' && segment !== '..' && !/[/\\;#?]/.test(segment));
          assert.ok(segment.split('').every((character) => character >= ' ' && character !== '\u007f'));
        }
      },
    ),
    { numRuns: 3_000 },
  );
});
