// What of an ext_authz question reaches the engine: the filter's own configuration, never a header of the client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { AccessRequest } from '../../../policy/engine/index.ts';
import type { AttributeContextSchema } from '../../../proto/gen/envoy/service/auth/v3/attribute_context_pb.ts';
import { CheckRequestSchema } from '../../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { noRequestUsage } from '../../request-usage.ts';
import type { AuthzPorts } from '../authorize.ts';
import { check } from './ext-authz.ts';

const now = 1_800_000_000_000;

const http = {
  method: 'GET',
  path: '/',
  headers: { 'edgeward-attribute-line': 'press-9', 'edgeward-interface': 'other' },
};

const asked = async (contextExtensions: Record<string, string>): Promise<AccessRequest> =>
  await askedBy({ request: { http }, contextExtensions });

async function askedBy(attributes: MessageInitShape<typeof AttributeContextSchema>): Promise<AccessRequest> {
  let seen: AccessRequest | undefined;
  const ports: AuthzPorts = {
    decide: (request) => {
      seen = request;
      return { allow: false, reason: 'no-grant', rule: '', place: '', operation: '', bundle: '' };
    },
    usage: () => noRequestUsage,
    identify: () => ({ id: '', binding: 'svid', state: 'unknown', attributes: {} }),
    log: { note: () => undefined, keep: () => Promise.resolve() },
    auditDurable: () => false,
    now: () => now,
  };
  await check(ports, create(CheckRequestSchema, { attributes }));
  assert.ok(seen);
  return seen;
}

test('context attributes come from the filter, dated with the request; a client has no say', async () => {
  const { context, resource } = await asked({
    'edgeward-interface': 'web',
    'edgeward-attribute-line': 'press-3',
    'edgeward-attribute-empty': '',
    'something-else': 'x',
  });
  assert.equal(resource.interface, 'web');
  assert.deepEqual(context.attributes, {
    line: { value: 'press-3', asOf: now },
    empty: { value: '', asOf: now },
  });
  assert.deepEqual((await asked({ 'edgeward-interface': 'web' })).context.attributes, {});
});

test('more context attributes than a filter has reason to say are none', async () => {
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`edgeward-attribute-n${index}`, 'x']));
  assert.deepEqual((await asked(many)).context.attributes, {});
  delete many['edgeward-attribute-n0'];
  assert.equal(Object.keys((await asked(many)).context.attributes).length, 64);
});

test('a question of the network filter is about a port, and its interface comes from the labels of the destination', async () => {
  const labels = { 'edgeward-interface': 'plc-ssh', 'edgeward-attribute-line': 'press-3' };
  const { operation, resource, context } = await askedBy({ destination: { labels } });
  assert.deepEqual(operation, { protocol: 'port' });
  assert.equal(resource.interface, 'plc-ssh');
  assert.deepEqual(context.attributes, { line: { value: 'press-3', asOf: now } });
});

test('neither filter can ask the question of the other one', async () => {
  const labels = { 'edgeward-interface': 'plc-ssh' };
  const contextExtensions = { 'edgeward-interface': 'web' };
  const emptyHttp = await askedBy({ destination: { labels }, contextExtensions, request: { http: {} } });
  assert.deepEqual(emptyHttp.operation, { protocol: 'http', method: '', path: '' });
  assert.equal(emptyHttp.resource.interface, 'web');
  const lostHttp = await askedBy({ contextExtensions, request: {} });
  assert.deepEqual(lostHttp.operation, { protocol: 'port' });
  assert.equal(lostHttp.resource.interface, '', 'an interface of the HTTP filter is none of the network filter');
  assert.equal((await askedBy({ destination: { labels }, request: { http } })).resource.interface, '');
});
