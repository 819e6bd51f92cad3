import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideWithEngine } from '../decide.ts';
import { loadRepository } from '../load.ts';
import { sampleFiles, sampleNow, treeOf } from '../sample-tree.ts';
import { coverTests, formatCoverage, type CoverageReport } from './coverage.ts';

const files = {
  ...sampleFiles,
  'grants/cell.yaml': `grants:
  - id: reads
    subjects: [gateway-1]
    interface: plc-modbus
    operations: [read-process]
    binding: ip
    conditions: {maxRisk: 40, timeWindow: 06:00-18:00}
  - {id: views, subjects: [gateway-1], interface: hmi-web, operations: [view]}
denies:
  - {id: risky, subjects: all, interface: plc-modbus, operations: all, conditions: {minRisk: 90}}
`,
  'casbin/hmi/model.conf': (sampleFiles['casbin/hmi/model.conf'] ?? '')
    .replace('[policy_effect]', '[role_definition]\ng = _, _\n\n[policy_effect]')
    .replace('r.sub == p.sub', 'g(r.sub, p.sub)'),
  'casbin/hmi/policy.csv': 'p, viewer, /status, GET\np, viewer, /, GET\ng, gateway-1, viewer\ng, hmi-1, viewer\n',
};

function cover(tests: string): CoverageReport {
  const { repository, problems } = loadRepository(treeOf({ ...files, 'tests/cell.yaml': tests }), sampleNow);
  assert.ok(repository, JSON.stringify(problems));
  return coverTests(repository, decideWithEngine(), sampleNow);
}

const seen = (report: CoverageReport): string[] =>
  report.branches.filter(({ covered }) => covered).map(({ what }) => what);

test('without tests nothing is covered, and everything is listed with its place', () => {
  const report = cover('tests: []\n');
  assert.deepEqual([report.covered, report.percent, report.gaps], [0, 0, []]);
  const rules = report.branches.filter(({ kind }) => kind !== 'state').map(({ what, place }) => `${place}: ${what}`);
  assert.deepEqual(rules, [
    'grants/cell.yaml:2: grant:reads opens',
    'grants/cell.yaml:2: grant:reads: time window holds',
    'grants/cell.yaml:2: grant:reads: time window does not hold',
    'grants/cell.yaml:2: grant:reads: risk at most 40 holds',
    'grants/cell.yaml:2: grant:reads: risk at most 40 does not hold',
    'grants/cell.yaml:8: grant:views opens',
    'grants/cell.yaml:10: deny:risky denies',
    'grants/cell.yaml:10: deny:risky: risk at least 90 holds',
    'grants/cell.yaml:10: deny:risky: risk at least 90 does not hold',
    'interfaces/cell.yaml:22: view of hmi-web is asked',
    'interfaces/cell.yaml:8: read-process of plc-modbus is asked',
    'interfaces/cell.yaml:12: write-setpoint of plc-modbus is asked',
    'casbin/hmi/policy.csv:1: p, viewer, /status, GET',
    'casbin/hmi/policy.csv:2: p, viewer, /, GET',
    'casbin/hmi/policy.csv:3: g, gateway-1, viewer',
    'casbin/hmi/policy.csv:4: g, hmi-1, viewer',
  ]);
});

const question = (given: string): string =>
  `tests: [{name: t, given: {subject: gateway-1, ${given}}, when: {interface: plc-modbus, modbus: {function: 3}}, then: allow}]`;

test('a condition that decided has not held, those before it have', () => {
  const rules = (report: CoverageReport): string[] => seen(report).filter((what) => /^(grant|deny):/.test(what));
  assert.deepEqual(rules(cover(question('risk: 0'))), [
    'grant:reads opens',
    'grant:reads: time window holds',
    'grant:reads: risk at most 40 holds',
    'deny:risky: risk at least 90 does not hold',
  ]);
  assert.deepEqual(rules(cover(question('risk: 50'))), [
    'grant:reads: time window holds',
    'grant:reads: risk at most 40 does not hold',
    'deny:risky: risk at least 90 does not hold',
  ]);
  assert.deepEqual(rules(cover(question('time: 2026-11-22T03:00:00Z'))), [
    'grant:reads: time window does not hold',
    'deny:risky: risk at least 90 does not hold',
  ]);
  assert.deepEqual(rules(cover(question('risk: 95'))), ['deny:risky denies', 'deny:risky: risk at least 90 holds']);
});

test('a Casbin line counts when it decides, and a role when an answer needs it', () => {
  const report = cover(
    'tests: [{name: t, given: {subject: gateway-1, state: stale}, when: {interface: hmi-web, http: {method: GET, path: /status}}, then: allow}]',
  );
  assert.deepEqual(seen(report), [
    'grant:views opens',
    'view of hmi-web is asked',
    'p, viewer, /status, GET',
    'g, gateway-1, viewer',
    'a subject is stale',
  ]);
  assert.match(formatCoverage(report), /^COVERAGE +SEEN +OF\ngrant +1 +2 +50 %\n/);
  assert.match(formatCoverage(report), /never {5}casbin\/hmi\/policy\.csv:4: g, hmi-1, viewer/);
});
