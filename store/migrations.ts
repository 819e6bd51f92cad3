// Forward-only migrations by room, all or nothing, safe when several processes start at once.
import { sql, type Kysely } from 'kysely';
import type { Database } from './database.ts';
import { storeErrors } from './errors.ts';

export interface Migration {
  /** 1, 2, 3 … within the room. */
  readonly id: number;
  readonly name: string;
  // A migration sees tables that no longer have today's types.
  readonly up: (db: Kysely<Record<string, never>>) => Promise<void>;
}

interface Tables {
  edgeward_migrations: { room: string; id: number; name: string };
}

/** Any constant; taken while migrations run, so that a second process waits. */
const advisoryLock = 0x65_77_6d_67;

export async function migrate(db: Database, room: string, migrations: readonly Migration[]): Promise<void> {
  migrations.forEach((migration, index) => {
    if (migration.id !== index + 1)
      throw new Error(`migrations of ${room}: expected id ${index + 1}, found ${migration.id}`);
  });
  // Read committed, because a serializable snapshot would be taken before the wait for the lock.
  await db.transaction<Tables, void>(
    async (trx) => {
      if (db.dialect === 'postgres') await sql`select pg_advisory_xact_lock(${advisoryLock})`.execute(trx);
      await trx.schema
        .createTable('edgeward_migrations')
        .ifNotExists()
        .addColumn('room', 'text', (column) => column.notNull())
        .addColumn('id', 'bigint', (column) => column.notNull())
        .addColumn('name', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('edgeward_migrations_key', ['room', 'id'])
        .execute();
      const applied = await trx
        .selectFrom('edgeward_migrations')
        .select(['id', 'name'])
        .where('room', '=', room)
        .orderBy('id')
        .execute();
      refuseForeign(room, applied, migrations);
      for (const migration of migrations.slice(applied.length)) {
        await migration.up(trx as unknown as Kysely<Record<string, never>>);
        await trx.insertInto('edgeward_migrations').values({ room, id: migration.id, name: migration.name }).execute();
      }
    },
    { isolation: 'read committed' },
  );
}

function refuseForeign(
  room: string,
  applied: readonly { id: number; name: string }[],
  migrations: readonly Migration[],
): void {
  applied.forEach((row, index) => {
    const known = migrations[index];
    if (known === undefined || known.id !== row.id || known.name !== row.name) {
      const expected = known === undefined ? 'nothing' : `${known.id} ${known.name}`;
      throw storeErrors.error(
        'DATABASE_NEWER',
        `the database has migration ${room} ${row.id} ${row.name}; this program knows ${expected} there`,
      );
    }
  });
}
