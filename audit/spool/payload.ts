// From what a writer says to the bytes that are hashed and kept: canonical JSON of an AuditEvent, masked, well-formed,
// at most 32 KiB. An event that is too large is cut, not refused: a long path must not buy anybody silence.
import { hash } from 'node:crypto';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { auditErrors } from '../errors.ts';
import { cutListLength, cutStringLength, maxPayloadBytes } from '../limits.ts';
import { eventKinds, eventSchema, type AuditEvent, type EventData, type NewEvent } from './event.ts';

type DataValue = EventData[string];

export interface Masking {
  readonly keys: ReadonlySet<string>;
  /** Secret of this device. Whoever holds it can open a commitment; without it a low-entropy value cannot be guessed. */
  readonly salt: Uint8Array;
}

export const noMasking: Masking = { keys: new Set(), salt: new Uint8Array(0) };

/** Throws SPOOL_EVENT_INVALID when the event does not have the shape of `eventSchema`. */
export function encodeEvent(event: NewEvent, timeMs: number, masking: Masking): Buffer {
  const entries = Object.entries(event.data).map(([key, value]): [string, DataValue] => [
    key,
    masking.keys.has(key) ? commitment(masking.salt, key, value) : wellFormed(value),
  ]);
  const shaped: AuditEvent = {
    kind: event.kind,
    class_uid: eventKinds[event.kind],
    time: Math.trunc(timeMs),
    activity: event.activity,
    severity: event.severity ?? 'info',
    data: Object.fromEntries(entries),
    ...(event.bundle === undefined ? {} : { bundle: event.bundle }),
  };
  const whole = Buffer.from(canonicalJson(checked(shaped)), 'utf8');
  if (whole.length <= maxPayloadBytes) return whole;
  const cut = Buffer.from(canonicalJson({ ...shaped, data: cutData(shaped.data) }), 'utf8');
  if (cut.length <= maxPayloadBytes) return cut;
  throw auditErrors.error('SPOOL_EVENT_INVALID', `event of ${whole.length} bytes, ${cut.length} after cutting`);
}

function checked(event: AuditEvent): AuditEvent {
  const result = eventSchema.safeParse(event);
  if (result.success) return event;
  const [issue] = result.error.issues;
  throw auditErrors.error('SPOOL_EVENT_INVALID', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

/** `sha256:` and hex of SHA-256(salt || key || 0x00 || canonical value): equal values of one device stay comparable. */
export function commitment(salt: Uint8Array, key: string, value: DataValue): string {
  const said = Buffer.from(`${key}\0${canonicalJson(wellFormed(value))}`, 'utf8');
  return `sha256:${hash('sha256', Buffer.concat([salt, said]), 'hex')}`;
}

/** Strings from the network may hold lone surrogates, which have no UTF-8 form. */
function wellFormed(value: DataValue): DataValue {
  if (typeof value === 'string') return value.toWellFormed();
  if (Array.isArray(value) && typeof value[0] === 'string')
    return (value as string[]).map((item) => item.toWellFormed());
  return value;
}

function cutData(data: EventData): EventData {
  const entries = Object.entries(data).map(([key, value]): [string, DataValue] => {
    if (typeof value === 'string') return [key, cutString(value)];
    if (!Array.isArray(value)) return [key, value];
    const kept = value.slice(0, cutListLength);
    return [key, typeof kept[0] === 'string' ? (kept as string[]).map(cutString) : kept];
  });
  return { ...Object.fromEntries(entries), truncated: true };
}

/** The digest of the whole keeps the evidence comparable with a copy held elsewhere. */
function cutString(value: string): string {
  if (value.length <= cutStringLength) return value;
  return `${value.slice(0, cutStringLength).toWellFormed()}… sha256:${hash('sha256', value, 'hex')}`;
}
