// A delivered batch from the wire: sizes, order, and that every payload is one canonical event. What passes is trusted
// inside, except for its place in the device's chain, which only the store can judge.
import { canonicalJson } from '../../runtime/canonical-json.ts';
import type { CodedError } from '../../runtime/errors.ts';
import type { Record as WireRecord } from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { auditErrors } from '../errors.ts';
import { maxBatchBytes, maxBatchRecords, maxPayloadBytes } from '../limits.ts';
import { chainBytes, chainNext, sameBytes } from '../log/chain.ts';
import { eventSchema, type AuditEvent } from '../spool/event.ts';

export interface DeliveredRecord {
  readonly sequence: number;
  readonly payload: Buffer;
  readonly chain: Buffer;
  readonly event: AuditEvent;
}

/** The chain is refused from `sequence` on. */
export interface Refusal {
  readonly sequence: number;
  readonly error: CodedError;
}

/** Records that follow each other in sequence and in chain; at least one. */
export type DeliveredBatch = readonly DeliveredRecord[];

export function parseBatch(records: readonly WireRecord[]): DeliveredBatch | Refusal {
  if (records.length === 0 || records.length > maxBatchRecords) {
    throw auditErrors.error('AUDIT_PROTOCOL', `a batch has 1 to ${maxBatchRecords} records, not ${records.length}`);
  }
  const bytes = records.reduce((sum, record) => sum + record.payload.length, 0);
  if (bytes > maxBatchBytes) throw auditErrors.error('AUDIT_PROTOCOL', `a batch has at most ${maxBatchBytes} bytes`);
  const batch: DeliveredRecord[] = [];
  for (const wire of records) {
    const before = batch.at(-1);
    const sequence = safeSequence(wire.sequence);
    if (before !== undefined && sequence !== before.sequence + 1) {
      throw auditErrors.error('AUDIT_PROTOCOL', `sequence ${sequence} follows ${before.sequence} in one batch`);
    }
    const record = parseRecord(wire, sequence);
    if ('error' in record) return record;
    if (before !== undefined && !sameBytes(chainNext(before.chain, sequence, record.payload), record.chain)) {
      return { sequence, error: chainBroken(sequence) };
    }
    batch.push(record);
  }
  return batch;
}

export function chainBroken(sequence: number): CodedError {
  return auditErrors.error(
    'AUDIT_CHAIN_BROKEN',
    `the chain value of record ${sequence} does not follow from the one before`,
  );
}

export function safeSequence(value: bigint): number {
  if (value < 1n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw auditErrors.error('AUDIT_PROTOCOL', `${value} is no sequence`);
  }
  return Number(value);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function parseRecord(wire: WireRecord, sequence: number): DeliveredRecord | Refusal {
  const malformed = (reason: string): Refusal => ({
    sequence,
    error: auditErrors.error('AUDIT_EVENT_MALFORMED', `record ${sequence}: ${reason}`),
  });
  if (wire.chain.length !== chainBytes) return malformed(`a chain value has ${chainBytes} bytes`);
  if (wire.payload.length > maxPayloadBytes) return malformed(`the event has more than ${maxPayloadBytes} bytes`);
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(wire.payload);
    value = JSON.parse(text);
  } catch {
    return malformed('the event is not JSON in UTF-8');
  }
  const parsed = eventSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return malformed(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not an event'}`);
  }
  // One reading of the bytes: no second member of the same name, no other spelling.
  if (canonicalJson(parsed.data) !== text) return malformed('the event is not canonical JSON');
  return { sequence, payload: Buffer.from(wire.payload), chain: Buffer.from(wire.chain), event: parsed.data };
}
