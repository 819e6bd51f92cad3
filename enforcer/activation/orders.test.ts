// Orders: in sequence, each once, durable and enforced before they are acknowledged, and across restarts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import {
  generateKey,
  keyId,
  order,
  orderLog,
  orders,
  ordersEdge,
  type OrderFields,
  revocations,
  stateDir,
  states,
} from '../../test/activation/world.ts';
import { signJws } from '../../identity/index.ts';

const { QUARANTINE, RECOVER, RELEASE, REVOKE } = OrderVerb;
const everyone = { 'gateway-1': 'trusted', 'camera-1': 'trusted', 'plc-1': 'trusted' };

async function knowing(fs = new SimulatedFiles(), overrides = {}) {
  const world = await ordersEdge(fs, overrides);
  await world.store.handlers.deviceState.apply({ version: 1n, payload: await states(1, everyone) });
  await world.store.handlers.revocations.apply({ version: 1n, payload: await revocations(1, []) });
  return world;
}

test('a quarantine is persisted, enforced, audited and acknowledged', async () => {
  const { store, changes, events, fs } = await knowing();
  assert.equal(store.subjectState('gateway-1').state, 'trusted');
  const payload = await orderLog(order(1, QUARANTINE, 'gateway-1'));
  const ack = await store.handlers.orders.apply({ version: 1n, payload });
  assert.equal(ack.digest.length, 32);
  assert.equal(store.handlers.orders.version(), 1n);
  assert.equal(store.subjectState('gateway-1').state, 'quarantined');
  assert.equal(store.subjectState('camera-1').state, 'trusted');
  assert.deepEqual(changes, [
    { quarantined: ['gateway-1'], recovering: [], revoked: [], released: [], revokedSerials: [] },
  ]);
  assert.deepEqual(
    events.map(({ kind, activity, data }) => [kind, activity, data['device'], data['sequence']]),
    [['order', 'quarantine', 'gateway-1', 1]],
  );
  const restarted = await ordersEdge(fs.restart());
  assert.equal(restarted.store.subjectState('gateway-1').state, 'quarantined');
  assert.equal(restarted.store.handlers.orders.version(), 0n, 'not in force before it was enforced');
  await restarted.store.enforce();
  assert.equal(restarted.store.handlers.orders.version(), 1n);
  assert.deepEqual(restarted.changes[0]?.quarantined, ['gateway-1']);
});

test('the way back leads through recovery; a release without it changes nothing and is reported', async () => {
  const { store, changes, events } = await knowing();
  const give = async (sequence: number, verb: OrderVerb) =>
    store.handlers.orders.apply({
      version: BigInt(sequence),
      payload: await orderLog(order(sequence, verb, 'gateway-1')),
    });
  await give(1, QUARANTINE);
  await give(2, RELEASE);
  assert.equal(store.subjectState('gateway-1').state, 'quarantined');
  assert.equal(events.at(-1)?.activity, 'no-effect');
  await give(3, RECOVER);
  assert.equal(store.subjectState('gateway-1').state, 'recovering');
  await give(4, RELEASE);
  assert.equal(store.subjectState('gateway-1').state, 'trusted');
  assert.deepEqual(changes.at(-1)?.released, ['gateway-1']);
  await give(5, REVOKE);
  await give(6, RECOVER);
  assert.equal(store.subjectState('gateway-1').state, 'revoked');
  assert.deepEqual(changes.at(-1)?.revoked, ['gateway-1']);
});

test('replays are ignored, and orders are applied each once', async () => {
  const { store, events } = await knowing();
  const first = order(1, QUARANTINE, 'gateway-1');
  const [recover, release] = [order(2, RECOVER, 'gateway-1'), order(3, RELEASE, 'gateway-1')];
  await store.handlers.orders.apply({ version: 3n, payload: await orderLog(first, recover, release) });
  const before = events.length;
  await store.handlers.orders.apply({ version: 3n, payload: await orderLog(first, recover, release) });
  assert.equal(events.length, before);
  assert.equal(store.subjectState('gateway-1').state, 'trusted');
});

test('a gap is refused, what came before it counts, and the version says where to go on', async () => {
  const { store } = await knowing();
  const payload = await orderLog(order(1, QUARANTINE, 'camera-1'), order(3, QUARANTINE, 'gateway-1'));
  await assert.rejects(store.handlers.orders.apply({ version: 3n, payload }), { code: 'ORDERS_GAP' });
  assert.equal(store.handlers.orders.version(), 1n);
  assert.equal(store.subjectState('camera-1').state, 'quarantined');
  assert.equal(store.subjectState('gateway-1').state, 'trusted');
  const rest = await orderLog(order(2, QUARANTINE, 'plc-1'), order(3, QUARANTINE, 'gateway-1'));
  await store.handlers.orders.apply({ version: 3n, payload: rest });
  assert.equal(store.handlers.orders.version(), 3n);
});

test('a log that ends before its announced version is a gap', async () => {
  const { store } = await knowing();
  const payload = await orderLog(order(1, QUARANTINE, 'camera-1'));
  await assert.rejects(store.handlers.orders.apply({ version: 2n, payload }), { code: 'ORDERS_GAP' });
});

test('orders that are not ours are refused, and those before them count', async (t) => {
  const stranger = generateKey();
  const cases: Record<string, { fields?: OrderFields; device?: string; verb?: OrderVerb; code: string }> = {
    'another trust domain': { fields: { domain: 'other.example' }, code: 'ORDERS_TRUST_DOMAIN' },
    'a key that is not pinned': {
      fields: { by: { key: stranger.privateKey, keyId: keyId(stranger.publicKey) } },
      code: 'IDENTITY_JWS_KEY_UNKNOWN',
    },
    'another type of message': { fields: { typ: 'edgeward-states+proto' }, code: 'IDENTITY_JWS_INVALID' },
    'an unknown verb': { verb: 9 as OrderVerb, code: 'WIRE_UNKNOWN_FIELD' },
    'no verb': { verb: OrderVerb.UNSPECIFIED, code: 'ORDERS_INVALID' },
    'no device': { device: '', code: 'ORDERS_INVALID' },
  };
  for (const [name, { fields, device = 'gateway-1', verb = QUARANTINE, code }] of Object.entries(cases)) {
    await t.test(name, async () => {
      const { store } = await knowing();
      const payload = await orderLog(order(1, QUARANTINE, 'camera-1'), order(2, verb, device, fields));
      await assert.rejects(store.handlers.orders.apply({ version: 2n, payload }), { code });
      assert.equal(store.subjectState('camera-1').state, 'quarantined');
      assert.equal(store.subjectState('gateway-1').state, 'trusted');
    });
  }
});

test('an order with a field that this edge does not know is refused, not half understood', async () => {
  const { store } = await knowing();
  // Field 15, varint 1: what a later version might call "unless".
  const jws = await signJws({ ...orders, typ: 'edgeward-order+proto' }, Buffer.from([0x78, 0x01]));
  const payload = await orderLog(jws);
  await assert.rejects(store.handlers.orders.apply({ version: 1n, payload }), { code: 'WIRE_UNKNOWN_FIELD' });
  await assert.rejects(store.handlers.orders.apply({ version: 1n, payload: Buffer.from('{}') }), { code: /^WIRE_/ });
});

test('a full disk does not keep a device out of quarantine, but nothing is acknowledged before it is kept', async () => {
  const { store, changes, fs } = await knowing();
  fs.setFreeBytes(10);
  const payload = await orderLog(order(1, QUARANTINE, 'gateway-1'));
  await assert.rejects(store.handlers.orders.apply({ version: 1n, payload }), { code: 'FILE_SYSTEM_FULL' });
  assert.equal(store.subjectState('gateway-1').state, 'quarantined');
  assert.deepEqual(changes.at(-1)?.quarantined, ['gateway-1']);
  assert.equal(store.handlers.orders.version(), 0n);
  fs.setFreeBytes(Infinity);
  await store.handlers.orders.apply({ version: 1n, payload });
  assert.equal(store.handlers.orders.version(), 1n);
  const restarted = await ordersEdge(fs.restart());
  assert.equal(restarted.store.subjectState('gateway-1').state, 'quarantined');
});

test('what the firewall refuses is not acknowledged, and is told again when the order comes again', async () => {
  let broken = true;
  const told: string[][] = [];
  const { store } = await knowing(new SimulatedFiles(), {
    onChange: ({ quarantined }: { quarantined: string[] }) => {
      told.push(quarantined);
      return broken ? Promise.reject(new Error('netlink: EBUSY')) : Promise.resolve();
    },
  });
  const payload = await orderLog(order(1, QUARANTINE, 'gateway-1'));
  await assert.rejects(store.handlers.orders.apply({ version: 1n, payload }), { code: 'ORDERS_NOT_ENFORCED' });
  assert.equal(store.subjectState('gateway-1').state, 'quarantined');
  assert.equal(store.handlers.orders.version(), 0n);
  broken = false;
  await store.handlers.orders.apply({ version: 1n, payload });
  assert.deepEqual(told, [['gateway-1'], ['gateway-1']]);
  assert.equal(store.handlers.orders.version(), 1n);
});

test('the power is cut after every operation while orders are taken: nothing acknowledged is lost', async () => {
  let cuts = 0;
  for (let count = 1; ; count += 1) {
    const fs = new SimulatedFiles({ seed: count });
    const { store } = await knowing(fs);
    fs.cutAfter(count);
    let acknowledged = 0;
    for (const [sequence, device] of ['gateway-1', 'camera-1'].entries()) {
      const payload = await orderLog(order(sequence + 1, QUARANTINE, device));
      await store.handlers.orders.apply({ version: BigInt(sequence + 1), payload }).then(
        () => (acknowledged = sequence + 1),
        () => undefined,
      );
    }
    if (!fs.cut) break;
    cuts += 1;
    const after = await ordersEdge(fs.restart());
    await after.store.enforce();
    assert.ok(after.store.handlers.orders.version() >= BigInt(acknowledged), `cut ${count}`);
    if (acknowledged > 0) assert.equal(after.store.subjectState('gateway-1').state, 'quarantined', `cut ${count}`);
    const all = await orderLog(order(1, QUARANTINE, 'gateway-1'), order(2, QUARANTINE, 'camera-1'));
    await after.store.handlers.orders.apply({ version: 2n, payload: all });
    assert.deepEqual(after.store.subjectState('camera-1').state, 'quarantined');
  }
  assert.ok(cuts >= 6, `${cuts} cuts`);
});

test('with its orders lost, the edge knows nobody until they came again from the first on', async () => {
  const { store, fs } = await knowing();
  const log = await orderLog(order(1, QUARANTINE, 'gateway-1'), order(2, QUARANTINE, 'camera-1'));
  await store.handlers.orders.apply({ version: 2n, payload: log });
  fs.flipBit(`${stateDir}/orders/orders.json`, 8);
  const after = await ordersEdge(fs);
  assert.deepEqual(
    after.events.map(({ activity, severity }) => [activity, severity]),
    [['damaged', 'critical']],
  );
  assert.equal(after.store.subjectState('plc-1').state, 'unknown');
  await after.store.enforce();
  assert.equal(after.store.handlers.orders.version(), 0n);
  const half = await orderLog(order(1, QUARANTINE, 'gateway-1'));
  await assert.rejects(after.store.handlers.orders.apply({ version: 2n, payload: half }), { code: 'ORDERS_GAP' });
  assert.equal(after.store.subjectState('plc-1').state, 'unknown');
  await after.store.handlers.orders.apply({ version: 2n, payload: log });
  assert.equal(after.store.subjectState('plc-1').state, 'trusted');
  assert.equal(after.store.subjectState('camera-1').state, 'quarantined');
});

test('no bit of the stored orders can flip unnoticed', async () => {
  const { store, fs } = await knowing();
  await store.handlers.orders.apply({ version: 1n, payload: await orderLog(order(1, QUARANTINE, 'gateway-1')) });
  const path = `${stateDir}/orders/orders.json`;
  const { length } = await fs.readFile(path, 4096);
  for (let bit = 0; bit < length * 8; bit += 13) {
    fs.flipBit(path, bit);
    const after = await ordersEdge(fs);
    assert.equal(after.store.subjectState('plc-1').state, 'unknown', `bit ${bit}`);
    fs.flipBit(path, bit);
  }
});

test('orders that are lost, and of which there are none, are found again by the word of the control plane', async () => {
  const { fs } = await knowing();
  const file = await fs.open(`${stateDir}/orders/orders.json`, 'create');
  await file.append(Buffer.from('{'));
  const { store } = await ordersEdge(fs);
  assert.equal(store.subjectState('plc-1').state, 'unknown');
  await store.handlers.orders.confirm();
  assert.equal(store.subjectState('plc-1').state, 'trusted');
});
