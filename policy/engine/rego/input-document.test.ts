// What a Rego package is told: values by name, and nothing in place of what is not known.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AccessRequest, Attribute, Operation } from '../request.ts';
import { access, ask, get, mqtt, now } from '../testing/sample-slice.ts';
import { attributeSchemas } from '../conditions.ts';
import { compileInput } from './input-document.ts';

const document = (request: AccessRequest, unattested = false): object =>
  compileInput(attributeSchemas([], 'schema'))({ request, operation: 'view', device: 'plc-1', unattested });
const withSubject = (attributes: Record<string, Attribute>): AccessRequest => {
  const request = ask('web', get('/status'));
  return { ...request, subject: { ...request.subject, attributes } };
};
const subjectOf = (found: object): Record<string, unknown> => (found as { subject: Record<string, unknown> }).subject;

test('input: an HTTP request, its path decoded and without query', () => {
  const request = ask('web', get('/api/v1/p%20q?x=1'));
  const resource = { interface: 'web', attributes: { zone: { value: 'cell' } } };
  const context = { ...request.context, connection: '10.0.0.1:4711', attributes: { shift: { value: ['a', 'b'] } } };
  assert.deepEqual(document({ ...request, subject: { ...request.subject, attributes: {} }, resource, context }), {
    subject: { id: 'gateway-1', state: 'trusted', binding: 'svid', attributes: {}, as_of: {} },
    operation: {
      name: 'view',
      protocol: 'http',
      method: 'GET',
      path: '/api/v1/p q',
      segments: ['api', 'v1', 'p q'],
    },
    resource: { interface: 'web', device: 'plc-1', attributes: { zone: 'cell' }, as_of: {} },
    context: {
      time: now,
      source: request.context.source,
      connection: '10.0.0.1:4711',
      attributes: { shift: ['a', 'b'] },
      as_of: {},
    },
  });
});

test('input: a Modbus write with its function by name', () => {
  const { operation } = document(ask('plc-modbus', access(6, 5, 1, [42]))) as { operation: object };
  assert.deepEqual(operation, {
    name: 'view',
    protocol: 'modbus',
    unit: 1,
    function_code: 6,
    function: 'write-single-register',
    address: 5,
    quantity: 1,
    values: [42],
  });
});

test('input: MQTT and TLS, with what there is of them', () => {
  const operationOf = (operation: Operation): unknown =>
    (document(ask('broker', operation)) as { operation: object }).operation;
  assert.deepEqual(
    operationOf(mqtt('publish', 'a/b', { json: { t: null }, payloadBytes: 10, userName: 'u', version: 5 })),
    {
      name: 'view',
      protocol: 'mqtt',
      action: 'publish',
      client_id: 'dev',
      topic: 'a/b',
      levels: ['a', 'b'],
      qos: 0,
      retain: false,
      will: false,
      payload_bytes: 10,
      json: { t: null },
      version: 5,
      user_name: 'u',
    },
  );
  assert.deepEqual(operationOf(mqtt('connect', '', { keepAliveSeconds: 60, will: true })), {
    name: 'view',
    protocol: 'mqtt',
    action: 'connect',
    client_id: 'dev',
    qos: 0,
    retain: false,
    will: true,
    payload_bytes: 0,
    keep_alive_seconds: 60,
    version: 4,
  });
  const shared = operationOf(mqtt('subscribe', 'a/#', { share: 's' })) as { share: string; levels: string[] };
  assert.deepEqual([shared.share, shared.levels], ['s', ['a', '#']]);
  assert.deepEqual(operationOf({ protocol: 'tls', serverName: 'Cam.Example', alpn: ['h2'] }), {
    name: 'view',
    protocol: 'tls',
    server_name: 'cam.example',
    alpn: ['h2'],
  });
});

test('input: attributes with their age; what is no value, or from the future, is absent', () => {
  const day = 86_400_000;
  const found = subjectOf(
    document(
      withSubject({
        site: { value: 'north' },
        risk: { value: 7, asOf: now - 1_000 },
        infinite: { value: Number.POSITIVE_INFINITY },
        unknown: { value: Number.NaN, asOf: now },
        nothing: { value: undefined as unknown as string },
        none: { value: null as unknown as string },
        mixed: { value: ['a', 1 as unknown as string] },
        tomorrow: { value: 'x', asOf: now + day },
        always: { value: 'x', asOf: Number.NEGATIVE_INFINITY },
        undated: { value: 'x', asOf: Number.NaN },
      }),
    ),
  );
  assert.deepEqual(found['attributes'], { site: 'north', risk: 7 });
  assert.deepEqual(found['as_of'], { risk: now - 1_000 });
});

test('input: a state that contradicts the appraisal leaves attestation none', () => {
  const request = withSubject({ attestation: { value: 'tpm', asOf: now - 5 } });
  assert.deepEqual(subjectOf(document(request))['attributes'], { attestation: 'tpm' });
  assert.deepEqual(subjectOf(document(request))['as_of'], { attestation: now - 5 });
  assert.deepEqual(subjectOf(document(request, true))['attributes'], { attestation: 'none' });
  assert.deepEqual(subjectOf(document(request, true))['as_of'], {}, 'no appraisal has a date');
  assert.deepEqual(subjectOf(document(withSubject({}), true))['attributes'], {});
});

test('input: a time that is not trusted is absent', () => {
  const request = withSubject({});
  const timeOf = (found: unknown): unknown => (found as { context: Record<string, unknown> }).context['time'];
  assert.equal(timeOf(document(request)), request.context.time);
  assert.equal(timeOf(document({ ...request, context: { ...request.context, timeFloor: now } })), undefined);
});

test('input: what the schema calls stale, undated, mistyped or out of range is absent', () => {
  const schemas = attributeSchemas(
    [
      { source: 'subject', name: 'site', type: 'string', values: ['north'] },
      { source: 'subject', name: 'load', type: 'number', maxAgeSeconds: 60, range: [0, 100] },
    ],
    'schema',
  );
  const known = (attributes: Record<string, Attribute>): unknown =>
    subjectOf(
      compileInput(schemas)({ request: withSubject(attributes), operation: 'x', device: 'y', unattested: false }),
    )['attributes'];
  const good = { site: { value: 'north' }, load: { value: 7, asOf: now - 60_000 } };
  assert.deepEqual(known(good), { site: 'north', load: 7 });
  assert.deepEqual(known({ ...good, load: { value: 7, asOf: now - 60_001 } }), { site: 'north' });
  assert.deepEqual(known({ ...good, load: { value: 7 } }), { site: 'north' });
  assert.deepEqual(known({ ...good, load: { value: 101, asOf: now } }), { site: 'north' });
  assert.deepEqual(known({ ...good, load: { value: '7', asOf: now } }), { site: 'north' });
  assert.deepEqual(known({ ...good, site: { value: 'south' } }), { load: 7 });
  assert.deepEqual(known({ risk: { value: 'high' } }), {});
});

test('input: an object without null, whatever the request says', () => {
  const value = fc.oneof(fc.anything(), fc.double(), fc.string()) as fc.Arbitrary<string>;
  const attributes = fc.dictionary(fc.string(), fc.record({ value, asOf: fc.double() }, { requiredKeys: ['value'] }));
  fc.assert(
    fc.property(attributes, attributes, fc.string(), (own, around, connection) => {
      const request = withSubject(own);
      const context = { ...request.context, connection, attributes: around };
      const found = document({ ...request, context });
      // What JSON cannot say it leaves out, or writes as null.
      const text = JSON.stringify(found);
      assert.deepEqual(keysOf(JSON.parse(text) as object), keysOf(found));
      JSON.parse(text, (_, item: unknown) => (assert.notEqual(item, null), item));
    }),
  );
});

function keysOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, keysOf(item)]));
}
