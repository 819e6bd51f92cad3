// Calls over a real loopback connection: streams, back-pressure, cancellation, deadlines, limits, shut-down.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Health } from '../proto/gen/grpc/health/v1/health_pb.ts';
import { EnrolmentService } from '../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import {
  ConnectRequestSchema,
  EdgeStreamService,
  type ConnectRequest,
} from '../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { runtimeErrors } from './error-codes.ts';
import { createGrpcClient, createGrpcServer } from './grpc.ts';
import type { CallContext, CallRecord, GrpcServerOptions, Implementation } from './grpc.ts';

type Stream = Implementation<typeof EdgeStreamService>['connect'];
type Request = MessageInitShape<typeof ConnectRequestSchema>;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Handlers {
  readonly enroll?: Implementation<typeof EnrolmentService>['enroll'];
  readonly connect?: Stream;
  readonly options?: GrpcServerOptions;
  readonly interceptor?: (call: CallContext) => void;
}

async function start({ enroll, connect, options, interceptor }: Handlers, address = '127.0.0.1:0') {
  const records: CallRecord[] = [];
  const server = createGrpcServer({ onCall: (record) => records.push(record), ...options });
  server.addService(
    EnrolmentService,
    { enroll: enroll ?? (async () => ({ spiffeId: 'spiffe://plant.example/device/a' })) },
    interceptor,
  );
  server.addService(EdgeStreamService, { connect: connect ?? echo }, interceptor ? { interceptor } : {});
  server.addService(Health, {
    check: async () => ({ status: 1 }),
    async *watch() {
      yield { status: 1 };
      yield { status: 2 };
    },
  });
  const port = await server.listen(address, 'insecure');
  const target = address.startsWith('unix:') ? address : `127.0.0.1:${port}`;
  const enrolment = createGrpcClient(EnrolmentService, target, 'insecure');
  const stream = createGrpcClient(EdgeStreamService, target, 'insecure');
  const health = createGrpcClient(Health, target, 'insecure');
  cleanups.push(async () => {
    for (const client of [enrolment, stream, health]) client.close();
    await server.close(0);
  });
  return { server, records, target, enrolment, stream, health };
}

const echo: Stream = async function* (requests) {
  for await (const request of requests) yield answerTo(request);
};

const answerTo = (request: ConnectRequest) => ({
  message: { case: 'welcome' as const, value: { serverVersion: request.message.case ?? 'nothing' } },
});

async function* renewals(count: number, bytes = 10): AsyncGenerator<Request> {
  for (let i = 0; i < count; i++) {
    yield { message: { case: 'renew', value: { requestId: BigInt(i), csrDer: Buffer.alloc(bytes) } } };
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test('a unary call answers', async () => {
  const { enrolment, records } = await start({});
  assert.equal((await enrolment.enroll({ protocolVersion: 1 })).spiffeId, 'spiffe://plant.example/device/a');
  const [{ method, code } = {}] = records;
  assert.deepEqual({ method, code }, { method: '/edgeward.enrolment.v1.EnrolmentService/Enroll', code: 'OK' });
});

test('a server stream gives all its messages and ends', async () => {
  const { health } = await start({});
  assert.deepEqual(
    (await collect(health.watch({}))).map(({ status }) => status),
    [1, 2],
  );
});

test('a bidirectional stream carries thousands of messages in order', async () => {
  const { stream } = await start({});
  const answers = await collect(stream.connect(renewals(3000)));
  assert.equal(answers.length, 3000);
  assert.deepEqual(answers[2999]?.message, {
    case: 'welcome',
    value: { ...answers[0]?.message.value, serverVersion: 'renew' },
  });
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
  const { enrolment } = await start(
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
  const { enrolment, records } = await start({
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

test('an error in the middle of a stream comes after the messages before it', async () => {
  const { stream } = await start({
    async *connect(requests) {
      for await (const request of requests) {
        yield answerTo(request);
        throw runtimeErrors.error('RPC_ABORTED', 'enough');
      }
    },
  });
  const got: unknown[] = [];
  await assert.rejects(
    (async () => {
      for await (const answer of stream.connect(renewals(5))) got.push(answer);
    })(),
    { code: 'RPC_ABORTED', message: 'enough' },
  );
  assert.equal(got.length, 1);
});

test('an interceptor refuses before the request is decoded', async () => {
  const { enrolment, stream, target } = await start({
    interceptor: (call) => {
      throw runtimeErrors.error('RPC_PERMISSION_DENIED', `no ${call.method.name}`);
    },
  });
  await assert.rejects(enrolment.enroll({}), { code: 'RPC_PERMISSION_DENIED', message: 'no Enroll' });
  await assert.rejects(collect(stream.connect(renewals(1))), { code: 'RPC_PERMISSION_DENIED', message: 'no Connect' });
  const raw = await rawCall(target, Buffer.from([0xff, 0xff]));
  assert.equal(raw.code, 'RPC_PERMISSION_DENIED');
});

test('an unknown field is refused with its code, except where a service is lenient', async () => {
  const { target, server } = await start({});
  assert.equal((await rawCall(target, Buffer.from([0xf8, 0x7f, 0x01]))).code, 'WIRE_UNKNOWN_FIELD');
  assert.equal((await rawCall(target, Buffer.from([0xff]))).code, 'WIRE_MALFORMED');
  assert.ok(server);
});

test('a message above the limit is refused both ways', async () => {
  const { enrolment } = await start({
    options: { maxMessageBytes: 1000 },
    enroll: async (request) => ({ spiffeId: 'x'.repeat(request.protocolVersion) }),
  });
  await assert.rejects(enrolment.enroll({ csrDer: Buffer.alloc(2000) }), { code: 'RPC_RESOURCE_EXHAUSTED' });
  await assert.rejects(enrolment.enroll({ protocolVersion: 2000 }), { code: 'RPC_RESOURCE_EXHAUSTED' });
  assert.equal((await enrolment.enroll({ protocolVersion: 5 })).spiffeId, 'xxxxx');
});

test('a deadline ends the call on both sides', async () => {
  const aborted = Promise.withResolvers<unknown>();
  const { enrolment } = await start({
    enroll: async (_, call) => {
      call.signal.addEventListener('abort', () => aborted.resolve(call.signal.reason));
      await aborted.promise;
      return {};
    },
  });
  await assert.rejects(enrolment.enroll({}, { timeoutMs: 50 }), { code: 'RPC_DEADLINE_EXCEEDED' });
  await aborted.promise;
});

test('a signal cancels a unary call and a stream with its own reason, and the handler hears of it', async () => {
  const aborted = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { enrolment, stream } = await start({
    enroll: async (_, call) => {
      call.signal.addEventListener('abort', () => aborted[0]?.resolve());
      await aborted[0]?.promise;
      return {};
    },
    async *connect(requests, call) {
      call.signal.addEventListener('abort', () => aborted[1]?.resolve());
      for await (const request of requests) yield answerTo(request);
    },
  });
  const reason = new Error('shutting down');
  const stop = new AbortController();
  const call = enrolment.enroll({}, { signal: stop.signal });
  const open = stream.connect(endless(stop.signal), { signal: stop.signal });
  const reading = (async () => {
    for await (const answer of open) if (answer.message.case === 'welcome') stop.abort(reason);
  })();
  await assert.rejects(reading, (error) => error === reason);
  await assert.rejects(call, (error) => error === reason);
  await Promise.all(aborted.map(({ promise }) => promise));
  await assert.rejects(enrolment.enroll({}, { signal: stop.signal }), (error) => error === reason);
});

async function* endless(signal: AbortSignal): AsyncGenerator<Request> {
  yield* renewals(1);
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}

test('leaving the loop of answers cancels the call and stops the requests', async () => {
  const ended = Promise.withResolvers<void>();
  const { stream } = await start({
    async *connect(requests, call) {
      call.signal.addEventListener('abort', () => ended.resolve());
      for await (const request of requests) yield answerTo(request);
    },
  });
  const stopped = Promise.withResolvers<void>();
  async function* requests(): AsyncGenerator<Request> {
    try {
      for (;;) {
        yield* renewals(1);
        await delay(1);
      }
    } finally {
      stopped.resolve();
    }
  }
  for await (const answer of stream.connect(requests())) {
    assert.ok(answer);
    break;
  }
  await ended.promise;
  await stopped.promise;
});

test('a failing source of requests ends the call with its own error', async () => {
  const { stream } = await start({});
  async function* broken(): AsyncGenerator<Request> {
    yield* renewals(1);
    throw new Error('spool is gone');
  }
  await assert.rejects(collect(stream.connect(broken())), /spool is gone/);
});

test('a sender waits for a slow receiver: requests', async () => {
  const release = Promise.withResolvers<void>();
  let sent = 0;
  const { stream } = await start({
    async *connect(requests) {
      await release.promise;
      for await (const request of requests) if (request.message.case === undefined) yield answerTo(request);
    },
  });
  async function* counted(): AsyncGenerator<Request> {
    for await (const request of renewals(400, 64 * 1024)) {
      sent++;
      yield request;
    }
  }
  const done = collect(stream.connect(counted()));
  await settled(() => sent);
  assert.ok(sent < 100, `${sent} of 400 messages of 64 KiB left although nobody reads`);
  release.resolve();
  await done;
  assert.equal(sent, 400);
});

test('a sender waits for a slow receiver: answers', async () => {
  let made = 0;
  const { stream } = await start({
    async *connect() {
      for (; made < 400; made++) yield { message: { case: 'chunk', value: { content: Buffer.alloc(64 * 1024) } } };
    },
  });
  const answers = stream.connect(renewals(0))[Symbol.asyncIterator]();
  await answers.next();
  await settled(() => made);
  assert.ok(made < 100, `${made} of 400 answers were made although nobody reads`);
  let read = 1;
  while (!(await answers.next()).done) read++;
  assert.equal(read, 400);
});

/** Resolves when `count` has stopped changing. */
async function settled(count: () => number): Promise<void> {
  for (let last = -1, same = 0; same < 10;) {
    same = count() === last ? same + 1 : 0;
    last = count();
    await delay(20);
  }
}

test('a server that is not there is unavailable', async () => {
  const { enrolment, server } = await start({});
  await enrolment.enroll({});
  await server.close(0);
  await assert.rejects(enrolment.enroll({}), { code: 'RPC_UNAVAILABLE' });
});

test('closing lets calls finish, refuses new ones, and ends what does not finish', async () => {
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const { server, enrolment, stream, target } = await start({
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
  const { server, enrolment } = await start({});
  await enrolment.enroll({});
  await server.close(3_600_000);
});

test('an address that cannot be listened on says so', async () => {
  const { target } = await start({});
  const server = createGrpcServer();
  await assert.rejects(server.listen(target, 'insecure'), { code: 'LISTEN_FAILED' });
  for (const address of ['nowhere', 'host:99999', ':80', '127.0.0.1', 'http://x:1']) {
    await assert.rejects(server.listen(address, 'insecure'), { code: 'CONFIG_INVALID' }, address);
  }
  await server.close(0);
});

/** Enroll with bytes that no honest client sends. */
async function rawCall(target: string, body: Buffer): Promise<{ code: string }> {
  const { Client, credentials } = await import('@grpc/grpc-js');
  const { errorOf } = await import('./grpc-wire.ts');
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
  const { target } = await start({});
  assert.equal((await rawCall(target, Buffer.alloc(0))).code, 'OK');
  assert.ok(create(ConnectRequestSchema));
});
