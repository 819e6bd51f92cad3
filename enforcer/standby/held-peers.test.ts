// Who is held, and when that ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHeldPeers } from './held-peers.ts';
import { HELD_IDLE_MS, HELD_MS, MAX_HELD } from './limits.ts';

const hmi = { interface: 'plc-modbus', address: '10.0.0.3', subject: 'hmi-1' };

test('held is who had a flow, at that interface, from that address, as that device', () => {
  const held = createHeldPeers(() => 0);
  assert.equal(held.isHeld(hmi), false);
  held.begin([hmi, { ...hmi, address: '10.0.0.9', subject: '' }]);
  assert.equal(held.isHeld({ ...hmi }), true);
  assert.equal(held.isHeld({ ...hmi, interface: 'other' }), false);
  assert.equal(held.isHeld({ ...hmi, address: '10.0.0.4' }), false);
  assert.equal(held.isHeld({ ...hmi, subject: 'camera-1' }), false);
  assert.equal(held.isHeld({ ...hmi, address: '10.0.0.9', subject: '' }), false, 'nobody is nobody');
  held.end();
  assert.equal(held.isHeld(hmi), false);
});

test('who stays away is forgotten and does not come back; who has a connection is not', () => {
  let now = 1_000;
  const held = createHeldPeers(() => now);
  const other = { ...hmi, address: '10.0.0.4', subject: 'hmi-2' };
  held.begin([hmi, other]);
  for (let minute = 0; minute < 10; minute++) {
    now += HELD_IDLE_MS / 2;
    held.seen([hmi, { ...hmi, subject: 'camera-1' }]);
  }
  assert.equal(held.isHeld(hmi), true);
  assert.equal(held.isHeld(other), false);
  held.seen([other]);
  assert.equal(held.isHeld(other), false);
  assert.equal(held.count(), 1);
});

test('it is over after a day, whoever is still connected', () => {
  let now = 0;
  const held = createHeldPeers(() => now);
  held.begin([hmi]);
  while (now + HELD_IDLE_MS <= HELD_MS) {
    now += HELD_IDLE_MS;
    held.seen([hmi]);
    assert.equal(held.isHeld(hmi), true, String(now));
  }
  now = HELD_MS + 1;
  assert.equal(held.isHeld(hmi), false);
});

test('no more are held than were to be told', () => {
  const held = createHeldPeers(() => 0);
  held.begin(Array.from({ length: MAX_HELD + 5 }, (_, at) => ({ ...hmi, address: `a${at}` })));
  assert.equal(held.count(), MAX_HELD);
});
