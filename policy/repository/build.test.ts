import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sliceSchema } from '../bundle/index.ts';
import type { Slice } from '../bundle/index.ts';
import { buildSlices } from './build.ts';
import { loadRepository } from './load.ts';
import type { Repository } from './repository.ts';
import { sampleFiles, sampleNow, sampleWith, treeOf } from './sample-tree.ts';
import { readDirectory } from './tree.ts';
import type { PolicyTree } from './tree.ts';

const example = join(import.meta.dirname, '../../examples/policy');
const golden = join(import.meta.dirname, 'golden');

function load(tree: PolicyTree): Repository {
  const { repository, problems } = loadRepository(tree, sampleNow);
  assert.ok(repository, JSON.stringify(problems));
  return repository;
}

function sliceOf(tree: PolicyTree, device: string): Slice {
  const slice = buildSlices(load(tree)).get(device);
  assert.ok(slice);
  return slice;
}

test('the slices of the example are the golden files (EDGEWARD_GOLDEN=write rewrites them)', async () => {
  const slices = buildSlices(load(await readDirectory(example)));
  assert.deepEqual([...slices.keys()], ['gateway-1', 'hmi-1', 'plc-1']);
  for (const [device, slice] of slices) {
    const file = join(golden, `${device}.slice.golden`);
    const text = `${JSON.stringify(slice, undefined, 2)}\n`;
    if (process.env['EDGEWARD_GOLDEN'] === 'write') {
      mkdirSync(golden, { recursive: true });
      writeFileSync(file, text);
    }
    assert.equal(text, readFileSync(file, 'utf8'), file);
  }
});

test('a slice is what its schema says', () => {
  for (const slice of buildSlices(load(treeOf(sampleFiles))).values()) {
    assert.deepEqual(sliceSchema.parse(slice), slice);
  }
});

test('a device knows itself, its peers by rule, and nobody else', () => {
  const devices = (name: string): string[] => sliceOf(treeOf(sampleFiles), name).devices.map((device) => device.id);
  assert.deepEqual(devices('plc-1'), ['gateway-1', 'plc-1']);
  assert.deepEqual(devices('hmi-1'), ['gateway-1', 'hmi-1']);
  assert.deepEqual(devices('gateway-1'), ['gateway-1', 'hmi-1', 'plc-1']);
  assert.deepEqual(devices('desk-1'), ['desk-1']);
  const text = JSON.stringify(sliceOf(treeOf(sampleFiles), 'plc-1'));
  assert.doesNotMatch(text, /hmi|desk|10\.88/, 'neither rules nor addresses of networks the PLC is not on');
});

test('a device that observes an interface knows everybody on its networks, granted or not', () => {
  const observed = sampleWith(
    'interfaces/cell.yaml',
    '    port: 502\n',
    '    port: 502\n    observe: {until: 2026-12-01}\n',
  );
  const devices = (name: string): string[] => sliceOf(observed, name).devices.map((device) => device.id);
  assert.deepEqual(devices('plc-1'), ['gateway-1', 'hmi-1', 'plc-1']);
  assert.deepEqual(devices('hmi-1'), ['gateway-1', 'hmi-1']);
});

test('the serving device has every operation and the model; the client only what it was granted', () => {
  const server = sliceOf(treeOf(sampleFiles), 'plc-1');
  assert.deepEqual(
    server.interfaces[0]?.operations.map((operation) => operation.name),
    ['read-process', 'write-setpoint'],
  );
  assert.deepEqual(
    server.denies.map((deny) => deny.id),
    ['nobody-writes'],
  );
  const client = sliceOf(treeOf(sampleFiles), 'gateway-1');
  const plc = client.interfaces.find((entry) => entry.name === 'plc-modbus');
  assert.deepEqual(
    plc?.operations.map((operation) => operation.name),
    ['read-process'],
  );
  assert.deepEqual(client.casbin, []);
  assert.ok(client.interfaces.every((entry) => entry.casbin === undefined));
  assert.deepEqual(
    sliceOf(treeOf(sampleFiles), 'hmi-1').casbin.map((model) => model.name),
    ['hmi'],
  );
});

const twoReaders = sampleWith('grants/cell.yaml', '[gateway-1]', '[gateway-1, hmi-1]');

test('as client a device learns of no other subject of its grant', () => {
  const grant = sliceOf(twoReaders, 'hmi-1').grants.find((candidate) => candidate.id === 'gateway-reads-plc');
  assert.deepEqual(grant?.subjects, ['hmi-1']);
  const [served] = sliceOf(twoReaders, 'plc-1').grants;
  assert.deepEqual(served?.subjects, ['gateway-1', 'hmi-1']);
});

/** In a deny an empty list means everyone or everything: narrowing must never make one. */
test('a deny narrowed to a client never becomes wider', () => {
  const deny = (subjects: string, operations: string): PolicyTree =>
    treeOf({
      ...sampleFiles,
      'grants/cell.yaml': (sampleFiles['grants/cell.yaml'] ?? '')
        .replace('[gateway-1]', '[gateway-1, hmi-1]')
        .replace('subjects: all', `subjects: ${subjects}`)
        .replace('[write-setpoint]', operations),
    });
  const deniesOf = (tree: PolicyTree, device: string): Slice['denies'] => sliceOf(tree, device).denies;
  assert.deepEqual(deniesOf(deny('[hmi-1]', '[read-process]'), 'gateway-1'), [], 'of another subject');
  assert.deepEqual(deniesOf(deny('[hmi-1]', '[read-process]'), 'hmi-1')[0]?.subjects, ['hmi-1']);
  assert.deepEqual(deniesOf(deny('all', '[write-setpoint]'), 'hmi-1'), [], 'of an operation it does not see');
  assert.deepEqual(deniesOf(deny('all', '[write-setpoint, read-process]'), 'hmi-1')[0]?.operations, ['read-process']);
  assert.deepEqual(deniesOf(deny('all', 'all'), 'hmi-1')[0]?.operations, []);
  assert.deepEqual(deniesOf(deny('[plc-1]', 'all'), 'plc-1')[0]?.subjects, ['plc-1'], 'of the server itself');
});

test('an interface chosen by labels is served by each of them, and a device is never its own subject', () => {
  const tree = treeOf({
    ...sampleFiles,
    'interfaces/ssh.yaml':
      'interfaces:\n  - {name: ssh, devices: {labels: {kind: box}}, protocol: port, port: 22, operations: {use: {}}}\n',
    'inventory/cell.yaml': (sampleFiles['inventory/cell.yaml'] ?? '').replaceAll(
      /role: (plc|hmi)/g,
      'kind: box, role: $1',
    ),
    'grants/ssh.yaml':
      'grants:\n  - {id: boxes, subjects: {labels: {kind: box}}, interface: ssh, operations: [use], binding: ip}\n',
  });
  const plc = sliceOf(tree, 'plc-1');
  const grants = plc.grants
    .filter((grant) => grant.id === 'boxes')
    .map(({ device, subjects }) => ({ device, subjects }));
  assert.deepEqual(grants, [
    { device: 'hmi-1', subjects: ['plc-1'] },
    { device: 'plc-1', subjects: ['hmi-1'] },
  ]);
});

test('the order of files and entries does not change a slice', () => {
  const text = sampleFiles['grants/cell.yaml'] ?? '';
  const moved = treeOf({
    ...sampleFiles,
    'grants/cell.yaml': text.replace(
      /( {2}- id: gateway-reads-plc[^-]*?)( {2}- id: gateway-views-hmi[\s\S]*?)(?=denies)/,
      '$2$1',
    ),
  });
  const plain = (slice: Slice): unknown =>
    JSON.parse(JSON.stringify(slice).replaceAll(/"place":"[^"]*"/g, '"place":""'));
  for (const device of ['gateway-1', 'hmi-1', 'plc-1']) {
    assert.deepEqual(plain(sliceOf(moved, device)), plain(sliceOf(treeOf(sampleFiles), device)));
  }
});
