// Decisions about MQTT and TLS from end to end: grants by subject, denies, classes, models.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sliceSchema, type Slice } from '../bundle/slice.ts';
import { compileSlice } from './engine.ts';
import type { AccessRequest, Operation } from './request.ts';
import { ask, mqtt, now, sampleSlice } from './testing/sample-slice.ts';

const operation = (name: string, more: object) => ({
  name,
  protocol: 'mqtt',
  topics: [],
  retain: false,
  will: false,
  shares: [],
  class: 'normal',
  island: false,
  ...more,
});
const operations = [
  operation('connect', { actions: ['connect'], clientIds: ['{device}'] }),
  operation('own', { actions: ['publish', 'subscribe'], topics: ['plant/{device}/#'] }),
  operation('all', { actions: ['publish', 'subscribe'], topics: ['plant/#'], class: 'sensitive' }),
  operation('alarm', { actions: ['publish'], topics: ['plant/+/alarm'], class: 'safety', retain: true }),
];
const camera = { name: 'view', protocol: 'tls', names: ['*.cell.example'], class: 'normal', island: false };

function slice(denies: readonly object[] = [], casbin?: { model: string; policy: string }): Slice {
  const base = sampleSlice();
  const common = { device: 'plc-1', transport: 'tcp', onEnforcerDeath: 'closed', auditDurable: false, place: 'i:1' };
  const grant = (id: string, subjects: string[], names: string[], on = 'broker') => ({
    id,
    subjects,
    interface: on,
    device: 'plc-1',
    operations: names,
    binding: 'svid',
    conditions: {},
    place: 'g:1',
  });
  return sliceSchema.parse({
    ...base,
    interfaces: [
      { ...common, name: 'broker', protocol: 'mqtt', port: 1883, operations, ...(casbin && { casbin: 'topics' }) },
      { ...common, name: 'camera', protocol: 'tls', port: 443, operations: [camera] },
    ],
    grants: [
      grant('own', ['gateway-1', 'camera-1'], ['connect', 'own', 'alarm']),
      grant('all', ['station-1'], ['connect', 'all']),
      grant('view', ['gateway-1'], ['view'], 'camera'),
    ],
    denies: denies.map((deny) => ({ subjects: [], interface: 'broker', device: 'plc-1', place: 'd:1', ...deny })),
    casbin: casbin === undefined ? [] : [{ name: 'topics', place: 'c:1', ...casbin }],
  });
}

const meta = { digest: 'd', issuedAt: now, softExpiry: now + 1_000, hardExpiry: now + 2_000 };
type Compiled = ReturnType<typeof compileSlice>;
const about = (engine: Compiled, asked: Operation, subject = 'gateway-1', on = 'broker', more = {}): string => {
  const request: AccessRequest = ask(on, asked, { id: subject, ...more });
  const { allow, reason, operation: name } = engine.decide(request, 'fresh');
  return allow ? name : reason;
};

test('mqtt: the same grant is another topic for each subject', () => {
  const engine = compileSlice(slice(), meta);
  assert.equal(about(engine, mqtt('publish', 'plant/gateway-1/t')), 'own');
  assert.equal(about(engine, mqtt('publish', 'plant/camera-1/t')), 'no-grant');
  assert.equal(about(engine, mqtt('publish', 'plant/camera-1/t'), 'camera-1'), 'own');
  assert.equal(about(engine, mqtt('connect', '', { clientId: 'gateway-1' })), 'connect');
  assert.equal(about(engine, mqtt('connect', '', { clientId: 'camera-1' })), 'unknown-operation');
  assert.equal(about(engine, mqtt('subscribe', 'plant/gateway-1/#')), 'own');
  assert.equal(about(engine, mqtt('subscribe', 'plant/#')), 'no-grant');
  assert.equal(about(engine, mqtt('subscribe', '#')), 'unknown-operation');
  assert.equal(about(engine, mqtt('receive', 'plant/gateway-1/t')), 'own');
  assert.equal(
    about(engine, mqtt('publish', 'plant/gateway-1/t'), 'gateway-1', 'broker', { binding: 'ip' }),
    'binding',
  );
});

test('mqtt: what is an own topic keeps its class inside a sensitive one, and a wider one does not', () => {
  const engine = compileSlice(slice(), meta);
  const stale = { state: 'stale' as const };
  // Inside plant/#, and strictly: an exception that somebody carved out.
  assert.equal(about(engine, mqtt('publish', 'plant/gateway-1/t'), 'gateway-1', 'broker', stale), 'own');
  assert.equal(about(engine, mqtt('publish', 'plant/x/t'), 'station-1'), 'all');
  assert.equal(about(engine, mqtt('publish', 'plant/x/t'), 'station-1', 'broker', stale), 'state');
  assert.equal(
    about(engine, mqtt('publish', 'plant/gateway-1/alarm', { retain: true }), 'gateway-1', 'broker', stale),
    'alarm',
  );
});

test('mqtt: a deny reaches the first topic that a subscription could bring, whatever bounds it has', () => {
  const denied = compileSlice(slice([{ id: 'no-alarm', operations: ['alarm'] }]), meta);
  assert.equal(about(denied, mqtt('publish', 'plant/gateway-1/alarm')), 'denied');
  assert.equal(about(denied, mqtt('publish', 'plant/gateway-1/t')), 'own');
  const own = compileSlice(slice([{ id: 'no-own', operations: ['own'], subjects: ['station-1'] }]), meta);
  assert.equal(about(own, mqtt('subscribe', 'plant/#'), 'station-1'), 'denied');
  assert.equal(about(own, mqtt('subscribe', 'plant/+/t'), 'station-1'), 'denied');
  assert.equal(about(own, mqtt('subscribe', 'plant/other/t'), 'station-1'), 'all');
});

test('mqtt: a Casbin model is asked with the action and the topic', () => {
  const model = `[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
`;
  const policy = 'p, gateway-1, plant/gateway-1/t, publish\np, gateway-1, gateway-1, connect\n';
  const engine = compileSlice(slice([], { model, policy }), meta);
  assert.equal(about(engine, mqtt('publish', 'plant/gateway-1/t')), 'own');
  assert.equal(about(engine, mqtt('publish', 'plant/gateway-1/u')), 'casbin');
  assert.equal(about(engine, mqtt('receive', 'plant/gateway-1/t')), 'casbin');
  assert.equal(about(engine, mqtt('connect', '', { clientId: 'gateway-1' })), 'connect');
});

test('tls: a server name is granted, and none is not', () => {
  const engine = compileSlice(slice(), meta);
  const hello = (serverName: string): Operation => ({ protocol: 'tls', serverName, alpn: [] });
  assert.equal(about(engine, hello('door.cell.example'), 'gateway-1', 'camera'), 'view');
  assert.equal(about(engine, hello('door.cell.example'), 'camera-1', 'camera'), 'no-grant');
  assert.equal(about(engine, hello(''), 'gateway-1', 'camera'), 'unknown-operation');
  // One protocol is no other.
  assert.equal(about(engine, mqtt('publish', 'plant/gateway-1/t'), 'gateway-1', 'camera'), 'unknown-operation');
  assert.equal(about(engine, hello('door.cell.example')), 'unknown-operation');
});
