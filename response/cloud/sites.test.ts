import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { generateKey, keyId, signJws, verifyJws } from '../../identity/index.ts';
import { type Order, OrderSchema, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { migrate } from '../../store/migrations.ts';
import type { Database } from '../../store/database.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { createDevices } from './devices.ts';
import { responseMigrations } from './migrations.ts';
import { createReports, type ReportedRecord } from './reports.ts';
import { createSites, type SitePorts } from './sites.ts';

const trustDomain = 'plant.example';
const orders = generateKey();
const start = 1_800_000_000_000;
const day = 86_400_000;
const inventory = [
  { id: 'camera-1', labels: { site: 'hall-2' } },
  { id: 'plc-1', labels: { site: 'hall-1' } },
  { id: 'gateway-1', labels: { site: 'hall-1' } },
];
const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};
const ann = { reason: 'attack', by: 'spiffe://plant.example/operator/ann' };
const site = (name: string) => ({ deviceIds: [], site: name, fleet: false });
const devices = (...deviceIds: string[]) => ({ deviceIds, site: '', fleet: false });
const fleet = { deviceIds: [], site: '', fleet: true };

async function opened(open: () => Promise<Database>, bounds: Partial<SitePorts['bounds']> = {}) {
  const db = await open();
  await migrate(db, 'response', responseMigrations);
  const clock = new FakeClock(start);
  const told: string[] = [];
  const events: string[] = [];
  const ports: SitePorts = {
    db,
    trustDomain,
    clock,
    sign: async (typ, payload) =>
      await signJws({ key: orders.privateKey, keyId: keyId(orders.publicKey), typ }, payload),
    emit: (event) => Promise.resolve(void events.push(event.activity)),
    changed: (what) => void told.push(what),
    inventory: () => Promise.resolve(inventory),
    plainAddress: (text) => {
      if (!/^[0-9a-f.:]+$/.test(text)) throw new Error('no address');
      return text;
    },
    bounds: { devices: 1_000, blockMs: 7 * day, blocks: 4, ...bounds },
  };
  const sites = createSites(ports);
  const all = createDevices({
    ...ports,
    changed: (what) => void told.push(what),
    inInventory: () => Promise.resolve(true),
    openFindings: () => Promise.resolve(0),
  });
  const log = async (): Promise<Order[]> =>
    await Promise.all(
      (await all.ordersSince(0)).orders.map(async (jws) => {
        const { payload } = await verifyJws(jws, { typ: 'edgeward-order+proto', keys: [orders.publicKey] });
        return fromBinary(OrderSchema, payload);
      }),
    );
  const read = async (records: ReportedRecord[]): Promise<void> => {
    const reports = createReports({
      ...ports,
      log: silent,
      read: (from, limit) => {
        const some = records.filter(({ index }) => index >= from).slice(0, limit);
        return Promise.resolve({ records: some, next: (some.at(-1)?.index ?? from - 1) + 1 });
      },
    });
    const stop = new AbortController();
    const running = reports.task(stop.signal);
    while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve));
    stop.abort();
    await running;
  };
  return { sites, all, clock, told, events, log, read, close: async () => await db.close() };
}

const report = (index: number, deviceId: string, kind: string, activity: string, data: object): ReportedRecord => ({
  index,
  deviceId,
  event: { kind, activity, time: start + index, data: { ...data } },
});

forEachDatabase((name, open) => {
  test(`${name}: island mode of a site is one signed order for its devices, once, with history and audit`, async () => {
    const given = await opened(open);
    const done = await given.sites.island({ target: site('hall-1'), ...ann });
    assert.deepEqual(done, { orderSequence: 1, deviceIds: ['gateway-1', 'plc-1'] });
    const again = await given.sites.island({ target: devices('plc-1'), ...ann });
    assert.deepEqual(again, { orderSequence: 0, deviceIds: [] });
    const [order, ...others] = await given.log();
    assert.deepEqual(others, []);
    assert.deepEqual(
      [order?.verb, order?.deviceId, order?.deviceIds, order?.reason, order?.approvers],
      [OrderVerb.ISLAND, '', ['gateway-1', 'plc-1'], 'attack', [ann.by]],
    );
    assert.deepEqual([given.told, given.events], [['orders'], ['island']]);
    assert.deepEqual(
      (await given.all.timeline('plc-1')).map((row) => [row.from_state, row.to_state, row.cause, row.by]),
      [['expected', 'expected (island)', 'attack', ann.by]],
    );
    const back = await given.sites.rejoin({ target: devices('plc-1', 'camera-1'), ...ann });
    assert.deepEqual(back, { orderSequence: 2, deviceIds: ['plc-1'] }, 'camera-1 has nothing to come back from');
    await given.close();
  });

  test(`${name}: a site larger than one order is more orders of one transaction, without gaps beside others`, async () => {
    const given = await opened(open, { devices: 1 });
    await Promise.all([
      given.sites.island({ target: site('hall-1'), ...ann }),
      given.all.apply({ deviceId: 'camera-1', event: 'revoked', cause: 'x', by: 'y' }),
      given.sites.block({ address: '192.0.2.7', target: site('hall-1'), ttlSeconds: 60, ...ann }),
    ]);
    const log = await given.log();
    assert.deepEqual(
      log.map(({ sequence }) => sequence),
      [1n, 2n, 3n, 4n, 5n],
    );
    const islands = log.filter(({ verb }) => verb === OrderVerb.ISLAND);
    assert.deepEqual(
      islands.map(({ deviceIds }) => deviceIds),
      [['gateway-1'], ['plc-1']],
    );
    await given.close();
  });

  test(`${name}: who names nobody, or names them in two ways, orders nothing`, async () => {
    const given = await opened(open);
    const cases = {
      RESPONSE_TARGET_INVALID: [
        devices(),
        { ...site('hall-1'), deviceIds: ['plc-1'] },
        fleet,
        { ...site('hall-1'), fleet: true },
      ],
      RESPONSE_SITE_UNKNOWN: [site('hall-9')],
      RESPONSE_DEVICE_UNKNOWN: [devices('plc-1', 'nobody')],
    };
    for (const [code, targets] of Object.entries(cases)) {
      for (const target of targets) await assert.rejects(given.sites.island({ target, ...ann }), { code });
    }
    const block = { address: '192.0.2.7', target: fleet, ttlSeconds: 60, ...ann };
    await assert.rejects(given.sites.block({ ...block, address: 'plc-1' }), { code: 'RESPONSE_BLOCK_INVALID' });
    for (const ttlSeconds of [0, -1, 0.5, 7 * 86_400 + 1, Number.NaN]) {
      await assert.rejects(given.sites.block({ ...block, ttlSeconds }), { code: 'RESPONSE_BLOCK_INVALID' });
    }
    assert.deepEqual([await given.log(), given.told], [[], []]);
    await given.close();
  });

  test(`${name}: blocks are listed, confirmed for longer, widened and pardoned, and there are not too many`, async () => {
    const given = await opened(open);
    await given.read([
      report(0, 'plc-1', 'firewall', 'block', {
        source_ip: '192.0.2.7',
        rule: 'trap:telnet',
        until_ms: start + 60_000,
      }),
    ]);
    const learned = await given.sites.blocks();
    assert.deepEqual(
      learned.map((row) => [row.address, row.device_id, row.rule, row.until, row.order_sequence]),
      [['192.0.2.7', 'plc-1', 'trap:telnet', start + 60_000, 0]],
    );
    const { until } = await given.sites.block({
      address: '192.0.2.7',
      target: devices('plc-1'),
      ttlSeconds: 3_600,
      ...ann,
    });
    assert.equal(until, start + 3_600_000);
    await given.sites.block({ address: '192.0.2.7', target: devices('plc-1'), ttlSeconds: 7_200, ...ann });
    await given.sites.block({ address: '192.0.2.7', target: fleet, ttlSeconds: 60, ...ann });
    const held = (await given.sites.blocks()).map((row) => [row.device_id, row.order_sequence]);
    assert.deepEqual(
      held,
      [
        ['', 3],
        ['plc-1', 0],
        ['plc-1', 2],
      ],
      'the second takes the place of the first',
    );
    const full = { target: site('hall-1'), ttlSeconds: 60, ...ann };
    await given.sites.block({ address: '192.0.2.8', ...full });
    await assert.rejects(given.sites.block({ address: '192.0.2.9', ...full }), { code: 'RESPONSE_BLOCKS_FULL' });
    assert.equal((await given.log()).length, 4, 'what found no room was not ordered');
    await given.sites.pardon({ address: '192.0.2.7', target: devices('plc-1'), ...ann });
    assert.deepEqual(
      (await given.sites.blocks()).filter(({ address }) => address === '192.0.2.7').map((row) => row.device_id),
      [''],
    );
    const last = (await given.log()).at(-1);
    assert.deepEqual([last?.verb, last?.address, last?.untilMs], [OrderVerb.PARDON, '192.0.2.7', 0n]);
    await given.clock.advance(7_200_000);
    assert.deepEqual(await given.sites.blocks(), []);
    await given.close();
  });

  test(`${name}: a device speaks of itself alone, and each of its words counts once`, async () => {
    const given = await opened(open, { blockMs: 60_000 });
    await given.sites.island({ target: site('hall-1'), ...ann });
    const records = [
      report(0, 'plc-1', 'order', 'island-on', { state: 'ordered', source: 'order' }),
      report(1, 'gateway-1', 'order', 'island-on', { state: 'ordered local', source: 'local' }),
      report(2, 'gateway-1', 'order', 'island-off', { state: 'local', source: 'lease' }),
      report(3, 'camera-1', 'order', 'island-on', { state: 'whatever' }),
      report(4, 'camera-1', 'firewall', 'block', { source_ip: 'sha256:00', until_ms: start + 1 }),
      report(5, 'camera-1', 'firewall', 'block', { source_ip: '192.0.2.7', until_ms: Number.MAX_SAFE_INTEGER }),
      report(6, 'plc-1', 'firewall', 'unblock', { source_ip: '192.0.2.7' }),
    ];
    await given.read(records);
    const states = async () =>
      Object.fromEntries(
        (await given.sites.islands()).map((row) => [row.device_id, [row.reported, row.order_sequence]]),
      );
    assert.deepEqual(await states(), { 'plc-1': ['ordered', 1], 'gateway-1': ['local', 0] });
    const blocks = (await given.sites.blocks()).map((row) => [row.device_id, row.until]);
    assert.deepEqual(blocks, [['camera-1', start + 60_000]], 'neither forever, nor ended by somebody else');
    await given.sites.island({ target: devices('gateway-1'), ...ann });
    await given.read(records);
    assert.deepEqual((await states())['gateway-1'], ['local', 2], 'what was read is not read again');
    await given.close();
  });
});
