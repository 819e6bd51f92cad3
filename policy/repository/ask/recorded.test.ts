// Recorded decisions: read from a file, asked again, and held against the grants.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError } from '../../../runtime/errors.ts';
import { decideWithEngine } from '../decide.ts';
import { loadRepository } from '../load.ts';
import type { Repository } from '../repository.ts';
import { sampleFiles, sampleNow, sampleWith, treeOf } from '../sample-tree.ts';
import { readRecord, recordOf, type DecisionRecord } from './recorded.ts';
import { formatReplay, replay } from './replay.ts';
import { formatUnused, unusedGrants } from './unused.ts';

function load(files: { readonly [path: string]: string } = {}): Repository {
  const { repository, problems } = loadRepository(treeOf({ ...sampleFiles, ...files }), sampleNow);
  assert.ok(repository, JSON.stringify(problems));
  return repository;
}

const modbus = {
  subject: 'gateway-1',
  interface: 'plc-modbus',
  decision: 'allow',
  reason: 'granted',
  rule: 'grant:gateway-reads-plc',
  operation: 'read-process',
  unit: 1,
  function_code: 3,
  address: 0,
  quantity: 10,
  count: 4,
};
const http = {
  subject: 'gateway-1',
  interface: 'hmi-web',
  decision: 'allow',
  reason: 'granted',
  rule: 'grant:gateway-views-hmi',
  operation: 'view',
  method: 'GET',
  path: '/status',
};

const line = (device: string, kind: string, data: object, activity = 'allow'): string =>
  JSON.stringify({ index: 1, device, kind, activity, severity: 'info', time: sampleNow, data });
const record = (...lines: string[]): DecisionRecord => recordOf(readRecord(lines.join('\n'), 'log.ndjson'));

test('an export, a tail and a query are the same record', () => {
  const told = { device: 'plc-1', kind: 'modbus', activity: 'allow', severity: 'info', time: sampleNow, data: modbus };
  const { device, ...event } = told;
  const payload = Buffer.from(JSON.stringify({ ...event, class_uid: 6003 })).toString('base64');
  const exported = [
    JSON.stringify({ head: { deviceId: 'plc-1' } }),
    JSON.stringify({ entry: { index: '0', deviceId: device, payload } }),
    JSON.stringify({ checkpoint: 'x' }),
  ];
  const decisions = (text: string): object[] =>
    recordOf(readRecord(text, 'f')).decisions.map(({ place: _place, ...rest }) => rest);
  const expected = decisions(JSON.stringify(told));
  assert.equal(expected.length, 1);
  assert.deepEqual(decisions(JSON.stringify({ events: [told] })), expected);
  assert.deepEqual(decisions(exported.join('\n')), expected);
});

test('what is no record is refused with its line', () => {
  for (const text of ['nonsense', '{}', '{"entry": {"deviceId": "a", "payload": "e30="}}', '[]']) {
    assert.throws(
      () => readRecord(`${line('plc-1', 'modbus', modbus)}\n${text}`, 'log.ndjson'),
      (error) => error instanceof CodedError && error.code === 'POLICY_RECORD_INVALID' && error.place?.line === 2,
      text,
    );
  }
});

const all = [line('plc-1', 'modbus', modbus), line('hmi-1', 'authz', http)];

test('a policy that did not change changes no answer, one that did is told with the rule', () => {
  const { decisions } = record(...all);
  const same = replay(load(), decideWithEngine(), decisions);
  assert.deepEqual([same.ok, same.same, same.depends.length], [true, 2, 0]);

  const { repository } = loadRepository(sampleWith('interfaces/cell.yaml', "['0-99']", "['0-5']"), sampleNow);
  assert.ok(repository);
  const narrower = replay(repository, decideWithEngine(), decisions);
  assert.deepEqual(
    narrower.changed.map(({ now, count, place }) => [now?.allow, now?.reason, count, place]),
    [[false, 'unknown-operation', 4, 'log.ndjson:1']],
  );
  assert.match(
    formatReplay(narrower),
    /^CHANGED {2}log\.ndjson:1: gateway-1, read-holding-registers unit 1 address 0-9 on /,
  );

  const denied = { ...modbus, decision: 'deny', reason: 'no-grant', rule: '', subject: 'hmi-1' };
  const wider = load({
    'grants/cell.yaml': (sampleFiles['grants/cell.yaml'] ?? '').replace(
      'subjects: [gateway-1]',
      'subjects: [gateway-1, hmi-1]',
    ),
  });
  const opened = replay(wider, decideWithEngine(), record(line('plc-1', 'modbus', denied, 'deny')).decisions);
  assert.deepEqual(
    opened.changed.map(({ recorded, now }) => [recorded.allow, now?.allow, now?.rule]),
    [[false, true, 'grant:gateway-reads-plc']],
  );
});

test('a denial that hung on a state depends on what the record does not hold', () => {
  const denied = { ...modbus, decision: 'deny', reason: 'state', rule: '' };
  const report = replay(load(), decideWithEngine(), record(line('plc-1', 'modbus', denied, 'deny')).decisions);
  assert.deepEqual([report.ok, report.same, report.changed.length, report.depends.length], [true, 0, 0, 1]);
});

test('what people opened depends on them, and is no change of the policy', () => {
  const opened = { ...modbus, subject: 'hmi-1', rule: 'break-glass:stop-line/00' };
  const report = replay(load(), decideWithEngine(), record(line('plc-1', 'modbus', opened)).decisions);
  assert.deepEqual(
    [report.ok, report.changed.length, report.depends.map(({ why }) => why)],
    [true, 0, ['break-glass']],
  );
});

test('a record that stands for many requests is counted, not asked', () => {
  const { unit: _unit, function_code: _code, ...lumped } = { ...modbus, rule: '', operation: '' };
  const report = replay(load(), decideWithEngine(), record(line('plc-1', 'modbus', lumped)).decisions);
  assert.deepEqual([report.withoutRequest, report.same], [1, 0]);
});

test('fixtures of the repository are kept as they are, and are no policy', () => {
  const { fixtures } = load({ 'fixtures/week.ndjson': all.join('\n') });
  assert.deepEqual(
    fixtures.map(({ path, text }) => [path, recordOf(readRecord(text, path)).decisions.length]),
    [['fixtures/week.ndjson', 2]],
  );
});

const grants = `grants:
  - {id: reads, subjects: [gateway-1, hmi-1], interface: plc-modbus, operations: [read-process], binding: ip}
  - {id: views, subjects: [gateway-1], interface: hmi-web, operations: [view]}
`;
const verdicts = (repository: Repository, found: DecisionRecord): unknown =>
  Object.fromEntries(unusedGrants(repository, found).grants.map(({ grant, verdict }) => [grant, verdict]));

test('a grant is as narrow as what used it', () => {
  const repository = load({ 'grants/cell.yaml': grants });
  const read = line('plc-1', 'modbus', { ...modbus, rule: 'grant:reads' });
  const start = line('hmi-1', 'process', {}, 'start');
  const found = record(read, start);
  assert.deepEqual(verdicts(repository, found), { reads: 'part', views: 'whole' });
  const report = unusedGrants(repository, found);
  const [reads] = report.grants;
  assert.deepEqual([reads?.uses, reads?.unusedSubjects, reads?.unusedOperations], [4, ['hmi-1'], []]);
  assert.equal(reads?.proposal, '- id: reads\n  subjects: [ gateway-1 ]\n');
  assert.match(formatUnused(report), /UNUSED +grants\/cell\.yaml:3: grant views: never used; remove it/);
});

test('what may not have been recorded is not called unused', () => {
  const repository = load({ 'grants/cell.yaml': grants });
  const read = line('plc-1', 'modbus', { ...modbus, rule: 'grant:reads' });
  // Nothing at all came from hmi-1.
  assert.deepEqual(verdicts(repository, record(read)), { reads: 'part', views: 'undetermined' });
  const gap = line('plc-1', 'log', { reason: 'disk' }, 'gap');
  assert.deepEqual(verdicts(repository, record(read, gap)), { reads: 'undetermined', views: 'undetermined' });
  const lumped = line('plc-1', 'modbus', { ...modbus, subject: 'hmi-1', rule: '', operation: '' });
  assert.deepEqual(verdicts(repository, record(read, lumped)), { reads: 'undetermined', views: 'undetermined' });
  assert.deepEqual(verdicts(repository, record()), { reads: 'undetermined', views: 'undetermined' });
  // An answer of observe mode was no use of a grant.
  const observed = line('hmi-1', 'authz', { ...http, rule: 'grant:views', observed: 'condition' });
  assert.deepEqual(verdicts(repository, record(read, observed)), { reads: 'part', views: 'whole' });
});
