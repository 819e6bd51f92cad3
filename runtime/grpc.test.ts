// Calls over a real loopback connection: answers, errors, interceptors, limits, deadlines, shut-down.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import { EnrolmentService } from '../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { collect, renewals, startLoopback, stopLoopback } from '../test/support/grpc-loopback.ts';
import { runtimeErrors } from './error-codes.ts';
import { createGrpcClient, createGrpcServer } from './grpc.ts';
import { errorOf } from './grpc-wire.ts';

afterEach(stopLoopback);

test('a unary call answers', async () => {
  const { enrolment, records } = await startLoopback({});
  assert.equal((await enrolment.enroll({ protocolVersion: 1 })).spiffeId, 'spiffe://plant.example/device/a');
  const [{ method, code } = {}] = records;
  assert.deepEqual({ method, code }, { method: '/edgeward.enrolment.v1.EnrolmentService/Enroll', code: 'OK' });
});

test('a server stream gives all its messages and ends', async () => {
  const { health } = await startLoopback({});
  assert.deepEqual(
    (await collect(health.watch({}))).map(({ status }) => status),
    [1, 2],
  );
});

test('a unix socket works like an address, and a stale one is replaced', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-grpc-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'authz.sock');
  const dead = createServer().listen(path);
  await new Promise((resolve) => dead.once('listening', resolve));
  const seen: string[] = [];
  // A second server must not take the socket of a living one.
  await assert.rejects(createGrpcServer().listen(`unix:${path}`, 'insecure'), { code: 'LISTEN_FAILED' });
  await new Promise((resolve) => dead.close(resolve));
  const { enrolment } = await startLoopback(
    {
      enroll: async (_, call) => {
        seen.push(call.peer);
        return {};
      },
    },
    `unix:${path}`,
  );
  await enrolment.enroll({});
  assert.deepEqual(seen, ['unix']);
  writeFileSync(join(folder, 'file'), '');
  await assert.rejects(createGrpcServer().listen(`unix:${join(folder, 'file')}`, 'insecure'), {
    code: 'LISTEN_FAILED',
  });
});

test('a coded error of a handler arrives with its code; an unknown one without its inside', async () => {
  const place = { file: 'a.yaml', line: 1 };
  const failures = [runtimeErrors.error('CONFIG_INVALID', 'bad line', { place }), new Error('hunter2')];
  const { enrolment, records } = await startLoopback({
    enroll: async () => {
      throw failures.shift() ?? new Error('no more');
    },
  });
  await assert.rejects(enrolment.enroll({}), { code: 'CONFIG_INVALID', message: 'bad line', place });
  await assert.rejects(enrolment.enroll({}), { code: 'RPC_INTERNAL', message: 'internal error' });
  assert.deepEqual(
    records.map(({ code }) => code),
    ['CONFIG_INVALID', 'RPC_INTERNAL'],
  );
});

test('an interceptor refuses before the request is decoded', async () => {
  const { enrolment, stream, target } = await startLoopback({
    interceptor: (call) => {
      throw runtimeErrors.error('RPC_PERMISSION_DENIED', `no ${call.method.name}`);
    },
  });
  await assert.rejects(enrolment.enroll({}), { code: 'RPC_PERMISSION_DENIED', message: 'no Enroll' });
  await assert.rejects(collect(stream.connect(renewals(1))), { code: 'RPC_PERMISSION_DENIED', message: 'no Connect' });
  const raw = await rawCall(target, Buffer.from([0xff, 0xff]));
  assert.equal(raw.code, 'RPC_PERMISSION_DENIED');
});

test('an unknown field, and bytes that are no message, are refused with their codes', async () => {
  const { target } = await startLoopback({});
  assert.equal((await rawCall(target, Buffer.from([0xf8, 0x7f, 0x01]))).code, 'WIRE_UNKNOWN_FIELD');
  assert.equal((await rawCall(target, Buffer.from([0xff]))).code, 'WIRE_MALFORMED');
});

test('a message above the limit is refused both ways', async () => {
  const { enrolment } = await startLoopback({
    options: { maxMessageBytes: 1000 },
    enroll: async (request) => ({ spiffeId: 'x'.repeat(request.protocolVersion) }),
  });
  await assert.rejects(enrolment.enroll({ csrDer: Buffer.alloc(2000) }), { code: 'RPC_RESOURCE_EXHAUSTED' });
  await assert.rejects(enrolment.enroll({ protocolVersion: 2000 }), { code: 'RPC_RESOURCE_EXHAUSTED' });
  assert.equal((await enrolment.enroll({ protocolVersion: 5 })).spiffeId, 'xxxxx');
});

test('a deadline ends the call on both sides', async () => {
  const aborted = Promise.withResolvers<unknown>();
  const { enrolment } = await startLoopback({
    enroll: async (_, call) => {
      call.signal.addEventListener('abort', () => aborted.resolve(call.signal.reason));
      await aborted.promise;
      return {};
    },
  });
  await assert.rejects(enrolment.enroll({}, { timeoutMs: 50 }), { code: 'RPC_DEADLINE_EXCEEDED' });
  await aborted.promise;
});

test('a server that is not there is unavailable', async () => {
  const { enrolment, server } = await startLoopback({});
  await enrolment.enroll({});
  await server.close(0);
  await assert.rejects(enrolment.enroll({}), { code: 'RPC_UNAVAILABLE' });
});

test('closing lets calls finish, refuses new ones, and ends what does not finish', async () => {
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const { server, enrolment, stream, target } = await startLoopback({
    enroll: async () => {
      entered.resolve();
      await release.promise;
      return { spiffeId: 'finished' };
    },
    async *connect(_, call) {
      yield { message: { case: 'welcome', value: {} } };
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
    },
  });
  const pending = enrolment.enroll({});
  await entered.promise;
  const stuck = stream.connect(renewals(0))[Symbol.asyncIterator]();
  await stuck.next();
  const closing = server.close(500);
  const late = createGrpcClient(EnrolmentService, target, 'insecure');
  await assert.rejects(late.enroll({}), { code: 'RPC_UNAVAILABLE' });
  late.close();
  release.resolve();
  assert.equal((await pending).spiffeId, 'finished');
  await assert.rejects(async () => stuck.next());
  await closing;
  await server.close(0);
});

test('closing ends as soon as the last call does, idle connections or not', { timeout: 20_000 }, async () => {
  const { server, enrolment } = await startLoopback({});
  await enrolment.enroll({});
  await server.close(3_600_000);
});

test('an address that cannot be listened on says so', async () => {
  const { target } = await startLoopback({});
  const server = createGrpcServer();
  await assert.rejects(server.listen(target, 'insecure'), { code: 'LISTEN_FAILED' });
  for (const address of ['nowhere', 'host:99999', ':80', '127.0.0.1', 'http://x:1']) {
    await assert.rejects(server.listen(address, 'insecure'), { code: 'CONFIG_INVALID' }, address);
  }
  await server.close(0);
});

/** Enroll with bytes that no honest client sends. */
async function rawCall(target: string, body: Buffer): Promise<{ code: string }> {
  const client = new Client(target, credentials.createInsecure());
  const same = (value: Buffer): Buffer => value;
  try {
    return await new Promise((resolve) => {
      client.makeUnaryRequest('/edgeward.enrolment.v1.EnrolmentService/Enroll', same, same, body, (error) => {
        resolve(error === null ? { code: 'OK' } : errorOf(error));
      });
    });
  } finally {
    client.close();
  }
}

test('rawCall is heard', async () => {
  const { target } = await startLoopback({});
  assert.equal((await rawCall(target, Buffer.alloc(0))).code, 'OK');
});
