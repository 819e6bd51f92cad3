// What of an ext_authz question reaches the engine: the filter's own configuration, never a header of the client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import type { AccessRequest } from '../../../policy/engine/index.ts';
import { CheckRequestSchema } from '../../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { noRequestUsage } from '../../request-usage.ts';
import type { AuthzPorts } from '../authorize.ts';
import { check } from './ext-authz.ts';

const now = 1_800_000_000_000;

async function asked(contextExtensions: Record<string, string>): Promise<AccessRequest> {
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
  const headers = { 'edgeward-attribute-line': 'press-9', 'edgeward-interface': 'other' };
  const request = { http: { method: 'GET', path: '/', headers } };
  await check(ports, create(CheckRequestSchema, { attributes: { request, contextExtensions } }));
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
