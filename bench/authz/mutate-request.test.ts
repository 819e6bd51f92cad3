// What mutations are worth: all sorts come out, most still a CheckRequest, and some that ask something else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CheckRequestSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { seededRandom } from '../../store/simulated-files.ts';
import { checkRequests } from './check-requests.ts';
import { decisivePart, mutate } from './mutate-request.ts';

const accesses = Array.from({ length: 20 }, (_, n) => ({
  device: `device-${n}`,
  interface: `web-${n % 3}`,
  method: 'GET',
  path: `/api/v1/area/${n}/tank/00000001`,
}));
const certificates = new Map(accesses.map(({ device }) => [device, 'a%2Bcertificate']));
const requests = checkRequests(accesses, certificates, 'certificate', 1_800_000_000_000);

const decoded = (bytes: Uint8Array) => {
  try {
    return fromBinary(CheckRequestSchema, bytes).attributes;
  } catch {
    return undefined;
  }
};

test('every mutation changes something; many parse, and every deciding field is struck', () => {
  const random = seededRandom(1);
  const struck = { path: 0, method: 0, interface: 0, certificate: 0, principal: 0 };
  let parsed = 0;
  const rounds = 4_000;
  for (let n = 0; n < rounds; n++) {
    const request = requests[n % requests.length] as Uint8Array;
    const changed = mutate(request, requests[(n * 7) % requests.length] as Uint8Array, random);
    assert.notEqual(Buffer.compare(changed, request), 0);
    const [before, after] = [decoded(request), decoded(changed)];
    if (after === undefined) continue;
    parsed++;
    const interfaceOf = (one: typeof after): string | undefined => one.contextExtensions['edgeward-interface'];
    if (after.request?.http?.path !== before?.request?.http?.path) struck.path++;
    if (after.request?.http?.method !== before?.request?.http?.method) struck.method++;
    if (interfaceOf(after) !== (before === undefined ? undefined : interfaceOf(before))) struck.interface++;
    if (after.source?.certificate !== before?.source?.certificate) struck.certificate++;
    if (after.source?.principal !== before?.source?.principal) struck.principal++;
  }
  assert.ok(parsed > rounds * 0.4 && parsed < rounds * 0.95, `${parsed} of ${rounds} parse`);
  for (const [name, count] of Object.entries(struck)) assert.ok(count > 20, `${name} was struck ${count} times`);
});

test('the decisive part is what the policy is asked with, whatever is broken elsewhere', () => {
  const [request = new Uint8Array()] = requests;
  const part = decisivePart(request);
  assert.ok(part !== undefined);
  const whole = fromBinary(CheckRequestSchema, request).attributes;
  const kept = fromBinary(CheckRequestSchema, part).attributes;
  assert.equal(kept?.source?.certificate, whole?.source?.certificate);
  assert.equal(kept?.source?.principal, whole?.source?.principal);
  assert.deepEqual(kept?.contextExtensions, whole?.contextExtensions);
  assert.equal(kept?.request?.http?.method, 'GET');
  assert.equal(kept?.request?.http?.path, whole?.request?.http?.path);
  assert.equal(kept?.request?.http?.id, '');
  const broken = toBinary(
    CheckRequestSchema,
    create(CheckRequestSchema, { attributes: { tlsSession: { sni: 'ab' } } }),
  );
  broken[broken.length - 2] = 0xff;
  assert.equal(decoded(broken), undefined);
  assert.equal(decisivePart(broken)?.length, 2);
  assert.equal(decisivePart(Buffer.from([0x0a, 0x7f])), undefined);
});
