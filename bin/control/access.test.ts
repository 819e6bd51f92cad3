import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSpiffeId, type VerifiedSvid } from '../../identity/index.ts';
import { AdminService } from '../../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { EnrolmentService } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { EdgeStreamService } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { CodedError } from '../../runtime/errors.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { CallContext } from '../../runtime/grpc.ts';
import type { Role } from '../rpc-table.ts';
import { createAccessControl } from './access.ts';

function control(roles: readonly Role[] = []) {
  const clock = new FakeClock(1_800_000_000_000);
  const refusals: string[] = [];
  const access = createAccessControl({
    // The test's "certificate" is the SPIFFE ID itself.
    verify: ([leaf]) => ({ id: parseSpiffeId(leaf?.toString() ?? '') }) as VerifiedSvid,
    rolesOf: () => Promise.resolve(roles),
    refused: ({ code }) => void refusals.push(code),
    clock,
  });
  return { access, clock, refusals };
}

const call = (method: CallContext['method'], uri?: string): CallContext => {
  const leaf = uri === undefined ? undefined : Buffer.from(uri);
  return {
    method,
    connection: { peer: '127.0.0.1:1', peerChain: leaf === undefined ? [] : [leaf] },
    peerCertificate: leaf,
    peerChain: leaf === undefined ? [] : [leaf],
    peer: '127.0.0.1:1',
    signal: new AbortController().signal,
    metadata: {} as CallContext['metadata'],
  };
};
const operator = 'spiffe://plant.example/operator/ann';
const device = 'spiffe://plant.example/device/plc-1';
const refusedWith = (code: string) => (error: unknown) => error instanceof CodedError && error.code === code;

test('a role opens its calls and no others; the caller is known afterwards', async () => {
  const { access, refusals } = control(['viewer']);
  const listed = call(AdminService.method.listDevices, operator);
  await access.interceptor(listed);
  assert.equal(access.callerOf(listed).id.uri, operator);
  await assert.rejects(
    async () => await access.interceptor(call(AdminService.method.createToken, operator)),
    refusedWith('ACCESS_ROLE_MISSING'),
  );
  assert.deepEqual(refusals, ['ACCESS_ROLE_MISSING']);
});

test('devices do not administer, operators are no devices, nobody is neither', async () => {
  const { access } = control(['viewer', 'operator', 'approver', 'publisher', 'auditor']);
  await assert.rejects(
    async () => await access.interceptor(call(AdminService.method.listDevices, device)),
    refusedWith('ACCESS_WRONG_IDENTITY'),
  );
  await assert.rejects(
    async () => await access.interceptor(call(EdgeStreamService.method.connect, operator)),
    refusedWith('ACCESS_WRONG_IDENTITY'),
  );
  await assert.rejects(
    async () => await access.interceptor(call(AdminService.method.listDevices)),
    refusedWith('ACCESS_NO_IDENTITY'),
  );
  await access.interceptor(call(EdgeStreamService.method.connect, device));
});

test('a call without a row is refused', async () => {
  const { access } = control(['viewer']);
  const strange = { ...AdminService.method.listDevices, name: 'DropEverything' };
  await assert.rejects(async () => await access.interceptor(call(strange, operator)), refusedWith('ACCESS_NO_ROW'));
});

test('an anonymous call has no caller', async () => {
  const { access } = control();
  const enrol = call(EnrolmentService.method.enroll);
  await access.interceptor(enrol);
  assert.throws(() => access.callerOf(enrol), refusedWith('ACCESS_NO_IDENTITY'));
});

test('each identity has its own rate, and it recovers', async () => {
  const { access, clock } = control(['approver']);
  const add = async (uri: string): Promise<void> =>
    await access.interceptor(call(AdminService.method.addPublisher, uri));
  for (let n = 0; n < 5; n++) await add(operator);
  await assert.rejects(async () => await add(operator), refusedWith('ACCESS_RATE_LIMITED'));
  await add('spiffe://plant.example/operator/bob');
  await clock.advance(1_000);
  await add(operator);
});
