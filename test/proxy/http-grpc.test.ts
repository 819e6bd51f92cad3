// gRPC through the proxy, as grpc-js speaks it on both sides: what is denied is PERMISSION_DENIED, everything else is as it was.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { until } from '../support/until.ts';
import { httpWorld } from './http-world.ts';

// gRPC, with messages of plain bytes.
const bytes = { serialize: (value: Buffer): Buffer => value, deserialize: (value: Buffer): Buffer => value };
const method = (
  name: string,
  requestStream: boolean,
  responseStream: boolean,
): grpc.MethodDefinition<Buffer, Buffer> => ({
  path: name,
  requestStream,
  responseStream,
  requestSerialize: bytes.serialize,
  requestDeserialize: bytes.deserialize,
  responseSerialize: bytes.serialize,
  responseDeserialize: bytes.deserialize,
});
const lines = {
  get: method('/plant.Lines/Get', false, false),
  watch: method('/plant.Lines/Watch', false, true),
  talk: method('/plant.Lines/Talk', true, true),
  fail: method('/plant.Lines/Fail', false, false),
  hang: method('/plant.Lines/Hang', false, false),
};
const admin = { stop: method('/plant.Admin/Stop', false, false) };

async function grpcServer(): Promise<{ port: number; calls: string[]; cancelled: () => number } & AsyncDisposable> {
  const calls: string[] = [];
  let cancelled = 0;
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(lines, {
    get: (call: grpc.ServerUnaryCall<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) => {
      calls.push('get');
      reply(null, call.request);
    },
    watch: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      calls.push('watch');
      for (let index = 0; index < 500; index++) call.write(Buffer.alloc(1_000, index));
      call.end();
    },
    talk: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      calls.push('talk');
      call.on('data', (message: Buffer) => call.write(message));
      call.on('end', () => call.end());
      call.on('cancelled', () => cancelled++);
    },
    fail: (_: unknown, reply: grpc.sendUnaryData<Buffer>) => {
      const metadata = new grpc.Metadata();
      metadata.set('x-why', 'because');
      reply({ code: grpc.status.FAILED_PRECONDITION, details: 'not now', metadata });
    },
    hang: (call: grpc.ServerUnaryCall<Buffer, Buffer>) => {
      calls.push('hang');
      call.on('cancelled', () => cancelled++);
    },
  });
  server.addService(admin, { stop: () => calls.push('stop') });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    port,
    calls,
    cancelled: () => cancelled,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      await Promise.resolve();
    },
  };
}

interface Unary {
  readonly error: grpc.ServiceError | null;
  readonly value: Buffer | undefined;
}
const unary = (
  client: grpc.Client,
  name: keyof typeof lines | 'stop',
  message: Buffer,
  deadlineMs = 10_000,
): Promise<Unary> =>
  new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = name === 'stop' ? admin.stop : lines[name];
    const options = { deadline: Date.now() + deadlineMs };
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, options, (error, value) =>
      resolve({ error, value }),
    );
  });

test('gRPC by grpc-js: unary, streams, large messages, errors, deadlines, cancellation; what is denied is PERMISSION_DENIED', async () => {
  await using server = await grpcServer();
  await using proxy = await httpWorld(server.port);
  const client = new grpc.Client(`127.0.0.1:${proxy.port}`, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  });
  try {
    assert.deepEqual((await unary(client, 'get', Buffer.from('hi'))).value, Buffer.from('hi'));
    const large = Buffer.alloc(8_000_000, 'x');
    assert.ok((await unary(client, 'get', large)).value?.equals(large));

    const denied = await unary(client, 'stop', Buffer.from('now'));
    assert.deepEqual([denied.error?.code, denied.error?.details], [grpc.status.PERMISSION_DENIED, 'denied by policy']);

    const failed = await unary(client, 'fail', Buffer.alloc(1));
    assert.deepEqual(
      [failed.error?.code, failed.error?.details, failed.error?.metadata.get('x-why')],
      [grpc.status.FAILED_PRECONDITION, 'not now', ['because']],
    );

    const watched = client.makeServerStreamRequest(
      lines.watch.path,
      bytes.serialize,
      bytes.deserialize,
      Buffer.alloc(1),
    );
    let octets = 0;
    watched.on('data', (message: Buffer) => (octets += message.length));
    await once(watched, 'end');
    assert.equal(octets, 500_000);

    const talk = client.makeBidiStreamRequest(lines.talk.path, bytes.serialize, bytes.deserialize);
    const echoed: string[] = [];
    talk.on('data', (message: Buffer) => echoed.push(message.toString()));
    for (const word of ['one', 'two', 'three']) {
      talk.write(Buffer.from(word));
      await until(word, async () => await Promise.resolve(echoed.at(-1) === word));
      assert.equal((await unary(client, 'stop', Buffer.alloc(1))).error?.code, grpc.status.PERMISSION_DENIED);
    }
    talk.end();
    await once(talk, 'end');
    assert.deepEqual(echoed, ['one', 'two', 'three']);

    const late = await unary(client, 'hang', Buffer.alloc(1), 300);
    assert.equal(late.error?.code, grpc.status.DEADLINE_EXCEEDED);
    await until('the server heard of the deadline', async () => await Promise.resolve(server.cancelled() === 1));

    const cancelled = client.makeBidiStreamRequest(lines.talk.path, bytes.serialize, bytes.deserialize);
    cancelled.on('error', () => undefined);
    cancelled.on('data', () => undefined);
    cancelled.write(Buffer.from('x'));
    await once(cancelled, 'data');
    cancelled.cancel();
    await until('the server heard of the cancellation', async () => await Promise.resolve(server.cancelled() === 2));
    assert.equal(server.calls.includes('stop'), false);
  } finally {
    client.close();
  }
});
