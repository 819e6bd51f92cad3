import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Release } from '../../policy/bundle/index.ts';
import { createAccusations } from './accusations.ts';

const device = (id: string, ...networks: string[]) => ({
  id,
  labels: {},
  interfaces: networks.map((network, n) => ({ name: `eth${n}`, network, address: `10.0.${n}.1` })),
});
const release = {
  devices: [
    device('plc', 'cell'),
    device('gateway', 'cell', 'plant'),
    device('historian', 'plant'),
    device('hmi', 'far'),
  ],
} as unknown as Release;
const states = new Map([
  ['plc', 'trusted'],
  ['gateway', 'enrolled'],
  ['historian', 'stale'],
  ['hmi', 'trusted'],
]);
const mayAccuse = createAccusations({
  release: () => release,
  stateOf: (id) => Promise.resolve(states.get(id)),
  sliceOf: (id) => Promise.resolve(new Set(id === 'historian' ? ['historian', 'hmi'] : [id])),
});

test('a device is heard about those on its networks and those its slice names, and about nobody else', async () => {
  assert.equal(await mayAccuse('plc', 'gateway'), true);
  assert.equal(await mayAccuse('historian', 'gateway'), true);
  assert.equal(await mayAccuse('historian', 'hmi'), true, 'routed, by its slice');
  for (const [reporter, subject] of [
    ['plc', 'historian'],
    ['plc', 'hmi'],
    ['hmi', 'plc'],
    ['plc', 'nobody'],
    ['nobody', 'plc'],
  ] as const) {
    assert.equal(await mayAccuse(reporter, subject), false, `${reporter} ${subject}`);
  }
});

test('who is suspect, contained, at the end of its life or was never seen is not heard about others', async () => {
  for (const state of ['suspect', 'quarantined', 'recovering', 'decommissioned', 'expected', undefined]) {
    if (state === undefined) states.delete('plc');
    else states.set('plc', state);
    assert.equal(await mayAccuse('plc', 'gateway'), false, state);
  }
  states.set('plc', 'trusted');
  assert.equal(await mayAccuse('plc', 'gateway'), true);
});
