// The audit RPCs of AdminService (admin.proto) over the reader: from and to the wire, nothing else.
import { create } from '@bufbuild/protobuf';
import {
  ExportLogResponseSchema,
  GetCheckpointResponseSchema,
  QueryEventsResponseSchema,
  TailEventsResponseSchema,
  type ExportLogRequest,
  type ExportLogResponse,
  type GetCheckpointRequest,
  type GetCheckpointResponse,
  type QueryEventsRequest,
  type QueryEventsResponse,
  type TailEventsRequest,
  type TailEventsResponse,
} from '../../proto/gen/edgeward/admin/v1/admin_pb.ts';
import type { Database } from '../../store/database.ts';
import { auditErrors } from '../errors.ts';
import { sizeOf, type Checkpoints } from './checkpoints.ts';
import { entryToWire } from './entry.ts';
import { exportLog, type ExportedItem, type LogReader } from './query.ts';

/** Handlers with the shapes that runtime/grpc expects; bin/ spreads them into AdminService. */
export interface AuditHandlers {
  queryEvents(request: QueryEventsRequest): Promise<QueryEventsResponse>;
  tailEvents(request: TailEventsRequest, call: { readonly signal: AbortSignal }): AsyncIterable<TailEventsResponse>;
  getCheckpoint(request: GetCheckpointRequest): Promise<GetCheckpointResponse>;
  exportLog(request: ExportLogRequest, call: { readonly signal: AbortSignal }): AsyncIterable<ExportLogResponse>;
}

export function createAuditHandlers(
  db: Database,
  trustDomain: string,
  reader: LogReader,
  checkpoints: Checkpoints,
): AuditHandlers {
  return {
    async queryEvents({ deviceId, kind, sinceMs, afterIndex, limit }) {
      const query = { deviceId, kind, sinceMs: safe(sinceMs), afterIndex: safe(afterIndex), limit };
      return create(QueryEventsResponseSchema, { entries: (await reader.query(query)).map(entryToWire) });
    },
    async *tailEvents({ deviceId, kind }, { signal }) {
      for await (const entry of reader.tail({ deviceId, kind }, signal)) {
        yield create(TailEventsResponseSchema, { entry: entryToWire(entry) });
      }
    },
    async getCheckpoint() {
      return create(GetCheckpointResponseSchema, await checkpoints.current());
    },
    async *exportLog({ afterIndex, fromStart }, { signal }) {
      const size = sizeOf((await checkpoints.current()).checkpoint);
      const from = fromStart ? 0 : safe(afterIndex) + 1;
      for await (const item of exportLog(db, trustDomain, reader, size, from)) {
        signal.throwIfAborted();
        yield itemToWire(item);
      }
    },
  };
}

function itemToWire(item: ExportedItem): ExportLogResponse {
  if ('entry' in item) {
    return create(ExportLogResponseSchema, { item: { case: 'entry', value: entryToWire(item.entry) } });
  }
  if ('checkpoint' in item) {
    return create(ExportLogResponseSchema, { item: { case: 'checkpoint', value: item.checkpoint } });
  }
  const { deviceId, epoch, sequence, jws, certificates } = item.head;
  const value = { deviceId, epoch, sequence: BigInt(sequence), jws, certificateDer: certificates };
  return create(ExportLogResponseSchema, { item: { case: 'head', value } });
}

function safe(value: bigint): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw auditErrors.error('AUDIT_QUERY_INVALID', `${value} is out of range`);
  }
  return Number(value);
}
