import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare } from './compare.ts';

test('every engine of the comparison answers the corpus as the hand-written index does', async () => {
  const options = { requests: 400, rounds: 1, roundMs: 60, size: 'quick', progress: () => undefined } as const;
  const { costs, left, rules, links } = await compare(300, options);
  assert.equal(rules + links, 300);
  // opa alone may be missing; engines.test.ts says so.
  assert.deepEqual(
    Object.keys(left).filter((name) => !name.startsWith('opa-wasm')),
    [],
  );
  for (const [name, cost] of Object.entries(costs)) {
    assert.equal(cost.differences, 0, name);
    assert.ok(cost.requests >= 50, name);
    assert.ok(cost.allowedShare >= 0.3 && cost.allowedShare <= 0.7, `${name}: ${cost.allowedShare}`);
  }
});
