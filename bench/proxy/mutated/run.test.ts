// The mutated streams find a proxy out that is no good, and not one that is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomFrom } from './random.ts';
import { piecesOf, runMutated } from './run.ts';
import { suites } from './suites.ts';

for (const suite of suites) {
  test(`${suite.name}: nothing denied reaches the server, and all that is allowed of unharmed streams does`, async () => {
    const seen = await runMutated(suite, { streams: 1_500, seed: 5 });
    assert.deepEqual([seen.deniedBytes, seen.faulty, seen.examples], [0, 0, []]);
    assert.ok(seen.allowedWhole > 500 && seen.deliveredWhole === seen.allowedWhole);
    assert.ok(seen.denied > 500 && seen.refused > 100 && Object.keys(seen.mutations).length > 10);
  });

  test(`${suite.name}: a proxy that allows all, and one that denies all, are found out`, async () => {
    const open = await runMutated(suite, { streams: 300, seed: 5, broken: 'allows-all' });
    assert.ok(open.deniedBytes > 1_000 && open.faulty > 100);
    const shut = await runMutated(suite, { streams: 300, seed: 5, broken: 'denies-all' });
    assert.deepEqual([shut.delivered, shut.deniedBytes], [0, 0]);
    assert.ok(shut.faulty > 30);
  });
}

test('pieces are the bytes, whatever the cuts', () => {
  const random = randomFrom(1);
  const bytes = Buffer.from(Array.from({ length: 200 }, (_, at) => at));
  const counts = new Set<number>();
  for (let round = 0; round < 100; round += 1) {
    const pieces = piecesOf(bytes, random);
    assert.deepEqual(Buffer.concat(pieces), bytes);
    counts.add(pieces.length);
  }
  assert.ok([1, 2, 200].every((count) => counts.has(count)));
});
