import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFleet, type Fleet } from '../../policy/fleet/fleet.ts';
import { sampleFleet } from '../../policy/fleet/testing/sample-fleet.ts';
import { changeAtRandom, differencesFromCold, faultsOf } from './fleet-changes.ts';

const sample = sampleFleet({ devices: 120, rules: 40, seed: 3 });
const { devices, rules } = sample;
const compiled = (): Fleet => compileFleet(devices, rules);
const nothing = { sets: [], holders: [], peers: [] };

test('a fleet without members, with constant ones or without plans is noticed', () => {
  assert.deepEqual(faultsOf(compiled(), devices, sample), []);
  const all = compileFleet(
    devices,
    rules.map((rule) => ({ ...rule, servers: 'all' as const })),
  );
  assert.ok(faultsOf(all, devices, sample).some((fault) => fault.startsWith('members of')));
  assert.ok(faultsOf(compileFleet([], rules), devices, sample).some((fault) => fault.startsWith('members of')));
  const lazy: Fleet = { ...compiled(), sets: () => compiled().sets(), plan: () => [] };
  assert.ok(faultsOf(lazy, devices, sample).some((fault) => fault.startsWith('plan of')));
});

test('a fleet that changes nothing when it is changed is noticed', () => {
  const fleet = compiled();
  const live = new Map(devices.map((device) => [device.id, device]));
  const costs = changeAtRandom(fleet, sample, live, 200);
  assert.deepEqual(differencesFromCold(fleet, [...live.values()], sample), []);
  assert.ok(costs.sets.some((count) => count > 0) && costs.sets.some((count) => count === 0));
  const old = compiled();
  const idle: Fleet = { sets: () => old.sets(), plan: (id) => old.plan(id), put: () => nothing, remove: () => nothing };
  const wanted = new Map(devices.map((device) => [device.id, device]));
  changeAtRandom(idle, sample, wanted, 200);
  assert.ok(differencesFromCold(idle, [...wanted.values()], sample).length > 0);
});
