import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileSlice } from '../../../policy/engine/index.ts';
import { meta, sampleSlice } from '../../../policy/engine/testing/sample-slice.ts';
import { type MappingOptions, questionOf } from './mapping.ts';
import { evaluationSchema } from './messages.ts';

const engine = compileSlice(sampleSlice(), meta);
const options: MappingOptions = { asserts: ['context.load', 'resource.lines', 'subject.site'], custom: ['badge'] };

const ask = (changes: object) =>
  questionOf(
    evaluationSchema.parse({
      subject: { type: 'device', id: 'gateway-1' },
      action: { name: 'status' },
      resource: { type: 'interface', id: 'web' },
      ...changes,
    }),
    options,
    engine,
  );
const action = (name: string, properties: object = {}) => {
  const { operation, ambiguous } = ask({ action: { name, properties } });
  return ambiguous ?? operation;
};

test('an action is an operation by name, or an HTTP request', () => {
  assert.deepEqual(action('status'), { protocol: 'named', name: 'status' });
  assert.deepEqual(action('status', { method: 'GET' }), { protocol: 'named', name: 'status' }, 'a method says nothing');
  assert.deepEqual(action('GET', { path: '/status?x=1' }), { protocol: 'http', method: 'GET', path: '/status?x=1' });
  assert.deepEqual(action('GET', { method: 'GET', path: '/x' }), { protocol: 'http', method: 'GET', path: '/x' });
  assert.deepEqual(action('status', { method: 'GET', path: '/status' }), {
    protocol: 'http',
    method: 'GET',
    path: '/status',
  });
  assert.deepEqual(action('can_read all'), { protocol: 'named', name: '' });
});

test('an action with two readings is ambiguous', () => {
  assert.equal(action('GET', { method: 'POST', path: '/' }), 'action.name and properties.method differ');
  assert.equal(action('GET'), 'a method without properties.path');
  assert.equal(action('GET', { path: 7 }), 'a method without properties.path');
  assert.equal(action('status', { path: '/status' }), 'properties.path without properties.method');
  assert.equal(action('status', { path: '/status', method: 'get' }), 'a method that is not of capital letters');
  assert.equal(action('CONNECT', { path: '/' }), 'CONNECT, which asks for a tunnel');
  assert.equal(action('GET /', { path: '/' }), 'a method that is not of capital letters');
  const other = 'the request is not surely one of the operation named';
  assert.equal(action('status', { method: 'GET', path: '/admin/x' }), other);
  assert.equal(action('status', { method: 'GET', path: '/a/../status' }), other);
});

test('what is no device is nobody, what is no interface is nothing', () => {
  assert.deepEqual(ask({}).peer, { asserted: 'gateway-1' });
  for (const subject of [
    { type: 'user', id: 'gateway-1' },
    { type: 'device', id: '' },
    { type: 'device', id: 'Gateway 1' },
    { type: 'device', id: '../gateway-1' },
  ]) {
    assert.deepEqual(ask({ subject }).peer, {}, JSON.stringify(subject));
  }
  assert.equal(ask({}).interface, 'web');
  assert.equal(ask({ resource: { type: 'record', id: 'web' } }).interface, '');
  assert.equal(ask({ resource: { type: 'interface', id: 'web/../x' } }).interface, '');
});

test('only what the configuration lets a caller assert is taken over, and nothing that signed states say', () => {
  const { assertions } = ask({
    subject: {
      type: 'device',
      id: 'gateway-1',
      properties: { site: 'a', attestation: 'tpm', risk: 0, state: 'trusted' },
    },
    resource: { type: 'interface', id: 'web', properties: { lines: ['a', 'b'], other: 1, device: 'plc-1' } },
    context: { load: 3, time: '1985-10-26T01:22-07:00', supported_obligations: [] },
  });
  assert.deepEqual(assertions, {
    subject: { site: 'a' },
    resource: { lines: ['a', 'b'], device: 'plc-1' },
    context: { load: 3 },
  });
  const odd = ask({
    resource: { type: 'interface', id: 'web', properties: { lines: [1], device: 7 } },
    context: { load: { nested: true } },
  });
  assert.deepEqual(
    odd.assertions,
    { subject: {}, resource: { device: '' }, context: {} },
    'what is no value is absent',
  );
});

test('a caller carries out what it declares and both know', () => {
  const fulfils = (supported_obligations?: string[]) => ask({ context: { supported_obligations } }).fulfils;
  assert.deepEqual(fulfils(), { ids: [], custom: [], anyLevel: false });
  assert.deepEqual(fulfils(['step-up', 'nonsense']), { ids: [], custom: [], anyLevel: true });
  assert.deepEqual(fulfils(['custom', 'log']), { ids: [], custom: ['badge'], anyLevel: false });
});
