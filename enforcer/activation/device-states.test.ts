// Device states and revocations: signed, newer each time, capped by age, and what a subject looks like under them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import {
  generateKey,
  hour,
  keyId,
  order,
  orderLog,
  ordersEdge,
  revocations,
  start,
  stateDir,
  states,
  statesOf,
} from '../../test/activation/world.ts';

async function withStates(devices: Record<string, string>, issuedAt = start) {
  const world = await ordersEdge();
  await world.store.handlers.deviceState.apply({ version: 1n, payload: await states(1, devices, { issuedAt }) });
  await world.store.handlers.revocations.apply({ version: 1n, payload: await revocations(1, ['0a1b'], { issuedAt }) });
  return world;
}

test('a subject has the signed state and attributes with their ages', async () => {
  const { store } = await withStates({ 'gateway-1': 'trusted' });
  assert.deepEqual(store.subjectState('gateway-1'), {
    state: 'trusted',
    attributes: {
      attestation: { value: 'software', asOf: start - hour },
      risk: { value: 7, asOf: start },
      reduced: { value: false, asOf: start },
    },
  });
  assert.deepEqual(store.subjectState('stranger'), { state: 'unknown', attributes: {} });
});

test('without any state everybody is unknown', async () => {
  const { store } = await ordersEdge();
  assert.equal(store.subjectState('gateway-1').state, 'unknown');
  assert.equal(store.view().revoked.has('0a1b'), false);
  assert.deepEqual(store.ages(), { states: undefined, revocations: undefined });
});

test('what is known too long, or at an untrusted time, keeps nobody trusted, and makes nobody better', async () => {
  const { store, time } = await withStates({
    'gateway-1': 'trusted',
    'camera-1': 'suspect',
    'plc-1': 'enrolled',
    'old-1': 'quarantined',
  });
  time.now = start + 24 * hour;
  assert.equal(store.subjectState('gateway-1').state, 'trusted');
  time.now += 1;
  assert.equal(store.subjectState('gateway-1').state, 'stale');
  assert.equal(store.subjectState('camera-1').state, 'suspect');
  assert.equal(store.subjectState('plc-1').state, 'enrolled');
  assert.equal(store.subjectState('old-1').state, 'quarantined');
  time.now = start;
  time.trusted = false;
  assert.equal(store.subjectState('gateway-1').state, 'stale');
});

test('revocations that never came, or are too old, keep nobody trusted either', async () => {
  const { store, time } = await ordersEdge();
  await store.handlers.deviceState.apply({ version: 1n, payload: await states(1, { 'gateway-1': 'trusted' }) });
  assert.equal(store.subjectState('gateway-1').state, 'stale');
  await store.handlers.revocations.apply({ version: 1n, payload: await revocations(1, []) });
  assert.equal(store.subjectState('gateway-1').state, 'trusted');
  time.now = start + 25 * hour;
  const fresh = await states(2, { 'gateway-1': 'trusted' }, { issuedAt: start + 25 * hour });
  await store.handlers.deviceState.apply({ version: 2n, payload: fresh });
  assert.equal(store.subjectState('gateway-1').state, 'stale');
});

test('orders beat the signed state, except the end of a device', async () => {
  const { store } = await withStates({ 'gateway-1': 'quarantined', 'camera-1': 'trusted', 'old-1': 'decommissioned' });
  const log = await orderLog(
    order(1, OrderVerb.RECOVER, 'gateway-1'),
    order(2, OrderVerb.QUARANTINE, 'camera-1'),
    order(3, OrderVerb.RECOVER, 'old-1'),
    order(4, OrderVerb.REVOKE, 'stranger'),
    order(5, OrderVerb.QUARANTINE, 'nameless'),
  );
  await store.handlers.orders.apply({ version: 5n, payload: log });
  assert.equal(store.subjectState('gateway-1').state, 'recovering');
  assert.equal(store.subjectState('camera-1').state, 'quarantined');
  assert.equal(store.subjectState('old-1').state, 'decommissioned');
  assert.equal(store.subjectState('stranger').state, 'revoked');
  assert.equal(store.subjectState('nameless').state, 'unknown', 'whom the states do not name gets no island mode');
});

test('a state replaces the last one as a whole and is told as a change', async () => {
  const { store, changes } = await withStates({ 'gateway-1': 'quarantined', 'camera-1': 'trusted' });
  assert.deepEqual(
    changes.map(({ quarantined, revokedSerials }) => [quarantined, revokedSerials]),
    [
      [['gateway-1'], []],
      [[], ['0a1b']],
    ],
  );
  assert.equal(store.view().revoked.has('0a1b'), true);
  assert.equal(store.view().revoked.has('0a1c'), false);
  await store.handlers.deviceState.apply({ version: 2n, payload: await states(2, { 'gateway-1': 'trusted' }) });
  assert.deepEqual(changes.at(-1)?.released, ['gateway-1']);
  assert.equal(store.subjectState('camera-1').state, 'unknown');
  assert.equal(store.handlers.deviceState.version(), 2n);
});

test('older states are refused, the same again changes nothing', async () => {
  const { store, changes } = await withStates({ 'gateway-1': 'trusted' });
  const payload = await states(3, { 'gateway-1': 'suspect' });
  await store.handlers.deviceState.apply({ version: 3n, payload });
  const older = await states(2, { 'gateway-1': 'trusted' });
  await assert.rejects(store.handlers.deviceState.apply({ version: 2n, payload: older }), { code: 'ORDERS_OLDER' });
  const ack = await store.handlers.deviceState.apply({ version: 3n, payload });
  assert.deepEqual(await store.handlers.deviceState.confirm(), ack);
  assert.equal(store.subjectState('gateway-1').state, 'suspect');
  assert.equal(changes.length, 1);
});

test('states and revocations survive a restart and are verified again', async () => {
  const { fs } = await withStates({ 'gateway-1': 'trusted' });
  const restarted = await ordersEdge(fs.restart());
  assert.equal(restarted.store.subjectState('gateway-1').state, 'trusted');
  assert.equal(restarted.store.view().revoked.has('0a1b'), true);
  await restarted.store.enforce();
  assert.equal(restarted.store.handlers.deviceState.version(), 1n);
  restarted.fs.flipBit(`${stateDir}/orders/states.jws`, 1500);
  const damaged = await ordersEdge(restarted.fs);
  assert.equal(damaged.store.subjectState('gateway-1').state, 'unknown');
  assert.deepEqual(
    damaged.events.map(({ activity }) => activity),
    ['damaged'],
  );
});

test('bad states are refused and the last good ones stay', async (t) => {
  const stranger = generateKey();
  const by = { key: stranger.privateKey, keyId: keyId(stranger.publicKey) };
  const device = { deviceId: 'gateway-1', state: 'trusted', attestationClass: 'software', risk: 0 };
  const [header = '', , signature = ''] = Buffer.from(await states(2, {}))
    .toString()
    .split('.');
  const body =
    Buffer.from(await states(2, { 'camera-1': 'trusted' }))
      .toString()
      .split('.')[1] ?? '';
  const cases: Record<string, { payload: Uint8Array; code: string | RegExp }> = {
    'another trust domain': { payload: await states(2, {}, { domain: 'other.example' }), code: 'ORDERS_TRUST_DOMAIN' },
    'a key that is not pinned': { payload: await states(2, {}, { by }), code: 'IDENTITY_JWS_KEY_UNKNOWN' },
    'a tampered payload': {
      payload: Buffer.from([header, body, signature].join('.')),
      code: 'IDENTITY_JWS_SIGNATURE_INVALID',
    },
    'another version than announced': { payload: await states(3, {}), code: 'ORDERS_INVALID' },
    'revocations in their place': { payload: await revocations(2, []), code: 'IDENTITY_JWS_INVALID' },
    'an unknown state': { payload: await statesOf(2, [{ ...device, state: 'blessed' }]), code: 'ORDERS_INVALID' },
    'an unknown class': {
      payload: await statesOf(2, [{ ...device, attestationClass: 'oracle' }]),
      code: 'ORDERS_INVALID',
    },
    'a risk of 101': { payload: await statesOf(2, [{ ...device, risk: 101 }]), code: 'ORDERS_INVALID' },
    'a device twice': { payload: await statesOf(2, [device, device]), code: 'ORDERS_INVALID' },
    'a name that is none': { payload: await statesOf(2, [{ ...device, deviceId: '../x' }]), code: 'ORDERS_INVALID' },
    'nothing signed': { payload: Buffer.from('half of a JW'), code: 'IDENTITY_JWS_INVALID' },
  };
  for (const [name, { payload, code }] of Object.entries(cases)) {
    await t.test(name, async () => {
      const { store, events } = await withStates({ 'gateway-1': 'suspect' });
      await assert.rejects(store.handlers.deviceState.apply({ version: 2n, payload }), { code });
      assert.deepEqual(
        events.map(({ activity, severity }) => [activity, severity]),
        [['refuse', 'high']],
      );
      assert.equal(store.subjectState('gateway-1').state, 'suspect');
      assert.equal(store.handlers.deviceState.version(), 1n);
    });
  }
});

test('a serial that is not lower case hex is refused', async () => {
  const { store } = await ordersEdge();
  const payload = await revocations(1, ['0A']);
  await assert.rejects(store.handlers.revocations.apply({ version: 1n, payload }), { code: 'ORDERS_INVALID' });
});

test('what a full disk cannot keep counts at once, and is not acknowledged', async () => {
  const fs = new SimulatedFiles();
  const { store } = await ordersEdge(fs);
  fs.setFreeBytes(10);
  const payload = await revocations(1, ['0a']);
  await assert.rejects(store.handlers.revocations.apply({ version: 1n, payload }), { code: 'FILE_SYSTEM_FULL' });
  assert.equal(store.view().revoked.has('0a'), true);
  assert.equal(store.handlers.revocations.version(), 0n);
  fs.setFreeBytes(Infinity);
  await store.handlers.revocations.apply({ version: 1n, payload });
  assert.equal(store.handlers.revocations.version(), 1n);
});
