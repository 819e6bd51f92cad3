// The cloud side of the audit room.
export { openAuditLog, type AuditLog, type AuditLogOptions } from './audit-log.ts';
export { logOrigin, type Checkpoints, type SignedCheckpoint } from './checkpoints.ts';
export { controlDevice } from './append.ts';
export type { FreshEntry, StoredEntry } from './entry.ts';
export type { DeliveringDevice, Ingest } from './ingest.ts';
export { auditMigrations, type AuditTables } from './migrations.ts';
export type { EventFilter, EventQuery, LogReader } from './query.ts';
export type { AuditHandlers } from './wire.ts';
