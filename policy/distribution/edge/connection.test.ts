// Losses, silence, renewal and challenges: how an edge comes back, and what it never lets go of.
import { create } from '@bufbuild/protobuf';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EnrollResponseSchema } from '../../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { edge, handler } from '../../../test/distribution/edge-world.ts';
import { settle, start, text } from '../../../test/distribution/world.ts';
import { distributionErrors } from '../errors.ts';
import type { StreamHandlers } from './types.ts';

const { ORDERS, POLICY, TIME } = ResourceType;

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
