// 1,000 seeded power cuts: nothing that was acknowledged is lost, nothing is stored twice, and no cut looks like damage.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutPoints, runPowerCuts } from './power-cuts.ts';

test('1,000 power cuts lose nothing and store nothing twice', async (t) => {
  const { acknowledged, lost, duplicated, places, epochs } = await runPowerCuts({ cuts: 1_000, seed: 20_261 });
  t.diagnostic(`${acknowledged} acknowledged; ${JSON.stringify(places)}`);
  assert.equal(lost, 0);
  assert.equal(duplicated, 0);
  assert.equal(epochs, 1);
  assert.ok(acknowledged > 5_000);
  for (const point of cutPoints) assert.ok(places[`the power was cut (${point})`], `no cut struck at "${point}"`);
});
