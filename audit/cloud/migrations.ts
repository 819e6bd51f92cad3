// Tables of the cloud's log. Everything is keyed by trust domain; bytes are stored as they came.
import type { Kysely } from 'kysely';
import type { Migration } from '../../store/migrations.ts';
import { binary } from '../../store/database.ts';

export interface AuditTables {
  audit_tree: {
    trust_domain: string;
    /** Entries in the log; the next index. Its row lock is what allots indices. */
    size: number;
    /** Frontier of the Merkle tree (log/merkle.ts). */
    frontier: Buffer;
  };
  audit_log: {
    trust_domain: string;
    /** Dense from 0. */
    log_index: number;
    device_id: string;
    /** Hex. */
    epoch: string;
    sequence: number;
    kind: string;
    received_at: number;
    payload: Buffer;
    chain: Buffer;
    leaf_hash: Buffer;
  };
  audit_cursors: {
    trust_domain: string;
    device_id: string;
    epoch: string;
    /** Everything up to here is stored; its chain value. */
    sequence: number;
    chain: Buffer;
    /** 1 for the first epoch of a device, 2 for the next. */
    generation: number;
    opened_at: number;
    /** 1 once it was opened again after a younger epoch. */
    revived: number;
  };
  audit_heads: {
    trust_domain: string;
    device_id: string;
    epoch: string;
    sequence: number;
    chain: Buffer;
    jws: string;
    /** DER of the device's certificate and of its intermediates, one behind the other. */
    certificates: Buffer;
    received_at: number;
  };
  audit_checkpoints: {
    trust_domain: string;
    size: number;
    note: string;
    signed_at: number;
  };
}

export const auditMigrations: readonly Migration[] = [
  {
    id: 1,
    name: 'log, cursors, heads, checkpoints',
    up: async (db) => {
      await createLog(db);
      await createChains(db);
    },
  },
];

async function createLog(db: Kysely<Record<string, never>>): Promise<void> {
  const bytes = binary(db);
  await db.schema
    .createTable('audit_tree')
    .addColumn('trust_domain', 'text', (column) => column.primaryKey())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('frontier', bytes, (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('audit_log')
    .addColumn('trust_domain', 'text', (column) => column.notNull())
    .addColumn('log_index', 'bigint', (column) => column.notNull())
    .addColumn('device_id', 'text', (column) => column.notNull())
    .addColumn('epoch', 'text', (column) => column.notNull())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('received_at', 'bigint', (column) => column.notNull())
    .addColumn('payload', bytes, (column) => column.notNull())
    .addColumn('chain', bytes, (column) => column.notNull())
    .addColumn('leaf_hash', bytes, (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_log_key', ['trust_domain', 'log_index'])
    .addUniqueConstraint('audit_log_once', ['trust_domain', 'device_id', 'epoch', 'sequence'])
    .execute();
  await db.schema
    .createIndex('audit_log_by_device')
    .on('audit_log')
    .columns(['trust_domain', 'device_id', 'log_index'])
    .execute();
  await db.schema
    .createIndex('audit_log_by_kind')
    .on('audit_log')
    .columns(['trust_domain', 'kind', 'log_index'])
    .execute();
}

async function createChains(db: Kysely<Record<string, never>>): Promise<void> {
  const bytes = binary(db);
  await db.schema
    .createTable('audit_cursors')
    .addColumn('trust_domain', 'text', (column) => column.notNull())
    .addColumn('device_id', 'text', (column) => column.notNull())
    .addColumn('epoch', 'text', (column) => column.notNull())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('chain', bytes, (column) => column.notNull())
    .addColumn('generation', 'bigint', (column) => column.notNull())
    .addColumn('opened_at', 'bigint', (column) => column.notNull())
    .addColumn('revived', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_cursors_key', ['trust_domain', 'device_id', 'epoch'])
    .execute();
  await db.schema
    .createTable('audit_heads')
    .addColumn('trust_domain', 'text', (column) => column.notNull())
    .addColumn('device_id', 'text', (column) => column.notNull())
    .addColumn('epoch', 'text', (column) => column.notNull())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('chain', bytes, (column) => column.notNull())
    .addColumn('jws', 'text', (column) => column.notNull())
    .addColumn('certificates', bytes, (column) => column.notNull())
    .addColumn('received_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_heads_key', ['trust_domain', 'device_id', 'epoch', 'sequence'])
    .execute();
  await db.schema
    .createTable('audit_checkpoints')
    .addColumn('trust_domain', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('note', 'text', (column) => column.notNull())
    .addColumn('signed_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_checkpoints_key', ['trust_domain', 'size'])
    .execute();
}
