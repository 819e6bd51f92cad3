// Cheap ways to good figures of apply are no figures.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attempt } from '../parts.ts';
import { applyFigures, type Deltas, type WholeApply } from './apply.ts';

const times = (value: number): number[] => Array.from({ length: 5 }, () => value);
const whole: WholeApply = {
  peers: 1_000,
  elements: 5_000,
  netlinkMs: times(1),
  nftMs: times(20),
  startMs: 2,
  differences: [],
};
const deltas: Deltas = {
  elements: 100_000,
  transactionMs: times(0.02),
  foundMs: times(1),
  nftMs: times(20),
  startMs: 2,
  differences: [],
};
const metOf = (wholes: readonly WholeApply[], seen: Deltas = deltas): Record<string, boolean | null> =>
  Object.fromEntries(applyFigures(wholes, seen).map(({ id, met }) => [id, met]));

test('a good run meets its goals; what was left out does not', () => {
  assert.deepEqual(metOf([whole]), {
    applyToNft1k: true,
    applyToNft10k: false,
    applyToNft100k: false,
    deltaP50Ms: true,
    deltaToNft: true,
  });
});

test('a table that is not in the kernel, or has nothing in it, or was loaded once, is no figure', () => {
  for (const trick of [{ differences: ['netlink: no table'] }, { elements: 0 }, { nftMs: [20] }]) {
    const [figure] = applyFigures([{ ...whole, ...trick }], deltas);
    assert.deepEqual([figure?.value, figure?.met], [null, false]);
  }
  for (const trick of [{ differences: ['nothing removed'] }, { transactionMs: [] }, { nftMs: [20] }]) {
    const met = metOf([whole], { ...deltas, ...trick });
    assert.deepEqual([met['deltaP50Ms'], met['deltaToNft']], [false, false]);
  }
});

test('a part that fails or says nothing is a figure that is not met', async () => {
  const options = { quick: true, progress: () => undefined };
  const failing = () => Promise.reject(new Error('no namespaces here'));
  const [failed] = await attempt('swap', failing, options);
  assert.deepEqual([failed?.value, failed?.met, failed?.reason], [null, false, 'no namespaces here']);
  const [silent] = await attempt('swap', () => [], options);
  assert.equal(silent?.met, false);
});
