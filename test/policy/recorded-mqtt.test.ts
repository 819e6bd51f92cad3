// Recorded decisions about MQTT and TLS: what a record holds of them is asked again, and what it never holds is said.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { mqttProtocol } from '../../enforcer/proxy/mqtt/exchange.ts';
import { tlsProtocol } from '../../enforcer/proxy/tls/passthrough.ts';
import type { Operation } from '../../policy/engine/index.ts';
import { mqtt } from '../../policy/engine/testing/sample-slice.ts';
import { decideWithEngine } from '../../policy/repository/decide.ts';
import { loadRepository } from '../../policy/repository/load.ts';
import { sampleNow } from '../../policy/repository/sample-tree.ts';
import { readDirectory } from '../../policy/repository/tree.ts';
import { readRecord, recordOf, type DecisionRecord } from '../../policy/repository/ask/recorded.ts';
import { replay } from '../../policy/repository/ask/replay.ts';
import { unusedGrants } from '../../policy/repository/ask/unused.ts';

const { repository } = loadRepository(
  await readDirectory(join(import.meta.dirname, '../../examples/policy-mqtt')),
  sampleNow,
);
assert.ok(repository);

/** As the proxy of the protocol writes it. */
function recorded(operation: Operation, more: Record<string, unknown>): DecisionRecord {
  assert.ok(operation.protocol === 'mqtt' || operation.protocol === 'tls');
  const { data } = (operation.protocol === 'mqtt' ? mqttProtocol() : tlsProtocol).record(operation);
  const known = { state: 'trusted', binding: 'svid', freshness: 'fresh', asked_ms: sampleNow, count: 1 };
  const peer = { source_ip: '10.77.0.21', source_port: 40_000, interface: 'broker' };
  const event = {
    device: operation.protocol === 'mqtt' ? 'gateway-1' : 'camera-1',
    kind: operation.protocol,
    activity: 'allow',
    severity: 'info',
    time: sampleNow,
    data: { ...known, ...peer, decision: 'allow', reason: 'granted', ...data, ...more },
  };
  return recordOf(readRecord(JSON.stringify(event), 'log.ndjson'));
}

const sensor = { subject: 'sensor-1', rule: 'grant:sensors-report' };
const verdictOf = (record: DecisionRecord) => {
  const { same, changed, depends } = replay(repository, decideWithEngine(), record.decisions);
  if (same > 0) return 'same';
  return changed.length > 0 ? 'changed' : (depends[0]?.why ?? assert.fail('no decision'));
};

test('a subscription and a name are asked again as they were', () => {
  const own = mqtt('subscribe', 'plant/sensor-1/set/#', { clientId: 'sensor-1', qos: 1, version: 5 });
  assert.deepEqual(recorded(own, sensor).decisions[0]?.request, own);
  assert.equal(verdictOf(recorded(own, sensor)), 'same');
  assert.equal(verdictOf(recorded({ ...own, topic: 'plant/+/set/#' }, sensor)), 'changed');
  assert.equal(verdictOf(recorded({ ...own, share: 'workers' }, sensor)), 'changed');
  const view = { subject: 'historian-1', binding: 'ip', interface: 'camera-tls', rule: 'grant:historian-views' };
  const name: Operation = { protocol: 'tls', serverName: 'camera-1.plant.example', alpn: ['h2'] };
  assert.deepEqual(recorded(name, view).decisions[0]?.request, name);
  assert.equal(verdictOf(recorded(name, view)), 'same');
  assert.equal(verdictOf(recorded({ ...name, serverName: 'other.example' }, view)), 'changed');
});

test('what no record holds is not guessed', () => {
  const publish = mqtt('publish', 'plant/sensor-1/measured/oil', { clientId: 'sensor-1', payloadBytes: 12 });
  assert.equal(verdictOf(recorded(publish, sensor)), 'the payload (not recorded)');
  const connect = mqtt('connect', '', { clientId: 'sensor-1', keepAliveSeconds: 60 });
  assert.equal(verdictOf(recorded(connect, sensor)), 'the keep-alive (not recorded)');
});

test('a grant that messages were allowed by is in use', () => {
  const publish = mqtt('publish', 'plant/sensor-1/measured/oil', { clientId: 'sensor-1' });
  const { grants } = unusedGrants(repository, recorded(publish, { ...sensor, operation: 'report' }));
  const found = grants.find(({ grant }) => grant === 'sensors-report');
  assert.equal(found?.uses, 1);
  assert.ok(!found.unusedOperations.includes('report') && found.unusedOperations.includes('announce'));
});
