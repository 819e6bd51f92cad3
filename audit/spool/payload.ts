// From what a writer says to the bytes that are hashed and kept: canonical JSON of an AuditEvent, masked, well-formed,
// at most 32 KiB. An event that is too large is cut, not refused: a long path must not buy anybody silence.
import { hash } from 'node:crypto';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { auditErrors } from '../errors.ts';
import { cutListLength, cutStringLength, maxPayloadBytes } from '../limits.ts';
import { eventFields, eventKinds, eventSchema, type AuditEvent, type EventData, type NewEvent } from './event.ts';

type DataValue = EventData[string];

export interface Masking {
  readonly keys: ReadonlySet<string>;
  /** Secret of this device. Whoever holds it can open a commitment; without it a low-entropy value cannot be guessed. */
  readonly salt: Uint8Array;
}

export const noMasking: Masking = { keys: new Set(), salt: new Uint8Array(0) };

/** Throws SPOOL_EVENT_INVALID when the event does not have the shape of `eventSchema`. */
export function encodeEvent(event: NewEvent, timeMs: number, masking: Masking): Buffer {
  const data = maskedData(event.data, masking);
  // Names in order and every value checked, so that JSON.stringify writes canonical JSON (RFC 8785), at a fraction of the cost.
  const shaped: AuditEvent = {
    activity: event.activity,
    ...(event.bundle === undefined ? {} : { bundle: event.bundle }),
    class_uid: eventKinds[event.kind],
    data,
    kind: event.kind,
    severity: event.severity ?? 'info',
    time: Math.trunc(timeMs),
  };
  if (!isSound(shaped)) throw invalid(shaped);
  const whole = Buffer.from(JSON.stringify(shaped), 'utf8');
  if (whole.length <= maxPayloadBytes) return whole;
  const cut = Buffer.from(canonicalJson({ ...shaped, data: cutData(shaped.data) }), 'utf8');
  if (cut.length <= maxPayloadBytes) return cut;
  throw auditErrors.error('SPOOL_EVENT_INVALID', `event of ${whole.length} bytes, ${cut.length} after cutting`);
}

/** By name in the order of UTF-16 code units, masked, well-formed; the data itself where it is all that. */
function maskedData(given: NewEvent['data'], { keys, salt }: Masking): EventData {
  const known = given as EventData;
  const names = Object.keys(known);
  if (keys.size === 0 && isInOrder(names) && names.every((name) => isWellFormed(known[name]))) return known;
  const data: EventData = {};
  for (const name of names.sort()) {
    const value = known[name] as DataValue;
    data[name] = keys.has(name) ? commitment(salt, name, value) : wellFormed(value);
  }
  return data;
}

function isInOrder(names: readonly string[]): boolean {
  for (let at = 1; at < names.length; at++) {
    if ((names[at - 1] as string) > (names[at] as string)) return false;
  }
  return true;
}

const isWellFormed = (value: unknown): boolean =>
  typeof value === 'string' ? value.isWellFormed() : !Array.isArray(value) || value.every(isWellFormed);

/** What `eventSchema` says, of what a typed writer could still get wrong. */
function isSound({ activity, bundle = '', class_uid, data, severity, time }: AuditEvent): boolean {
  const known = class_uid !== undefined && activity.length > 0 && activity.length <= 64 && severities.has(severity);
  if (!known || !Number.isSafeInteger(time) || !activity.isWellFormed() || !bundle.isWellFormed()) return false;
  for (const key in data) {
    if (!((knownFields.has(key) || fieldName.test(key)) && isValue(data[key]))) return false;
  }
  return true;
}

const severities: ReadonlySet<string> = new Set(eventSchema.shape.severity.options);
const knownFields: ReadonlySet<string> = new Set(eventFields);
/** No integer: such names JSON.stringify would write first. */
const fieldName = /^[a-z][a-z0-9_]*$/;

function isValue(value: unknown): boolean {
  if (typeof value === 'string' || typeof value === 'boolean') return true;
  return typeof value === 'number' ? Number.isFinite(value) : Array.isArray(value) && isList(value);
}

const isList = (list: readonly unknown[]): boolean =>
  list.every((item) => typeof item === 'string') || list.every((item) => Number.isFinite(item));

function invalid(event: AuditEvent): Error {
  const [issue] = eventSchema.safeParse(event).error?.issues ?? [];
  const where = issue?.path.join('.') ?? '';
  return auditErrors.error(
    'SPOOL_EVENT_INVALID',
    `${where}: ${issue?.message ?? 'a name or text that JSON cannot say'}`,
  );
}

/** `sha256:` and hex of SHA-256(salt || key || 0x00 || canonical value): equal values of one device stay comparable. */
export function commitment(salt: Uint8Array, key: string, value: DataValue): string {
  const said = Buffer.from(`${key}\0${canonicalJson(wellFormed(value))}`, 'utf8');
  return `sha256:${hash('sha256', Buffer.concat([salt, said]), 'hex')}`;
}

/** Strings from the network may hold lone surrogates, which have no UTF-8 form. */
function wellFormed(value: DataValue): DataValue {
  if (typeof value === 'string') return value.toWellFormed();
  if (Array.isArray(value) && typeof value[0] === 'string') {
    return (value as unknown[]).map((item) => (typeof item === 'string' ? item.toWellFormed() : item)) as string[];
  }
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
