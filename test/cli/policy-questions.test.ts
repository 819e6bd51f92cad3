// Questions to the example policy as a person and a pipeline ask them: answers, exit codes, one JSON document.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Desk } from './site.ts';

const desk = new Desk();
after(() => desk[Symbol.dispose]());
const example = join(import.meta.dirname, '../../examples/policy');
const at = ['--at', '2026-11-22T12:00:00Z'];

test('policy explain: the answer, and the smallest change that flips it', () => {
  const question = ['--subject', 'gateway-1', '--interface', 'plc-modbus', '--operation', 'read-process'];
  const { code, stdout } = desk.run(['policy', 'explain', example, ...question, '--state', 'quarantined', ...at]);
  assert.equal(code, 0);
  assert.match(stdout, /^gateway-1 \(quarantined, ip\) at 2026-11-22T12:00:00Z: .*\nDENY {2}state\n/);
  assert.match(stdout, /the smallest change of the request: one step .*\n {4}the state is trusted\n/);
  assert.match(stdout, /read-process is for island mode \(interfaces\/plc\.yaml:\d+\)/);
});

test('policy who-can: exactly those, as JSON', () => {
  const { code, document } = desk.json(['policy', 'who-can', example, '--interface', 'plc-modbus', ...at]);
  const permissions = document['permissions'] as { subject: string; operation: string; rule: string }[];
  assert.equal(code, 0);
  assert.deepEqual(
    permissions.map(({ subject, operation, rule }) => [subject, operation, rule]),
    [
      ['gateway-1', 'read-process', 'grant:gateway-reads-plc'],
      ['hmi-1', 'read-process', 'grant:hmi-reads-plc'],
    ],
  );
});

test('policy test: coverage and replay below what is asked fail with exit code 1', () => {
  const asked = { unit: 1, function_code: 6, address: 0, quantity: 1 };
  const answered = { decision: 'allow', reason: 'granted', rule: 'grant:old' };
  const data = { subject: 'gateway-1', interface: 'plc-modbus', ...answered, ...asked };
  desk.write('log.ndjson', JSON.stringify({ device: 'plc-1', kind: 'modbus', activity: 'allow', time: 1, data }));
  const { code, stdout } = desk.run(['policy', 'test', example, '--min-coverage', '100', '--replay', 'log.ndjson']);
  assert.equal(code, 1);
  assert.match(stdout, /CHANGED {2}log\.ndjson:1: gateway-1, write-single-register unit 1 address 0/);
  assert.match(stdout, /FAILED {3}coverage is \d+ %, expected at least 100 %/);
  const unused = desk.run(['policy', 'unused', example, '--decisions', 'log.ndjson']);
  assert.equal(unused.code, 0);
  assert.match(unused.stdout, /UNUSED +grants\/cell\.yaml:\d+: grant hmi-reads-plc: never used; remove it/);
});
