// Tables of the authority. Every row is keyed by trust domain; see tables.ts for what the columns mean.
import { sql } from 'kysely';
import { binary } from '../../store/database.ts';
import type { Migration } from '../../store/migrations.ts';

export const caMigrations: readonly Migration[] = [
  {
    id: 1,
    name: 'tokens, certificates, operators, publishers',
    up: async (db) => {
      await db.schema
        .createTable('ca_tokens')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('token_id', 'text', (column) => column.notNull())
        .addColumn('secret_hash', 'text', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('created_at', 'bigint', (column) => column.notNull())
        .addColumn('created_by', 'text', (column) => column.notNull())
        .addColumn('expires_at', 'bigint', (column) => column.notNull())
        .addColumn('reimage', 'integer', (column) => column.notNull())
        .addColumn('used_key_hash', 'text')
        .addColumn('used_at', 'bigint')
        .addColumn('revoked_at', 'bigint')
        .addColumn('serial', 'text')
        .addColumn('announced_at', 'bigint')
        .addPrimaryKeyConstraint('ca_tokens_key', ['trust_domain', 'token_id'])
        .execute();
      await db.schema
        .createIndex('ca_tokens_by_device')
        .on('ca_tokens')
        .columns(['trust_domain', 'device_id'])
        .execute();
      await db.schema
        .createTable('ca_certificates')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('serial', 'text', (column) => column.notNull())
        .addColumn('subject', 'text', (column) => column.notNull())
        .addColumn('key_hash', 'text', (column) => column.notNull())
        .addColumn('not_before', 'bigint', (column) => column.notNull())
        .addColumn('not_after', 'bigint', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('tbs', binary(db))
        .addColumn('der', binary(db))
        .addColumn('replaces', 'text')
        .addColumn('reserved_at', 'bigint', (column) => column.notNull())
        .addColumn('issued_at', 'bigint')
        .addColumn('revoked_at', 'bigint')
        .addColumn('reason', 'text')
        .addPrimaryKeyConstraint('ca_certificates_key', ['trust_domain', 'serial'])
        .execute();
      await db.schema
        .createIndex('ca_certificates_by_subject')
        .on('ca_certificates')
        .columns(['trust_domain', 'subject', 'not_after'])
        .execute();
      await db.schema
        .createIndex('ca_certificates_by_key')
        .on('ca_certificates')
        .columns(['trust_domain', 'key_hash'])
        .execute();
      // Partial: the list of revocations is read every few seconds and is short beside the inventory.
      await sql`create index ca_certificates_revoked on ca_certificates (trust_domain, not_after) where revoked_at is not null`.execute(
        db,
      );
      await sql`create index ca_certificates_reserved on ca_certificates (trust_domain) where state = 'reserved'`.execute(
        db,
      );
      await sql`create index ca_tokens_unannounced on ca_tokens (trust_domain) where used_at is not null and announced_at is null`.execute(
        db,
      );
      await createSmallTables(db);
    },
  },
];

async function createSmallTables(db: Parameters<Migration['up']>[0]): Promise<void> {
  await db.schema
    .createTable('ca_subjects')
    .addColumn('trust_domain', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('ca_subjects_key', ['trust_domain', 'subject'])
    .execute();
  await db.schema
    .createTable('ca_keys')
    .addColumn('trust_domain', 'text', (column) => column.notNull())
    .addColumn('key_hash', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('ca_keys_key', ['trust_domain', 'key_hash'])
    .execute();
  await db.schema
    .createTable('ca_operators')
    .addColumn('trust_domain', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('roles', 'text', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_by', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('ca_operators_key', ['trust_domain', 'name'])
    .execute();
  await db.schema
    .createTable('ca_publishers')
    .addColumn('trust_domain', 'text', (column) => column.notNull())
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('jwk', 'text', (column) => column.notNull())
    .addColumn('added_at', 'bigint', (column) => column.notNull())
    .addColumn('added_by', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('ca_publishers_key', ['trust_domain', 'key_id'])
    .execute();
  await db.schema
    .createTable('ca_versions')
    .addColumn('trust_domain', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('version', 'bigint', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('ca_versions_key', ['trust_domain', 'name'])
    .execute();
}
