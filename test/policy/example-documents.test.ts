// The detections and playbooks of the example repository, read by the rooms that run them.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDetector } from '../../audit/detect/detector.ts';
import type { ObservedEvent } from '../../audit/detect/detector.ts';
import { loadRepository, readDirectory } from '../../policy/repository/index.ts';
import { parsePlaybook } from '../../response/playbook.ts';

const now = Date.UTC(2026, 10, 22, 12);
const tree = await readDirectory(join(import.meta.dirname, '../../examples/policy'));
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
