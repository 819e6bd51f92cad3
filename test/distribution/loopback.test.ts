// The stream from end to end: gRPC and TLS over loopback, real bundles, orders and time.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createGrpcClient } from '../../runtime/grpc.ts';
import { deviceId, generateKey, keyId } from '../../identity/index.ts';
import { distributionErrors } from '../../policy/distribution/errors.ts';
import {
  type ConnectRequest,
  ConnectRequestSchema,
  EdgeStreamService,
  OrderVerb,
  ResourceType,
} from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { create } from '@bufbuild/protobuf';
import { seal, trustDomain } from '../activation/world.ts';
import { createTestAuthority } from '../support/pki.ts';
import { authority, Cloud, dialTo, type Edge, startEdge, until } from './loopback-world.ts';

const { POLICY, ORDERS, DEVICE_STATE } = ResourceType;
const name = 'plc-1';
let cloud: Cloud;
let edge: Edge;
const now = Date.now();

before(async () => {
  cloud = new Cloud();
  cloud.states = { 'gateway-1': 'trusted', [name]: 'trusted' };
  await cloud.publish(await seal(1, { issuedAt: now }));
  await cloud.listen();
  edge = await startEdge(cloud, name, { renewInMs: 1_500 });
});
after(async () => {
  await edge.stop();
  await cloud.close();
});

const acked = (type: ResourceType, version: bigint): boolean =>
  cloud.acks.some((ack) => ack.type === type && ack.version === version);

test('an edge connects, enforces what it is sent, and the control plane knows it', async () => {
  await until(
    'policy, state and evidence',
    () => acked(POLICY, 1n) && acked(DEVICE_STATE, 1n) && cloud.evidence.length > 0,
  );
  const ack = cloud.acks.find(({ type }) => type === POLICY);
  assert.equal(ack?.digest, cloud.policy?.digest);
  assert.deepEqual(ack?.selfTest, { vectors: 1, passed: 1 });
  assert.equal(edge.activation.current()?.engine.digest, cloud.policy?.digest);
  assert.equal(edge.orders.subjectState('gateway-1').state, 'trusted');
  assert.equal(edge.time.time().trusted, true);
  assert.deepEqual(cloud.evidence, ['evidence over 32 bytes']);
  assert.equal(edge.client.status().connected, true);
  assert.equal(cloud.server.connected()[0]?.deviceId, name);
});

test('a newer bundle is enforced; one that nobody pinned signed is refused and recorded, the good one stays', async () => {
  const good = await seal(2, { issuedAt: now });
  await cloud.publish(good);
  await until('version 2', () => acked(POLICY, 2n));
  const stranger = generateKey();
  await cloud.publish(
    await seal(3, { issuedAt: now, by: { key: stranger.privateKey, keyId: keyId(stranger.publicKey) } }),
  );
  await until('a NACK', () => cloud.nacks.length > 0);
  const [nack] = cloud.nacks;
  assert.deepEqual([nack?.version, nack?.activeVersion, nack?.error.code], [3n, 2n, 'BUNDLE_SIGNATURE']);
  assert.equal(edge.activation.current()?.bundle.digest, good.digest);
});

test('a chunk that was altered on the way is refused, and comes again when it is whole', async () => {
  const bundle = await seal(4, { issuedAt: now });
  const known = new Set(edge.activation.current()?.bundle.manifest.chunks.map(({ digest }) => digest));
  const own = bundle.chunks.find(({ digest }) => !known.has(digest));
  assert.ok(own !== undefined);
  cloud.nacks.length = 0;
  for (const { digest, content } of bundle.chunks) cloud.chunks.set(digest, content);
  cloud.chunks.set(own.digest, Buffer.from('altered'));
  cloud.policy = bundle;
  cloud.manifest = bundle.manifestJws;
  cloud.server.notify(POLICY, 'all');
  await until('a NACK', () => cloud.nacks.some(({ error }) => error.code === 'DISTRIBUTION_CHUNK_TAMPERED'));
  await cloud.publish(bundle);
  await until('version 4', () => acked(POLICY, 4n));
});

test('a quarantine does not wait behind a bundle', async () => {
  let open: () => void = () => undefined;
  cloud.gate = new Promise((resolve) => (open = resolve));
  await cloud.publish(await seal(5, { issuedAt: now }));
  await cloud.give(OrderVerb.QUARANTINE, 'gateway-1');
  await until('the order', () => acked(ORDERS, 1n));
  assert.equal(acked(POLICY, 5n), false);
  assert.equal(edge.orders.subjectState('gateway-1').state, 'quarantined');
  open();
  await until('version 5', () => acked(POLICY, 5n));
});

test('the identity is renewed over the stream, and the edge comes back with it', async () => {
  const before = cloud.server.connected()[0]?.serialHex;
  await until('another serial', () => {
    const serial = cloud.server.connected()[0]?.serialHex;
    return serial !== undefined && serial !== before;
  });
});

test('while the control plane is away the edge goes on, and catches up when it is back', async () => {
  await until('a connection', () => edge.client.status().connected);
  await cloud.close();
  await until('the loss', () => !edge.client.status().connected);
  assert.equal(edge.activation.current()?.bundle.manifest.version, 5);
  await cloud.give(OrderVerb.QUARANTINE, 'camera-1');
  await cloud.give(OrderVerb.RECOVER, 'gateway-1');
  await cloud.publish(await seal(6, { issuedAt: now }));
  await cloud.listen();
  await until('all of it', () => acked(ORDERS, 3n) && acked(POLICY, 6n));
  assert.equal(edge.orders.subjectState('gateway-1').state, 'recovering');
});

test('a revoked device is cut off and not let in again', async () => {
  cloud.refuse = distributionErrors.error('STREAM_DISCONNECTED', 'revoked by operator/ada');
  assert.equal(cloud.server.disconnect(name, cloud.refuse), true);
  await until('the end', () => cloud.server.connected().length === 0 && !edge.client.status().connected);
  await until('the reason', () => edge.client.status().lastError?.code === 'STREAM_DISCONNECTED');
  cloud.refuse = undefined;
  await until('mercy', () => edge.client.status().connected);
});

test('what is no stream of ours is refused with code and remedy across the wire', async (t) => {
  const svid = authority.issue(deviceId(trustDomain, 'camera-1').uri);
  const refused = async (...requests: ConnectRequest[]) => {
    const client = dialTo(cloud, svid);
    const say = async function* (): AsyncGenerator<ConnectRequest> {
      yield* requests;
      await new Promise((resolve) => setTimeout(resolve, 5_000).unref());
    };
    try {
      for await (const _ of client.connect(say())) void _;
      return undefined;
    } catch (error) {
      return error as { code?: string; status?: string; remedy?: string };
    } finally {
      client.close();
    }
  };
  const subscriptions = [{ type: ORDERS, version: 0n }];
  const hello = create(ConnectRequestSchema, {
    message: { case: 'hello', value: { protocolVersion: 1, subscriptions } },
  });
  await t.test('another version of the contract', async () => {
    const value = { protocolVersion: 2, subscriptions };
    const error = await refused(create(ConnectRequestSchema, { message: { case: 'hello', value } }));
    assert.deepEqual([error?.code, error?.status], ['STREAM_PROTOCOL_VERSION', 'FAILED_PRECONDITION']);
    assert.match(error?.remedy ?? '', /^Update/);
  });
  await t.test('a field of the future', async () => {
    const future = create(ConnectRequestSchema, { message: { case: 'hello', value: { protocolVersion: 1 } } });
    future.$unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(1) }];
    assert.equal((await refused(future))?.code, 'WIRE_UNKNOWN_FIELD');
  });
  await t.test('a message that is larger than any of ours', async () => {
    const jws = 'x'.repeat(5 * 1024 * 1024);
    const evidence = { case: 'evidence' as const, value: { nonce: Buffer.alloc(32), jws } };
    const error = await refused(hello, create(ConnectRequestSchema, { message: evidence }));
    assert.ok(error?.code?.startsWith('RPC_'), error?.code);
  });
  await t.test('no Hello', async () => {
    const message = { case: 'ack' as const, value: { type: ORDERS, version: 1n } };
    assert.equal((await refused(create(ConnectRequestSchema, { message })))?.code, 'STREAM_HELLO_MISSING');
  });
});

test('nobody without an identity of this trust domain gets as far as the stream', async () => {
  const stranger = createTestAuthority(trustDomain);
  const svid = stranger.issue(deviceId(trustDomain, name).uri);
  for (const own of [{ key: svid.keyPem, chain: svid.chainPem }, {}]) {
    const client = createGrpcClient(EdgeStreamService, `127.0.0.1:${cloud.port}`, {
      ...own,
      roots: authority.rootPem,
      verifyServer: () => undefined,
    });
    await assert.rejects(async () => {
      for await (const _ of client.connect((async function* () {})(), { timeoutMs: 3_000 })) void _;
    });
    client.close();
  }
});
