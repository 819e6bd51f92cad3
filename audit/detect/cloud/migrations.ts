// Tables of detection: findings and how far the log has been judged. Keyed by trust domain.
import type { Migration } from '../../../store/migrations.ts';

export interface DetectTables {
  detect_findings: {
    trust_domain: string;
    id: string;
    rule_id: string;
    title: string;
    level: string;
    device_id: string;
    reporter: string;
    first_event_at: number;
    last_event_at: number;
    /** Log index of the newest event counted; what is at or below it was judged before. */
    last_index: number;
    found_at: number;
    updated_at: number;
    /** open or closed */
    state: string;
    /** What has not been handed on yet: new, grown or none. */
    pending: string;
    closed_why: string;
    count: number;
    retro: number;
    attributed: number;
    /** JSON list of log indices. */
    evidence: string;
    /** JSON list of tags. */
    tags: string;
  };
  detect_cursor: {
    trust_domain: string;
    /** Next log index to judge. */
    next_index: number;
  };
}

export const detectMigrations: readonly Migration[] = [
  {
    id: 1,
    name: 'findings and cursor',
    up: async (db) => {
      await db.schema
        .createTable('detect_findings')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('id', 'text', (column) => column.notNull())
        .addColumn('rule_id', 'text', (column) => column.notNull())
        .addColumn('title', 'text', (column) => column.notNull())
        .addColumn('level', 'text', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('reporter', 'text', (column) => column.notNull())
        .addColumn('first_event_at', 'bigint', (column) => column.notNull())
        .addColumn('last_event_at', 'bigint', (column) => column.notNull())
        .addColumn('last_index', 'bigint', (column) => column.notNull())
        .addColumn('found_at', 'bigint', (column) => column.notNull())
        .addColumn('updated_at', 'bigint', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('pending', 'text', (column) => column.notNull())
        .addColumn('closed_why', 'text', (column) => column.notNull())
        .addColumn('count', 'bigint', (column) => column.notNull())
        .addColumn('retro', 'integer', (column) => column.notNull())
        .addColumn('attributed', 'integer', (column) => column.notNull())
        .addColumn('evidence', 'text', (column) => column.notNull())
        .addColumn('tags', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('detect_findings_key', ['trust_domain', 'id'])
        .execute();
      await db.schema
        .createIndex('detect_findings_device')
        .on('detect_findings')
        .columns(['trust_domain', 'device_id', 'rule_id', 'last_index'])
        .execute();
      await db.schema
        .createIndex('detect_findings_pending')
        .on('detect_findings')
        .columns(['trust_domain', 'pending', 'found_at'])
        .execute();
      await db.schema
        .createTable('detect_cursor')
        .addColumn('trust_domain', 'text', (column) => column.primaryKey())
        .addColumn('next_index', 'bigint', (column) => column.notNull())
        .execute();
    },
  },
];
