// Chunks go only to whom a manifest names them for, within the pace; challenges, evidence and renewals have their turn.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type EnrollResponse, EnrollResponseSchema } from '../../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { create } from '@bufbuild/protobuf';
import { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { cloud, connect, day, hello, manifestOf, settle, sha256, text } from '../../../test/distribution/world.ts';
import type { StreamServerOptions } from './stream-server.ts';
import { distributionErrors } from '../errors.ts';

const { ORDERS, POLICY } = ResourceType;
const digestOf = (content: Uint8Array): Uint8Array => createHash('sha256').update(content).digest();
const MiB = 1024 * 1024;

async function withPolicy(contents: readonly Uint8Array[]) {
  const world = cloud();
  for (const content of contents) world.chunks.set(sha256(content), content);
  world.published.set(POLICY, { version: 1n, payload: manifestOf(1, contents) });
  const edge = connect(world.server);
  edge.say(hello([POLICY, 0]));
  await edge.hearUntil('welcome');
  return { ...world, edge };
}

test('named chunks are sent in the order they were asked for', async () => {
  const contents = [text('one'), text('two')];
  const { edge } = await withPolicy(contents);
  await edge.hearUntil('resource');
  edge.say({ case: 'chunkRequest', value: { digests: contents.map(digestOf) } });
  for (const content of contents) {
    const chunk = await edge.hearUntil('chunk');
    assert.deepEqual([Buffer.from(chunk.digest), Buffer.from(chunk.content)], [digestOf(content), content]);
  }
  edge.hangUp();
});

test('chunk requests that are refused', async (t) => {
  const one = text('one');
  const foreign = text('of another device');
  const cases = {
    'a chunk that no manifest names': [[digestOf(foreign)], 'STREAM_CHUNK_NOT_NAMED'],
    'half a digest': [[digestOf(one).subarray(1)], 'STREAM_OVERSIZED'],
    nothing: [[], 'STREAM_OVERSIZED'],
    'more than 64': [Array.from({ length: 65 }, () => digestOf(one)), 'STREAM_OVERSIZED'],
  } as const;
  for (const [name, [digests, code]] of Object.entries(cases)) {
    await t.test(name, async () => {
      const { edge, chunks } = await withPolicy([one]);
      chunks.set(sha256(foreign), foreign);
      await edge.hearUntil('resource');
      edge.say({ case: 'chunkRequest', value: { digests: [...digests] } });
      assert.equal(((await edge.over()) as { code?: string }).code, code);
    });
  }
  await t.test('too many before the first was read', async () => {
    const { edge } = await withPolicy([one]);
    await edge.hearUntil('resource');
    const digests = Array.from({ length: 40 }, () => digestOf(one));
    edge.say({ case: 'chunkRequest', value: { digests } });
    edge.say({ case: 'chunkRequest', value: { digests } });
    await settle();
    assert.equal((await edge.hearUntil('goodbye')).reason?.code, 'STREAM_OVERRUN');
  });
  await t.test('before the manifest was sent on this stream', async () => {
    const world = cloud();
    world.published.set(POLICY, { version: 1n, payload: manifestOf(1, [one]) });
    world.chunks.set(sha256(one), one);
    const edge = connect(world.server);
    edge.say(hello([POLICY, 1]));
    await edge.hearUntil('resource');
    edge.say({ case: 'chunkRequest', value: { digests: [digestOf(one)] } });
    assert.equal(((await edge.over()) as { code?: string }).code, 'STREAM_CHUNK_NOT_NAMED');
  });
  await t.test('a chunk that the store lost', async () => {
    const { edge, chunks } = await withPolicy([one]);
    chunks.clear();
    await edge.hearUntil('resource');
    edge.say({ case: 'chunkRequest', value: { digests: [digestOf(one)] } });
    assert.equal(((await edge.over()) as { code?: string }).code, 'STREAM_CHUNK_MISSING');
  });
});

test('an edge that fetches chunks is at work on its bundle: its answer is not overdue', async () => {
  const one = text('one');
  const { edge, clock } = await withPolicy([one]);
  await edge.hearUntil('resource');
  for (let round = 0; round < 3; round += 1) {
    edge.say({ case: 'chunkRequest', value: { digests: [digestOf(one)] } });
    await edge.hearUntil('chunk');
    const idle = edge.hear();
    await clock.advance(4 * 60_000);
    edge.say({ case: 'chunkRequest', value: { digests: [digestOf(one)] } });
    assert.equal((await idle).case, 'chunk');
  }
  const end = edge.hearUntil('goodbye');
  await clock.advance(5 * 60_000);
  assert.equal((await end).reason?.code, 'STREAM_ACK_OVERDUE');
});

test('chunks keep the pace that all streams share, and other messages do not wait for them', async () => {
  const contents = Array.from({ length: 6 }, (_, index) => Buffer.alloc(MiB, index + 1));
  const { edge, clock, server, published } = await withPolicy(contents);
  const manifest = await edge.hearUntil('resource');
  edge.say({ case: 'chunkRequest', value: { digests: contents.map(digestOf) } });
  for (let count = 0; count < 4; count += 1) await edge.hearUntil('chunk');
  const fifth = edge.hear();
  await settle();
  edge.say({ case: 'ack', value: { type: POLICY, version: 1n, nonce: manifest.nonce, digest: new Uint8Array() } });
  published.set(POLICY, { version: 2n, payload: manifestOf(2, contents) });
  server.notify(POLICY, 'all');
  assert.equal((await fifth).case, 'resource');
  const sixth = edge.hear();
  await clock.advance(40);
  assert.equal((await sixth).case, 'chunk');
  edge.hangUp();
});

async function onOrders(overrides: Partial<StreamServerOptions>) {
  const world = cloud(overrides);
  const edge = connect(world.server);
  edge.say(hello([ORDERS, 0]));
  await edge.hearUntil('welcome');
  return { ...world, edge };
}

test('an edge is challenged when it connects, at intervals, and on demand; its evidence is passed on', async () => {
  const { edge, evidence, server, clock, missed } = await onOrders({});
  const first = await edge.hearUntil('challenge');
  assert.equal(first.deadlineMs, 5_000);
  edge.say({ case: 'evidence', value: { nonce: first.nonce, jws: 'e1' } });
  const second = edge.hearUntil('challenge');
  await settle();
  assert.deepEqual(evidence, ['e1']);
  assert.equal(server.reappraise('plc-1'), true);
  assert.equal(server.reappraise('camera-1'), false);
  edge.say({ case: 'evidence', value: { nonce: (await second).nonce, jws: 'e2' } });
  const third = edge.hearUntil('challenge');
  await clock.advance(4 * 60_000);
  assert.deepEqual(evidence, ['e1', 'e2']);
  assert.deepEqual(missed, []);
  edge.hangUp();
  await third.catch(() => undefined);
});

test('a bulk stream is not challenged', async () => {
  const world = cloud();
  const edge = connect(world.server);
  edge.say(hello([POLICY, 0]));
  await edge.hearUntil('resource');
  assert.equal(world.server.reappraise('plc-1'), false);
  edge.hangUp();
});

test('evidence that is late is dropped and the challenge counted as missed; unasked evidence ends the stream', async () => {
  const { edge, evidence, missed, clock } = await onOrders({});
  const { nonce } = await edge.hearUntil('challenge');
  const next = edge.hear();
  await clock.advance(5_001);
  assert.deepEqual(missed, ['plc-1']);
  edge.say({ case: 'evidence', value: { nonce, jws: 'late' } });
  await settle();
  assert.deepEqual(evidence, []);
  edge.say({ case: 'evidence', value: { nonce, jws: 'again' } });
  const message = await next;
  assert.equal(message.case === 'goodbye' ? message.value.reason?.code : '', 'STREAM_CHALLENGE_UNKNOWN');
});

test('evidence that the appraisal refuses does not end the stream', async () => {
  const { edge, server } = await onOrders({ submitEvidence: () => Promise.reject(new Error('altered binary')) });
  const { nonce } = await edge.hearUntil('challenge');
  edge.say({ case: 'evidence', value: { nonce, jws: 'e' } });
  await settle();
  assert.equal(server.connected().length, 1);
  edge.hangUp();
});

test('oversized evidence and requests end the stream', async () => {
  const first = await onOrders({});
  const { nonce } = await first.edge.hearUntil('challenge');
  first.edge.say({ case: 'evidence', value: { nonce, jws: 'x'.repeat(MiB + 1) } });
  assert.equal(((await first.edge.over()) as { code?: string }).code, 'STREAM_OVERSIZED');
  const second = await onOrders({});
  second.edge.say({ case: 'renew', value: { requestId: 1n, csrDer: Buffer.alloc(16_385) } });
  assert.equal(((await second.edge.over()) as { code?: string }).code, 'STREAM_OVERSIZED');
});

test('a renewal is answered with the certificate, or with the error', async () => {
  const certificate: EnrollResponse = create(EnrollResponseSchema, { spiffeId: 'spiffe://plant.example/device/plc-1' });
  let refuse = false;
  const { edge } = await onOrders({
    challenge: { intervalMs: day, issue: () => Promise.reject(new Error('none')), missed: () => Promise.resolve() },
    renew: (device, csr) => {
      if (refuse) return Promise.reject(distributionErrors.error('STREAM_DISCONNECTED', 'decommissioned'));
      assert.deepEqual([device.id.name, Buffer.from(csr).toString()], ['plc-1', 'csr']);
      return Promise.resolve(certificate);
    },
  });
  edge.say({ case: 'renew', value: { requestId: 7n, csrDer: text('csr') } });
  const renewed = await edge.hearUntil('renewed');
  assert.deepEqual([renewed.requestId, renewed.result.case], [7n, 'certificate']);
  refuse = true;
  edge.say({ case: 'renew', value: { requestId: 8n, csrDer: text('csr') } });
  const { result } = await edge.hearUntil('renewed');
  assert.equal(result.case === 'error' ? result.value.code : '', 'STREAM_DISCONNECTED');
  edge.hangUp();
});

test('an edge that asks for renewals without reading the answers is cut off', async () => {
  const certificate = create(EnrollResponseSchema, {});
  const { edge } = await onOrders({ renew: () => Promise.resolve(certificate) });
  await edge.hearUntil('challenge');
  for (let id = 1n; id <= 40n; id += 1n) edge.say({ case: 'renew', value: { requestId: id, csrDer: text('csr') } });
  await settle();
  assert.equal((await edge.hearUntil('goodbye')).reason?.code, 'STREAM_OVERRUN');
});
