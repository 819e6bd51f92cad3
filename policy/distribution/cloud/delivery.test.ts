// What is offered when: one resource of a type on its way, changes coalesced, refusals retried, faults of the source waited out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import {
  type BareEdge,
  cloud,
  connect,
  hello,
  manifestOf,
  settle,
  svid,
  text,
} from '../../../test/distribution/world.ts';
import { storeErrors } from '../../../store/errors.ts';
import type { ResourceSource } from './types.ts';

const { ORDERS, POLICY, DEVICE_STATE, TRUST_BUNDLE } = ResourceType;
const nothing = new Uint8Array();

async function subscribed(world: ReturnType<typeof cloud>, type: ResourceType, version = 0) {
  const edge = connect(world.server);
  edge.say(hello([type, version]));
  await edge.hearUntil('welcome');
  return edge;
}

function ack(edge: BareEdge, resource: { type: ResourceType; version: bigint; nonce: Uint8Array }): void {
  const { type, version, nonce } = resource;
  edge.say({ case: 'ack', value: { type, version, nonce, digest: nothing } });
}

function nack(edge: BareEdge, resource: { type: ResourceType; version: bigint; nonce: Uint8Array }, active = 0n): void {
  const { type, version, nonce } = resource;
  const error = { code: 'BUNDLE_SIGNATURE', message: '', remedy: '' };
  edge.say({ case: 'nack', value: { type, version, nonce, activeVersion: active, error } });
}

test('changes while a resource is on its way are coalesced into the newest', async () => {
  const world = cloud();
  const edge = await subscribed(world, DEVICE_STATE);
  const first = await edge.hearUntil('resource');
  const next = edge.hearUntil('resource');
  for (const version of [1n, 2n, 3n]) {
    world.published.set(DEVICE_STATE, { version, payload: text(`v${version}`) });
    world.server.notify(DEVICE_STATE, ['plc-1']);
    await settle();
  }
  const asked = world.asked.length;
  ack(edge, first);
  assert.equal((await next).version, 3n);
  assert.equal(world.asked.length, asked + 1);
  edge.hangUp();
});

test('a notice to others, or of another type, asks nothing; one to all does', async () => {
  const world = cloud();
  const edge = await subscribed(world, DEVICE_STATE);
  ack(edge, await edge.hearUntil('resource'));
  const next = edge.hearUntil('resource');
  await settle();
  const asked = world.asked.length;
  world.server.notify(DEVICE_STATE, ['camera-1']);
  world.server.notify(POLICY, 'all');
  await settle();
  assert.equal(world.asked.length, asked);
  world.published.set(DEVICE_STATE, { version: 1n, payload: text('v1') });
  world.server.notify(DEVICE_STATE, 'all');
  assert.equal((await next).version, 1n);
  edge.hangUp();
});

test('a notice that was lost is made up for within five minutes', async () => {
  const world = cloud();
  const edge = await subscribed(world, DEVICE_STATE);
  ack(edge, await edge.hearUntil('resource'));
  const next = edge.hearUntil('resource');
  await settle();
  world.published.set(DEVICE_STATE, { version: 1n, payload: text('v1') });
  await world.clock.advance(300_000);
  assert.equal((await next).version, 1n);
  edge.hangUp();
});

test('orders are asked for from the version that the edge has', async () => {
  const log: string[] = [];
  const source: ResourceSource = {
    current: () => Promise.reject(new Error('a log is asked by since')),
    since: (deviceId, version) => {
      log.push(`${deviceId} ${version}`);
      return Promise.resolve(version < 7n ? { version: 7n, payload: text(`after ${version}`) } : undefined);
    },
  };
  const world = cloud({ sources: { [ORDERS]: source } });
  const edge = await subscribed(world, ORDERS, 4);
  const first = await edge.hearUntil('resource');
  assert.deepEqual([first.version, Buffer.from(first.payload).toString()], [7n, 'after 4']);
  // The edge says it stands elsewhere than it seemed: it is answered at once.
  nack(edge, first, 2n);
  const second = await edge.hearUntil('resource');
  assert.equal(Buffer.from(second.payload).toString(), 'after 2');
  const pending = edge.hear();
  ack(edge, second);
  world.server.notify(ORDERS, 'all');
  await settle();
  assert.deepEqual(log, ['plc-1 4', 'plc-1 2', 'plc-1 7']);
  edge.hangUp();
  await pending.catch(() => undefined);
});

test('what was refused is offered again later and later; something newer at once', async () => {
  const world = cloud();
  world.published.set(TRUST_BUNDLE, { version: 1n, payload: text('v1') });
  const edge = await subscribed(world, TRUST_BUNDLE);
  nack(edge, await edge.hearUntil('resource'));
  const second = edge.hearUntil('resource');
  await world.clock.advance(1_999);
  assert.equal(world.nacks.length, 1);
  await world.clock.advance(1);
  nack(edge, await second);
  let arrived = 0;
  const third = edge.hearUntil('resource').then((resource) => {
    arrived += 1;
    return resource;
  });
  await world.clock.advance(3_999);
  assert.equal(arrived, 0);
  world.published.set(TRUST_BUNDLE, { version: 2n, payload: text('v2') });
  world.server.notify(TRUST_BUNDLE, 'all');
  assert.equal((await third).version, 2n);
  edge.hangUp();
});

test('an edge that is ahead of the control plane is told that nothing is newer', async () => {
  const world = cloud();
  world.published.set(POLICY, { version: 3n, payload: manifestOf(3, [text('x')]) });
  const edge = await subscribed(world, POLICY, 8);
  const { version, payload } = await edge.hearUntil('resource');
  assert.deepEqual([version, payload.length], [8n, 0]);
  edge.hangUp();
});

test('a source that fails does not end the stream; it is asked again', async () => {
  let broken = true;
  const gone = storeErrors.error('DATABASE_UNAVAILABLE', 'gone');
  const current = () => (broken ? Promise.reject(gone) : Promise.resolve({ version: 1, payload: text('v1') }));
  const world = cloud({ sources: { [TRUST_BUNDLE]: { current }, [ORDERS]: { current } } });
  const edge = await subscribed(world, TRUST_BUNDLE);
  const resource = edge.hearUntil('resource');
  await world.clock.advance(3_500);
  broken = false;
  await world.clock.advance(4_000);
  assert.equal((await resource).version, 1n);
  edge.hangUp();
});

test('an answer is not forgotten because the database was away; one that is refused ends the stream', async () => {
  let failure: Error | undefined = storeErrors.error('DATABASE_UNAVAILABLE', 'gone');
  const kept: bigint[] = [];
  const record = {
    ack: ({ version }: { version: bigint }) => {
      if (failure !== undefined) return Promise.reject(failure);
      kept.push(version);
      return Promise.resolve();
    },
    nack: () => Promise.resolve(),
    refused: () => Promise.resolve(),
  };
  const world = cloud({ record });
  world.published.set(TRUST_BUNDLE, { version: 1n, payload: text('v1') });
  const edge = await subscribed(world, TRUST_BUNDLE);
  ack(edge, await edge.hearUntil('resource'));
  const over = edge.over();
  await world.clock.advance(2_500);
  assert.deepEqual(kept, []);
  failure = undefined;
  await world.clock.advance(1_000);
  assert.deepEqual(kept, [1n]);
  failure = storeErrors.error('DATABASE_MISUSED', 'an ACK for what was never published');
  world.published.set(TRUST_BUNDLE, { version: 2n, payload: text('v2') });
  const again = connect(world.server);
  again.say(hello([TRUST_BUNDLE, 1]));
  ack(again, await again.hearUntil('resource'));
  assert.equal(((await again.over()) as { code?: string }).code, 'DATABASE_MISUSED');
  assert.equal(((await over) as { code?: string }).code, 'STREAM_REPLACED');
});

test('publications to many load a few at a time, while orders wait for nobody', async () => {
  let loading = 0;
  let most = 0;
  const releases: (() => void)[] = [];
  const slow: ResourceSource = {
    current: () => {
      loading += 1;
      most = Math.max(most, loading);
      return new Promise((resolve) =>
        releases.push(() => {
          loading -= 1;
          resolve({ version: 1, payload: manifestOf(1, [text('x')]) });
        }),
      );
    },
  };
  const orders: ResourceSource = { current: () => Promise.resolve({ version: 1, payload: text('quarantine') }) };
  const world = cloud({ sources: { [POLICY]: slow, [ORDERS]: orders } });
  const edges = Array.from({ length: 20 }, (_, index) => connect(world.server, svid(`edge-${index}`)));
  const manifests = edges.map((edge) => {
    edge.say(hello([POLICY, 0]));
    return edge.hearUntil('resource');
  });
  await settle();
  assert.equal(most, 16);
  const urgent = connect(world.server, svid('edge-0'));
  urgent.say(hello([ORDERS, 0]));
  assert.equal(Buffer.from((await urgent.hearUntil('resource')).payload).toString(), 'quarantine');
  while (releases.length > 0) {
    releases.shift()?.();
    await settle();
  }
  assert.equal((await Promise.all(manifests)).length, 20);
  assert.equal(most, 16);
  for (const edge of [...edges, urgent]) edge.hangUp();
});
