import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { parseVerifierKey, verifyCheckpoint } from '../../identity/index.ts';
import {
  GetCheckpointRequestSchema,
  QueryEventsRequestSchema,
  TailEventsRequestSchema,
} from '../../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { batch, exchange, openLog, TestDevice, verifierKey } from '../../test/audit/devices.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import type { AuditTables } from './migrations.ts';

const sequences = (entries: readonly { readonly sequence: number }[]): number[] => entries.map((one) => one.sequence);

forEachDatabase((name, open) => {
  suite(`reading the log on ${name}`, () => {
    test('filters by device, kind or OCSF class, time and index, in log order', async () => {
      const db = await open();
      const clock = new FakeClock(1_000);
      const log = await openLog(db, clock);
      const [gw, plc] = [new TestDevice('gw'), new TestDevice('plc')];
      await exchange(log, gw, [
        gw.open(),
        batch(gw.write(3)),
        batch(gw.write(2, { kind: 'packet', activity: 'drop' })),
      ]);
      clock.set(2_000);
      await exchange(log, plc, [plc.open(), batch(plc.write(2, { kind: 'modbus' }))]);
      const { reader } = log;
      assert.deepEqual(sequences(await reader.query({ deviceId: 'gw' })), [1, 2, 3, 4, 5]);
      assert.deepEqual(sequences(await reader.query({ kind: 'packet' })), [4, 5]);
      assert.deepEqual(sequences(await reader.query({ kind: 'API Activity' })), [1, 2, 3, 1, 2]);
      assert.deepEqual(sequences(await reader.query({ kind: '4001', deviceId: 'plc' })), []);
      assert.deepEqual(sequences(await reader.query({ deviceId: 'plc', sinceMs: 2_000 })), [1, 2]);
      assert.deepEqual(sequences(await reader.query({ deviceId: 'gw', sinceMs: 2_000 })), []);
      const [first] = await reader.query({ deviceId: 'gw', limit: 1 });
      assert.deepEqual(
        sequences(await reader.query({ deviceId: 'gw', afterIndex: first?.index ?? 0, limit: 2 })),
        [2, 3],
      );
      await assert.rejects(reader.query({ kind: 'nonsense' }), { code: 'AUDIT_QUERY_INVALID' });
      await assert.rejects(reader.query({ limit: 1_001 }), { code: 'AUDIT_QUERY_INVALID' });
      await assert.rejects(reader.query({ afterIndex: -1 }), { code: 'AUDIT_QUERY_INVALID' });
      const { entries } = await log.handlers.queryEvents(create(QueryEventsRequestSchema, { deviceId: 'plc' }));
      assert.deepEqual(
        entries.map((entry) => [entry.deviceId, entry.sequence, entry.receivedAtMs]),
        [
          ['plc', 1n, 2_000n],
          ['plc', 2n, 2_000n],
        ],
      );
      await db.close();
    });

    test('a tail gives what is stored from now on, also by another replica, and ends with its signal', async () => {
      const db = await open();
      const log = await openLog(db);
      const other = await openLog(db);
      const device = new TestDevice('gw');
      await exchange(log, device, [device.open(), batch(device.write(2))]);
      const stop = new AbortController();
      const seen: bigint[] = [];
      const request = create(TailEventsRequestSchema, { deviceId: 'gw', kind: 'authz' });
      const reading = (async (): Promise<void> => {
        for await (const { entry } of log.handlers.tailEvents(request, { signal: stop.signal })) {
          seen.push(entry?.sequence ?? 0n);
          if (seen.length === 5) stop.abort();
        }
      })();
      await systemClock.sleep(50);
      await exchange(log, device, [device.open(), batch(device.write(2))]);
      await exchange(other, device, [
        device.open(),
        batch(device.write(1, { kind: 'packet' })),
        batch(device.write(3)),
      ]);
      await reading;
      assert.deepEqual(seen, [3n, 4n, 6n, 7n, 8n]);
      await db.close();
    });

    test('checkpoints: signed on growth alone, at most once a second, the same from every replica', async () => {
      const db = await open();
      const clock = new FakeClock();
      const [left, right] = [await openLog(db, clock), await openLog(db, clock)];
      const get = async (log: typeof left): Promise<string> => {
        const answer = await log.handlers.getCheckpoint(create(GetCheckpointRequestSchema));
        assert.equal(answer.verifierKey, verifierKey);
        return answer.checkpoint;
      };
      const size = (note: string): number => verifyCheckpoint(note, parseVerifierKey(verifierKey)).size;
      const empty = await get(left);
      assert.equal(size(empty), 0);
      await left.emit({ kind: 'admin', activity: 'issue', data: {} });
      assert.equal(await get(left), empty);
      await clock.advance(1_000);
      const one = await get(left);
      assert.equal(size(one), 1);
      assert.equal(await get(right), one);
      await clock.advance(5_000);
      assert.equal(await get(left), one);
      const rows = await db.withTables<AuditTables>().selectFrom('audit_checkpoints').select('size').execute();
      assert.deepEqual(
        rows.map((row) => row.size).sort((left, right) => left - right),
        [0, 1],
      );
      await db.close();
    });

    test('a log that became shorter is never signed', async () => {
      const db = await open();
      const clock = new FakeClock();
      const log = await openLog(db, clock);
      await log.emit({ kind: 'admin', activity: 'issue', data: {} });
      await log.checkpoints.current();
      await clock.advance(1_000);
      await db
        .withTables<AuditTables>()
        .updateTable('audit_tree')
        .set({ size: 0, frontier: Buffer.alloc(0) })
        .execute();
      await assert.rejects(log.checkpoints.current(), { code: 'AUDIT_STORE_INCONSISTENT' });
      await db.close();
    });

    test('listeners hear of each entry once, in log order, and a failing one harms nobody', async () => {
      const db = await open();
      const log = await openLog(db);
      const heard: number[] = [];
      log.onStored(() => {
        throw new Error('a listener that fails');
      });
      const unsubscribe = log.onStored((entries) => heard.push(...entries.map((entry) => entry.index)));
      await Promise.all(Array.from({ length: 20 }, () => log.emit({ kind: 'admin', activity: 'issue', data: {} })));
      unsubscribe();
      await log.emit({ kind: 'admin', activity: 'issue', data: {} });
      assert.deepEqual(
        heard,
        Array.from({ length: 20 }, (_, at) => at),
      );
      assert.equal(await log.reader.size(), 21);
      await db.close();
    });
  });
});
