// One suite for both databases: values, transactions, conflicts, errors.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql, type Kysely } from 'kysely';
import { forEachDatabase } from '../test/support/databases.ts';
import { CodedError } from '../runtime/errors.ts';
import { binary, openDatabase, type Database } from './database.ts';
import { isUniqueViolation } from './database-errors.ts';

interface Tables {
  item: { id: string; number: number | null; bytes: Uint8Array | null };
}

async function withItems(open: () => Promise<Database>): Promise<{ db: Database; items: Kysely<Tables> }> {
  const db = await open();
  await db.kysely.schema
    .createTable('item')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('number', 'bigint')
    .addColumn('bytes', binary(db))
    .execute();
  return { db, items: db.withTables<Tables>() };
}

const code = (expected: string) => (error: unknown) => error instanceof CodedError && error.code === expected;

forEachDatabase((name, open, freshUrl) => {
  describe(`database on ${name}`, () => {
    test('values come back with the same types', async () => {
      const { db, items } = await withItems(open);
      const row = { id: 'ä🦊', number: Date.UTC(2026, 0, 1), bytes: new Uint8Array([0, 1, 255]) };
      await items
        .insertInto('item')
        .values([row, { id: 'b', number: -1, bytes: null }])
        .execute();
      assert.deepEqual(await items.selectFrom('item').selectAll().orderBy('number').execute(), [
        { id: 'b', number: -1, bytes: null },
        { ...row, bytes: Buffer.from([0, 1, 255]) },
      ]);
      const counted = await items
        .selectFrom('item')
        .select(({ fn }) => [fn.countAll().as('n'), fn.sum('number').as('s')])
        .executeTakeFirstOrThrow();
      assert.deepEqual(counted, { n: 2, s: row.number - 1 });
      await db.close();
    });

    test('affected rows are counted', async () => {
      const { db, items } = await withItems(open);
      await items
        .insertInto('item')
        .values([
          { id: 'a', number: 1, bytes: null },
          { id: 'b', number: 1, bytes: null },
        ])
        .execute();
      const result = await items
        .updateTable('item')
        .set({ number: 2 })
        .where('number', '=', 1)
        .executeTakeFirstOrThrow();
      assert.equal(result.numUpdatedRows, 2n);
      await db.close();
    });

    test('an integer that JavaScript cannot hold is refused, not rounded', async () => {
      const { db, items } = await withItems(open);
      await sql`insert into item (id, number) values ('a', 9007199254740993)`.execute(items);
      await assert.rejects(items.selectFrom('item').selectAll().execute());
      await db.close();
    });

    test('a failed transaction leaves nothing', async () => {
      const { db, items } = await withItems(open);
      await assert.rejects(
        db.transaction<Tables, void>(async (trx) => {
          await trx.insertInto('item').values({ id: 'a', number: 1, bytes: null }).execute();
          throw new Error('no');
        }),
        /no/,
      );
      assert.deepEqual(await items.selectFrom('item').selectAll().execute(), []);
      await db.close();
    });

    test('a query beside a running transaction is not part of it', async () => {
      const { db, items } = await withItems(open);
      const inside = Promise.withResolvers<void>();
      const go = Promise.withResolvers<void>();
      const failing = db.transaction<Tables, void>(async (trx) => {
        await trx.insertInto('item').values({ id: 'in', number: 1, bytes: null }).execute();
        inside.resolve();
        await go.promise;
        throw new Error('rolled back');
      });
      await inside.promise;
      const beside = items.insertInto('item').values({ id: 'beside', number: 1, bytes: null }).execute();
      go.resolve();
      await assert.rejects(failing, /rolled back/);
      await beside;
      assert.deepEqual(await items.selectFrom('item').select('id').execute(), [{ id: 'beside' }]);
      await db.close();
    });

    test('the outer handle inside a transaction is refused, and works again after it', async () => {
      const { db, items } = await withItems(open);
      await assert.rejects(
        db.transaction(async () => items.selectFrom('item').selectAll().execute()),
        code('DATABASE_MISUSED'),
      );
      let later: Promise<unknown> | undefined;
      const gate = Promise.withResolvers<void>();
      await db.transaction(async () => {
        later = gate.promise.then(() => items.selectFrom('item').selectAll().execute());
      });
      gate.resolve();
      assert.deepEqual(await later, []);
      await db.close();
    });

    test('200 concurrent read-then-write transactions on one row lose no update', async () => {
      const { db, items } = await withItems(open);
      await items.insertInto('item').values({ id: 'a', number: 0, bytes: null }).execute();
      const claims = await Promise.all(
        Array.from({ length: 200 }, () =>
          db.transaction<Tables, boolean>(async (trx) => {
            const row = await trx.selectFrom('item').select('number').where('id', '=', 'a').executeTakeFirstOrThrow();
            if (row.number !== 0) return false;
            await trx.updateTable('item').set({ number: 1 }).where('id', '=', 'a').execute();
            return true;
          }),
        ),
      );
      assert.equal(claims.filter(Boolean).length, 1);
      await db.close();
    });

    test('two processes that read and then write the same row lose no update', async () => {
      const url = await freshUrl();
      const { db, items } = await withItems(() => openDatabase(url));
      const other = await openDatabase(url);
      await items.insertInto('item').values({ id: 'a', number: 0, bytes: null }).execute();
      const increment = (through: Database) =>
        through.transaction<Tables, void>(async (trx) => {
          const row = await trx.selectFrom('item').select('number').where('id', '=', 'a').executeTakeFirstOrThrow();
          // Gives the other process time to do the same.
          await new Promise((resolve) => setTimeout(resolve, 1));
          await trx
            .updateTable('item')
            .set({ number: (row.number ?? 0) + 1 })
            .where('id', '=', 'a')
            .execute();
        });
      await Promise.all(Array.from({ length: 20 }, (_, i) => increment(i % 2 === 0 ? db : other)));
      assert.equal((await items.selectFrom('item').select('number').executeTakeFirst())?.number, 20);
      await Promise.all([db.close(), other.close()]);
    });

    test('a second row with the same key is told apart', async () => {
      const { db, items } = await withItems(open);
      const insert = () => items.insertInto('item').values({ id: 'a', number: 1, bytes: null }).execute();
      await insert();
      await assert.rejects(insert, isUniqueViolation);
      await db.close();
    });
  });
});
