// Server names of TLS that is passed through, against the words of RFC 6125, 6.4.3.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { SliceOperation } from '../bundle/slice.ts';
import { isServerNamePattern } from '../bundle/tls.ts';
import { contains, mayOverlap } from './operation-contains.ts';
import { compileTls } from './tls-operation.ts';

type TlsOperation = Extract<SliceOperation, { protocol: 'tls' }>;

const operation = (...names: string[]): TlsOperation => ({
  name: 'x',
  protocol: 'tls',
  names,
  class: 'normal',
  island: false,
});

function judged(serverName: unknown, ...names: string[]): 'sure' | 'possible' | 'no' {
  const matched = compileTls([operation(...names)])(
    { protocol: 'tls', serverName: serverName as string, alpn: [] },
    'dev',
  );
  assert.ok(matched.kind === 'matched');
  if (matched.sure.length > 0) return 'sure';
  return matched.possible().length > 0 ? 'possible' : 'no';
}

test('tls: a name is matched as it is, in any case', () => {
  assert.equal(judged('cam-1.plant.example', 'cam-1.plant.example'), 'sure');
  assert.equal(judged('CAM-1.Plant.Example', 'cam-1.plant.example'), 'sure');
  assert.equal(judged('cam-2.plant.example', 'cam-1.plant.example'), 'no');
  assert.equal(judged('x.cam-1.plant.example', 'cam-1.plant.example'), 'no');
  assert.equal(judged('camera', 'camera'), 'sure');
});

test('tls: a star is one whole label and the first', () => {
  assert.equal(judged('a.cell.example', '*.cell.example'), 'sure');
  assert.equal(judged('cell.example', '*.cell.example'), 'no');
  assert.equal(judged('a.b.cell.example', '*.cell.example'), 'no');
  assert.equal(judged('xcell.example', '*.cell.example'), 'no');
  assert.equal(judged('.cell.example', '*.cell.example'), 'possible');
  assert.equal(judged('*.cell.example', '*.cell.example'), 'possible');
});

test('tls: without a name, or with one that is none, nothing is granted and every deny matches', () => {
  for (const name of [
    '',
    '.',
    'a..b',
    'cam.example.',
    '-a.example',
    'a_b.example',
    'ä.example',
    'a\0',
    'a b',
    undefined,
  ]) {
    assert.equal(judged(name, 'cam.example', '*.cell.example'), 'possible', String(name));
  }
  assert.equal(judged(`${'a'.repeat(64)}.example`, `x.example`), 'possible');
  // U+212A folds to k in Unicode and not in a host name.
  assert.equal(judged('\u212aam.example', 'kam.example'), 'possible');
});

test('tls: a pattern is lower case labels with at most one star in front of two', () => {
  for (const good of ['a', 'a.b', 'xn--p1ai', '*.a.b', '1.2']) assert.ok(isServerNamePattern(good), good);
  for (const bad of [
    '',
    '*',
    '*.a',
    'A.b',
    'a.*.b',
    'a*.b.c',
    '**.a.b',
    '*.*.a',
    'a.',
    '.a',
    '*.a.',
    'a-.b',
    'a'.repeat(64),
  ]) {
    assert.ok(!isServerNamePattern(bad), bad);
  }
});

const label = fc.constantFrom('a', 'b', 'c');
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
const pattern = fc
  .tuple(fc.boolean(), fc.array(label, { minLength: 2, maxLength: 3 }))
  .map(([star, labels]) => `${star ? '*.' : ''}${labels.join('.')}`);

test('tls: names match as a regular expression of the pattern, and containment follows from it', () => {
  const matches = (one: string, text: string): boolean =>
    new RegExp(`^${one.replaceAll('.', String.raw`\.`).replace('*', '[^.]+')}$`).test(text);
  fc.assert(
    fc.property(
      fc.array(pattern, { minLength: 1, maxLength: 3 }),
      fc.array(pattern, { minLength: 1, maxLength: 3 }),
      name,
      (one, two, asked) => {
        const [outer, inner] = [operation(...one), operation(...two)];
        const matched = compileTls([outer, inner])({ protocol: 'tls', serverName: asked, alpn: [] }, '');
        assert.ok(matched.kind === 'matched');
        const wanted = [one, two].flatMap((names, index) =>
          names.some((entry) => matches(entry, asked)) ? [index] : [],
        );
        assert.deepEqual(matched.sure, wanted);
        assert.deepEqual(matched.possible(), wanted);
        if (wanted.length === 2) assert.ok(mayOverlap(outer, inner, ''));
        if (contains(outer, inner, '') && wanted.includes(1)) assert.ok(wanted.includes(0));
      },
    ),
    { numRuns: 3_000 },
  );
  assert.ok(contains(operation('*.a.b'), operation('x.a.b', '*.a.b'), ''));
  assert.ok(!contains(operation('x.a.b'), operation('*.a.b'), ''));
  assert.ok(!mayOverlap(operation('*.a.b'), operation('a.b', 'x.y.a.b'), ''));
});
