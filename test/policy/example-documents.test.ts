// The detections and playbooks of the example repository, read by the rooms that run them.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDetector, type ObservedEvent } from '../../audit/detect/index.ts';
import { loadRepository, readDirectory } from '../../policy/repository/index.ts';
import { parsePlaybook } from '../../response/index.ts';

const now = Date.UTC(2026, 10, 22, 12);
const examples = join(import.meta.dirname, '../../examples/policy');
const tree = await readDirectory(examples);
const { repository } = loadRepository(tree, now);
assert.ok(repository);
const { detections, playbooks } = repository;

const event = (index: number, kind: ObservedEvent['kind'], data: ObservedEvent['data']): ObservedEvent => ({
  index,
  reporter: 'plc-1',
  receivedAt: now + index,
  time: now + index,
  kind,
  activity: 'deny',
  severity: 'medium',
  data: { decision: 'deny', subject: 'gateway-1', ...data },
});

/** Titles of what is found, each with the device it is about. */
function findings(events: readonly ObservedEvent[]): string[] {
  const detector = createDetector(detections);
  return events.flatMap((one) => detector.observe(one).map(({ title, device }) => `${title}: ${device}`));
}

const repeat = (count: number, of: (index: number) => ObservedEvent): ObservedEvent[] =>
  Array.from({ length: count }, (_, index) => of(index));

test('every rule and playbook file is read by the room that runs it, alone and together', () => {
  const read = (folder: string): [string, string][] =>
    readdirSync(join(examples, folder)).map((file) => [file, readFileSync(join(examples, folder, file), 'utf8')]);
  const rules = read('detections');
  assert.ok(rules.length >= 6);
  assert.equal(createDetector(Object.fromEntries(rules)).rules, rules.length);
  for (const [file, text] of rules.filter(([, rule]) => !rule.includes('\ncorrelation:'))) {
    assert.equal(createDetector({ [file]: text }).rules, 1, file);
  }
  assert.deepEqual(Object.keys(detections).toSorted(), rules.map(([file]) => file).toSorted());
  for (const [file, text] of read('playbooks')) assert.equal(parsePlaybook(text, file).actions.length, 2, file);
});

test('a second key for a join token is a finding about the device of the token, and accuses nobody', () => {
  const refused = {
    ...event(0, 'device', { device: 'plc-1', code: 'CA_TOKEN_USED', peer: '192.0.2.7' }),
    reporter: 'control',
  };
  const { subject: _, ...data } = refused.data;
  const [found] = createDetector(detections).observe({ ...refused, activity: 'enroll_refuse', data });
  assert.deepEqual([found?.level, found?.device, found?.attributed], ['high', 'plc-1', false]);
});

test('a port scan is found, the same port again and again is not', () => {
  const scan = repeat(10, (index) => event(index, 'packet', { destination_port: 20 + index }));
  assert.deepEqual(findings(scan), ['Port scan: gateway-1']);
  assert.deepEqual(findings(repeat(50, (index) => event(index, 'packet', { destination_port: 23 }))), []);
});

test('a scan with forged addresses accuses nobody', () => {
  const forged = repeat(50, (index) => event(index, 'packet', { destination_port: 20 + index, rule: 'spoofed' }));
  assert.deepEqual(findings(forged), []);
});

test('a burst of denied requests is found', () => {
  assert.deepEqual(findings(repeat(5, (index) => event(index, 'authz', { path: '/admin/users' }))), [
    'Burst of denials: gateway-1',
  ]);
});

test('one refused write to a PLC is found, a refused read is not', () => {
  assert.deepEqual(findings([event(0, 'modbus', { function_code: 6 })]), ['Refused write to a PLC: gateway-1']);
  assert.deepEqual(findings([event(0, 'modbus', { function_code: 3 })]), []);
  assert.deepEqual(findings([event(0, 'modbus', { function_code: 6, decision: 'allow' })]), []);
});

test('every finding of a high level starts the quarantine', () => {
  const [playbook] = Object.entries(playbooks).map(([file, text]) => parsePlaybook(text, file));
  assert.deepEqual(playbook?.actions, ['contain', 'notify']);
  assert.deepEqual(playbook?.levels, ['high', 'critical']);
});
