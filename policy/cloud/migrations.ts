// Tables of published policy; tables.ts says what the columns mean.
import { binary } from '../../store/database.ts';
import type { Migration } from '../../store/migrations.ts';

export const policyMigrations: readonly Migration[] = [
  {
    id: 1,
    name: 'versions, chunks, releases, manifests, acknowledgements',
    up: async (db) => {
      await db.schema
        .createTable('policy_versions')
        .addColumn('trust_domain', 'text', (column) => column.notNull().primaryKey())
        .addColumn('last_version', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('policy_chunks')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('content', binary(db), (column) => column.notNull())
        .addColumn('size', 'bigint', (column) => column.notNull())
        .addColumn('uploaded_at', 'bigint', (column) => column.notNull())
        .addColumn('last_version', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('policy_chunks_key', ['trust_domain', 'digest'])
        .execute();
      await db.schema
        .createTable('policy_releases')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('version', 'bigint', (column) => column.notNull())
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('release_jws', 'text', (column) => column.notNull())
        .addColumn('commit_id', 'text', (column) => column.notNull())
        .addColumn('author', 'text', (column) => column.notNull())
        .addColumn('publisher_key_id', 'text', (column) => column.notNull())
        .addColumn('published_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('policy_releases_key', ['trust_domain', 'version'])
        .execute();
      await db.schema
        .createTable('policy_manifests')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('version', 'bigint', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('manifest_jws', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('policy_manifests_key', ['trust_domain', 'version', 'device_id'])
        .execute();
      await db.schema
        .createTable('policy_acknowledgements')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('enforced_version', 'bigint', (column) => column.notNull())
        .addColumn('enforced_digest', 'text', (column) => column.notNull())
        .addColumn('acknowledged_at', 'bigint', (column) => column.notNull())
        .addColumn('self_test_vectors', 'bigint', (column) => column.notNull())
        .addColumn('self_test_passed', 'bigint', (column) => column.notNull())
        .addColumn('nack_code', 'text', (column) => column.notNull())
        .addColumn('nack_message', 'text', (column) => column.notNull())
        .addColumn('nack_version', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('policy_acknowledgements_key', ['trust_domain', 'device_id'])
        .execute();
    },
  },
];
