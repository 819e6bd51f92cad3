import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatYaml } from '../../../runtime/yaml.ts';
import { slicesToAsk } from '../build.ts';
import { decideWithEngine } from '../decide.ts';
import { loadRepository } from '../load.ts';
import type { Repository } from '../repository.ts';
import { sampleFiles, sampleNow, treeOf } from '../sample-tree.ts';
import { comparePolicies } from './compare.ts';
import { mutantsOf } from './mutants.ts';
import { formatMutation, mutatePolicy } from './mutate.ts';
import { requestOf, whenOf } from './question.ts';

const grants = `grants:
  - id: gateway-reads-plc
    subjects: [gateway-1]
    interface: plc-modbus
    operations: [read-process]
    binding: ip
    conditions: {maxRisk: 40, timeWindow: 06:00-18:00, attestation: [software, tpm]}
    until: 2027-01-31
  - id: gateway-views-hmi
    subjects: {labels: {role: gateway}}
    interface: hmi-web
    operations: [view]
denies:
  - id: nobody-writes
    subjects: all
    interface: plc-modbus
    operations: [write-setpoint]
`;

function load(tests: string): Repository {
  const files = { ...sampleFiles, 'grants/cell.yaml': grants, 'tests/cell.yaml': tests };
  const { repository, problems } = loadRepository(treeOf(files), sampleNow);
  assert.ok(repository, JSON.stringify(problems));
  return repository;
}

test('without tests every mistake that changes an answer survives', () => {
  const repository = load('tests: []\n');
  const report = mutatePolicy(repository, sampleNow);
  assert.deepEqual([report.killed, report.score, report.leftOut], [0, 0, 0]);
  assert.equal(report.survivors.length + report.equivalent + report.refused, mutantsOf(repository).length);
  const survived = new Set(report.survivors.map(({ what }) => what));
  for (const what of [
    'grant gateway-reads-plc: dropped',
    'grant gateway-reads-plc: is a deny',
    'grant gateway-reads-plc: subjects are all devices',
    'grant gateway-reads-plc: binding is svid',
    'grant gateway-reads-plc: condition maxRisk dropped',
    'grant gateway-reads-plc: maxRisk is 41',
    'grant gateway-reads-plc: time window ends a minute later',
    'grant gateway-reads-plc: attestation none is good enough',
    'grant gateway-reads-plc: ends a day later',
    'operation read-process of plc-modbus: addresses 0-99 are 0-100',
    'operation read-process of plc-modbus: any unit',
    'hmi-web does not name its Casbin model',
    'Casbin model hmi: without "p, gateway-1, /status, GET"',
  ])
    assert.ok(survived.has(what), what);
  // The Casbin model refuses the method anyway.
  assert.ok(!survived.has('operation view of hmi-web: also POST'));
  // No grant opens it, so without the deny it is as closed.
  assert.ok(!survived.has('deny nobody-writes: dropped'));
});

test('the tests that it proposes notice every mistake', () => {
  const first = mutatePolicy(load('tests: []\n'), sampleNow);
  const proposed = first.survivors.flatMap((survivor) => survivor.test ?? []);
  const report = mutatePolicy(load(formatYaml({ tests: proposed })), sampleNow);
  assert.deepEqual(
    report.survivors.filter((survivor) => survivor.test !== undefined),
    [],
  );
  assert.equal(report.killed + report.survived, first.survived);
  assert.ok(report.score >= 90, formatMutation(report));
});

test('an invariant notices a mistake', () => {
  const report = mutatePolicy(
    load('invariants: [{name: n, never: {subjects: [hmi-1, desk-1], interface: plc-modbus}}]\n'),
    sampleNow,
  );
  const survived = new Set(report.survivors.map(({ what }) => what));
  assert.ok(!survived.has('grant gateway-reads-plc: subjects are all devices'));
  assert.ok(survived.has('grant gateway-reads-plc: dropped'));
});

test('a mistake counted as changing no answer changes none', () => {
  const repository = load('tests: []\n');
  const engine = decideWithEngine();
  const devices = new Set(repository.devices.map(({ id }) => id));
  const original = slicesToAsk(repository, devices);
  const compiling = mutantsOf(repository).filter(({ what }) => !what.endsWith('the opposite effect'));
  const same = compiling.flatMap((mutant) => {
    const slices = slicesToAsk(mutant.repository, devices);
    const { kind } = comparePolicies(repository, engine, original, slices, mutant.interfaces, sampleNow);
    return kind === 'same' ? [slices] : [];
  });
  assert.ok(same.length > 3, `${same.length} equivalent`);
  const modbus = fc.record({
    protocol: fc.constant('modbus' as const),
    unit: fc.constantFrom(0, 1, 2),
    functionCode: fc.constantFrom(3, 4, 5, 6),
    address: fc.constantFrom(0, 19, 20, 21, 99, 100, 500),
    quantity: fc.constantFrom(1, 1, 2, 80),
    values: fc.constantFrom([], [1], [9]),
  });
  const given = fc.record({
    subject: fc.constantFrom('gateway-1', 'hmi-1', 'desk-1', 'stranger'),
    state: fc.constantFrom('trusted' as const, 'stale' as const, 'quarantined' as const),
    attestation: fc.constantFrom('software' as const, 'none' as const, 'missing' as const),
    attestedAgo: fc.constantFrom(0, 1_000_000),
    risk: fc.constantFrom(0, 40, 41, 'missing' as const),
    reduced: fc.boolean(),
    freshness: fc.constantFrom('fresh' as const, 'soft-expired' as const),
    binding: fc.constantFrom('ip' as const, 'svid' as const),
    time: fc.integer({ min: sampleNow, max: sampleNow + 90 * 86_400_000 }),
    attributes: fc.constant({}),
  });
  fc.assert(
    fc.property(given, modbus, fc.constantFrom('/', '/status', '/x'), (circumstances, registers, path) => {
      for (const when of [
        whenOf('plc-modbus', 'plc-1', registers),
        whenOf('hmi-web', 'hmi-1', { protocol: 'http', method: 'GET', path }),
      ]) {
        const { request, freshness } = requestOf({ given: circumstances, when });
        const before = original.get(when.device);
        assert.ok(before);
        const answer = engine.decide(before, request, freshness).allow;
        for (const slices of same) {
          const after = slices.get(when.device);
          assert.equal(after === undefined ? answer : engine.decide(after, request, freshness).allow, answer);
        }
      }
    }),
    { numRuns: 500 },
  );
});
