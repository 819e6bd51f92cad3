// A database that is gone, full, locked or damaged: a coded error each time, and life goes on when it is back.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sql } from 'kysely';
import { FakeClock } from '../runtime/fake-clock.ts';
import { requires } from '../test/support/capabilities.ts';
import { startPostgres } from '../test/support/postgres-server.ts';
import { openDatabase } from './database.ts';

const folder = await mkdtemp(join(tmpdir(), 'edgeward-loss-'));
after(() => rm(folder, { recursive: true, force: true }));

interface Tables {
  t: { a: number };
}

test('PostgreSQL: gone while idle and within a transaction, then back, with the same handle', async (t) => {
  if (!requires(t, 'postgres')) return;
  const server = await startPostgres();
  const db = await openDatabase(server.url('postgres'));
  await db.kysely.schema.createTable('t').addColumn('a', 'bigint').execute();
  const items = db.withTables<Tables>();
  const inside = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  const interrupted = db.transaction<Tables, void>(async (trx) => {
    await trx.insertInto('t').values({ a: 1 }).execute();
    inside.resolve();
    await stopped.promise;
    await trx.insertInto('t').values({ a: 2 }).execute();
  });
  await inside.promise;
  // A second connection, idle when the server goes.
  await items.selectFrom('t').selectAll().execute();
  await server.stop();
  stopped.resolve();
  await assert.rejects(interrupted, { code: 'DATABASE_UNAVAILABLE', status: 'UNAVAILABLE' });
  await assert.rejects(items.selectFrom('t').selectAll().execute(), { code: 'DATABASE_UNAVAILABLE' });
  await assert.rejects(openDatabase(server.url('postgres')), { code: 'DATABASE_UNAVAILABLE' });
  await server.start();
  assert.deepEqual(await items.selectFrom('t').selectAll().execute(), [], 'the interrupted transaction left nothing');
  await db.transaction<Tables, void>(async (trx) => void (await trx.insertInto('t').values({ a: 3 }).execute()));
  assert.deepEqual(await items.selectFrom('t').selectAll().execute(), [{ a: 3 }]);
  await db.close();
  await server.stop();
});

test('PostgreSQL: a server that is not there, and an address that says nothing of its password', async () => {
  await assert.rejects(
    openDatabase('postgres://edgeward:hunter2@127.0.0.1:1/db'),
    (error: Error & { code: string }) => {
      assert.equal(error.code, 'DATABASE_UNAVAILABLE');
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    },
  );
  for (const url of [
    'postgres://edgeward:hunter2@[::1/db',
    'mysql://x',
    'file.db',
    'sqlite:',
    'sqlite://host/file.db',
  ]) {
    await assert.rejects(openDatabase(url), (error: Error & { code: string }) => {
      assert.equal(error.code, 'DATABASE_URL_INVALID', url);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  }
});

test('SQLite: a folder that is not there, a file that is no database', async () => {
  await assert.rejects(openDatabase(`sqlite://${folder}/none/x.db`), { code: 'DATABASE_UNAVAILABLE' });
  const path = join(folder, 'noise.db');
  await writeFile(path, 'this is not a database file, it only looks long enough to be one'.repeat(20));
  await assert.rejects(openDatabase(`sqlite://${path}`), { code: 'DATABASE_CORRUPT' });
});

test('SQLite: a full disk is said, the transaction leaves nothing, and writing works again when there is room', async () => {
  const db = await openDatabase(`sqlite://${folder}/full.db`);
  await db.kysely.schema.createTable('t').addColumn('a', 'text').execute();
  await sql`pragma max_page_count = 4`.execute(db.kysely);
  const items = db.withTables<{ t: { a: string } }>();
  const fill = () =>
    db.transaction<{ t: { a: string } }, void>(async (trx) => {
      for (let i = 0; i < 50; i++)
        await trx
          .insertInto('t')
          .values({ a: 'x'.repeat(1000) })
          .execute();
    });
  await assert.rejects(fill(), { code: 'DATABASE_FULL', status: 'RESOURCE_EXHAUSTED' });
  assert.deepEqual(await items.selectFrom('t').selectAll().execute(), []);
  await sql`pragma max_page_count = 100000`.execute(db.kysely);
  await fill();
  assert.equal((await items.selectFrom('t').selectAll().execute()).length, 50);
  await db.close();
});

test('SQLite: another process that holds the file is waited for, without blocking, and not for ever', async () => {
  const url = `sqlite://${folder}/shared.db`;
  const holder = await openDatabase(url);
  await holder.kysely.schema.createTable('t').addColumn('a', 'bigint').execute();
  const held = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const holding = holder.transaction<Tables, void>(async (trx) => {
    await trx.insertInto('t').values({ a: 1 }).execute();
    held.resolve();
    await release.promise;
  });
  await held.promise;
  const clock = new FakeClock();
  const waiter = await openDatabase(url, { clock });
  const impatient = waiter.transaction<Tables, void>(
    async (trx) => void (await trx.insertInto('t').values({ a: 2 }).execute()),
  );
  const refused = assert.rejects(impatient, { code: 'DATABASE_BUSY' });
  await clock.advance(60_000);
  await refused;
  const patient = waiter.withTables<Tables>().insertInto('t').values({ a: 3 }).execute();
  await clock.advance(1000);
  release.resolve();
  await holding;
  await clock.advance(1000);
  await patient;
  const rows = await holder.withTables<Tables>().selectFrom('t').select('a').orderBy('a').execute();
  assert.deepEqual(rows, [{ a: 1 }, { a: 3 }]);
  await Promise.all([holder.close(), waiter.close()]);
});

test('SQLite: commits are durable, the journal is a write-ahead log, and the files are private', async () => {
  const db = await openDatabase(`sqlite://${folder}/pragma.db`);
  const pragma = async (name: string): Promise<unknown> =>
    Object.values((await sql<Record<string, unknown>>`pragma ${sql.raw(name)}`.execute(db.kysely)).rows[0] ?? {})[0];
  assert.deepEqual(await Promise.all(['journal_mode', 'synchronous', 'foreign_keys'].map(pragma)), ['wal', 2, 1]);
  await db.kysely.schema.createTable('t').addColumn('a', 'text').execute();
  for (const name of ['pragma.db', 'pragma.db-wal'])
    assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  await db.close();
});

test('SQLite: a closed database says so', async () => {
  const db = await openDatabase('sqlite::memory:');
  await db.close();
  await assert.rejects(sql`select 1`.execute(db.kysely));
});
