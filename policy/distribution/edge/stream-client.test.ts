// The edge's end of the stream, against a control plane that follows the test's script.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { storeErrors } from '../../../store/errors.ts';
import { digest, edge, handler } from '../../../test/distribution/edge-world.ts';
import { settle, sha256, start, text } from '../../../test/distribution/world.ts';

const { ORDERS, DEVICE_STATE, POLICY, TIME, TRUST_BUNDLE } = ResourceType;

test('two streams on one connection: orders, states and time on one, the rest on the other', async (t) => {
  const resources = { [POLICY]: handler(), [ORDERS]: handler(), [DEVICE_STATE]: handler(), [TRUST_BUNDLE]: handler() };
  const { server, client } = edge(t, { resources, time: () => Promise.resolve() });
  const [orders, bulk] = [await server.call(0), await server.call(1)];
  assert.deepEqual([orders.connection, bulk.connection], [0, 0]);
  const hello = await orders.next('hello');
  assert.deepEqual([hello.protocolVersion, hello.agentVersion], [1, '0.1.0']);
  assert.deepEqual(
    hello.subscriptions.map(({ type }) => type),
    [ORDERS, TIME, DEVICE_STATE],
  );
  assert.deepEqual(
    (await bulk.next('hello')).subscriptions.map(({ type }) => type),
    [TRUST_BUNDLE, POLICY],
  );
  assert.deepEqual(client.status(), {
    connected: false,
    lastContact: undefined,
    serverVersion: '',
    lastError: undefined,
  });
  orders.welcome();
  await settle();
  assert.deepEqual(client.status(), {
    connected: true,
    lastContact: start,
    serverVersion: '0.1.0',
    lastError: undefined,
  });
});

test('a resource is applied and acknowledged with what is in force', async (t) => {
  const selfTest = { vectors: 4, passed: 4 };
  const policy = handler(() => Promise.resolve({ digest, selfTest }));
  const { server } = edge(t, { resources: { [POLICY]: policy } });
  const call = await server.call(0);
  call.welcome();
  const nonce = call.resource(POLICY, 3, text('manifest'));
  const ack = await call.next('ack');
  assert.deepEqual(
    [ack.type, ack.version, Buffer.from(ack.nonce), Buffer.from(ack.digest)],
    [POLICY, 3n, nonce, digest],
  );
  assert.deepEqual([ack.selfTest?.vectors, ack.selfTest?.passed], [4, 4]);
  assert.deepEqual(
    policy.taken.map(({ payload }) => Buffer.from(payload).toString()),
    ['manifest'],
  );
});

test('nothing newer is confirmed with what is in force; nothing of another version is refused', async (t) => {
  const policy = handler();
  const { server } = edge(t, { resources: { [POLICY]: policy } });
  const call = await server.call(0);
  call.welcome();
  call.resource(POLICY, 0, new Uint8Array());
  assert.deepEqual(Buffer.from((await call.next('ack')).digest), digest);
  assert.deepEqual([policy.confirmed, policy.taken.length], [1, 0]);
  call.resource(POLICY, 9, new Uint8Array());
  assert.equal((await call.next('nack')).error?.code, 'DISTRIBUTION_ANSWER_INVALID');
});

test('what a handler refuses becomes a NACK with place and what stays in force', async (t) => {
  let failure: Error | undefined;
  const policy = handler(() => (failure === undefined ? Promise.resolve({ digest }) : Promise.reject(failure)));
  const { server } = edge(t, { resources: { [POLICY]: policy } });
  const call = await server.call(0);
  call.welcome();
  call.resource(POLICY, 1, text('good'));
  await call.next('ack');
  failure = storeErrors.error('FILE_SYSTEM_FULL', 'the disk is full', { place: { file: 'grants/a.yaml', line: 12 } });
  call.resource(POLICY, 2, text('bad'));
  const nack = await call.next('nack');
  assert.deepEqual(
    [nack.version, nack.activeVersion, nack.error?.code, nack.error?.message],
    [2n, 1n, 'FILE_SYSTEM_FULL', 'the disk is full'],
  );
  assert.deepEqual([nack.error?.place?.file, nack.error?.place?.line], ['grants/a.yaml', 12]);
  failure = new TypeError('undefined is not a function');
  call.resource(POLICY, 3, text('worse'));
  const second = await call.next('nack');
  assert.equal(second.error?.code, 'DISTRIBUTION_HANDLER_FAILED');
  assert.ok(!second.error?.message.includes('function'));
});

test('chunks are fetched in a window, checked, and handed over as they come', async (t) => {
  const contents = ['a', 'b', 'c'].map((name) => text(`chunk ${name}`));
  const stored: string[] = [];
  const policy = handler(async (_resource, fetchChunks) => {
    await fetchChunks(contents.map(sha256), (_digest, content) => {
      stored.push(Buffer.from(content).toString());
      return Promise.resolve();
    });
    return { digest };
  });
  const { server } = edge(t, { resources: { [POLICY]: policy } });
  const call = await server.call(0);
  call.welcome();
  call.resource(POLICY, 1, text('manifest'));
  await settle();
  assert.equal(call.heard.filter((message) => message.case === 'chunkRequest').length, 2);
  for (const content of contents) {
    const { digests } = await call.next('chunkRequest');
    assert.deepEqual(
      digests.map((bytes) => Buffer.from(bytes).toString('hex')),
      [sha256(content)],
    );
    call.say({ case: 'chunk', value: { digest: Buffer.from(sha256(content), 'hex'), content } });
  }
  await call.next('ack');
  assert.deepEqual(stored, ['chunk a', 'chunk b', 'chunk c']);
});

test('a chunk of another digest is refused, one that never comes is given up, one unasked ends the stream', async (t) => {
  const wanted = text('wanted');
  const hex = sha256(wanted);
  const policy = handler(async (_resource, fetchChunks) => {
    await fetchChunks([hex], () => Promise.resolve());
    return { digest };
  });
  const { server, clock } = edge(t, { resources: { [POLICY]: policy } });
  const call = await server.call(0);
  call.welcome();
  call.resource(POLICY, 1, text('manifest'));
  await call.next('chunkRequest');
  call.say({ case: 'chunk', value: { digest: Buffer.from(hex, 'hex'), content: text('forged') } });
  assert.equal((await call.next('nack')).error?.code, 'DISTRIBUTION_CHUNK_TAMPERED');
  call.resource(POLICY, 2, text('manifest'));
  await call.next('chunkRequest');
  await clock.advance(60_000);
  assert.equal((await call.next('nack')).error?.code, 'DISTRIBUTION_CHUNK_OVERDUE');
  call.say({ case: 'chunk', value: { digest: Buffer.from(hex, 'hex'), content: wanted } });
  await settle();
  assert.equal(call.signal.aborted, false, 'late is no fault');
  call.say({ case: 'chunk', value: { digest: Buffer.from(hex, 'hex'), content: wanted } });
  await settle();
  assert.equal(call.signal.aborted, true);
});

test('a transfer that the stream interrupts fails, and the next stream goes on', async (t) => {
  const wanted = text('wanted');
  const errors: string[] = [];
  const policy = handler(async (_resource, fetchChunks) => {
    await fetchChunks([sha256(wanted)], () => Promise.resolve()).catch((error: { code: string }) => {
      errors.push(error.code);
      throw error;
    });
    return { digest };
  });
  const { server, clock } = edge(t, { resources: { [POLICY]: policy } });
  const first = await server.call(0);
  first.welcome();
  first.resource(POLICY, 1, text('manifest'));
  await first.next('chunkRequest');
  first.end();
  await settle();
  assert.deepEqual(errors, ['DISTRIBUTION_INTERRUPTED']);
  await clock.advance(1_000);
  const second = await server.call(1);
  assert.deepEqual(
    (await second.next('hello')).subscriptions.map(({ version }) => version),
    [0n],
  );
  second.welcome();
  second.resource(POLICY, 1, text('manifest'));
  await second.next('chunkRequest');
  second.say({ case: 'chunk', value: { digest: Buffer.from(sha256(wanted), 'hex'), content: wanted } });
  await second.next('ack');
});

test('one resource of a type at a time, across reconnects; other types do not wait', async (t) => {
  let release: () => void = () => undefined;
  let running = 0;
  const slow = handler(async () => {
    running += 1;
    assert.equal(running, 1);
    await new Promise<void>((resolve) => (release = resolve));
    running -= 1;
    return { digest };
  });
  const orders = handler();
  const { server, clock } = edge(t, { resources: { [DEVICE_STATE]: slow, [ORDERS]: orders } });
  const first = await server.call(0);
  first.welcome();
  first.resource(DEVICE_STATE, 1, text('s'));
  first.resource(ORDERS, 1, text('o'));
  assert.equal((await first.next('ack')).type, ORDERS);
  first.end();
  await settle();
  await clock.advance(1_000);
  const second = await server.call(1);
  second.welcome();
  second.resource(DEVICE_STATE, 2, text('s'));
  await settle();
  assert.equal(slow.taken.length, 1);
  release();
  await settle();
  assert.equal(slow.taken.length, 2);
  release();
  assert.equal((await second.next('ack')).version, 2n);
});

test('what the control plane may not say ends the stream with a reason', async (t) => {
  const resource = { type: ORDERS, version: 1n, nonce: Buffer.alloc(16), payload: text('x') };
  const cases = {
    'a resource before Welcome': [{ case: 'resource', value: resource }],
    'Welcome twice': [welcome, welcome],
    'an empty message': [welcome, { case: undefined }],
    'a type that was not subscribed': [welcome, { case: 'resource', value: { ...resource, type: POLICY } }],
    'a type of the future': [welcome, { case: 'resource', value: { ...resource, type: 77 as ResourceType } }],
    'too much': [welcome, { case: 'resource', value: { ...resource, payload: Buffer.alloc(3 * 1024 * 1024 + 1) } }],
    'a challenge without nonce': [welcome, { case: 'challenge', value: { nonce: new Uint8Array(), deadlineMs: 1 } }],
  } as const;
  for (const [name, messages] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const { server, client } = edge(t, { resources: { [ORDERS]: handler() } });
      const call = await server.call(0);
      for (const message of messages) call.say(message);
      await settle();
      assert.equal(call.signal.aborted, true);
      assert.equal(client.status().lastError?.code, 'DISTRIBUTION_ANSWER_INVALID');
    });
  }
});
const welcome = { case: 'welcome', value: { serverVersion: '', reconnectSpreadMs: 1 } } as const;
