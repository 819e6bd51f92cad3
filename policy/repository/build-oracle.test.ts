// The indexed build against the naive one, over repositories in which every kind of rule meets every kind of selector.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { indexInventory } from '../fleet/inventory-index.ts';
import { randomDevices, randomSelector } from '../fleet/testing/random-fleet.ts';
import type { SelectorOrAll } from '../fleet/selector.ts';
import { MAX_FLEET_DEVICES } from '../limits.ts';
import { buildSlices, slicesToAsk } from './build.ts';
import type { At, Interface, Repository } from './repository.ts';
import type { RuleConditions } from './resolve-conditions.ts';
import { naiveSlices } from './testing/naive-build.ts';

const names = ['x', 'y', 'z'] as const;
const operationNames = ['use', 'look', 'act'];
const at: At = (...path) => ({ file: 'f.yaml', line: path.length + 1 });
const rule = { interface: fc.constantFrom(...names), operations: fc.subarray(operationNames, { minLength: 1 }) };
const card = fc.record({
  name: fc.constantFrom('eth0', 'eth1'),
  network: fc.constantFrom('cell', 'plant', 'far'),
  address: fc.constantFrom('10.0.0.1', '10.0.0.2', '2001:db8::1'),
});
const conditions = fc.constantFrom<RuleConditions>(
  {},
  {
    attributes: [{ source: 'subject' as const, name: 'site', equals: 's1' }],
  },
);

const drawn = fc.record({
  devices: randomDevices,
  cards: fc.array(fc.array(card, { maxLength: 3 }), { minLength: 7, maxLength: 7 }),
  interfaces: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom(...names),
      devices: randomSelector,
      operations: fc.constantFrom(operationNames, ['look', 'use', 'act'], ['act', 'look', 'use']),
      more: fc.constantFrom<object>({}, { casbin: 'm' }, { rego: 'p' }, { casbin: 'm', rego: 'p' }),
    }),
    { selector: ({ name }) => name },
  ),
  grants: fc.array(fc.record({ subjects: randomSelector, conditions, ...rule }), { maxLength: 6 }),
  denies: fc.array(fc.record({ subjects: randomSelector, conditions, everything: fc.boolean(), ...rule }), {
    maxLength: 4,
  }),
  breakGlass: fc.array(fc.record({ subjects: randomSelector, ...rule }), { maxLength: 3 }),
  firewall: fc.array(randomSelector, { maxLength: 3 }),
});

const model =
  '[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = r.sub == p.sub\n';

function repositoryOf(given: typeof drawn extends fc.Arbitrary<infer T> ? T : never): Repository {
  const index = indexInventory(given.devices);
  const ided = <T extends object>(prefix: string, list: readonly T[]) =>
    list.map((entry, place) => ({
      id: `${prefix}${place}`,
      ...entry,
      at: (...path: (string | number)[]) => at(...path, place),
    }));
  const choose = (selector: SelectorOrAll): string[] => index.choose(selector);
  const site = { source: 'subject' as const, name: 'site', type: 'string' as const };
  return {
    trustDomain: 'plant.example',
    softExpiryMs: 1,
    hardExpiryMs: 2,
    networks: [],
    devices: given.devices.map((device, place) => ({
      ...device,
      interfaces: given.cards[place] ?? [],
      workloads: place % 2 === 0 ? [] : [{ name: 'w', uid: place }],
      at,
    })),
    interfaces: given.interfaces.map(({ name, devices, operations, more }): Interface => ({
      name,
      devices: choose(devices),
      protocol: 'port',
      transport: 'tcp',
      port: 502,
      operations: operations.map((operation) => ({
        name: operation,
        protocol: 'port',
        class: 'normal',
        island: false,
      })),
      ...more,
      onEnforcerDeath: 'closed',
      auditDurable: false,
      at,
    })),
    grants: ided('g', given.grants).map(({ subjects, ...rest }, place) => ({
      ...rest,
      subjects: choose(subjects),
      binding: 'ip',
      ...(place % 2 === 0 ? {} : { workload: 'w' }),
    })),
    denies: ided('d', given.denies)
      .map(({ subjects, everything, operations, ...rest }) => ({
        ...rest,
        operations: everything ? [] : operations,
        subjects: subjects === 'all' ? subjects : choose(subjects),
      }))
      // A selector that chooses nobody is refused when it is read.
      .filter(({ subjects }) => subjects.length > 0),
    breakGlass: ided('b', given.breakGlass).map(({ subjects, ...rest }) => ({
      ...rest,
      subjects: choose(subjects),
      binding: 'svid',
      approvers: [],
      approvals: 2,
      maxMinutes: 5,
      uses: 1,
      generation: 1,
      afterHardExpiry: false,
    })),
    firewall: given.firewall.map((selector, place) => ({
      id: `f${place}`,
      tier: 'admin',
      priority: 500,
      verdict: 'deny',
      devices: choose(selector),
      direction: 'in',
      transport: 'any',
      peers: ['0.0.0.0/0'],
      written: 'peer',
      at,
    })),
    traps: given.firewall.map((selector, place) => ({
      id: `t${place}`,
      devices: choose(selector),
      transport: 'tcp',
      ports: [23, 23],
      blockSeconds: 60,
      at,
    })),
    meters: [],
    island: given.firewall.slice(0, 1).map((selector) => ({ devices: choose(selector), leaseSeconds: 60, at })),
    feeds: [],
    protectedBlocks: [],
    casbin: [{ name: 'm', model, policy: '', files: { model: 'casbin/m/model.conf', policy: 'casbin/m/policy.csv' } }],
    rego: [{ name: 'p', wasm: '', data: '{}', folder: { name: 'p', files: new Map() }, at: at() }],
    referenceValues: {},
    detections: {},
    playbooks: {},
    tests: [],
    invariants: [],
    fixtures: [],
    waivers: [],
    attributes: { subject: new Map([['site', site]]), resource: new Map(), context: new Map() },
    attributePlaces: new Map(),
  };
}

test('every slice is byte for byte the one that the naive expansion gives', () => {
  let grants = 0;
  let denies = 0;
  fc.assert(
    fc.property(drawn, (given) => {
      const repository = repositoryOf(given);
      const naive = naiveSlices(repository);
      const built = buildSlices(repository);
      assert.deepEqual([...built.keys()], [...naive.keys()]);
      for (const [device, { selfTest: _, ...slice }] of built) {
        assert.equal(JSON.stringify(slice), JSON.stringify(naive.get(device)), device);
        grants += slice.grants.length;
        denies += slice.denies.filter((deny) => deny.device !== device).length;
      }
      const [some] = naive.keys();
      if (some !== undefined) {
        const asked = { ...naive.get(some), selfTest: [] };
        assert.equal(JSON.stringify([...slicesToAsk(repository, new Set([some]))]), JSON.stringify([[some, asked]]));
      }
    }),
    { numRuns: 2_000 },
  );
  assert.ok(grants > 1_000 && denies > 100, `${grants} grants, ${denies} denies of peers were in them`);
});

test('slices share what they say alike: lists of subjects and records of peers are the same objects', () => {
  const devices = ['a', 'b', 'c', 'd'].map((id) => ({
    id,
    labels: { role: id < 'c' ? 'plc' : 'hmi' },
    interfaces: [{ name: 'eth0', network: 'cell', address: '10.0.0.1' }],
  }));
  const plain = { interface: 'x' as const, operations: ['use'], conditions: {} };
  const slices = buildSlices(
    repositoryOf({
      devices,
      cards: [],
      interfaces: [{ name: 'x', devices: { labels: { role: 'plc' } }, operations: operationNames, more: {} }],
      grants: [{ subjects: { labels: { role: 'hmi' } }, ...plain }],
      denies: [],
      breakGlass: [],
      firewall: [],
    }),
  );
  const [a, b] = [slices.get('a'), slices.get('b')];
  assert.deepEqual(a?.grants[0]?.subjects, ['c', 'd']);
  assert.equal(a?.grants[0]?.subjects, b?.grants[0]?.subjects);
  assert.equal(
    a?.devices.find(({ id }) => id === 'c'),
    b?.devices.find(({ id }) => id === 'c'),
  );
});

test('an inventory with more devices than are compiled is refused', () => {
  const devices = Array.from({ length: MAX_FLEET_DEVICES + 1 }, (_, index) => ({
    id: `d${index}`,
    labels: {},
    interfaces: [],
  }));
  const nothing = { cards: [], interfaces: [], grants: [], denies: [], breakGlass: [], firewall: [] };
  const repository = repositoryOf({ devices, ...nothing });
  assert.throws(() => buildSlices(repository), { code: 'POLICY_FLEET_TOO_LARGE', message: /100001 devices/ });
});
