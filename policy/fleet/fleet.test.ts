import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import type { SliceDevice } from '../bundle/slice.ts';
import { MAX_FLEET_DEVICES, MAX_FLEET_RULES } from '../limits.ts';
import { compileFleet, type Fleet, type FleetRule } from './fleet.ts';
import { indexInventory } from './inventory-index.ts';
import { naivePlan } from './testing/naive-fleet.ts';
import { type Change, randomChange, randomDevices, randomRules } from './testing/random-fleet.ts';
import { pairsOf, sampleFleet } from './testing/sample-fleet.ts';

/** What a device has in its plan, with members instead of sets: ids of the others. */
function expanded(fleet: Fleet, id: string): unknown[] {
  return fleet.plan(id).map(({ rule, role, peers }) => {
    const members = peers?.members ?? [];
    return { rule: rule.id, role, peers: members.filter((member) => member !== id) };
  });
}

function naive(devices: readonly SliceDevice[], rules: readonly FleetRule[], id: string): unknown[] {
  return naivePlan(devices, rules, id).map(({ peers, ...entry }) => ({
    ...entry,
    peers: peers.map((peer) => peer.id),
  }));
}

/** The same, as whoever also has the labels and addresses of others and of itself sees it. */
const seen = (devices: readonly SliceDevice[], rules: readonly FleetRule[], id: string): string =>
  canonicalJson([devices.find((device) => device.id === id) ?? null, naivePlan(devices, rules, id)]);

const changed = (devices: readonly SliceDevice[], change: Change): SliceDevice[] => {
  const id = 'put' in change ? change.put.id : change.remove;
  return [...devices.filter((device) => device.id !== id), ...('put' in change ? [change.put] : [])];
};

const make = (fleet: Fleet, change: Change) => ('put' in change ? fleet.put(change.put) : fleet.remove(change.remove));

test('every device has the plan that the expansion of all pairs gives it', () => {
  fc.assert(
    fc.property(randomDevices, randomRules, (devices, rules) => {
      const fleet = compileFleet(devices, rules);
      for (const { id } of devices) assert.deepEqual(expanded(fleet, id), naive(devices, rules, id), id);
      assert.deepEqual(fleet.plan('nobody'), []);
    }),
    { numRuns: 1_000 },
  );
});

test('a set is named by the SHA-256 of its sorted members, and equal sets are one', () => {
  fc.assert(
    fc.property(randomDevices, randomRules, (devices, rules) => {
      const fleet = compileFleet(devices, rules);
      const index = indexInventory(devices);
      const wanted = rules
        .flatMap(({ servers, clients }) => (clients === undefined ? [servers] : [servers, clients]))
        .map((selector) => canonicalJson(index.choose(selector)));
      const found = [...fleet.sets()].map(([name, set]) => {
        const content = canonicalJson(set.members);
        assert.equal(name, createHash('sha256').update(content).digest('hex'));
        assert.equal(set.name, name);
        return content;
      });
      assert.deepEqual(found.sort(), [...new Set(wanted)].sort());
    }),
    { numRuns: 500 },
  );
});

test('a fleet that was changed is the fleet compiled cold, and its deltas lead from one to the other', () => {
  fc.assert(
    fc.property(randomDevices, randomRules, fc.array(randomChange, { maxLength: 6 }), (start, rules, changes) => {
      let devices = start;
      const fleet = compileFleet(devices, rules);
      for (const change of changes) {
        const before = new Map([...fleet.sets()].map(([name, { members }]) => [name, members]));
        const { sets } = make(fleet, change);
        devices = changed(devices, change);
        const cold = compileFleet(devices, rules);
        for (const { id } of devices) assert.deepEqual(expanded(fleet, id), expanded(cold, id));
        const after = cold.sets();
        assert.deepEqual([...fleet.sets().keys()].sort(), [...after.keys()].sort());
        const unchanged = new Set(before.keys());
        for (const { before: from, after: to, added, removed, selector } of sets) {
          const members = new Set(before.get(from)).difference(new Set(removed)).union(new Set(added));
          assert.deepEqual([...members].sort(), after.get(to)?.members, JSON.stringify(selector));
          assert.notEqual(from, to);
          unchanged.delete(from);
        }
        for (const name of unchanged) assert.ok(after.has(name), 'a set that no delta names is still there');
      }
    }),
    { numRuns: 1_000 },
  );
});

test('told are exactly the devices that see something else: in their plan, or of the device that changed', () => {
  fc.assert(
    fc.property(randomDevices, randomRules, fc.array(randomChange, { maxLength: 4 }), (start, rules, changes) => {
      let devices = start;
      const fleet = compileFleet(devices, rules);
      for (const change of changes) {
        const { holders, peers } = make(fleet, change);
        const next = changed(devices, change);
        const ids = [...new Set([...devices, ...next].map(({ id }) => id))].sort();
        const isThere = (list: readonly SliceDevice[], id: string): boolean => list.some((device) => device.id === id);
        const otherPlan = ids.filter(
          (id) =>
            isThere(devices, id) !== isThere(next, id) ||
            canonicalJson(naive(devices, rules, id)) !== canonicalJson(naive(next, rules, id)),
        );
        const otherView = ids.filter((id) => seen(devices, rules, id) !== seen(next, rules, id));
        assert.deepEqual(holders, otherPlan);
        assert.deepEqual([...holders, ...peers].sort(), [...new Set([...otherPlan, ...otherView])].sort());
        assert.ok(new Set(holders).isDisjointFrom(new Set(peers)));
        devices = next;
      }
    }),
    { numRuns: 1_000 },
  );
});

test('a change that changes nothing tells nobody', () => {
  const { devices, rules } = sampleFleet({ devices: 50, rules: 20 });
  const [device] = devices;
  assert.ok(device);
  const fleet = compileFleet(devices, rules);
  assert.deepEqual(fleet.put({ ...device, labels: { ...device.labels } }), { sets: [], holders: [], peers: [] });
  assert.deepEqual(fleet.remove('nobody'), { sets: [], holders: [], peers: [] });
});

test('a fleet as fleets are, with random changes, is the fleet compiled cold', () => {
  const { devices, rules, labels, random } = sampleFleet({ devices: 600, rules: 150, seed: 7 });
  const live = new Map(devices.map((device) => [device.id, device]));
  const fleet = compileFleet(devices, rules);
  for (let round = 0; round < 300; round += 1) {
    const id = `device-${Math.floor(random() * 620)}`;
    if (random() < 0.2) {
      fleet.remove(id);
      live.delete(id);
      continue;
    }
    const device = { id, labels: labels(), interfaces: live.get(id)?.interfaces ?? [] };
    fleet.put(device);
    live.set(id, device);
  }
  const cold = compileFleet(live.values(), rules);
  assert.deepEqual([...fleet.sets().keys()].sort(), [...cold.sets().keys()].sort());
  for (const id of live.keys()) assert.deepEqual(expanded(fleet, id), expanded(cold, id));
  const index = indexInventory(live.values());
  const pairs = pairsOf(rules, (selector) => index.choose(selector).length);
  const held = [...cold.sets().values()].reduce((sum, { members }) => sum + members.length, 0);
  assert.ok(pairs > 20 * held, `${pairs} pairs, ${held} members`);
});

test('what is too large is refused by its bound, and a refused change changes nothing', () => {
  const refused = (message: RegExp) => ({ code: 'POLICY_FLEET_TOO_LARGE', message });
  const plc = (id: string): SliceDevice => ({ id, labels: { role: 'plc' }, interfaces: [] });
  const two = [plc('a'), plc('b')];
  const rules: FleetRule[] = [
    { id: 'r1', servers: 'all' },
    { id: 'r2', servers: { labels: { role: 'plc' } } },
  ];
  const bounds = { devices: 3, rules: 2, members: 5 };
  assert.throws(() => compileFleet(two, rules, { ...bounds, devices: 1 }), refused(/2 devices .* at most 1/));
  assert.throws(() => compileFleet(two, rules, { ...bounds, rules: 1 }), refused(/2 rules, at most 1/));
  assert.throws(() => compileFleet(two, rules, { ...bounds, members: 3 }), refused(/4 members .* at most 3/));
  const fleet = compileFleet(two, rules, bounds);
  const names = [...fleet.sets().keys()];
  assert.throws(() => fleet.put(plc('c')), refused(/6 members/));
  assert.deepEqual([...fleet.sets().keys()], names);
  assert.deepEqual(fleet.plan('c'), []);
  fleet.put({ ...plc('c'), labels: {} });
  assert.throws(() => fleet.put({ ...plc('d'), labels: {} }), refused(/4 devices/));
  fleet.remove('a');
  assert.equal(fleet.put(plc('d')).sets.length, 2, 'there is room again');
});

test('the bounds of the product', () => {
  const devices = Array.from({ length: MAX_FLEET_DEVICES + 1 }, (_, index) => ({
    id: `d${index}`,
    labels: {},
    interfaces: [],
  }));
  const rules = Array.from({ length: MAX_FLEET_RULES + 1 }, (_, index) => ({ id: `r${index}`, servers: ['a'] }));
  assert.throws(() => compileFleet(devices, []), { code: 'POLICY_FLEET_TOO_LARGE' });
  assert.throws(() => compileFleet([], rules), { code: 'POLICY_FLEET_TOO_LARGE' });
});
