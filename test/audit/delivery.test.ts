// Spool, delivery and log together: resumption, exactly once over a bad link, and what happens to a chain that cannot go on.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { createDelivery, type Delivery, type DeliveryOptions } from '../../audit/edge/index.ts';
import { openSpool, type Spool, type SpoolOptions } from '../../audit/spool/index.ts';
import type { AuditLog } from '../../audit/cloud/index.ts';
import type { AuditTables } from '../../audit/cloud/migrations.ts';
import { AuditIngestService } from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createGrpcClient, createGrpcServer } from '../../runtime/grpc.ts';
import { openDatabase, type Database } from '../../store/database.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { openLog, quiet, TestDevice } from './devices.ts';

type Dial = DeliveryOptions['dial'];

interface World {
  readonly db: Database;
  readonly log: AuditLog;
  readonly device: TestDevice;
  readonly files: SimulatedFiles;
  spool: Spool;
  dial: Dial;
}

async function world(t: TestContext, limits: SpoolOptions['limits'] = {}): Promise<World> {
  const db = await openDatabase('sqlite::memory:');
  const log = await openLog(db);
  const device = new TestDevice('gw');
  const files = new SimulatedFiles();
  const dial: Dial = (requests, { signal }) => untilAborted(log.ingest.deliver(requests, device.delivering), signal);
  t.after(() => db.close());
  return { db, log, device, files, spool: await open(files, limits), dial };
}

function open(fs: SimulatedFiles, limits: SpoolOptions['limits'] = {}): Promise<Spool> {
  return openSpool({ fs, directory: '/spool', clock: systemClock, random: randomBytes, limits });
}

/** As a gRPC call does: ends with the signal's reason, whatever the other side waits for. */
async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  aborted.catch(() => undefined);
  for (;;) {
    const next = await Promise.race([iterator.next(), aborted]);
    if (next.done) return;
    yield next.value;
  }
}

/** Runs the delivery until `done`; fails the test after a while. */
async function deliverUntil(world: World, done: () => boolean | Promise<boolean>): Promise<Delivery> {
  const { spool, dial, device } = world;
  const stop = new AbortController();
  const delivery = createDelivery({
    spool,
    dial,
    signHead: (payload) => device.signHead(payload),
    clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 20), signal) },
    log: quiet,
  });
  const running = delivery.task(stop.signal);
  const deadline = Date.now() + 20_000;
  while (!(await done())) {
    assert.ok(
      Date.now() < deadline,
      `not delivered: ${JSON.stringify(spool.status())} ${JSON.stringify(delivery.status())}`,
    );
    await systemClock.sleep(5);
  }
  stop.abort();
  await running;
  return delivery;
}

const allAcknowledged = (world: World) => (): boolean => {
  const { acknowledged, sequence, queued } = world.spool.status();
  return queued === 0 && sequence > 0 && acknowledged === sequence;
};

interface Delivered {
  readonly activity: string;
  readonly data: Record<string, unknown>;
  readonly epoch: string;
}

async function delivered(world: World): Promise<Delivered[]> {
  const entries = await world.log.reader.query({ deviceId: 'gw', limit: 1_000 });
  return entries.map((entry) => ({
    ...(JSON.parse(entry.payload.toString()) as { activity: string; data: Record<string, unknown> }),
    epoch: entry.epoch.toString('hex'),
  }));
}

async function append(spool: Spool, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n += 1) {
    await spool.append({ kind: 'authz', activity: 'deny', data: { count: n } }, n % 3 === 0);
  }
  await spool.flush();
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);
const counts = (events: readonly Delivered[]): unknown[] =>
  events.filter((event) => event.activity === 'deny').map((event) => event.data['count']);

test('what is appended while connected arrives, is acknowledged, and its head is signed', async (t) => {
  const here = await world(t);
  await append(here.spool, 1, 20);
  let more = false;
  await deliverUntil(here, async () => {
    if (!more && here.spool.status().acknowledged === 20) {
      more = true;
      await append(here.spool, 21, 50);
    }
    const heads = await here.db.withTables<AuditTables>().selectFrom('audit_heads').select('sequence').execute();
    return here.spool.status().acknowledged === 50 && heads.length > 0;
  });
  assert.deepEqual(counts(await delivered(here)), range(1, 50));
});

test('a link that breaks at every turn delivers everything once, across restarts of the edge', async (t) => {
  const here = await world(t, { segmentBytes: 2_000, recentBytes: 500 });
  const good = here.dial;
  let budget = 0;
  let dials = 0;
  here.dial = (requests, options) => {
    dials += 1;
    budget = 1 + (dials % 7);
    async function* broken(): AsyncGenerator<never> {
      for await (const response of good(requests, options)) {
        budget -= 1;
        if (budget < 0) throw new Error('the link broke');
        yield response as never;
      }
    }
    return broken();
  };
  let next = 1;
  for (let part = 1; part <= 5; part += 1) {
    await deliverUntil(here, async () => {
      if (next <= part * 100) {
        await append(here.spool, next, next + 9);
        next += 10;
      }
      return here.spool.status().acknowledged >= part * 100 - 40;
    });
    await here.spool.close();
    here.spool = await open(here.files, { segmentBytes: 2_000, recentBytes: 500 });
  }
  here.dial = good;
  await append(here.spool, next, 501);
  await deliverUntil(here, allAcknowledged(here));
  assert.deepEqual(counts(await delivered(here)), range(1, 501));
  assert.ok(dials > 10);
});

test('a chain that the cloud refuses goes on under a new epoch, nothing lost', async (t) => {
  const here = await world(t);
  await append(here.spool, 1, 10);
  await deliverUntil(here, allAcknowledged(here));
  const old = here.spool.head().epoch.toString('hex');
  // Somebody set the log's memory of this device back: the next record cannot follow.
  await here.db
    .withTables<AuditTables>()
    .updateTable('audit_cursors')
    .set({ sequence: 4 })
    .where('device_id', '=', 'gw')
    .execute();
  await append(here.spool, 11, 14);
  await deliverUntil(here, () => here.spool.head().epoch.toString('hex') !== old && allAcknowledged(here)());
  const events = await delivered(here);
  const later = events.filter((event) => event.epoch !== old);
  const gap = later.find((event) => event.activity === 'gap');
  assert.deepEqual([gap?.data['reason'], gap?.data['epoch'], gap?.data['count']], ['refused', old, 0]);
  const has = counts(later);
  for (const n of range(11, 14)) assert.ok(has.includes(n));
});

test('a second life of the same chain does not fork: new epoch, and what it wrote is delivered', async (t) => {
  const here = await world(t);
  await append(here.spool, 1, 20);
  await deliverUntil(here, allAcknowledged(here));
  const { epoch } = here.spool.head();
  await here.spool.close();
  // As after a disk was set back: the same epoch, fewer records, then others.
  const random = (bytes: number): Uint8Array => (bytes === 16 ? epoch : randomBytes(bytes));
  const second = new SimulatedFiles();
  here.spool = await openSpool({ fs: second, directory: '/spool', clock: systemClock, random });
  await append(here.spool, 101, 103);
  await here.spool.close();
  here.spool = await open(second);
  assert.deepEqual(here.spool.head().epoch, epoch);
  const old = epoch.toString('hex');
  await deliverUntil(here, () => here.spool.head().epoch.toString('hex') !== old && allAcknowledged(here)());
  const events = await delivered(here);
  assert.deepEqual(counts(events.filter((event) => event.epoch === old)), range(1, 20));
  assert.deepEqual(counts(events.filter((event) => event.epoch !== old)), range(101, 103));
});

test('damage in the middle of the backlog: what is before it arrives under the old epoch, the rest under a new one', async (t) => {
  const limits = { segmentBytes: 1_000, recentBytes: 100 };
  const here = await world(t, limits);
  await append(here.spool, 1, 40);
  const old = here.spool.head().epoch.toString('hex');
  const segments = (await here.files.list('/spool')).filter((name) => name.endsWith('.segment'));
  here.files.flipBit(`/spool/${segments[2]}`, 8 * 300);
  await deliverUntil(here, () => here.spool.head().epoch.toString('hex') !== old && allAcknowledged(here)());
  const events = await delivered(here);
  const gap = events.find((event) => event.activity === 'gap');
  assert.equal(gap?.data['reason'], 'damage');
  assert.equal(gap?.data['count'], 1);
  const missing = Number(gap?.data['first_sequence']);
  assert.deepEqual(
    counts(events),
    range(1, 40).filter((n) => n !== missing),
  );
});

test('over gRPC as on the wire', async (t) => {
  const here = await world(t);
  const server = createGrpcServer();
  server.addService(AuditIngestService, {
    deliver: (requests) => here.log.ingest.deliver(requests, here.device.delivering),
  });
  const port = await server.listen('127.0.0.1:0', 'insecure');
  const client = createGrpcClient(AuditIngestService, `127.0.0.1:${port}`, 'insecure');
  here.dial = (requests, options) => client.deliver(requests, options);
  await append(here.spool, 1, 3_000);
  await deliverUntil(here, allAcknowledged(here));
  assert.equal(await here.log.reader.size(), 3_001);
  client.close();
  await server.close(100);
});
