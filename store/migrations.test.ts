import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { forEachDatabase } from '../test/support/databases.ts';
import { openDatabase, type Database } from './database.ts';
import { migrate, type Migration } from './migrations.ts';

const createTable = (id: number, name: string): Migration => ({
  id,
  name,
  up: async (db) => {
    await db.schema.createTable(name).addColumn('a', 'text').execute();
  },
});

async function tables(db: Database): Promise<string[]> {
  return (await db.kysely.introspection.getTables())
    .map(({ name }) => name)
    .filter((name) => name !== 'edgeward_migrations')
    .sort();
}

forEachDatabase((name, open, freshUrl) => {
  describe(`migrations on ${name}`, () => {
    test('each runs once, rooms are apart, later ones are added', async () => {
      const db = await open();
      await migrate(db, 'ca', [createTable(1, 'certificate')]);
      await migrate(db, 'audit', [createTable(1, 'event')]);
      await migrate(db, 'ca', [createTable(1, 'certificate'), createTable(2, 'token')]);
      assert.deepEqual(await tables(db), ['certificate', 'event', 'token']);
      await db.close();
    });

    test('a migration that fails leaves nothing of itself nor of those before it in the same run', async () => {
      const db = await open();
      const failing: Migration = {
        id: 2,
        name: 'bad',
        up: async (trx) => {
          await trx.schema.createTable('half').addColumn('a', 'text').execute();
          await sql`select from nowhere at all`.execute(trx);
        },
      };
      await assert.rejects(migrate(db, 'ca', [createTable(1, 'certificate'), failing]));
      assert.deepEqual(await tables(db), []);
      await migrate(db, 'ca', [createTable(1, 'certificate')]);
      await db.close();
    });

    test('processes that start at once migrate once', async () => {
      const url = await freshUrl();
      const databases = await Promise.all(Array.from({ length: 5 }, () => openDatabase(url)));
      await Promise.all(
        databases.map((db) => migrate(db, 'ca', [createTable(1, 'certificate'), createTable(2, 'token')])),
      );
      for (const db of databases) assert.deepEqual(await tables(db), ['certificate', 'token']);
      await Promise.all(databases.map((db) => db.close()));
    });

    test('a database that is newer than the program, or of another history, is refused', async () => {
      const db = await open();
      await migrate(db, 'ca', [createTable(1, 'certificate'), createTable(2, 'token')]);
      await assert.rejects(migrate(db, 'ca', [createTable(1, 'certificate')]), {
        code: 'DATABASE_NEWER',
        message: /ca 2 token/,
      });
      await assert.rejects(migrate(db, 'ca', [createTable(1, 'other'), createTable(2, 'token')]), {
        code: 'DATABASE_NEWER',
      });
      await db.close();
    });

    test('ids that are not 1, 2, 3 are a fault of the program', async () => {
      const db = await open();
      await assert.rejects(migrate(db, 'ca', [createTable(2, 'certificate')]), /expected id 1, found 2/);
      await db.close();
    });
  });
});
