// The event: what an edge or the control plane says happened, shaped after OCSF 1.8. One flat envelope with the
// class's own fields under `data`; these bytes, once stored, are what is hashed and kept.
import { z } from 'zod';

/**
 * Our kinds, each mapped to an OCSF class (audit note, table "Event to OCSF class"):
 * authz 6003 API Activity; packet 4001 Network Activity; modbus, mqtt, http 6003; tls 4001; device 3004 Entity Management;
 * attestation 5002 Device Config State; policy 5019; order 7004 Network Remediation; firewall 4001;
 * log 1008 Event Log Activity; process 6002 Application Lifecycle; finding 2004; admin 6003.
 */
export const eventKinds = {
  authz: 6003,
  modbus: 6003,
  mqtt: 6003,
  http: 6003,
  tls: 4001,
  packet: 4001,
  firewall: 4001,
  device: 3004,
  attestation: 5002,
  policy: 5019,
  order: 7004,
  log: 1008,
  process: 6002,
  finding: 2004,
  admin: 6003,
} as const;
export type EventKind = keyof typeof eventKinds;

/**
 * Every name that `data` may have, of all kinds; docs/detection.md says which belong to which. Closed, so that a name in
 * `audit.mask` of an edge that no event has is refused instead of hiding nothing.
 */
export const eventFields = [
  'address',
  'address_subject',
  'addresses',
  'alpn',
  'ambiguous',
  'asked_ms',
  'attributes',
  'author',
  'binding',
  'body_bytes',
  'by',
  'change',
  'client_id',
  'code',
  'command',
  'commit',
  'condition',
  'count',
  'cut_ms',
  'decision',
  'destination_ip',
  'destination_port',
  'device',
  'digest',
  'elapsed_us',
  'enforcement_point',
  'epoch',
  'evidence',
  'failures',
  'finding',
  'first_ms',
  'first_sequence',
  'floor_ms',
  'flows',
  'freshness',
  'from',
  'fulfils',
  'function_code',
  'generation',
  'hardware_class',
  'headers',
  'host',
  'in_interface',
  'interface',
  'island',
  'kept',
  'key',
  'last_from_ms',
  'last_ms',
  'last_sequence',
  'last_to_ms',
  'lost',
  'manifest',
  'message',
  'method',
  'obligations',
  'observed',
  'operation',
  'operator',
  'out_interface',
  'path',
  'payload_bytes',
  'peer',
  'pid',
  'place',
  'process',
  'program_version',
  'protocol',
  'qos',
  'quantity',
  'reason',
  'reimage',
  'resolution_ms',
  'resource',
  'retain',
  'roles',
  'rule',
  'sequence',
  'serial',
  'server_name',
  'share',
  'since_ms',
  'sockets',
  'source',
  'source_ip',
  'source_mac',
  'source_port',
  'spared',
  'state',
  'status',
  'streams',
  'subject',
  'to',
  'token',
  'topic',
  'total',
  'truncated',
  'uid',
  'unit',
  'until_ms',
  'values',
  'values_before',
  'verb',
  'version',
  'will',
] as const;
export type EventField = (typeof eventFields)[number];

export const eventSchema = z.strictObject({
  kind: z.enum(Object.keys(eventKinds) as [EventKind, ...EventKind[]]),
  class_uid: z.int(),
  /** Wall clock of the writer, milliseconds since the epoch. */
  time: z.int(),
  /** Short verb in lower case: allow, deny, quarantine, activate, refuse, start, stop, gap, lost … */
  activity: z.string().min(1).max(64),
  severity: z.enum(['info', 'low', 'medium', 'high', 'critical']),
  /** Class specific fields; strings, numbers, booleans, or lists of them. Names are snake_case. */
  data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string()), z.array(z.number())])),
  /** Hex SHA-256 of the policy manifest in force, when a decision was made. */
  bundle: z.string().optional(),
});
export type AuditEvent = z.infer<typeof eventSchema>;

export type EventData = AuditEvent['data'];

/** Class specific fields as their writer names them. */
export type NewEventData = Readonly<Partial<Record<EventField, EventData[string]>>>;

/** Where an enforcement point puts its events. Resolves when the event is on disk if `durable`, else when queued. */
export type EmitEvent = (event: NewEvent, durable?: boolean) => Promise<void>;

/** What the writer says; the spool adds class and time. */
export interface NewEvent {
  readonly kind: EventKind;
  readonly activity: string;
  readonly severity?: AuditEvent['severity'];
  readonly data: NewEventData;
  readonly bundle?: string;
}
