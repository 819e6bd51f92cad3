// The example repository with MQTT and TLS interfaces, as shipped, by the commands a publisher runs.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { requiredFeatures, sliceSchema, type Slice } from '../../policy/bundle/index.ts';
import { mqttOperation } from '../../policy/repository/format/mqtt.ts';
import { Desk } from '../cli/site.ts';

const example = join(import.meta.dirname, '../../examples/policy-mqtt');
const desk = new Desk();
after(() => desk[Symbol.dispose]());
const text = (file: string): string => readFileSync(join(example, file), 'utf8');
const slice = (device: string): Slice =>
  sliceSchema.parse(JSON.parse(readFileSync(join(desk.folder, `slices/${device}.json`), 'utf8')));

test('it has no problem, its tests and invariants hold, exactly, and every device gets what it requires', () => {
  assert.deepEqual(desk.json(['policy', 'lint', example]).document['problems'], []);
  const { document } = desk.json(['policy', 'test', example]);
  assert.deepEqual([document['passed'], document['failed']], [34, 0]);
  const invariants = document['invariants'] as { exact: boolean; asked: number }[];
  assert.deepEqual(
    invariants.map(({ exact }) => exact),
    [true, true, true],
  );
  assert.equal(desk.run(['policy', 'build', example, '--out', 'slices']).code, 0);
  const gateway = slice('gateway-1');
  assert.ok(requiredFeatures(gateway).includes('mqtt'));
  assert.ok(requiredFeatures(slice('camera-1')).includes('tls'));
  // What the build proves of itself with every activation.
  const vectors = gateway.selfTest.filter(({ operation }) => operation.protocol === 'mqtt');
  assert.ok(vectors.some(({ expect }) => expect === 'allow') && vectors.some(({ expect }) => expect === 'deny'));
  const connect = gateway.interfaces[0]?.operations.find(({ name }) => name === 'connect');
  assert.ok(connect?.protocol === 'mqtt');
  assert.deepEqual(connect.clientIds, ['{device}', '{device}-*']);
});

test('every key of an MQTT operation is in it, with its meaning', () => {
  const file = text('interfaces/broker.yaml');
  for (const key of Object.keys(mqttOperation.shape)) assert.match(file, new RegExp(`\\b${key}:`), key);
});

test('a set point that somebody may publish fails the invariant, and says how', () => {
  cpSync(example, join(desk.folder, 'open'), { recursive: true });
  const grants = text('grants/cell.yaml').replace('[connect, follow]', '[connect, follow, set-point]');
  writeFileSync(join(desk.folder, 'open/grants/cell.yaml'), grants.slice(0, grants.indexOf('denies:')));
  const { code, stdout } = desk.run(['policy', 'test', 'open']);
  assert.equal(code, 1);
  assert.match(stdout, /FAILED .*nobody moves a set point/);
  assert.match(stdout, /action: publish.*topic: plant\/.*\/set\/speed/);
});

test('explain answers for a named operation, and who-can for the broker', () => {
  const asked = ['policy', 'explain', example, '--subject', 'sensor-1', '--interface', 'broker', '--binding', 'svid'];
  const { document } = desk.json([...asked, '--operation', 'report']);
  assert.equal((document['decision'] as { allow: boolean }).allow, true);
  const { document: whoCan } = desk.json(['policy', 'who-can', example, '--interface', 'broker']);
  const permissions = whoCan['permissions'] as { subject: string; operation: string }[];
  const may = (operation: string): string[] =>
    [...new Set(permissions.flatMap((one) => (one.operation === operation ? [one.subject] : [])))].sort();
  assert.deepEqual(may('report'), ['sensor-1', 'sensor-2']);
  assert.deepEqual(may('set-point'), []);
});
