// The server as its owner sees it: sockets and their mode, how many connections, what it is told of, what it counts.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { RawClient } from '../../test/h2/raw-client.ts';
import { runtimeErrors } from '../error-codes.ts';
import { createUnaryServer, type UnaryMethod, type UnaryServer } from './server.ts';

const hello = Buffer.from('hello');

function start(
  t: TestContext,
  method: UnaryMethod,
  limits = {},
): { server: UnaryServer; path: string; faults: unknown[] } {
  const folder = mkdtempSync(join(tmpdir(), 'ew-h2-'));
  const faults: unknown[] = [];
  const server = createUnaryServer({
    methods: new Map([['/t.T/M', method]]),
    limits,
    onFault: (error) => faults.push(error),
  });
  t.after(async () => {
    await server.close(0);
    rmSync(folder, { recursive: true });
  });
  return { server, path: join(folder, 'h2.sock'), faults };
}

async function opened(t: TestContext, path: string): Promise<RawClient> {
  const client = await RawClient.open({ path });
  t.after(() => client.close());
  return client;
}

test('a unix socket has the mode that was asked for, and no other file is replaced', async (t) => {
  const { server, path } = start(t, (message) => message);
  await server.listen(`unix:${path}`, 0o600);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await assert.rejects(server.listen(`unix:${path}`), { code: 'LISTEN_FAILED' });
  writeFileSync(`${path}.txt`, '');
  await assert.rejects(server.listen(`unix:${path}.txt`), { code: 'LISTEN_FAILED' });
  await assert.rejects(server.listen('nowhere'), { code: 'CONFIG_INVALID' });
});

test('connections above the limit are closed', async (t) => {
  const { server, path } = start(t, (message) => message, { maxConnections: 1 });
  await server.listen(`unix:${path}`);
  const first = await opened(t, path);
  const second = await RawClient.open({ path }, false);
  await second.until(() => false);
  assert.equal(second.frames.length, 0);
  first.call(1, '/t.T/M', hello);
  assert.equal((await first.answer(1)).fields['grpc-status'], '0');
  assert.equal(server.counters.connectionsOpened, 1);
});

test('the owner is told of faults, the client is not; coded errors are no faults', async (t) => {
  const fault = new Error('hunter2');
  const answers: (() => Uint8Array | Promise<Uint8Array>)[] = [
    () => {
      throw fault;
    },
    () => Promise.reject(fault),
    () => {
      throw runtimeErrors.error('RPC_NOT_FOUND', 'no such thing');
    },
    () => 'text' as unknown as Uint8Array,
    () => Buffer.alloc(1001),
  ];
  const { server, path, faults } = start(t, () => answers.shift()?.() ?? hello, { maxMessageBytes: 1000 });
  await server.listen(`unix:${path}`);
  const client = await opened(t, path);
  const said: unknown[] = [];
  for (let streamId = 1; streamId <= 11; streamId += 2) {
    client.call(streamId, '/t.T/M', hello);
    const { fields, messages } = await client.answer(streamId);
    said.push([fields['grpc-status'], fields['grpc-message'], messages.length]);
  }
  assert.deepEqual(said, [
    ['13', 'RPC_INTERNAL: internal error', 0],
    ['13', 'RPC_INTERNAL: internal error', 0],
    ['5', 'RPC_NOT_FOUND: no such thing', 0],
    ['13', 'RPC_INTERNAL: internal error', 0],
    ['8', 'RPC_RESOURCE_EXHAUSTED: the answer has 1001 bytes, more than 1000', 0],
    ['0', undefined, 1],
  ]);
  assert.deepEqual(faults.slice(0, 2), [fault, fault]);
  assert.equal(faults.length, 3);
});

test('what is counted', async (t) => {
  const { server, path } = start(t, (message) => message);
  await server.listen(`unix:${path}`);
  const client = await opened(t, path);
  client.call(1, '/t.T/M', hello);
  client.call(3, '/t.T/Other', hello);
  await client.answer(3);
  await client.settled();
  assert.deepEqual(server.counters, {
    connectionsOpened: 1,
    connectionsOpen: 1,
    streamsOpened: 2,
    streamsOpen: 0,
    bytesHeld: 0,
    callsAnswered: 1,
    resetsReceived: 0,
    resetsSent: 0,
    streamsRefused: 0,
    floodsRefused: 0,
    connectionsFailed: 0,
    timeouts: 0,
  });
});
