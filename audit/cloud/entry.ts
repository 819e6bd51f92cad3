// A record of the cloud's log as code sees it, and its one mapping from rows and to the wire.
import { create } from '@bufbuild/protobuf';
import { LogEntrySchema, type LogEntry } from '../../proto/gen/edgeward/admin/v1/admin_pb.ts';
import type { AuditEvent } from '../spool/event.ts';
import type { AuditTables } from './migrations.ts';

export interface StoredEntry {
  /** Place in the log, from 0. */
  readonly index: number;
  readonly deviceId: string;
  readonly epoch: Buffer;
  readonly sequence: number;
  readonly payload: Buffer;
  readonly chain: Buffer;
  readonly receivedAtMs: number;
  readonly leafHash: Buffer;
}

/** As it is handed on right after it was stored, with the payload already read. */
export interface FreshEntry extends StoredEntry {
  readonly event: AuditEvent;
}

export type LogRow = Omit<AuditTables['audit_log'], 'trust_domain' | 'kind'>;

export const logColumns = [
  'log_index',
  'device_id',
  'epoch',
  'sequence',
  'payload',
  'chain',
  'received_at',
  'leaf_hash',
] as const;

export function entryFromRow(row: LogRow): StoredEntry {
  return {
    index: row.log_index,
    deviceId: row.device_id,
    epoch: Buffer.from(row.epoch, 'hex'),
    sequence: row.sequence,
    payload: row.payload,
    chain: row.chain,
    receivedAtMs: row.received_at,
    leafHash: row.leaf_hash,
  };
}

export function entryToWire(entry: StoredEntry): LogEntry {
  return create(LogEntrySchema, {
    index: BigInt(entry.index),
    deviceId: entry.deviceId,
    epoch: entry.epoch,
    sequence: BigInt(entry.sequence),
    payload: entry.payload,
    chain: entry.chain,
    receivedAtMs: BigInt(entry.receivedAtMs),
    leafHash: entry.leafHash,
  });
}
