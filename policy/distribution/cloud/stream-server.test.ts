// The control plane's end of the stream, against an edge that says exactly what a test wants.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type HelloSchema, ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { cloud, connect, day, hello, settle, sha256, start, svid, text } from '../../../test/distribution/world.ts';
import { distributionErrors } from '../errors.ts';
import { reconnectSpreadMs } from './stream-server.ts';

const { ORDERS, REVOCATIONS, DEVICE_STATE, POLICY, TIME, TRUST_BUNDLE, INTEL } = ResourceType;
const digest = Buffer.from(sha256(text('in force')), 'hex');

test('Hello is answered by Welcome, then by what is newer, orders first', async () => {
  const { server, published } = cloud();
  published.set(ORDERS, { version: 3n, payload: text('orders') });
  published.set(DEVICE_STATE, { version: 9n, payload: text('states') });
  published.set(REVOCATIONS, { version: 2n, payload: text('revocations') });
  published.set(TIME, { version: BigInt(start), payload: text('time') });
  const edge = connect(server);
  edge.say(hello([DEVICE_STATE, 0], [REVOCATIONS, 2], [TIME, 0], [ORDERS, 1]));
  const welcome = await edge.hearUntil('welcome');
  assert.equal(welcome.serverVersion, '0.1.0');
  assert.equal(welcome.reconnectSpreadMs, 500);
  const seen: [number, bigint, string][] = [];
  for (let count = 0; count < 4; count += 1) {
    const { type, version, payload } = await edge.hearUntil('resource');
    seen.push([type, version, Buffer.from(payload).toString()]);
  }
  assert.deepEqual(seen, [
    [ORDERS, 3n, 'orders'],
    [TIME, BigInt(start), 'time'],
    [REVOCATIONS, 2n, ''],
    [DEVICE_STATE, 9n, 'states'],
  ]);
  edge.hangUp();
});

test('a type of which there is nothing yet is answered at once with nothing', async () => {
  const { server } = cloud();
  const edge = connect(server);
  edge.say(hello([POLICY, 4]));
  await edge.hearUntil('welcome');
  const { version, payload, nonce } = await edge.hearUntil('resource');
  assert.deepEqual([version, payload.length, nonce.length], [4n, 0, 16]);
  edge.hangUp();
});

test('what the first message may not be', async (t) => {
  const value = { protocolVersion: 1, agentVersion: '', subscriptions: [{ type: ORDERS, version: 0n }] };
  const cases: Record<string, [MessageInitShape<typeof HelloSchema>, string]> = {
    'another version of the contract': [{ ...value, protocolVersion: 2 }, 'STREAM_PROTOCOL_VERSION'],
    'no version': [{ ...value, protocolVersion: 0 }, 'STREAM_PROTOCOL_VERSION'],
    'no subscription': [{ ...value, subscriptions: [] }, 'STREAM_SUBSCRIPTION_INVALID'],
    'a subscription twice': [
      { ...value, subscriptions: [...value.subscriptions, ...value.subscriptions] },
      'STREAM_SUBSCRIPTION_INVALID',
    ],
    'an unspecified type': [{ ...value, subscriptions: [{ type: 0 as const, version: 0n }] }, 'STREAM_TYPE_UNKNOWN'],
    'a type of the future': [{ ...value, subscriptions: [{ type: 42 as never, version: 0n }] }, 'STREAM_TYPE_UNKNOWN'],
    'a type that is not served': [
      { ...value, subscriptions: [{ type: INTEL, version: 0n }] },
      'STREAM_TYPE_NOT_SERVED',
    ],
  };
  for (const [name, [first, code]] of Object.entries(cases)) {
    await t.test(name, async () => {
      const edge = connect(cloud().server);
      edge.say({ case: 'hello', value: first });
      const error = await edge.over();
      assert.ok(error !== undefined && 'code' in error && 'remedy' in error);
      assert.equal(error.code, code);
      assert.notEqual(error.remedy, '');
    });
  }
  await t.test('something else', async () => {
    const edge = connect(cloud().server);
    edge.say({ case: 'chunkRequest', value: { digests: [] } });
    assert.deepEqual(((await edge.over()) as { code?: string }).code, 'STREAM_HELLO_MISSING');
  });
  await t.test('silence', async () => {
    const { server, clock } = cloud();
    const over = connect(server).over();
    await clock.advance(10_000);
    assert.deepEqual(((await over) as { code?: string }).code, 'STREAM_HELLO_MISSING');
  });
});

test('who may not connect', async (t) => {
  const refused = async (server: ReturnType<typeof cloud>['server'], device = svid('plc-1')) => {
    const edge = connect(server, device);
    edge.say(hello([ORDERS, 0]));
    return ((await edge.over()) as { code?: string }).code;
  };
  await t.test('an operator', async () => {
    const operator = svid('eve');
    const device = { ...operator, id: { ...operator.id, kind: 'operator' as const } };
    assert.equal(await refused(cloud().server, device), 'STREAM_NOT_A_DEVICE');
  });
  await t.test('whom admission refuses', async () => {
    const admission = () => Promise.reject(distributionErrors.error('STREAM_DISCONNECTED', 'revoked'));
    assert.equal(await refused(cloud({ admission }).server), 'STREAM_DISCONNECTED');
  });
  await t.test('anybody while stopping', async () => {
    const { server } = cloud();
    const edge = connect(server);
    edge.say(hello([ORDERS, 0]));
    await edge.hearUntil('welcome');
    const over = edge.over();
    server.stop();
    assert.equal(((await over) as { code?: string }).code, 'STREAM_STOPPING');
    assert.equal(await refused(server), 'STREAM_STOPPING');
  });
});

test('answers are recorded, and only with the nonce and version they belong to', async (t) => {
  const open = async () => {
    const world = cloud();
    world.published.set(POLICY, { version: 5n, payload: text('e30.e30.e30') });
    world.published.set(TRUST_BUNDLE, { version: 1n, payload: text('anchors') });
    const edge = connect(world.server);
    edge.say(hello([TRUST_BUNDLE, 0]));
    await edge.hearUntil('welcome');
    const { nonce } = await edge.hearUntil('resource');
    return { ...world, edge, nonce };
  };
  await t.test('an ACK', async () => {
    const { edge, nonce, acks } = await open();
    const selfTest = { vectors: 3, passed: 3 };
    edge.say({ case: 'ack', value: { type: TRUST_BUNDLE, version: 1n, nonce, digest, selfTest } });
    await settle();
    assert.deepEqual(acks, [
      { deviceId: 'plc-1', type: TRUST_BUNDLE, version: 1n, digest: digest.toString('hex'), selfTest },
    ]);
    edge.hangUp();
  });
  await t.test('a NACK with its place', async () => {
    const { edge, nonce, nacks } = await open();
    const error = {
      code: 'BUNDLE_MIXED',
      message: 'm',
      remedy: 'r',
      place: { file: 'grants/a.yaml', line: 3, column: 0 },
    };
    edge.say({ case: 'nack', value: { type: TRUST_BUNDLE, version: 1n, nonce, activeVersion: 0n, error } });
    await settle();
    const [nack] = nacks;
    assert.deepEqual(
      [nack?.version, nack?.activeVersion, nack?.error.code, nack?.error.place],
      [1n, 0n, 'BUNDLE_MIXED', { file: 'grants/a.yaml', line: 3 }],
    );
    edge.hangUp();
  });
  const other = Buffer.alloc(16, 7);
  const wrong = {
    'an unknown nonce': [{ type: TRUST_BUNDLE, version: 1n, nonce: other, digest }, 'STREAM_NONCE_UNKNOWN'],
    'a short nonce': [{ type: TRUST_BUNDLE, version: 1n, nonce: other.subarray(3), digest }, 'STREAM_OVERSIZED'],
    'a type that is not on this stream': [{ type: ORDERS, version: 1n, nonce: other, digest }, 'STREAM_NONCE_UNKNOWN'],
    'another version': [{ type: TRUST_BUNDLE, version: 2n, digest }, 'STREAM_VERSION_MISMATCH'],
    'half a digest': [{ type: TRUST_BUNDLE, version: 1n, digest: digest.subarray(16) }, 'STREAM_OVERSIZED'],
  } as const;
  for (const [name, [ack, code]] of Object.entries(wrong)) {
    await t.test(name, async () => {
      const { edge, nonce, acks } = await open();
      edge.say({ case: 'ack', value: { nonce, ...ack } });
      assert.equal(((await edge.over()) as { code?: string }).code, code);
      assert.deepEqual(acks, []);
    });
  }
  await t.test('twice', async () => {
    const { edge, nonce, acks } = await open();
    edge.say({ case: 'ack', value: { type: TRUST_BUNDLE, version: 1n, nonce, digest } });
    edge.say({ case: 'ack', value: { type: TRUST_BUNDLE, version: 1n, nonce, digest } });
    assert.equal(((await edge.over()) as { code?: string }).code, 'STREAM_NONCE_UNKNOWN');
    assert.equal(acks.length, 1);
  });
});

test('a stream ends with a reason, in Goodbye and in the status', async (t) => {
  await t.test('an empty message', async () => {
    const edge = connect(cloud().server);
    edge.say(hello([ORDERS, 0]));
    edge.say({ case: undefined });
    const { reason } = await edge.hearUntil('goodbye');
    assert.equal(reason?.code, 'STREAM_MESSAGE_EMPTY');
    assert.equal(((await edge.over()) as { code?: string }).code, 'STREAM_MESSAGE_EMPTY');
  });
  await t.test('a second Hello', async () => {
    const edge = connect(cloud().server);
    edge.say(hello([ORDERS, 0]));
    edge.say(hello([ORDERS, 0]));
    assert.equal((await edge.hearUntil('goodbye')).reason?.code, 'STREAM_HELLO_REPEATED');
  });
  await t.test('the end of the SVID', async () => {
    const { server, clock } = cloud();
    const edge = connect(server, svid('plc-1', start + day));
    edge.say(hello([POLICY, 0]));
    await edge.hearUntil('resource');
    const goodbye = edge.hearUntil('goodbye');
    await clock.advance(4 * 60_000);
    assert.equal(server.connected().length, 1);
    clock.set(start + day + 1);
    await clock.advance(30_000);
    assert.equal((await goodbye).reason?.code, 'STREAM_SVID_EXPIRED');
  });
  await t.test('an answer that never comes', async () => {
    const { server, clock } = cloud();
    const edge = connect(server);
    edge.say(hello([POLICY, 0]));
    await edge.hearUntil('resource');
    const goodbye = edge.hearUntil('goodbye');
    await clock.advance(5 * 60_000);
    assert.equal((await goodbye).reason?.code, 'STREAM_ACK_OVERDUE');
  });
  await t.test('disconnect on revocation', async () => {
    const { server } = cloud();
    const edge = connect(server);
    edge.say(hello([ORDERS, 0]));
    await edge.hearUntil('resource');
    assert.equal(server.disconnect('camera-1'), false);
    assert.equal(server.disconnect('plc-1'), true);
    assert.equal((await edge.hearUntil('goodbye')).reason?.code, 'STREAM_DISCONNECTED');
    await edge.over();
    assert.deepEqual(server.connected(), []);
  });
});

test('a second stream of the same types replaces the first; other types stand beside it', async () => {
  const { server } = cloud();
  const [first, bulk, second] = [connect(server), connect(server), connect(server)];
  first.say(hello([ORDERS, 0], [TIME, 0]));
  await first.hearUntil('resource');
  bulk.say(hello([POLICY, 0]));
  await bulk.hearUntil('resource');
  const [connected] = server.connected();
  assert.deepEqual([connected?.deviceId, connected?.types], ['plc-1', [ORDERS, POLICY, TIME]]);
  const replaced = first.over();
  second.say(hello([ORDERS, 0]));
  await second.hearUntil('resource');
  assert.equal(((await replaced) as { code?: string }).code, 'STREAM_REPLACED');
  assert.deepEqual(server.connected()[0]?.types, [ORDERS, POLICY]);
  bulk.hangUp();
  second.hangUp();
  assert.equal(await bulk.over(), undefined);
  assert.equal(await second.over(), undefined);
  assert.deepEqual(server.connected(), []);
});

test('what concerns security is told to the record: broken contracts, refusals, twins; not losses and stops', async () => {
  const refuse = distributionErrors.error('STREAM_DISCONNECTED', 'revoked');
  let admitted = true;
  const { server, refused } = cloud({ admission: () => (admitted ? Promise.resolve() : Promise.reject(refuse)) });
  const open = async () => {
    const edge = connect(server);
    edge.say(hello([ORDERS, 0]));
    await edge.hearUntil('resource');
    return edge;
  };
  const lost = await open();
  lost.hangUp();
  await lost.over();
  assert.deepEqual(refused, []);
  const first = await open();
  const over = first.over();
  const second = await open();
  await over;
  second.say({ case: undefined });
  await second.over();
  admitted = false;
  await assert.rejects(open());
  admitted = true;
  const last = await open();
  server.stop();
  await last.over();
  assert.deepEqual(refused, ['plc-1 STREAM_REPLACED', 'plc-1 STREAM_MESSAGE_EMPTY', 'plc-1 STREAM_DISCONNECTED']);
});

test('connected() says since when, and when the edge last said something', async () => {
  const { server, clock } = cloud();
  const edge = connect(server);
  edge.say(hello([ORDERS, 0]));
  await edge.hearUntil('welcome');
  const { nonce } = await edge.hearUntil('resource');
  await clock.advance(60_000);
  edge.say({ case: 'ack', value: { type: ORDERS, version: 0n, nonce, digest: new Uint8Array() } });
  const next = edge.hear();
  await settle();
  const [connected] = server.connected();
  assert.deepEqual([connected?.since, connected?.lastSeen, connected?.agentVersion], [start, start + 60_000, '0.1.0']);
  edge.hangUp();
  await next.catch(() => undefined);
});

test('signed time comes at once and every 30 seconds, and is not acknowledged', async () => {
  const { server, clock, published } = cloud();
  published.set(TIME, { version: BigInt(start), payload: text('time') });
  const edge = connect(server);
  edge.say(hello([TIME, 0]));
  await edge.hearUntil('welcome');
  const first = await edge.hearUntil('resource');
  assert.deepEqual([first.type, first.nonce.length], [TIME, 0]);
  const next = edge.hearUntil('resource');
  published.set(TIME, { version: BigInt(start + 30_000), payload: text('later') });
  await clock.advance(30_000);
  assert.equal((await next).version, BigInt(start + 30_000));
  edge.hangUp();
});

test('the reconnect spread grows with the fleet', () => {
  assert.equal(reconnectSpreadMs(2), 500);
  assert.equal(reconnectSpreadMs(2 * 250), 1000);
  assert.equal(reconnectSpreadMs(2 * 10_000), 40_000);
  assert.equal(reconnectSpreadMs(10_000_000), 300_000);
});
