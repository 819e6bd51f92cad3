import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { generateKey, keyId, signJws, verifyJws } from '../../identity/index.ts';
import { OrderSchema, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { CodedError } from '../../runtime/errors.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { migrate } from '../../store/migrations.ts';
import type { Database } from '../../store/database.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { createDevices, type DevicePorts } from './devices.ts';
import { responseMigrations } from './migrations.ts';

const trustDomain = 'plant.example';
const orders = generateKey();

async function openDevices(open: () => Promise<Database>, changes: Partial<DevicePorts> = {}) {
  const db = await open();
  await migrate(db, 'response', responseMigrations);
  const clock = new FakeClock(1_800_000_000_000);
  const told: string[] = [];
  const events: string[] = [];
  const devices = createDevices({
    db,
    trustDomain,
    clock,
    sign: async (typ, payload) =>
      await signJws({ key: orders.privateKey, keyId: keyId(orders.publicKey), typ }, payload),
    emit: (event) => Promise.resolve(void events.push(`${event.activity}:${String(event.data['to'] ?? '')}`)),
    changed: (what) => void told.push(what),
    inInventory: (id) => Promise.resolve(id !== 'nobody'),
    openFindings: () => Promise.resolve(0),
    ...changes,
  });
  return { db, clock, devices, told, events, close: async () => await db.close() };
}

const refusedWith = (code: string) => (error: unknown) => error instanceof CodedError && error.code === code;
const by = { cause: 'test', by: 'spiffe://plant.example/operator/ann' };

forEachDatabase((name, open) => {
  test(`${name}: a quarantine is one state, one history row and one signed order`, async () => {
    const given = await openDevices(open);
    await given.devices.apply({ deviceId: 'gateway-1', event: 'enrolled', ...by });
    const { orderSequence } = await given.devices.apply({ deviceId: 'gateway-1', event: 'quarantined', ...by });
    assert.equal(orderSequence, 1);
    const { version, orders: log } = await given.devices.ordersSince(0);
    assert.equal(version, 1);
    const { payload } = await verifyJws(log[0] ?? '', { typ: 'edgeward-order+proto', keys: [orders.publicKey] });
    const order = fromBinary(OrderSchema, payload);
    assert.deepEqual(
      { verb: order.verb, device: order.deviceId, sequence: order.sequence, reason: order.reason },
      { verb: OrderVerb.QUARANTINE, device: 'gateway-1', sequence: 1n, reason: 'test' },
    );
    assert.deepEqual(
      (await given.devices.timeline('gateway-1')).map((row) => [row.from_state, row.to_state]),
      [
        ['expected', 'enrolled'],
        ['enrolled', 'quarantined'],
      ],
    );
    assert.deepEqual(given.told, ['states', 'orders', 'states'], 'orders are told before states');
    assert.deepEqual((await given.devices.ordersSince(1)).orders, []);
    await given.close();
  });

  test(`${name}: quarantining twice gives one order`, async () => {
    const given = await openDevices(open);
    await given.devices.apply({ deviceId: 'gateway-1', event: 'enrolled', ...by });
    await given.devices.apply({ deviceId: 'gateway-1', event: 'quarantined', ...by });
    const again = await given.devices.apply({ deviceId: 'gateway-1', event: 'quarantined', ...by });
    assert.equal(again.orderSequence, 0);
    assert.equal((await given.devices.ordersSince(0)).orders.length, 1);
    await given.close();
  });

  test(`${name}: fifty orders at once have fifty sequences without gaps`, async () => {
    const given = await openDevices(open);
    const ids = Array.from({ length: 50 }, (_, n) => `device-${n}`);
    for (const deviceId of ids) await given.devices.apply({ deviceId, event: 'enrolled', ...by });
    await Promise.all(
      ids.map(async (deviceId) => await given.devices.apply({ deviceId, event: 'quarantined', ...by })),
    );
    const { orders: log } = await given.devices.ordersSince(0);
    const sequences = await Promise.all(
      log.map(async (jws) => {
        const { payload } = await verifyJws(jws, { typ: 'edgeward-order+proto', keys: [orders.publicKey] });
        return Number(fromBinary(OrderSchema, payload).sequence);
      }),
    );
    assert.deepEqual(
      sequences,
      ids.map((_, n) => n + 1),
    );
    await given.close();
  });

  test(`${name}: the software class comes back only re-imaged, attested and released by a person`, async () => {
    const given = await openDevices(open);
    const { devices, clock } = given;
    await devices.apply({ deviceId: 'gateway-1', event: 'enrolled', ...by });
    await devices.apply({
      deviceId: 'gateway-1',
      event: 'affirmed',
      attestation: { class: 'software', at: clock.now() },
      ...by,
    });
    await clock.advance(1000);
    await devices.apply({ deviceId: 'gateway-1', event: 'quarantined', ...by });
    const release = { deviceId: 'gateway-1', reason: 'clean', by: by.by, full: false };

    await assert.rejects(devices.release(release), refusedWith('RESPONSE_REIMAGE_NEEDED'));
    await assert.rejects(devices.recover(release), refusedWith('RESPONSE_REIMAGE_NEEDED'));
    await assert.rejects(
      devices.apply({ deviceId: 'gateway-1', event: 'enrolled', ...by }),
      refusedWith('RESPONSE_TRANSITION_REFUSED'),
    );

    await clock.advance(1000);
    await devices.apply({ deviceId: 'gateway-1', event: 'reimaged', ...by });
    assert.equal((await devices.get('gateway-1'))?.state, 'recovering');
    await assert.rejects(
      devices.release(release),
      refusedWith('RESPONSE_NOT_ATTESTED'),
      'the old appraisal does not count',
    );

    await clock.advance(1000);
    await devices.apply({
      deviceId: 'gateway-1',
      event: 'affirmed',
      attestation: { class: 'software', at: clock.now() },
      ...by,
    });
    assert.equal((await devices.get('gateway-1'))?.state, 'recovering', 'an appraisal alone releases nobody');
    const { device } = await devices.release(release);
    assert.deepEqual({ state: device.state, reduced: device.reduced }, { state: 'trusted', reduced: true });
    const full = await devices.release({ ...release, full: true });
    assert.equal(full.device.reduced, false);
    const verbs = await given.db
      .withTables<{ response_orders: { verb: string; sequence: number } }>()
      .selectFrom('response_orders')
      .select('verb')
      .orderBy('sequence')
      .execute();
    assert.deepEqual(
      verbs.map((row) => row.verb),
      ['quarantine', 'recover', 'release'],
    );
    await given.close();
  });

  test(`${name}: a suspect device whose last appraisal contradicted is not released on an older one`, async () => {
    const given = await openDevices(open);
    const { devices, clock } = given;
    const attest = async (event: 'affirmed' | 'contradicted'): Promise<void> => {
      await clock.advance(1000);
      const passed = event === 'affirmed' ? { attestation: { class: 'software', at: clock.now() } } : {};
      await devices.apply({ deviceId: 'gateway-1', event, ...passed, ...by });
    };
    await devices.apply({ deviceId: 'gateway-1', event: 'enrolled', ...by });
    await attest('contradicted');
    await attest('affirmed');
    await attest('contradicted');
    const release = { deviceId: 'gateway-1', reason: 'looked at it', by: by.by, full: false };
    await assert.rejects(devices.release(release), refusedWith('RESPONSE_NOT_ATTESTED'));
    await attest('affirmed');
    assert.equal((await devices.release(release)).device.state, 'trusted');
    await given.close();
  });

  test(`${name}: an open finding keeps a recovering device from its release`, async () => {
    let open_ = 1;
    const given = await openDevices(open, { openFindings: () => Promise.resolve(open_) });
    const { devices, clock } = given;
    await devices.apply({ deviceId: 'gateway-1', event: 'enrolled', ...by });
    await devices.apply({ deviceId: 'gateway-1', event: 'quarantined', ...by });
    await devices.apply({ deviceId: 'gateway-1', event: 'reimaged', ...by });
    await clock.advance(1000);
    await devices.apply({
      deviceId: 'gateway-1',
      event: 'affirmed',
      attestation: { class: 'software', at: clock.now() },
      ...by,
    });
    const release = { deviceId: 'gateway-1', reason: 'clean', by: by.by, full: false };
    await assert.rejects(devices.release(release), refusedWith('RESPONSE_FINDING_OPEN'));
    open_ = 0;
    assert.equal((await devices.release(release)).device.state, 'trusted');
    await given.close();
  });

  test(`${name}: only a trusted device ages, and a device outside the inventory is refused`, async () => {
    const given = await openDevices(open);
    const { devices, clock } = given;
    await devices.apply({ deviceId: 'a', event: 'enrolled', ...by });
    await devices.apply({
      deviceId: 'a',
      event: 'affirmed',
      attestation: { class: 'software', at: clock.now() },
      ...by,
    });
    await devices.apply({ deviceId: 'b', event: 'enrolled', ...by });
    await devices.apply({ deviceId: 'b', event: 'contradicted', ...by });
    await devices.ageOut(60_000);
    assert.equal((await devices.get('a'))?.state, 'trusted');
    await clock.advance(61_000);
    await devices.ageOut(60_000);
    assert.equal((await devices.get('a'))?.state, 'stale');
    assert.equal((await devices.get('b'))?.state, 'suspect');
    await assert.rejects(
      devices.apply({ deviceId: 'nobody', event: 'enrolled', ...by }),
      refusedWith('RESPONSE_DEVICE_UNKNOWN'),
    );
    await given.close();
  });
});
