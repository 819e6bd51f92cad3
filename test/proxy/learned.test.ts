// What is learned from traffic is proposed as files that a policy repository takes: everything that was seen is opened to who
// did it, what was not seen stays closed, and bounds hold whatever comes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ConnectionInfo, ProxyOperation } from '../../enforcer/proxy/protocol.ts';
import { createLearner } from '../../enforcer/proxy/learned/learner.ts';
import { MAX_LEARNED_NAMES_PER_LEVEL, MAX_LEARNED_OPERATIONS } from '../../enforcer/proxy/limits.ts';
import { proposeFiles } from '../../enforcer/proxy/learned/proposal.ts';
import { readLearned, writeLearned } from '../../enforcer/proxy/learned/stored.ts';
import { compileSlice, type Decision } from '../../policy/engine/index.ts';
import { buildSlices, loadRepository } from '../../policy/repository/index.ts';
import { sampleFiles, sampleNow, treeOf } from '../../policy/repository/sample-tree.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';

type Seen = readonly [subject: string, operation: ProxyOperation];

const place = (name: string) => ({ device: 'plc-1', port: name === 'plc-modbus' ? 502 : 8_080 });

/** TLS that is passed through carries no SVID of ours. */
const bindingOf = ({ protocol }: ProxyOperation) => (protocol === 'tls' ? 'ip' : 'svid');

const connection = (name: string, subject: string, operation: ProxyOperation): ConnectionInfo => ({
  source: { address: '10.77.0.11', port: 40_000 },
  destination: { address: '10.77.0.12', port: 502 },
  interface: name,
  subject: { id: subject, binding: bindingOf(operation) },
});

const allowed: Decision = { allow: true, reason: 'granted', rule: '', place: '', operation: '', bundle: '' };

function learn(seen: readonly Seen[], name = 'learned') {
  const learner = createLearner(
    () => true,
    () => sampleNow,
  );
  for (const [subject, operation] of seen)
    learner.saw(connection(name, subject, operation), { operation, decision: allowed });
  return learner;
}

/** Asks an engine that was built from the proposal beside an inventory. */
function engineOf(seen: readonly Seen[], name?: string): (subject: string, operation: ProxyOperation) => boolean {
  const files = proposeFiles(learn(seen, name).learned(), place, 'then', 'now');
  const { repository, problems } = loadRepository(
    treeOf({
      'edgeward.yaml': sampleFiles['edgeward.yaml'] ?? '',
      'inventory/cell.yaml': sampleFiles['inventory/cell.yaml'] ?? '',
      ...Object.fromEntries(files.map(({ path, text }) => [path, text])),
    }),
    sampleNow,
  );
  assert.ok(repository, JSON.stringify(problems));
  const slice = buildSlices(repository).get('plc-1');
  assert.ok(slice);
  const engine = compileSlice(slice, { digest: 'ab'.repeat(32), softExpiry: 2, hardExpiry: 3 });
  return (subject, operation) =>
    engine.decide(
      {
        subject: { id: subject, binding: bindingOf(operation), state: 'trusted', attributes: {} },
        operation,
        resource: { interface: name ?? 'learned', attributes: {} },
        context: { time: 1, source: 'test', connection: '', attributes: {} },
      },
      'fresh',
    ).allow;
}

const modbus = (functionCode: number, address: number, quantity: number, values: number[] = [], unit = 1) =>
  ({ protocol: 'modbus', unit, functionCode, address, quantity, values }) as const;

const modbusSeen = fc
  .record({
    subject: fc.constantFrom('gateway-1', 'hmi-1'),
    functionCode: fc.constantFrom(1, 3, 6, 16),
    unit: fc.integer({ min: 1, max: 2 }),
    address: fc.integer({ min: 0, max: 400 }),
    quantity: fc.integer({ min: 1, max: 8 }),
    value: fc.integer({ min: 0, max: 1_000 }),
  })
  .map(({ subject, functionCode, unit, address, quantity, value }): Seen => {
    const count = functionCode === 6 ? 1 : quantity;
    const values = functionCode === 6 || functionCode === 16 ? Array.from({ length: count }, () => value) : [];
    return [subject, modbus(functionCode, address, count, values, unit)];
  });

test('learned: of Modbus everything seen is opened; other functions, units, values and far registers are not', () => {
  fc.assert(
    fc.property(fc.array(modbusSeen, { minLength: 1, maxLength: 20 }), (seen) => {
      const allows = engineOf(seen);
      for (const [subject, operation] of seen) assert.ok(allows(subject, operation), JSON.stringify(operation));
      for (const subject of ['gateway-1', 'hmi-1']) {
        assert.equal(allows(subject, modbus(3, 1_000, 1)), false, 'registers that nobody touched');
        assert.equal(allows(subject, modbus(3, 0, 1, [], 9)), false, 'a unit that nobody asked');
        assert.equal(allows(subject, modbus(5, 0, 1, [1])), false, 'a function that nobody used');
        assert.equal(allows(subject, modbus(6, 0, 1, [2_000])), false, 'a value that nobody wrote');
      }
      assert.equal(allows('desk-1', modbus(3, 0, 1)), false, 'a device that was not seen');
    }),
    { numRuns: 40 },
  );
});

test('learned: paths of HTTP are generalised where they differ all the time, and no further', () => {
  const get = (path: string): ProxyOperation => ({ protocol: 'http', method: 'GET', path });
  const allows = engineOf([
    ['hmi-1', get('/status')],
    ['hmi-1', get('/pumps/17/speed?unit=rpm')],
    ...Array.from({ length: MAX_LEARNED_NAMES_PER_LEVEL + 4 }, (_, n): Seen => [
      'hmi-1',
      get(`/recipes/name-${n}x/steps`),
    ]),
  ]);
  assert.deepEqual(
    ['/status', '/pumps/99/speed', '/recipes/other/steps', '/admin', '/pumps/17', '/recipes/other'].map((path) =>
      allows('hmi-1', get(path)),
    ),
    [true, true, true, false, false, false],
  );
});

test('learned: server names are those that were asked for', () => {
  const hello = (serverName: string): ProxyOperation => ({ protocol: 'tls', serverName, alpn: [] });
  const allows = engineOf([['hmi-1', hello('cam-1.plant.example')]]);
  assert.deepEqual(
    ['cam-1.plant.example', 'cam-2.plant.example'].map((name) => allows('hmi-1', hello(name))),
    [true, false],
  );
});

test('learned: what was denied, and what comes when nothing is learned, is not in it', () => {
  const operation = modbus(3, 0, 1);
  const learner = createLearner(
    (name) => name === 'observed',
    () => 0,
  );
  learner.saw(connection('observed', 'hmi-1', operation), {
    operation,
    decision: { ...allowed, allow: false, reason: 'denied' },
  });
  learner.saw(connection('other', 'hmi-1', operation), { operation, decision: allowed });
  assert.deepEqual(proposeFiles(learner.learned(), place, '', ''), []);
});

test('learned: a flood of different operations is bounded, and said', () => {
  const seen = Array.from({ length: 2_000 }, (_, n): Seen => ['hmi-1', modbus((n % 100) + 1, 0, 1, [], n % 250)]);
  const [entry] = learn(seen).learned();
  assert.ok(entry);
  assert.equal(entry.operations.size, MAX_LEARNED_OPERATIONS);
  assert.ok(entry.left() > 0);
  assert.match(proposeFiles([entry], place, '', '')[0]?.text ?? '', /left out; there were too many/);
});

test('learned: it survives a restart as it was', async () => {
  const fs = new SimulatedFiles();
  await fs.mkdir('/state');
  const topics = Array.from({ length: 40 }, (_, n) => `plant/line-${n}/hmi-1/temperature`);
  const seen: Seen[] = [
    ['hmi-1', modbus(16, 3, 2, [5, 6])],
    ...topics.map((topic): Seen => [
      'hmi-1',
      {
        protocol: 'mqtt',
        action: 'publish',
        clientId: 'hmi-1',
        topic,
        qos: 1,
        retain: true,
        will: false,
        payloadBytes: 9,
        version: 5,
      },
    ]),
  ];
  const learner = learn(seen.slice(0, 1), 'plc-modbus');
  for (const [subject, operation] of seen.slice(1)) {
    learner.saw(connection('broker', subject, operation), { operation, decision: allowed });
  }
  await writeLearned(fs, '/state', { since: learner.since(), interfaces: learner.learned() });
  const again = await readLearned(fs, '/state');
  assert.ok(again);
  const proposed = proposeFiles(again.interfaces, place, '', '');
  assert.deepEqual(proposed, proposeFiles(learner.learned(), place, '', ''));
  assert.match(proposed[0]?.text ?? '', /plant\/\+\/\{device\}\/temperature/);
});
