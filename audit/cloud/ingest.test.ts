import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { batch, exchange, message, openLog, TestDevice } from '../../test/audit/devices.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { openDatabase, type Database } from '../../store/database.ts';
import { deviceCreditRecords } from '../limits.ts';
import { chainNext } from '../log/chain.ts';
import { Frontier } from '../log/merkle.ts';
import { controlDevice } from './append.ts';
import type { AuditLog } from './audit-log.ts';
import type { AuditTables } from './migrations.ts';

async function ownEvents(
  log: AuditLog,
): Promise<{ activity: string; severity: string; data: Record<string, unknown> }[]> {
  const entries = await log.reader.query({ deviceId: controlDevice, limit: 1_000 });
  return entries.map((entry) => JSON.parse(entry.payload.toString()) as never);
}

const stored = async (log: AuditLog, device: TestDevice): Promise<number[]> =>
  (await log.reader.query({ deviceId: device.delivering.deviceId, limit: 1_000 })).map((entry) => entry.sequence);

forEachDatabase((name, open, freshUrl) => {
  suite(`ingest on ${name}`, () => {
    test('stores batches once, in order, and acknowledges cumulatively', async () => {
      await using world = await setUp(open);
      const { log, device } = world;
      const answers = await exchange(log, device, [device.open(), batch(device.write(3)), batch(device.write(2))]);
      assert.deepEqual(answers, ['opened 0', 'through 3', 'through 5']);
      assert.deepEqual(await stored(log, device), [1, 2, 3, 4, 5]);
      const again = await exchange(log, device, [
        device.open(),
        batch(device.records.slice(0, 2)),
        batch(device.records.slice(3)),
        batch([...device.records, ...device.write(1)]),
      ]);
      assert.deepEqual(again, ['opened 5', 'through 5', 'through 5', 'through 6']);
      assert.deepEqual(await stored(log, device), [1, 2, 3, 4, 5, 6]);
    });

    test('the log is dense, and its tree is that of its leaves', async () => {
      await using world = await setUp(open);
      const { log, db, device } = world;
      await exchange(log, device, [device.open(), batch(device.write(20)), batch(device.write(1))]);
      const entries = await log.reader.read(0, 1_000);
      assert.deepEqual(
        entries.map((entry) => entry.index),
        entries.map((_, at) => at),
      );
      const frontier = Frontier.empty();
      for (const entry of entries) frontier.append(entry.leafHash);
      const tree = await db.withTables<AuditTables>().selectFrom('audit_tree').selectAll().executeTakeFirstOrThrow();
      assert.equal(tree.size, entries.length);
      assert.deepEqual(Frontier.fromBytes(tree.size, tree.frontier).root(), frontier.root());
    });

    test('another content under a stored sequence is a fork: refused, named, recorded', async () => {
      await using world = await setUp(open);
      const { log, device } = world;
      await exchange(log, device, [device.open(), batch(device.write(5))]);
      const genuine = device.records;
      device.records = genuine.slice(0, 2);
      const forged = device.write(4, { activity: 'allow' });
      assert.deepEqual(await exchange(log, device, [device.open(), batch(forged)]), [
        'opened 5',
        'refused 3 AUDIT_FORK',
      ]);
      assert.deepEqual(await exchange(log, device, [device.open(), batch(device.records.slice(5))]), [
        'opened 5',
        'refused 6 AUDIT_CHAIN_BROKEN',
      ]);
      const refusals = (await ownEvents(log)).filter((event) => event.activity === 'refuse');
      assert.deepEqual(
        refusals.map((event) => [event.severity, event.data['sequence'], event.data['code']]),
        [
          ['critical', 3, 'AUDIT_FORK'],
          ['critical', 6, 'AUDIT_CHAIN_BROKEN'],
        ],
      );
      assert.deepEqual(await stored(log, device), [1, 2, 3, 4, 5]);
    });

    test('a fork within one stream is found before its first part is committed', async () => {
      await using world = await setUp(open);
      const { log, device } = world;
      const genuine = device.write(6);
      device.records = genuine.slice(0, 2);
      const forged = device.write(2, { activity: 'allow' });
      assert.deepEqual(await exchange(log, device, [device.open(), batch(genuine), batch(forged)]), [
        'opened 0',
        'through 6',
        'refused 3 AUDIT_FORK',
      ]);
    });

    test('gaps, broken chains and malformed events are refused from the first bad record on', async () => {
      await using world = await setUp(open);
      const { log, device } = world;
      const records = device.write(6);
      assert.deepEqual(await exchange(log, device, [device.open(), batch(records.slice(1))]), [
        'opened 0',
        'refused 2 AUDIT_SEQUENCE_GAP',
      ]);
      assert.deepEqual(await exchange(log, device, [device.open(4)]), ['opened 0', 'refused 4 AUDIT_SEQUENCE_GAP']);
      const broken = records.map((record, at) => (at === 3 ? { ...record, chain: randomBytes(32) } : record));
      assert.deepEqual(await exchange(log, device, [device.open(), batch(broken)]), [
        'opened 0',
        'refused 4 AUDIT_CHAIN_BROKEN',
      ]);
      for (const payload of ['{', '{"kind":"authz"}', ` ${records[0]?.payload.toString()}`, 'a\u0000']) {
        const bad = { ...(records[0] as (typeof records)[0]), payload: Buffer.from(payload) };
        const answers = await exchange(log, device, [device.open(), batch([bad])]);
        assert.deepEqual(answers, ['opened 0', 'refused 1 AUDIT_EVENT_MALFORMED'], payload);
      }
      assert.deepEqual(await stored(log, device), []);
    });

    test('what breaks the protocol ends the stream with a code', async () => {
      await using world = await setUp(open);
      const { log, device } = world;
      const records = device.write(2);
      const rejects = (requests: Parameters<typeof exchange>[2], code: string): Promise<void> =>
        assert.rejects(exchange(log, device, requests), { code });
      await rejects([batch(records)], 'AUDIT_PROTOCOL');
      await rejects([device.open(), device.open()], 'AUDIT_PROTOCOL');
      await rejects([device.open(), batch([])], 'AUDIT_PROTOCOL');
      await rejects([device.open(), batch([...records].reverse())], 'AUDIT_PROTOCOL');
      const version = message({ case: 'open', value: { protocolVersion: 2, epoch: device.epoch } });
      await rejects([version], 'AUDIT_VERSION_UNSUPPORTED');
      await rejects(
        [message({ case: 'open', value: { protocolVersion: 1, epoch: Buffer.alloc(3) } })],
        'AUDIT_PROTOCOL',
      );
      const control = new TestDevice(controlDevice);
      await assert.rejects(exchange(log, control, [control.open()]), { code: 'AUDIT_DEVICE_RESERVED' });
    });

    test('more records than credited end the stream; what was credited is stored', async () => {
      await using world = await setUp(open);
      const { log, device } = world;
      const batches = Array.from({ length: deviceCreditRecords / 500 + 1 }, () => batch(device.write(500)));
      await assert.rejects(exchange(log, device, [device.open(), ...batches]), { code: 'AUDIT_CREDIT_EXCEEDED' });
      await log.idle();
      assert.equal(await log.reader.size(), deviceCreditRecords + 1);
    });

    test('epochs: the first is noted, a new one is high, an older one that comes back is critical, once', async () => {
      await using world = await setUp(open);
      const { log, device } = world;
      const old = device.epoch;
      await exchange(log, device, [device.open(), batch(device.write(2))]);
      device.epoch = randomBytes(16);
      device.records = [];
      await exchange(log, device, [device.open(), batch(device.write(1))]);
      const second = device.epoch;
      device.epoch = old;
      await exchange(log, device, [device.open()]);
      await exchange(log, device, [device.open()]);
      device.epoch = second;
      await exchange(log, device, [device.open()]);
      const events = await ownEvents(log);
      assert.deepEqual(
        events.map((event) => [event.activity, event.severity]),
        [
          ['epoch', 'info'],
          ['epoch', 'high'],
          ['clone', 'critical'],
        ],
      );
    });

    test('signed heads: kept when they fit, refused when signed by another key or for another chain', async () => {
      await using world = await setUp(open);
      const { log, db, device } = world;
      await exchange(log, device, [device.open(), batch(device.write(4)), await device.head()]);
      const heads = await db.withTables<AuditTables>().selectFrom('audit_heads').selectAll().execute();
      assert.deepEqual(
        heads.map((head) => head.sequence),
        [4],
      );
      const stranger = new TestDevice('stranger');
      stranger.epoch = device.epoch;
      stranger.records = device.records;
      await assert.rejects(exchange(log, device, [device.open(), await stranger.head()]), {
        code: 'AUDIT_HEAD_INVALID',
      });
      const lying = message({ case: 'head', value: { sequence: 3n, jws: heads[0]?.jws } });
      assert.deepEqual(await exchange(log, device, [device.open(), lying]), [
        'opened 4',
        'refused 3 AUDIT_HEAD_INVALID',
      ]);
      device.records = device.records.slice(0, 3);
      device.write(1, { activity: 'allow' });
      assert.deepEqual(await exchange(log, device, [device.open(), await device.head()]), [
        'opened 4',
        'refused 4 AUDIT_FORK',
      ]);
    });

    test('a head that was signed ahead binds what is delivered later, also on the next stream', async () => {
      await using world = await setUp(open);
      const { log, db, device } = world;
      const first = device.write(2);
      device.write(3);
      assert.deepEqual(await exchange(log, device, [device.open(), batch(first), await device.head(5)]), [
        'opened 0',
        'through 2',
      ]);
      const genuine = device.records;
      device.records = genuine.slice(0, 3);
      device.write(2, { activity: 'allow' });
      assert.deepEqual(await exchange(log, device, [device.open(), batch(device.records.slice(2))]), [
        'opened 2',
        'refused 5 AUDIT_FORK',
      ]);
      // Nor does a later head of the rewritten chain free it from the one before.
      device.write(1);
      await exchange(log, device, [device.open(), await device.head(6)]);
      assert.deepEqual(await exchange(log, device, [device.open(), batch(device.records.slice(2))]), [
        'opened 2',
        'refused 5 AUDIT_FORK',
      ]);
      await db.withTables<AuditTables>().deleteFrom('audit_heads').where('sequence', '=', 6).execute();
      device.records = genuine;
      assert.deepEqual(await exchange(log, device, [device.open(), batch(genuine.slice(2))]), [
        'opened 2',
        'through 5',
      ]);
    });

    test('two replicas, many devices, everything sent twice: dense indices, nothing twice', async () => {
      const url = await freshUrl();
      const left = await openDatabase(url);
      const right = await openDatabase(url);
      const logs = [await openLog(left), await openLog(right)];
      const devices = Array.from({ length: 8 }, (_, at) => new TestDevice(`d${at}`));
      for (const device of devices) device.write(60);
      const deliver = async (device: TestDevice, log: AuditLog): Promise<void> => {
        const batches = Array.from({ length: 12 }, (_, at) => batch(device.records.slice(at * 5, at * 5 + 5)));
        await exchange(log, device, [device.open(), ...batches]);
      };
      await Promise.all(devices.flatMap((device) => logs.map((log) => deliver(device, log))));
      const [log] = logs as [AuditLog];
      const entries = await log.reader.read(0, 10_000);
      assert.deepEqual(
        entries.map((entry) => entry.index),
        entries.map((_, at) => at),
      );
      for (const device of devices) {
        const sequences = entries
          .filter((entry) => entry.deviceId === device.delivering.deviceId)
          .map((entry) => entry.sequence);
        assert.deepEqual(
          sequences,
          device.records.map((_, at) => at + 1),
        );
      }
      const control = entries.filter((entry) => entry.deviceId === controlDevice);
      assert.equal(new Set(control.map((entry) => entry.epoch.toString('hex'))).size, 1);
      await Promise.all([left.close(), right.close()]);
    });

    test('the control plane’s own events form one chain that goes on after a restart', async () => {
      await using world = await setUp(open);
      const { log, db } = world;
      await Promise.all([1, 2, 3].map((n) => log.emit({ kind: 'admin', activity: 'issue', data: { count: n } })));
      const again = await openLog(db);
      await again.emit({ kind: 'admin', activity: 'issue', data: { count: 4 } });
      const entries = await again.reader.query({ deviceId: controlDevice });
      assert.deepEqual(
        entries.map((entry) => entry.sequence),
        [1, 2, 3, 4],
      );
      for (const [at, entry] of entries.entries()) {
        const before = entries[at - 1];
        if (before !== undefined) assert.deepEqual(chainNext(before.chain, entry.sequence, entry.payload), entry.chain);
      }
    });

    test('a database that fails rejects the stream; what is sent again is stored once', async () => {
      await using world = await setUp(open);
      const { log, db, device } = world;
      const records = device.write(3);
      await exchange(log, device, [device.open(), batch(records)]);
      await db.withTables<AuditTables>().deleteFrom('audit_tree').execute();
      const more = device.write(2);
      await assert.rejects(exchange(log, device, [device.open(), batch(more)]), { code: 'AUDIT_STORE_INCONSISTENT' });
      await db.withTables<AuditTables>().selectFrom('audit_log').select('log_index').execute();
      assert.deepEqual(await stored(log, device), [1, 2, 3]);
    });
  });

  async function setUp(openDb: () => Promise<Database>): Promise<World> {
    const db = await openDb();
    const log = await openLog(db);
    return { db, log, device: new TestDevice('gw'), [Symbol.asyncDispose]: () => db.close() };
  }
});

interface World extends AsyncDisposable {
  readonly db: Database;
  readonly log: AuditLog;
  readonly device: TestDevice;
}
