// globMatch against minimatch, which node-casbin uses: where a wildcard could reach further than it does there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Util } from 'casbin';
import { globPattern } from './glob-pattern.ts';

const compile = (pattern: string): ReturnType<typeof globPattern> =>
  globPattern(pattern, (message) => new Error(message));

test('no wildcard stands for a dot segment', () => {
  for (const [pattern, value] of [
    ['/a/.*', '/a/..'],
    ['/a/.*', '/a/.'],
    ['/a/.?', '/a/..'],
    ['/a/..*', '/a/..'],
    ['/a/**', '/a/../b'],
  ] as const) {
    assert.equal(Util.globMatch(value, pattern), false);
    assert.equal(compile(pattern).exact(value), false, `${pattern} ${value}`);
    assert.equal(compile(pattern).wide(value), false, `${pattern} ${value}`);
  }
  assert.equal(compile('/a/.*').exact('/a/.config'), true);
});

test('to deny, whatever minimatch finds is found', () => {
  for (const [pattern, value] of [
    ['/a/**', '/a/'],
    ['/a/**', '//a//'],
    ['/**', '/'],
    ['**', '/a/b'],
    ['**', '/'],
    ['/a/*', '/a//b/'],
  ] as const) {
    assert.equal(Util.globMatch(value, pattern), true);
    assert.equal(compile(pattern).wide(value), true, `${pattern} ${value}`);
  }
});
