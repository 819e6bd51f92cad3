// The edge's end of the stream, against a control plane that follows the test's script.
import { create } from '@bufbuild/protobuf';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { EnrollResponseSchema } from '../../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import { storeErrors } from '../../../store/errors.ts';
import { scriptedServer } from '../../../test/distribution/scripted-server.ts';
import { settle, sha256, silent, start, text } from '../../../test/distribution/world.ts';
import { distributionErrors } from '../errors.ts';
import { createStreamClient } from './stream-client.ts';
import type { InForce, ReceivedResource, ResourceHandler, StreamHandlers } from './types.ts';

const { ORDERS, DEVICE_STATE, POLICY, TIME, TRUST_BUNDLE } = ResourceType;
const digest = createHash('sha256').update('in force').digest();

/** A handler that remembers what it was given; `apply` may be replaced. */
function handler(apply?: ResourceHandler['apply']) {
  const taken: ReceivedResource[] = [];
  let version = 0n;
  const own: ResourceHandler & { taken: ReceivedResource[]; confirmed: number } = {
    taken,
    confirmed: 0,
    version: () => version,
    async apply(resource, fetchChunks): Promise<InForce> {
      taken.push(resource);
      const inForce = (await apply?.(resource, fetchChunks)) ?? { digest };
      version = resource.version;
      return inForce;
    },
    confirm() {
      own.confirmed += 1;
      return Promise.resolve({ digest });
    },
  };
  return own;
}

function edge(t: TestContext, handlers: Partial<StreamHandlers> = {}, random = () => 0) {
  const clock = new FakeClock(start);
  const server = scriptedServer();
  const client = createStreamClient({
    dial: server.dial,
    clock,
    random,
    agentVersion: '0.1.0',
    handlers: { resources: {}, evidence: () => Promise.reject(new Error('no evidence')), ...handlers },
    log: silent,
  });
  const abort = new AbortController();
  const running = client.run(abort.signal);
  t.after(async () => {
    abort.abort();
    await running;
  });
  return { clock, server, client };
}

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
      for (const message of messages) call.say(message as Parameters<typeof call.say>[0]);
      await settle();
      assert.equal(call.signal.aborted, true);
      assert.equal(client.status().lastError?.code, 'DISTRIBUTION_ANSWER_INVALID');
    });
  }
});
const welcome = { case: 'welcome', value: { serverVersion: '', reconnectSpreadMs: 1 } } as const;

test('after a loss the edge waits at least the spread, with jitter, longer each time, and starts afresh after Welcome', async (t) => {
  const { server, clock, client } = edge(t, { resources: { [ORDERS]: handler() } }, () => 0.5);
  const first = await server.call(0);
  first.welcome(4_000);
  await settle();
  first.say({ case: 'goodbye', value: { reason: { code: 'STREAM_STOPPING', message: 'm', remedy: 'r' } } });
  await settle();
  assert.deepEqual(client.status().lastError, { code: 'STREAM_STOPPING', message: 'm' });
  server.refuse = distributionErrors.error('DISTRIBUTION_INTERRUPTED', 'refused');
  const delays = [6_000, 12_000, 24_000, 45_000, 45_000];
  for (const [index, delay] of delays.entries()) {
    await clock.advance(delay - 1);
    assert.equal(server.dialled(), 1 + index);
    await clock.advance(1);
    assert.equal(server.dialled(), 2 + index);
  }
  server.refuse = undefined;
  await clock.advance(45_000);
  const second = await server.call(1);
  second.welcome(1_000);
  await settle();
  second.end();
  await settle();
  const { length } = server.calls;
  await clock.advance(1_500);
  assert.equal(server.calls.length, length + 1);
  assert.ok(server.closed() >= 2);
});

test('silence on a stream with signed time ends it; so does a Welcome that never comes', async (t) => {
  const times: string[] = [];
  const time = (jws: string) => {
    times.push(jws);
    return Promise.resolve();
  };
  const { server, clock, client } = edge(t, { resources: { [ORDERS]: handler() }, time });
  const first = await server.call(0);
  first.welcome();
  for (let count = 0; count < 3; count += 1) {
    await clock.advance(80_000);
    first.resource(TIME, start, text(`t${count}`));
    await settle();
  }
  assert.deepEqual(times, ['t0', 't1', 't2']);
  assert.equal(first.signal.aborted, false);
  await clock.advance(95_000);
  assert.equal(first.signal.aborted, true);
  assert.equal(client.status().lastError?.code, 'DISTRIBUTION_SILENT');
  await clock.advance(1_000);
  const second = await server.call(1);
  await clock.advance(15_000);
  assert.equal(second.signal.aborted, true);
});

test('a bulk stream that fails does not interrupt orders, and comes back by itself', async (t) => {
  const { server, clock } = edge(t, { resources: { [ORDERS]: handler(), [POLICY]: handler() } });
  const [orders, bulk] = [await server.call(0), await server.call(1)];
  orders.welcome();
  bulk.welcome();
  await settle();
  bulk.end(distributionErrors.error('STREAM_CHUNK_MISSING', 'lost'));
  await settle();
  await clock.advance(1_000);
  const again = await server.call(2);
  assert.deepEqual(
    (await again.next('hello')).subscriptions.map(({ type }) => type),
    [POLICY],
  );
  assert.equal(orders.signal.aborted, false);
  assert.equal(server.dialled(), 1);
  again.welcome();
  await settle();
  orders.end();
  await settle();
  assert.equal(again.signal.aborted, true, 'the connection ends with the stream of orders');
  assert.equal(server.closed(), 1);
});

test('a challenge is answered over its nonce; of several only the newest that came meanwhile', async (t) => {
  const releases: ((jws: string) => void)[] = [];
  const nonces: string[] = [];
  const evidence: StreamHandlers['evidence'] = ({ nonce }) => {
    nonces.push(Buffer.from(nonce).toString());
    return new Promise((resolve) => releases.push(resolve));
  };
  const { server } = edge(t, { resources: { [ORDERS]: handler() }, evidence });
  const call = await server.call(0);
  call.welcome();
  for (const nonce of ['n1', 'n2', 'n3']) call.say({ case: 'challenge', value: { nonce: text(nonce), deadlineMs: 5 } });
  await settle();
  releases[0]?.('e1');
  const first = await call.next('evidence');
  assert.deepEqual([Buffer.from(first.nonce).toString(), first.jws], ['n1', 'e1']);
  releases[1]?.('e3');
  assert.equal(Buffer.from((await call.next('evidence')).nonce).toString(), 'n3');
  assert.deepEqual(nonces, ['n1', 'n3']);
});

test('a due renewal is asked for, kept, and the edge connects again with the new identity', async (t) => {
  let due = 3_600_000;
  const accepted: string[] = [];
  const renewal = {
    dueInMs: () => due,
    createRequest: () => Promise.resolve(text('csr')),
    accept: ({ spiffeId }: { spiffeId: string }) => {
      accepted.push(spiffeId);
      due = 7 * 86_400_000;
      return Promise.resolve();
    },
  };
  const { server, clock } = edge(t, { resources: { [ORDERS]: handler(), [POLICY]: handler() }, renewal });
  const [orders, bulk] = [await server.call(0), await server.call(1)];
  orders.welcome();
  bulk.welcome();
  await clock.advance(60_000);
  due = 0;
  orders.resource(ORDERS, 1, text('still alive'));
  await clock.advance(600_000);
  const { requestId, csrDer } = await bulk.next('renew');
  assert.equal(Buffer.from(csrDer).toString(), 'csr');
  const error = { code: 'CA_BUSY', message: '', remedy: '' };
  bulk.say({ case: 'renewed', value: { requestId, result: { case: 'error', value: error } } });
  await settle();
  await clock.advance(10_000);
  const again = await bulk.next('renew');
  assert.notEqual(again.requestId, requestId);
  const value = create(EnrollResponseSchema, { spiffeId: 'spiffe://plant.example/device/plc-1' });
  bulk.say({ case: 'renewed', value: { requestId: again.requestId, result: { case: 'certificate', value } } });
  await settle();
  assert.deepEqual(accepted, ['spiffe://plant.example/device/plc-1']);
  assert.equal(server.dialled(), 2);
  assert.equal(orders.signal.aborted, true);
});
