import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { indexInventory } from './inventory-index.ts';
import { selectorKey, selects } from './selector.ts';
import { randomDevices, randomSelector } from './testing/random-fleet.ts';

test('a selector chooses exactly the devices that it selects, sorted', () => {
  fc.assert(
    fc.property(randomDevices, fc.array(randomSelector, { maxLength: 6 }), (devices, selectors) => {
      const index = indexInventory(devices);
      for (const selector of selectors) {
        const expected = devices
          .filter((device) => selects(selector, device))
          .map(({ id }) => id)
          .sort();
        assert.deepEqual(index.choose(selector), expected, JSON.stringify(selector));
      }
    }),
    { numRuns: 2_000 },
  );
});

test('selectors that say the same get the same list, whatever their spelling', () => {
  const index = indexInventory([
    { id: 'a', labels: { site: 's1', role: 'plc' } },
    { id: 'b', labels: { role: 'plc', site: 's1' } },
  ]);
  const one = index.choose({ labels: { site: 's1', role: 'plc' } });
  assert.deepEqual(one, ['a', 'b']);
  assert.equal(index.choose({ labels: { role: 'plc', site: 's1' } }), one);
  assert.equal(index.choose(['b', 'a', 'b']), index.choose(['a', 'b']));
  assert.notEqual(selectorKey(['labels']), selectorKey({ labels: {} }));
});

test('a label counts its devices', () => {
  const index = indexInventory([
    { id: 'a', labels: { site: 's1' } },
    { id: 'b', labels: { site: 's1' } },
  ]);
  assert.deepEqual([index.countOf('site', 's1'), index.countOf('site', 's2')], [2, 0]);
});
