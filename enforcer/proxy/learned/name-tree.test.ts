import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_LEARNED_NAME_CHARACTERS, MAX_LEARNED_NODES } from '../limits.ts';
import { createNameTree } from './name-tree.ts';

const covers = (pattern: readonly (string | undefined)[], name: readonly string[]): boolean => {
  for (const [index, level] of pattern.entries()) {
    if (level === undefined) return true;
    if (level !== '+' && level !== name[index]) return false;
  }
  return pattern.length === name.length;
};

test('names: many levels with few names each are bounded as a whole, and everything seen is still covered', () => {
  const tree = createNameTree('+');
  const seen: string[][] = [];
  for (let number = 0; number < 50_000; number++) {
    // Sixteen names at each of ten levels: 16^10 different ones.
    const name = Array.from({ length: 10 }, (_, level) => `n${((number * 2_654_435_761) >>> (level * 3)) & 15}`);
    tree.add(name);
    if (number % 50 === 0) seen.push(name);
  }
  const names = tree.names();
  assert.ok(names.length <= 2 * MAX_LEARNED_NODES, `${names.length} names`);
  for (const name of seen)
    assert.ok(
      names.some((pattern) => covers(pattern, name)),
      name.join('/'),
    );
});

test('names: a name that is longer than names are is open-ended', () => {
  const tree = createNameTree('+');
  tree.add(['plant', 'x'.repeat(MAX_LEARNED_NAME_CHARACTERS), 'state']);
  assert.deepEqual(tree.names(), [['plant', undefined]]);
});
