// interfaces/*.yaml: the catalogue of services, each with named operations in the terms of its protocol.
import { z } from 'zod';
import { auditClasses, auditLevelSchema } from '../../bundle/audit-classes.ts';
import { enforcerDeathSchema } from '../../bundle/enforcer-death.ts';
import {
  headerNamePattern,
  headerValuePattern,
  isHostPattern,
  MAX_BODY_BYTES,
  MAX_HEADER_VALUES,
  MAX_HEADERS,
  MAX_HOSTS,
} from '../../bundle/http-bounds.ts';
import { pathNormalisations } from '../../bundle/path-normalisations.ts';
import { regoNamePattern } from '../../bundle/slice.ts';
import { isServerNamePattern, MAX_SERVER_NAMES } from '../../bundle/tls.ts';
import { MAX_MODBUS_QUANTITY } from '../../limits.ts';
import { modbusFunction } from './modbus-function.ts';
import { mqttOperation } from './mqtt.ts';
import { id, labelSelector, port, range16, safetyClass, until, worded } from './scalars.ts';

const everyOperation = { island: z.boolean().default(false), class: safetyClass.optional() };

/** Names are the same in any case. */
const host = z
  .string()
  .transform((text) => text.toLowerCase())
  .refine(isHostPattern, 'expected a host such as panel.plant.example, *.cell.plant.example or 192.0.2.1:8443');
const headerValue = worded(headerValuePattern, 'the value of a header: printable ASCII without comma').max(1_024);

const httpOperation = z.strictObject({
  methods: z.array(worded(/^[A-Z]{1,32}$/, 'an HTTP method in capitals such as GET')).min(1),
  /** The rest of the form is rule POLICY_PATH_PATTERN. */
  paths: z.array(worded(/^\/.{0,1023}$/, 'a path that starts with /')).min(1),
  hosts: z.array(host).min(1).max(MAX_HOSTS).optional(),
  headers: z
    .record(
      worded(headerNamePattern, 'a header name in lower case').max(64),
      z.array(headerValue).min(1).max(MAX_HEADER_VALUES),
    )
    .refine((headers) => Object.keys(headers).length > 0, 'expected at least one header')
    .refine((headers) => Object.keys(headers).length <= MAX_HEADERS, `expected at most ${MAX_HEADERS} headers`)
    .optional(),
  maxBodyBytes: z.int().min(0).max(MAX_BODY_BYTES).optional(),
  ...everyOperation,
});

const modbusOperation = z.strictObject({
  functions: z.array(modbusFunction).min(1),
  units: z.array(z.int().min(0).max(255)).default([]),
  addresses: z.array(range16).min(1),
  values: range16.optional(),
  maxQuantity: z.int().min(1).max(MAX_MODBUS_QUANTITY).optional(),
  maxChangePerMinute: z.int().min(1).max(0xffff).optional(),
  ...everyOperation,
});

const serverName = z
  .string()
  .refine(isServerNamePattern, 'expected a server name in lower case such as cam-1.plant.example or *.cell.example');

const tlsOperation = z.strictObject({ names: z.array(serverName).min(1).max(MAX_SERVER_NAMES), ...everyOperation });

const portOperation = z.strictObject({ ...everyOperation });

const everyInterface = {
  name: id,
  device: id.optional(),
  devices: labelSelector.optional(),
  port,
  class: safetyClass.default('normal'),
  casbin: id.optional(),
  rego: worded(regoNamePattern, 'the name of a Rego package: lower case letters, digits, _').optional(),
  onEnforcerDeath: enforcerDeathSchema.default('closed'),
  observe: z.strictObject({ until }).optional(),
};

const durable = z.boolean().default(false);
const onDeny = z.enum(['answer', 'close']).default('answer');

/** What is written of an interface whose protocol has these classes of messages. */
const auditOf = <Name extends string>(names: readonly [Name, ...Name[]]) =>
  z.strictObject({ durable, classes: z.partialRecord(z.enum(names), auditLevelSchema).optional() }).prefault({});

/** `allows` is the class `request`, from before there were classes. */
const httpAudit = z
  .strictObject({
    durable,
    allows: auditLevelSchema.optional(),
    classes: z.strictObject({ request: auditLevelSchema.optional() }).optional(),
  })
  .refine(
    ({ allows, classes }) => allows === undefined || classes === undefined,
    'expected allows or classes, not both',
  )
  .prefault({});

const some = (value: object): boolean => Object.keys(value).length > 0;
const none = 'expected at least one operation';

const interfaceSchema = z
  .discriminatedUnion('protocol', [
    z.strictObject({
      ...everyInterface,
      protocol: z.literal('http'),
      normalise: z
        .array(z.enum(pathNormalisations))
        .min(1)
        .refine((terms) => new Set(terms).size === terms.length, 'expected each step once')
        .optional(),
      transport: z.literal('tcp').default('tcp'),
      onDeny,
      audit: httpAudit,
      operations: z.record(id, httpOperation).refine(some, none),
    }),
    z.strictObject({
      ...everyInterface,
      protocol: z.literal('modbus'),
      transport: z.literal('tcp').default('tcp'),
      onDeny,
      audit: auditOf(auditClasses.modbus),
      operations: z.record(id, modbusOperation).refine(some, none),
    }),
    z.strictObject({
      ...everyInterface,
      protocol: z.literal('mqtt'),
      transport: z.literal('tcp').default('tcp'),
      onDeny,
      audit: auditOf(auditClasses.mqtt),
      operations: z.record(id, mqttOperation).refine(some, none),
    }),
    z.strictObject({
      ...everyInterface,
      protocol: z.literal('tls'),
      transport: z.literal('tcp').default('tcp'),
      audit: auditOf(auditClasses.tls),
      operations: z.record(id, tlsOperation).refine(some, none),
    }),
    z.strictObject({
      ...everyInterface,
      protocol: z.literal('port'),
      transport: z.enum(['tcp', 'udp']).default('tcp'),
      audit: z.strictObject({ durable }).prefault({}),
      operations: z.record(id, portOperation).refine(some, none),
    }),
  ])
  .refine((entry) => (entry.device === undefined) !== (entry.devices === undefined), {
    path: ['name'],
    message: 'expected either device: <id> or devices: {labels: ...} beside the name',
  });

export const interfacesSchema = z.strictObject({ interfaces: z.array(interfaceSchema) });
export type InterfaceEntry = z.infer<typeof interfaceSchema>;
