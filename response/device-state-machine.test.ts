import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deviceEvents, deviceStates, nextState, type DeviceStateName } from './device-state-machine.ts';

const history = fc.array(fc.constantFrom(...deviceEvents), { maxLength: 40 });

function run(events: readonly (typeof deviceEvents)[number][], from: DeviceStateName): DeviceStateName[] {
  const path = [from];
  for (const event of events)
    path.push(nextState(path.at(-1) as DeviceStateName, event) ?? (path.at(-1) as DeviceStateName));
  return path;
}

test('nothing leads out of decommissioned', () => {
  fc.assert(
    fc.property(history, (events) => run(events, 'decommissioned').every((state) => state === 'decommissioned')),
  );
});

test('a quarantined device reaches trusted only through recovering and a release', () => {
  fc.assert(
    fc.property(history, (events) => {
      const path = run(events, 'quarantined');
      const trusted = path.indexOf('trusted');
      if (trusted === -1) return true;
      return path.slice(0, trusted).includes('recovering') && events.slice(0, trusted).includes('released');
    }),
  );
});

test('a failed appraisal is not laundered by age and a later pass', () => {
  const harmless = fc.array(fc.constantFrom('affirmed' as const, 'aged' as const, 'contradicted' as const));
  fc.assert(fc.property(harmless, (events) => run(events, 'suspect').every((state) => state === 'suspect')));
});

test('every state that is a member of the fleet can be quarantined and revoked', () => {
  for (const state of deviceStates) {
    assert.equal(nextState(state, 'revoked'), 'decommissioned', state);
    if (state !== 'expected' && state !== 'decommissioned')
      assert.equal(nextState(state, 'quarantined'), 'quarantined', state);
  }
});
