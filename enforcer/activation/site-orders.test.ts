// Orders for many devices: who is concerned, each once and durable, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { create } from '@bufbuild/protobuf';
import { type Order, OrderSchema, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import {
  deviceId,
  hour,
  order,
  orderLog,
  ordersEdge,
  revocations,
  siteOrder,
  start,
  stateDir,
  states,
} from '../../test/activation/world.ts';
import { MAX_ORDERED_BLOCKS } from './limits.ts';
import { applySiteOrder, noSiteOrders, type OrderedBlock, type SiteOrders } from './site-orders.ts';

const { ISLAND, REJOIN, BLOCK, PARDON, QUARANTINE } = OrderVerb;
const here = { deviceIds: [deviceId] };
const until = { untilMs: BigInt(start + hour) };

async function sited(fs = new SimulatedFiles(), overrides = {}) {
  const islands: Pick<SiteOrders, 'island' | 'rejoined'>[] = [];
  const blocks: { addresses: string[]; pardons: readonly string[] }[] = [];
  const world = await ordersEdge(fs, {
    onIsland: (said) => Promise.resolve(void islands.push(said)),
    onBlocks: (all: ReadonlyMap<string, OrderedBlock>, pardons: readonly string[]) =>
      Promise.resolve(void blocks.push({ addresses: [...all.keys()], pardons })),
    ...overrides,
  });
  await world.store.enforce();
  return { ...world, islands, blocks };
}

test('island mode is durable, told once, audited, and told again after a restart', async () => {
  const { store, fs, islands, events } = await sited();
  const log = await orderLog(siteOrder(1, ISLAND, { deviceIds: ['camera-1', deviceId] }));
  await store.handlers.orders.apply({ version: 1n, payload: log });
  await store.handlers.orders.apply({ version: 1n, payload: log });
  assert.deepEqual(
    islands.map(({ island }) => island?.sequence),
    [undefined, 1],
  );
  assert.deepEqual(
    events.map(({ activity, data }) => [activity, data['reason'], data['by']]),
    [['island', 'finding-1', 'spiffe://plant.example/operator/ann']],
  );
  const after = await sited(fs.restart());
  assert.deepEqual(
    after.islands.map(({ island }) => island?.sequence),
    [1],
  );
  const rejoin = await orderLog(siteOrder(2, REJOIN, { everyDevice: true }));
  await after.store.handlers.orders.apply({ version: 2n, payload: rejoin });
  assert.deepEqual(after.islands.at(-1), { ...after.islands.at(-1), island: undefined });
  assert.equal(after.islands.at(-1)?.rejoined?.sequence, 2);
});

test('an order for other devices counts, and changes nothing here', async () => {
  const { store, islands, events } = await sited();
  const payload = await orderLog(siteOrder(1, ISLAND, { deviceIds: ['camera-1'] }));
  await store.handlers.orders.apply({ version: 1n, payload });
  assert.equal(store.handlers.orders.version(), 1n);
  assert.equal(islands.length, 1);
  assert.deepEqual(events, []);
});

test('what could not be enforced is not acknowledged and told again; blocks and island mode do not wait for each other', async () => {
  const told: string[] = [];
  let broken = true;
  const { store } = await sited(new SimulatedFiles(), {
    onIsland: () => Promise.resolve(void told.push('island')),
    onBlocks: (all: ReadonlyMap<string, OrderedBlock>) => {
      told.push(`blocks ${all.size}`);
      return broken && all.size > 0 ? Promise.reject(new Error('netlink: ENOSPC')) : Promise.resolve();
    },
  });
  told.splice(0);
  const payload = await orderLog(
    siteOrder(1, BLOCK, { ...here, ...until, address: '192.0.2.7' }),
    siteOrder(2, ISLAND, here),
  );
  await assert.rejects(store.handlers.orders.apply({ version: 2n, payload }), { code: 'ORDERS_NOT_ENFORCED' });
  assert.deepEqual(told, ['island', 'blocks 1']);
  assert.equal(store.handlers.orders.version(), 0n);
  broken = false;
  await store.handlers.orders.apply({ version: 2n, payload });
  assert.equal(store.handlers.orders.version(), 2n);
});

test('a pardon is carried out once, also over restarts; a block survives them', async () => {
  const { store, fs, blocks } = await sited();
  const block = (sequence: number, address: string) => siteOrder(sequence, BLOCK, { ...here, ...until, address });
  const payload = await orderLog(
    block(1, '192.0.2.7'),
    block(2, '2001:db8::7'),
    siteOrder(3, PARDON, { ...here, address: '192.0.2.7' }),
  );
  await store.handlers.orders.apply({ version: 3n, payload });
  assert.deepEqual(blocks.at(-1), { addresses: ['2001:db8::7'], pardons: ['192.0.2.7'] });
  const after = await sited(fs.restart());
  assert.deepEqual(after.blocks, [{ addresses: ['2001:db8::7'], pardons: [] }]);
});

test('a book of before there were such orders is read, and written the same without them', async () => {
  const { store, fs } = await sited();
  const quarantined = await orderLog(order(1, QUARANTINE, 'camera-1'));
  await store.handlers.orders.apply({ version: 1n, payload: quarantined });
  const text = (await fs.readFile(`${stateDir}/orders/orders.json`, 4096)).toString('utf8');
  assert.doesNotMatch(text, /site/);
  await (await sited(fs.restart())).store.handlers.orders.confirm();
});

test('with the orders lost, island mode and blocks stay as they are until they came again', async () => {
  const { store, fs } = await sited();
  const log = await orderLog(siteOrder(1, ISLAND, here));
  await store.handlers.orders.apply({ version: 1n, payload: log });
  await store.handlers.deviceState.apply({ version: 1n, payload: await states(1, {}) });
  await store.handlers.revocations.apply({ version: 1n, payload: await revocations(1, []) });
  fs.flipBit(`${stateDir}/orders/orders.json`, 8);
  const after = await sited(fs);
  assert.equal(after.islands.length, 0, 'nobody says that island mode is over');
  await after.store.handlers.orders.apply({ version: 1n, payload: log });
  assert.equal(after.islands[0]?.island?.sequence, 1);
});

test('an order that says more or less than its verb needs is refused', async (t) => {
  const address = '192.0.2.7';
  const cases: Record<string, [OrderVerb, Parameters<typeof siteOrder>[2]]> = {
    'island mode of nobody': [ISLAND, {}],
    'island mode of everybody': [ISLAND, { everyDevice: true }],
    'devices and everybody': [REJOIN, { ...here, everyDevice: true }],
    'one device in the field of others': [ISLAND, { deviceId }],
    'many devices in a quarantine': [QUARANTINE, { ...here, deviceId }],
    'devices out of order': [ISLAND, { deviceIds: ['plc-1', 'camera-1'] }],
    'a device twice': [ISLAND, { deviceIds: ['plc-1', 'plc-1'] }],
    'more devices than fit': [
      ISLAND,
      { deviceIds: Array.from({ length: 1_001 }, (_, n) => `d${String(n).padStart(4, '0')}`) },
    ],
    'an address that none asks for': [ISLAND, { ...here, address }],
    'a block of nobody': [BLOCK, { ...here, ...until }],
    'a name as address': [BLOCK, { ...here, ...until, address: 'plc-1' }],
    'another spelling of an address': [BLOCK, { ...here, ...until, address: '2001:DB8::7' }],
    'an IPv4-mapped address': [BLOCK, { ...here, ...until, address: '::ffff:192.0.2.7' }],
    'a block without end': [BLOCK, { ...here, address }],
    'a block that is over': [BLOCK, { ...here, address, untilMs: BigInt(start - 1) }],
    'a block of years': [BLOCK, { ...here, address, untilMs: BigInt(start + 8 * 24 * hour) }],
    'a pardon with an end': [PARDON, { ...here, address, ...until }],
  };
  for (const [name, [verb, fields]] of Object.entries(cases)) {
    await t.test(name, async () => {
      const { store, islands, blocks } = await sited();
      const payload = await orderLog(siteOrder(1, verb, fields));
      await assert.rejects(store.handlers.orders.apply({ version: 1n, payload }), { code: 'ORDERS_INVALID' });
      assert.deepEqual([islands.length, blocks.length], [1, 1]);
    });
  }
});

test('a full list of blocks keeps what it has, and forgets what is over', () => {
  const blocked = (sequence: number, address: string, issuedAt = start): Order =>
    create(OrderSchema, {
      verb: BLOCK,
      sequence: BigInt(sequence),
      everyDevice: true,
      address,
      issuedAtMs: BigInt(issuedAt),
      untilMs: BigInt(issuedAt + hour),
    });
  let held: SiteOrders = noSiteOrders;
  for (let n = 0; n < MAX_ORDERED_BLOCKS; n++) {
    held = applySiteOrder(held, blocked(n + 1, `10.0.${n >> 8}.${n & 255}`), deviceId).after;
  }
  const more = applySiteOrder(held, blocked(9_000, '192.0.2.7'), deviceId);
  assert.deepEqual(
    [more.full, more.after.blocks.size, more.after.blocks.has('192.0.2.7')],
    [true, MAX_ORDERED_BLOCKS, false],
  );
  const again = applySiteOrder(held, blocked(9_000, '10.0.0.0'), deviceId);
  assert.equal(again.full, false, 'one that is known may last longer');
  const later = applySiteOrder(held, blocked(9_000, '192.0.2.7', start + 2 * hour), deviceId);
  assert.deepEqual([later.full, later.after.blocks.size], [false, 1]);
});

test('property: the book holds what the last order of each kind said, however the log is cut and repeated', async () => {
  const address = fc.constantFrom('192.0.2.7', '192.0.2.8', '2001:db8::7');
  const devices = fc.constantFrom<string[]>([deviceId], ['camera-1'], ['camera-1', deviceId]);
  const one = fc.oneof(
    fc.record({ verb: fc.constantFrom(ISLAND, REJOIN), deviceIds: devices }),
    fc.record({ verb: fc.constant(BLOCK), deviceIds: devices, address, untilMs: fc.constant(BigInt(start + hour)) }),
    fc.record({ verb: fc.constant(PARDON), deviceIds: devices, address }),
  );
  const cuts = fc.array(fc.nat(12), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(fc.array(one, { minLength: 1, maxLength: 10 }), cuts, async (orders, places) => {
      let fs = new SimulatedFiles();
      let world = await sited(fs);
      const jwss = await Promise.all(orders.map(({ verb, ...fields }, n) => siteOrder(n + 1, verb, fields)));
      for (const place of [...places.toSorted((a, b) => a - b), orders.length]) {
        const some = jwss.slice(0, Math.min(place, orders.length));
        await world.store.handlers.orders.apply({ version: BigInt(some.length), payload: await orderLog(...some) });
        fs = fs.restart();
        world = await sited(fs);
      }
      const mine = orders.filter(({ deviceIds }) => deviceIds.includes(deviceId));
      const last = mine.findLast(({ verb }) => verb === ISLAND || verb === REJOIN);
      assert.equal(world.islands[0]?.island !== undefined, last?.verb === ISLAND);
      const held = new Set<string>();
      for (const entry of mine) {
        if (entry.verb === BLOCK && 'address' in entry) held.add(entry.address);
        if (entry.verb === PARDON && 'address' in entry) held.delete(entry.address);
      }
      assert.deepEqual([...(world.blocks[0]?.addresses ?? [])].toSorted(), [...held].toSorted());
      assert.deepEqual(world.blocks[0]?.pardons, [], 'each pardon was carried out before it was acknowledged');
    }),
    { numRuns: 60 },
  );
});
