// node-casbin is the language's reference: a fixed share of the million random cases (npm run oracle) in every test run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileCasbin } from '../../../policy/engine/casbin/casbin-model.ts';
import { figuresOf, tableOf } from './figures.ts';
import { firstDifference, runOracle } from './run.ts';
import { reproducer } from './shrink.ts';

const SEED = 20_261_122;
const CASES = 130_000;

test('random models, policies and requests: the answer of node-casbin, or a published divergence', async (t) => {
  const tally = await runOracle(compileCasbin, { seed: SEED, cases: CASES });
  t.diagnostic(tableOf(tally));
  const difference = await firstDifference(compileCasbin, tally);
  assert.equal(difference === undefined ? '' : reproducer(difference), '');
  for (const { id, met, value, goal } of figuresOf(tally, SEED))
    assert.notEqual(met, false, `${id} is ${value}: ${goal}`);
});
