import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Figure } from '../machine.ts';
import type { EngineCost } from './compare.ts';
import { type EngineName, engineNames } from './engines.ts';
import { decideFigures, type DecideResults } from './figures.ts';
import { growthExponent } from './hostile-paths.ts';

const cost = (us: number, more: Partial<EngineCost> = {}): EngineCost => ({
  us,
  requests: 1_000,
  rounds: 3,
  allowedShare: 0.5,
  differences: 0,
  says: 'the same',
  ...more,
});

const sizes = [1_000, 10_000, 100_000];

function results(change: Partial<Record<EngineName, Partial<EngineCost>>> = {}): DecideResults {
  return {
    comparisons: sizes.map((lines) => ({
      lines,
      rules: lines,
      links: 0,
      left: {},
      costs: Object.fromEntries(
        engineNames.map((name) => [name, cost(name === 'edgeward' ? 1 : 5_000, change[name] ?? {})]),
      ),
    })),
    compile: {
      lines: 100_000,
      compileMs: [900, 700],
      retainedMb: 60,
      peakRssMb: 300,
      startRssMb: 100,
      deltaMs: { n: 10, mean: 4, p50: 3, p95: 6 },
      differences: 0,
      asked: 100,
    },
    hostile: [{ lines: 10_000, tried: 10, kind: 'a', pattern: '/a', kinds: ['a'], usByLength: pathCosts(1) }],
    whole: [{ grants: 1_000, us: 2, requests: 10, allowedShare: 0.5 }],
  };
}

const pathCosts = (power: number): { length: number; us: number }[] =>
  [1_024, 2_048, 4_096, 8_192].map((length) => ({ length, us: 30 * (length / 8_192) ** power }));

function found(figures: readonly Figure[], id: string): Figure {
  const figure = figures.find((one) => one.id === id);
  assert.ok(figure, id);
  return figure;
}

test('every goal is met by results that meet it', () => {
  const figures = decideFigures(results());
  assert.deepEqual(
    figures.filter(({ goal, met }) => goal !== null && met !== true).map(({ id }) => id),
    [],
  );
  assert.equal(found(figures, 'nodeCasbinRatio10k').value, 5_000);
});

test('an engine that answers otherwise has no figure, and none is measured against it', () => {
  const figures = decideFigures(results({ 'cedar-wasm': { differences: 1 } }));
  assert.equal(found(figures, 'cedarRatio1k').value, null);
  assert.equal(found(figures, 'cedarRatio1k').met, false);
  assert.equal(found(figures, 'differentAnswers').value, sizes.length);
  assert.equal(found(figures, 'nodeCasbinRatio10k').met, true);
});

test('wrong answers of our own invalidate all that is measured with them', () => {
  const figures = decideFigures(results({ edgeward: { differences: 1 } }));
  for (const id of ['decideMeanUs10k', 'decideGrowth100kTo1k', 'nodeCasbinRatio10k', 'cedarRatio1k', 'opaRatio1k']) {
    assert.equal(found(figures, id).met, false, id);
  }
});

test('an engine that denies everything, or allows it, meets no goal of the share', () => {
  assert.equal(found(decideFigures(results({ edgeward: { allowedShare: 0 } })), 'leastAllowedShare').met, false);
  assert.equal(found(decideFigures(results({ edgeward: { allowedShare: 1 } })), 'mostAllowedShare').met, false);
});

test('a path whose cost grows with the square of its length is not linear', () => {
  assert.ok(Math.abs(growthExponent(pathCosts(1)) - 1) < 1e-9);
  assert.ok(Math.abs(growthExponent(pathCosts(2)) - 2) < 1e-9);
  const [hostile] = results().hostile;
  assert.ok(hostile);
  const figures = decideFigures({ ...results(), hostile: [{ ...hostile, usByLength: pathCosts(2) }] });
  assert.equal(found(figures, 'hostilePathExponent').met, false);
});
