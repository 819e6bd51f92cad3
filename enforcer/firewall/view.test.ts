// What `firewall show` says, from the listing that the kernel gave for a golden plan.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readGolden } from '../../test/firewall/golden.ts';
import { parseListing } from './listing.ts';
import type { Listing } from './listing.ts';
import { statusOf } from './status.ts';
import { stateOf } from './table.ts';
import { viewOf } from './view.ts';

const { plan, input } = readGolden('plc-cell.txt');
const listing = parseListing(readFileSync(join(import.meta.dirname, 'testdata/plc-cell.listing'), 'utf8'));
const { now } = input.state;

function shown(listed: Listing, state = stateOf(plan)) {
  const status = statusOf({ state, fingerprint: listed.fingerprint }, listed, now, { backend: 'nft' });
  return viewOf(state, listed, status, now);
}

test('every logging rule is there with stage, line and counters, sets with their sizes', () => {
  const counted = { ...listing, rules: listing.rules.map((rule) => ({ ...rule, packets: 3, bytes: 180 })) };
  const { rules, sets, generation } = shown(counted);
  const telnet = rules.find(({ rule }) => rule === 'firewall:no-telnet');
  assert.deepEqual([telnet?.stage, telnet?.place, telnet?.activity], ['denies', 'firewall/base.yaml:2', 'deny']);
  // A reset and a drop.
  assert.deepEqual([telnet?.packets, telnet?.bytes], [6, 360]);
  assert.equal(generation?.epoch, plan.epoch);
  assert.equal(sets.find(({ name }) => name === 'g1_inventory4')?.elements, 4);
});

test('a candidate says how long it has, and what was never confirmed that it still closes', () => {
  const state = { ...stateOf(plan), candidate: { plan, slot: 2, until: now + 7_400 }, closing: [{ plan, slot: 3 }] };
  const { candidate, closing } = shown(listing, state);
  assert.deepEqual([candidate?.slot, candidate?.secondsLeft], [2, 8]);
  assert.deepEqual(
    closing.map(({ slot }) => slot),
    [3],
  );
});
