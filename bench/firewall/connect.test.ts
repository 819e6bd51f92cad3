// Cheap ways to good connect figures are no figures.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectFigures, type Connects, type RoundOf, type Series } from './connect.ts';

const names: readonly Series[] = ['none', 'minimal', 'plan', 'linear', 'minimalMany', 'planMany'];
const each = <T>(value: (name: Series) => T): Record<Series, T> =>
  Object.fromEntries(names.map((name) => [name, value(name)])) as Record<Series, T>;
const entriesOf = (name: Series): number => (name.endsWith('Many') ? 99_990 : 10_000);
const round = (name: Series): RoundOf => {
  const p50 = name.startsWith('plan') ? 24 : 20;
  return { p10: p50 - 1, p50, connects: 2_000, failed: 0, sources: 1_900, span: entriesOf(name) - 20 };
};
const good: Connects = {
  entries: each(entriesOf),
  largestSet: each((name) => (name.startsWith('plan') ? entriesOf(name) : 0)),
  strangerIn: each((name) => name === 'none'),
  failedWarmUp: each(() => 0),
  emptyNs: 1,
  rounds: Array.from({ length: 5 }, () => each(round)),
};
const withRounds = (change: Partial<RoundOf>): Connects => ({
  ...good,
  rounds: good.rounds.map((one) => ({ ...one, plan: { ...one.plan, ...change } })),
});

test('a good run has its ratios', () => {
  const [small, many, , , failed] = connectFigures(good);
  assert.deepEqual([small?.value, small?.met, many?.value, failed?.value], [1.2, true, 1.2, 0]);
});

const tricks: Readonly<Record<string, Connects>> = {
  'everybody is let in': { ...good, strangerIn: each(() => true) },
  'the set is empty': { ...good, largestSet: each(() => 0) },
  'nobody is let in': withRounds({ p10: null, p50: null, connects: 0, failed: 2_000 }),
  'some connects fail': withRounds({ failed: 1 }),
  'one address': withRounds({ sources: 1, span: 0 }),
  'few addresses side by side': withRounds({ span: 100 }),
  'too few rounds': { ...good, rounds: good.rounds.slice(1) },
  'nothing at all': { ...good, rounds: [] },
};
for (const [name, seen] of Object.entries(tricks)) {
  test(`no figure when ${name}`, () => {
    const [small] = connectFigures(seen);
    assert.deepEqual([small?.value, small?.met], [null, false], small?.reason);
    assert.ok((small?.reason ?? '') !== '');
  });
}
