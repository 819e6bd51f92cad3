import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enforcerDeathOf } from './enforcer-death.ts';
import { sampleSlice } from './sample-slice.ts';
import { sliceSchema } from './slice.ts';

test('an interface that fails open does so until its waiver ends, and is closed from then on', () => {
  const open = { onEnforcerDeath: 'open', openUntil: 1_000 } as const;
  assert.equal(enforcerDeathOf(open, 999), 'open');
  assert.equal(enforcerDeathOf(open, 1_000), 'closed');
  assert.equal(enforcerDeathOf(open, Infinity), 'closed', 'nobody knows the time');
  assert.equal(enforcerDeathOf(open, Number.NaN), 'closed');
  assert.equal(enforcerDeathOf({ onEnforcerDeath: 'open' }, 0), 'closed');
  assert.equal(enforcerDeathOf({ onEnforcerDeath: 'hold' }, Infinity), 'hold');
});

test('a bundle that opens without an end, or ends what is not open, is refused', () => {
  const slice = sampleSlice();
  const [entry] = slice.interfaces;
  const takes = (more: object): boolean =>
    sliceSchema.safeParse({ ...slice, interfaces: [{ ...entry, ...more }] }).success;
  assert.ok(takes({ onEnforcerDeath: 'open', openUntil: 1 }));
  assert.ok(!takes({ onEnforcerDeath: 'open' }));
  assert.ok(!takes({ onEnforcerDeath: 'hold', openUntil: 1 }));
});
