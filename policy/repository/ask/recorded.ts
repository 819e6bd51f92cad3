// Decisions as the audit log recorded them, from a file: lines of `edgeward audit export` or of `audit tail --json`, or
// the document of `audit query --json`.
import { z } from 'zod';
import { policyErrors } from '../../errors.ts';
import type { Operation, Reason } from '../../engine/index.ts';
import { reason } from '../format/tests.ts';
import { mqttActions } from '../../bundle/mqtt.ts';
import { type DecisionKind, decisionKinds, recall, type Recalled } from './recalled.ts';

export interface RecordedDecision {
  /** Device that decided. */
  readonly device: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly subject: string;
  readonly interface: string;
  /** What the policy said: in observe mode what it would have denied. */
  readonly allow: boolean;
  readonly reason: Reason;
  /** Rule that decided; empty when none did, or when the record stands for many requests. */
  readonly rule: string;
  /** Named operation; empty likewise. */
  readonly operation: string;
  /** The request; absent when the record stands for many different ones. */
  readonly request?: Operation;
  /** What the engine was asked, or why that is not known. */
  readonly recalled: Recalled;
  /** How often, since the last record of the same. */
  readonly count: number;
  /** `file:line`. */
  readonly place: string;
}

export interface DecisionRecord {
  readonly decisions: readonly RecordedDecision[];
  /** Devices that sent any event at all. */
  readonly senders: ReadonlySet<string>;
  /** Events that say that something is missing, by device. */
  readonly holes: readonly { readonly device: string; readonly time: number; readonly what: string }[];
  /** Milliseconds since the epoch, of the first and last event; absent when there is none. */
  readonly first?: number;
  readonly last?: number;
}

const value = z.union([z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number()]))]);
const event = z.looseObject({
  kind: z.string(),
  time: z.int(),
  activity: z.string(),
  data: z.record(z.string(), value),
});
export type RecordedEvent = z.infer<typeof event> & { readonly device: string; readonly place: string };

const stored = z.looseObject({ deviceId: z.string(), payload: z.base64() });
const told = event.extend({ device: z.string() });

const decided = z.looseObject({
  subject: z.string(),
  interface: z.string(),
  decision: z.enum(['allow', 'deny']),
  reason: z.string(),
  rule: z.string().default(''),
  operation: z.string().default(''),
  observed: z.string().optional(),
  count: z.int().min(1).default(1),
});
const overHttp = z.looseObject({
  method: z.string().min(1),
  path: z.string().min(1),
  host: z.string().optional(),
  /** `x-line: press-3`. */
  headers: z.array(z.string()).optional(),
  body_bytes: z.int().optional(),
});
/** An operation asked for by its name (AuthZEN). */
const byName = z.looseObject({ protocol: z.literal('named'), operation: z.string() });
const overPort = z.looseObject({ protocol: z.literal('port') });
const overModbus = z.looseObject({
  unit: z.int(),
  function_code: z.int(),
  address: z.int(),
  quantity: z.int(),
  /** Older records do not hold them. */
  values: z.array(z.int()).default([]),
  change: z.int().optional(),
});

const overMqtt = z.looseObject({
  verb: z.enum(mqttActions),
  client_id: z.string(),
  version: z.enum(['3.1.1', '5.0']),
  topic: z.string().default(''),
  share: z.string().optional(),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(0),
  retain: z.boolean().default(false),
  will: z.boolean().default(false),
  payload_bytes: z.int().default(0),
});
const overTls = z.looseObject({ server_name: z.string(), alpn: z.array(z.string()).default([]) });

/** Events of a file. Throws POLICY_RECORD_INVALID with file and line for what is none of the three forms. */
export function readRecord(text: string, file: string): RecordedEvent[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const place = { file, line: index + 1 };
    try {
      return eventsOf(JSON.parse(line)).map((found) => ({ ...found, place: `${file}:${index + 1}` }));
    } catch (cause) {
      const message = 'expected a line of audit export, audit tail --json or audit query --json';
      throw policyErrors.error('POLICY_RECORD_INVALID', message, { place, cause });
    }
  });
}

function eventsOf(document: unknown): (z.infer<typeof event> & { readonly device: string })[] {
  const { entry, events, head, checkpoint } = z
    .looseObject({
      entry: stored.optional(),
      events: z.array(told).optional(),
      head: z.unknown().optional(),
      checkpoint: z.unknown().optional(),
    })
    .parse(document);
  if (events !== undefined) return events;
  if (entry !== undefined) {
    const payload: unknown = JSON.parse(Buffer.from(entry.payload, 'base64').toString('utf8'));
    return [{ ...event.parse(payload), device: entry.deviceId }];
  }
  return head === undefined && checkpoint === undefined ? [told.parse(document)] : [];
}

export function recordOf(events: readonly RecordedEvent[]): DecisionRecord {
  const times = events.map(({ time }) => time).sort((a, b) => a - b);
  const [first] = times;
  const [last] = times.slice(-1);
  return {
    decisions: events.flatMap((found) => decisionOf(found) ?? []),
    senders: new Set(events.map(({ device }) => device)),
    holes: events
      .filter(({ kind, activity }) => kind === 'log' && (activity === 'lost' || activity === 'gap'))
      .map(({ device, time, activity }) => ({ device, time, what: activity })),
    ...(first === undefined || last === undefined ? {} : { first, last }),
  };
}

function decisionOf({ kind, device, time, data, place }: RecordedEvent): RecordedDecision | undefined {
  if (!isDecisionKind(kind)) return undefined;
  const parsed = decided.safeParse(data);
  // A frame that is no request was refused before the policy was asked.
  if (!parsed.success || parsed.data.reason === 'malformed') return undefined;
  const { decision, observed, reason: told, ...rest } = parsed.data;
  const why = reason.safeParse(observed ?? told);
  if (!why.success) return undefined;
  const request = requestIn(kind, data);
  return {
    device,
    time,
    subject: rest.subject,
    interface: rest.interface,
    rule: rest.rule,
    operation: rest.operation,
    count: rest.count,
    allow: decision === 'allow' && observed === undefined,
    reason: why.data,
    place,
    recalled: recall(kind, data, request),
    ...(request === undefined ? {} : { request }),
  };
}

function httpRequest({ method, path, host, headers, body_bytes: bodyBytes }: z.infer<typeof overHttp>): Operation {
  const lines = (headers ?? []).map((line) => /^([^:]+): (.*)$/s.exec(line) ?? []);
  const byName = Map.groupBy(lines, ([, name = '']) => name);
  const known = [...byName].map(([name, all]): [string, string[]] => [name, all.map(([, , value = '']) => value)]);
  return {
    protocol: 'http',
    method,
    path,
    ...(host === undefined ? {} : { host }),
    ...(headers === undefined ? {} : { headers: Object.fromEntries(known) }),
    ...(bodyBytes === undefined ? {} : { bodyBytes }),
  };
}

const isDecisionKind = (kind: string): kind is DecisionKind => (decisionKinds as readonly string[]).includes(kind);

function mqttRequest(data: z.infer<typeof overMqtt> | undefined): Operation | undefined {
  if (data === undefined) return undefined;
  const { verb: action, client_id: clientId, topic, share, qos, retain, will, payload_bytes: payloadBytes } = data;
  const version = data.version === '5.0' ? 5 : 4;
  const known = share === undefined ? {} : { share };
  return { protocol: 'mqtt', action, clientId, topic, qos, retain, will, payloadBytes, version, ...known };
}

function requestIn(kind: DecisionKind, data: unknown): Operation | undefined {
  if (kind === 'mqtt') return mqttRequest(overMqtt.safeParse(data).data);
  if (kind === 'tls') {
    const tls = overTls.safeParse(data).data;
    return tls && { protocol: 'tls', serverName: tls.server_name, alpn: tls.alpn };
  }
  if (kind !== 'modbus') {
    const http = overHttp.safeParse(data);
    if (http.success) return httpRequest(http.data);
    if (overPort.safeParse(data).success) return { protocol: 'port' };
    const named = byName.safeParse(data);
    return named.success ? { protocol: 'named', name: named.data.operation } : undefined;
  }
  const modbus = overModbus.safeParse(data);
  if (!modbus.success) return undefined;
  const { unit, function_code: functionCode, address, quantity, values, change } = modbus.data;
  const known = change === undefined ? {} : { change };
  return { protocol: 'modbus', unit, functionCode, address, quantity, values, ...known };
}
