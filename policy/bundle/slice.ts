// What a bundle holds: the slice of the fleet's policy that one device needs, and nothing else. Made by the build,
// carried in content-addressed chunks under a signed manifest, read by the edge after verification.
import { z } from 'zod';
import { MAX_MODBUS_QUANTITY, MAX_REGO_DATA_LENGTH, MAX_REGO_MODULE_BYTES } from '../limits.ts';
import { auditClassesSchema, MAX_SAMPLE } from './audit-classes.ts';
import { enforcerDeathSchema, isEnforcerDeath } from './enforcer-death.ts';
import { httpBounds } from './http-bounds.ts';
import { pathNormalisations } from './path-normalisations.ts';
import {
  attributeValueSchema,
  MAX_OBLIGATIONS,
  MAX_RATE_COUNT,
  MAX_RATE_WINDOW_MS,
  MAX_USES,
  obligationSchema,
  sliceAttributeSchema,
  sliceConditionsSchema,
  sliceDenyConditionsSchema,
} from './conditions.ts';
import {
  MAX_METERS,
  MAX_TRAPS,
  MAX_WORKLOADS,
  sliceFirewallRuleSchema,
  sliceIslandSchema,
  sliceMeterSchema,
  sliceTrapSchema,
  sliceWorkloadSchema,
} from './firewall.ts';
import { mqttVectorSchema, sliceMqttOperationSchema } from './mqtt.ts';
import { id, place, range } from './scalars.ts';
import { sliceTlsOperationSchema, tlsVectorSchema } from './tls.ts';

/** Name of a Rego package and of its folder: an identifier of the language. */
export const regoNamePattern: RegExp = /^[a-z][a-z0-9_]{0,62}$/;
const labels = z.record(z.string().max(64), z.string().max(256));

const safetyClass = z.enum(['safety', 'normal', 'sensitive']);

/** A network interface of a device, as the inventory says. */
export const networkInterfaceSchema = z.strictObject({
  /** Name on the device itself, e.g. `eth0`. */
  name: z.string().min(1).max(15),
  /** Network the interface is attached to; peers on the same network are expected on this interface. */
  network: id,
  address: z.union([z.ipv4(), z.ipv6()]),
  mac: z
    .string()
    .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)
    .optional(),
});

/** This device or a peer that some rule of the slice names. */
export const sliceDeviceSchema = z.strictObject({
  id,
  labels,
  interfaces: z.array(networkInterfaceSchema).max(16),
});

export const sliceOperationSchema = z.discriminatedUnion('protocol', [
  z.strictObject({
    name: id,
    protocol: z.literal('http'),
    methods: z.array(z.string().regex(/^[A-Z]+$/)).min(1),
    /** Path patterns: literal segments, `*` for one whole segment, a final `/**` for any rest. */
    paths: z.array(z.string().startsWith('/').max(1024)).min(1),
    ...httpBounds,
    class: safetyClass,
    /** Stays available to a quarantined subject (island mode). */
    island: z.boolean(),
  }),
  z.strictObject({
    name: id,
    protocol: z.literal('modbus'),
    functionCodes: z.array(z.int().min(1).max(127)).min(1),
    units: z.array(z.int().min(0).max(255)),
    /** Inclusive register or coil ranges; an access has to lie inside one. */
    addresses: z.array(range).min(1),
    /** Inclusive range each written value has to lie in; absent for any. */
    values: range.optional(),
    /** Registers or coils of one access. */
    maxQuantity: z.int().min(1).max(MAX_MODBUS_QUANTITY).optional(),
    /** Of a written value to any value that its register had in the last 60 s; absent for any. */
    maxChangePerMinute: z.int().min(1).max(0xffff).optional(),
    class: safetyClass,
    island: z.boolean(),
  }),
  sliceMqttOperationSchema,
  sliceTlsOperationSchema,
  z.strictObject({
    name: id,
    protocol: z.literal('port'),
    class: safetyClass,
    island: z.boolean(),
  }),
]);

const interfaceProtocols = ['http', 'modbus', 'mqtt', 'tls', 'port'] as const;
/** Judged by a proxy on the server's host and by nothing else: without one nothing of them is open. */
export const proxiedProtocols: ReadonlySet<(typeof interfaceProtocols)[number]> = new Set(['modbus', 'mqtt', 'tls']);

/** A service that this device offers (`local`) or that it may reach on a peer. */
export const sliceInterfaceSchema = z
  .strictObject({
    name: id,
    /** Device that serves it. */
    device: id,
    protocol: z.enum(interfaceProtocols),
    transport: z.enum(['tcp', 'udp']),
    port: z.int().min(1).max(65535),
    operations: z.array(sliceOperationSchema).min(1),
    /** Of http: what the server does to paths before it looks at them; absent where paths are taken as they are. */
    normalise: z.array(z.enum(pathNormalisations)).min(1).optional(),
    /** Name of the Casbin model that narrows its grants; absent for none. */
    casbin: id.optional(),
    /** Name of the Rego package that narrows its grants; absent for none. */
    rego: z.string().regex(regoNamePattern).optional(),
    /** What the enforcement point does when the enforcer dies. */
    onEnforcerDeath: enforcerDeathSchema,
    /** Of `open`: when its waiver ends, milliseconds since the epoch (enforcer-death.ts). */
    openUntil: z.int().optional(),
    /** What a denied message gets of a proxy: the protocol's answer, or the end of its connection. Absent: the answer. */
    onDeny: z.literal('close').optional(),
    /** Audit has to be on disk before the answer leaves. */
    auditDurable: z.boolean(),
    /** Of allowed requests one in so many is recorded whole and the others counted; 0: all only counted. Absent: all whole. */
    allowsSampled: z.int().min(0).max(MAX_SAMPLE).optional(),
    /** Of the other proxied protocols: how allowed messages of each class are recorded (audit-classes.ts). */
    auditClasses: auditClassesSchema.optional(),
    /** Observe mode until this time (milliseconds since the epoch): denials are logged and let through. */
    observeUntil: z.int().optional(),
    place,
  })
  .refine(isEnforcerDeath, 'open goes with openUntil');

export const sliceGrantSchema = z.strictObject({
  id,
  /** Device ids that the grant's selector chose. */
  subjects: z.array(id),
  interface: id,
  device: id,
  /** Names of operations of the interface. */
  operations: z.array(id).min(1),
  binding: z.enum(['svid', 'port+mac+ip', 'ip']),
  conditions: sliceConditionsSchema,
  /** Start date, milliseconds since the epoch. */
  notBefore: z.int().optional(),
  /** End date, milliseconds since the epoch; beats every cache. */
  until: z.int().optional(),
  /** At most `count` allowed requests of each subject in any window of so many seconds. */
  rate: z
    .strictObject({
      count: z.int().min(1).max(MAX_RATE_COUNT),
      perSeconds: z
        .int()
        .min(1)
        .max(MAX_RATE_WINDOW_MS / 1_000),
    })
    .optional(),
  /** Allowed requests of each subject in all. */
  uses: z.int().min(1).max(MAX_USES).optional(),
  obligations: z.array(obligationSchema).min(1).max(MAX_OBLIGATIONS).optional(),
  /** On the subject's device only this workload of it may use the grant; one that it does not know may not. */
  workload: id.optional(),
  place,
});

export const sliceDenySchema = z.strictObject({
  id,
  /** Device ids; empty means every subject. */
  subjects: z.array(id),
  interface: id,
  device: id,
  /** Empty means every operation, also an unnamed one. */
  operations: z.array(id),
  /** Absent for a deny that always matches. */
  conditions: sliceDenyConditionsSchema.optional(),
  /** From and to when it denies, milliseconds since the epoch, end exclusive. */
  notBefore: z.int().optional(),
  until: z.int().optional(),
  place,
});

/** Longest time in minutes that one opening of break-glass lasts, and most openings until the quota is renewed. */
export const MAX_BREAK_GLASS_MINUTES = 60;
export const MAX_BREAK_GLASS_USES = 16;
/** Never fewer than two people open anything. */
export const MIN_APPROVALS = 2;

const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
export const approverSchema = z.strictObject({
  name: id,
  /** Public P-256 key (RFC 7517); its private half lives with the person. */
  key: z.strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate }),
});

/** What people may open on this device for some minutes where no grant does: docs/decisions/0012. */
export const sliceBreakGlassSchema = z.strictObject({
  id,
  /** Device ids that it may be opened for. */
  subjects: z.array(id).min(1),
  interface: id,
  device: id,
  operations: z.array(id).min(1),
  /** Never a bare address. */
  binding: z.enum(['svid', 'port+mac+ip']),
  approvers: z.array(approverSchema).min(MIN_APPROVALS).max(16),
  approvals: z.int().min(MIN_APPROVALS).max(16),
  maxMinutes: z.int().min(1).max(MAX_BREAK_GLASS_MINUTES),
  /** Openings under one generation; a higher generation renews them. */
  uses: z.int().min(1).max(MAX_BREAK_GLASS_USES),
  generation: z.int().min(1),
  /** Its operations count as fresh while open, also past soft and hard expiry. */
  afterHardExpiry: z.boolean(),
  place,
});

export const sliceCasbinSchema = z.strictObject({ name: id, model: z.string(), policy: z.string(), place });

export const sliceRegoSchema = z.strictObject({
  name: z.string().regex(regoNamePattern),
  /** The package as opa compiled it to WebAssembly, in base64. */
  wasm: z.base64().max(Math.ceil(MAX_REGO_MODULE_BYTES / 3) * 4),
  /** Its base documents: JSON of an object with data.json of the folder below the package's name. */
  data: z.string().max(MAX_REGO_DATA_LENGTH),
  /** Of its rule `decision`. */
  place,
});

export const selfTestVectorSchema = z.strictObject({
  subject: id,
  binding: z.enum(['svid', 'port+mac+ip', 'ip']),
  state: z.string(),
  attestation: z.string(),
  /** Beside attestation, risk 0 and not reduced. */
  attributes: z.array(attributeValueSchema).optional(),
  interface: id,
  device: id,
  operation: z.union([
    z.strictObject({
      protocol: z.literal('http'),
      method: z.string(),
      path: z.string(),
      host: z.string().exactOptional(),
      headers: z.record(z.string(), z.array(z.string())).exactOptional(),
      bodyBytes: z.int().exactOptional(),
    }),
    z.strictObject({
      protocol: z.literal('modbus'),
      unit: z.int(),
      functionCode: z.int(),
      address: z.int(),
      quantity: z.int(),
      values: z.array(z.int()),
      change: z.int().exactOptional(),
    }),
    mqttVectorSchema,
    tlsVectorSchema,
    z.strictObject({ protocol: z.literal('port') }),
  ]),
  expect: z.enum(['allow', 'deny']),
});

export const sliceSchema = z.strictObject({
  format: z.literal(1),
  trustDomain: z.string(),
  device: id,
  devices: z.array(sliceDeviceSchema),
  interfaces: z.array(sliceInterfaceSchema),
  grants: z.array(sliceGrantSchema),
  denies: z.array(sliceDenySchema),
  /** Absent when nothing may be opened that way. */
  breakGlass: z.array(sliceBreakGlassSchema).min(1).optional(),
  /** Schema of the attributes that conditions read; absent when none does. */
  attributes: z.array(sliceAttributeSchema).max(1024).optional(),
  firewall: z.array(sliceFirewallRuleSchema),
  /** Each absent when the device has none. */
  workloads: z.array(sliceWorkloadSchema).min(1).max(MAX_WORKLOADS).optional(),
  traps: z.array(sliceTrapSchema).min(1).max(MAX_TRAPS).optional(),
  meters: z.array(sliceMeterSchema).min(1).max(MAX_METERS).optional(),
  /** Absent: coming back from island mode needs an order. */
  island: sliceIslandSchema.optional(),
  casbin: z.array(sliceCasbinSchema),
  /** Absent when no interface here names a package. */
  rego: z.array(sliceRegoSchema).min(1).optional(),
  selfTest: z.array(selfTestVectorSchema),
});

/** SHA-256 digests are lower case hex. */
const digest = z.string().regex(/^[0-9a-f]{64}$/);

export const manifestSchema = z.strictObject({
  format: z.literal(1),
  trustDomain: z.string(),
  device: id,
  /** Monotonic per trust domain; the edge refuses anything not newer than what it has. */
  version: z.int().positive(),
  issuedAt: z.int(),
  softExpiry: z.int(),
  hardExpiry: z.int(),
  /** Features the edge has to know, e.g. `modbus`, `casbin`; an unknown one is a NACK. */
  requires: z.array(z.string()),
  commit: z.string(),
  /** Of the commit, as git says; absent in bundles of before. */
  author: z.string().max(320).optional(),
  /** Chunks in order; their contents joined are the slice as canonical JSON. */
  chunks: z
    .array(z.strictObject({ digest, size: z.int().positive() }))
    .min(1)
    .max(1024),
});

/** What the control plane itself needs of a commit; signed by the publisher (typ edgeward-release+json). */
export const releaseSchema = z.strictObject({
  format: z.literal(1),
  trustDomain: z.string(),
  version: z.int().positive(),
  commit: z.string(),
  author: z.string(),
  committedAt: z.int(),
  issuedAt: z.int(),
  devices: z.array(sliceDeviceSchema),
  /** Executable path to accepted SHA-256 digests, by device id; `*` for every device. */
  referenceValues: z.record(z.string(), z.record(z.string(), z.array(digest))),
  /** Sigma rules and correlations, as written; name to text. */
  detections: z.record(z.string(), z.string()),
  /** CACAO playbooks, as written; name to text. */
  playbooks: z.record(z.string(), z.string()),
  /** Device id to the digest of its manifest JWS. */
  manifests: z.record(z.string(), digest),
});

export type NetworkInterface = z.infer<typeof networkInterfaceSchema>;
export type SliceDevice = z.infer<typeof sliceDeviceSchema>;
export type SliceOperation = z.infer<typeof sliceOperationSchema>;
export type SliceInterface = z.infer<typeof sliceInterfaceSchema>;
export type SliceGrant = z.infer<typeof sliceGrantSchema>;
export type SliceDeny = z.infer<typeof sliceDenySchema>;
export type SliceBreakGlass = z.infer<typeof sliceBreakGlassSchema>;
export type SliceCasbin = z.infer<typeof sliceCasbinSchema>;
export type SliceRego = z.infer<typeof sliceRegoSchema>;
export type SelfTestVector = z.infer<typeof selfTestVectorSchema>;
export type Slice = z.infer<typeof sliceSchema>;
export type Manifest = z.infer<typeof manifestSchema>;
export type Release = z.infer<typeof releaseSchema>;
