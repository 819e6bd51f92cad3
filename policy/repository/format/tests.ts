// tests/**/*.yaml: given / when / then, tables of them, and invariants. Answered by the decision engine over the slice
// of the serving device.
import { z } from 'zod';
import { headerNamePattern } from '../../bundle/http-bounds.ts';
import type { ExplanationStep, Freshness } from '../../engine/index.ts';
import type { Reason, SubjectState } from '../../engine/request.ts';
import { givenAttributes, type GivenAttributes } from './given-attributes.ts';
import type { TlsRequest } from '../../engine/request.ts';
import { modbusFunction } from './modbus-function.ts';
import { mqttWhen, mqttWhenOf, type MqttWhen } from './mqtt.ts';
import { attestationClass, binding, duration, id, selectorOrAll, timeWindow, worded } from './scalars.ts';

const namesOf = <T extends string>(known: Readonly<Record<T, true>>) => z.enum(Object.keys(known) as [T, ...T[]]);

/** Every state, reason, freshness and step, so that a new one is a type error here until tests can name it. */
const state = namesOf<SubjectState>({
  unknown: true,
  expected: true,
  enrolled: true,
  trusted: true,
  stale: true,
  suspect: true,
  quarantined: true,
  recovering: true,
  decommissioned: true,
  revoked: true,
});

export const reason = namesOf<Reason>({
  granted: true,
  'no-bundle': true,
  'hard-expired': true,
  'soft-expired': true,
  state: true,
  island: true,
  denied: true,
  'no-grant': true,
  condition: true,
  binding: true,
  casbin: true,
  rego: true,
  obligation: true,
  'unknown-interface': true,
  'unknown-operation': true,
  ambiguous: true,
  overload: true,
  standby: true,
  fault: true,
});

const freshness = namesOf<Freshness>({ fresh: true, 'soft-expired': true, 'hard-expired': true });

const step = namesOf<ExplanationStep['step']>({
  bundle: true,
  interface: true,
  operation: true,
  state: true,
  deny: true,
  grant: true,
  casbin: true,
  rego: true,
  observe: true,
  fault: true,
});

const time = z.iso.datetime().transform((text) => Date.parse(text));

/** All optional: what a table says once, its rows need not repeat. */
const given = z.strictObject({
  /** Any id: a device nobody knows is a subject worth testing. */
  subject: id.optional(),
  state: state.optional(),
  /** `missing`: nobody said it. */
  attestation: z.union([attestationClass, z.literal('missing')]).optional(),
  attestedAgo: duration.optional(),
  risk: z.union([z.int().min(0).max(100), z.literal('missing')]).optional(),
  reduced: z.boolean().optional(),
  freshness: freshness.optional(),
  binding: binding.optional(),
  time: time.optional(),
  attributes: givenAttributes.optional(),
});

/** A header as it stands once, or each of its lines. */
const lines = z
  .union([z.string(), z.array(z.string())])
  .transform((said) => (typeof said === 'string' ? [said] : said));

const when = z.strictObject({
  interface: id.optional(),
  device: id.optional(),
  http: z
    .strictObject({
      method: z.string().min(1).optional(),
      path: z.string().min(1).optional(),
      /** Left out, nobody knows them. */
      host: z.string().optional(),
      headers: z.record(worded(headerNamePattern, 'a header name in lower case'), lines).optional(),
      bodyBytes: z.int().min(0).optional(),
    })
    .optional(),
  modbus: z
    .strictObject({
      function: modbusFunction.optional(),
      unit: z.int().min(0).max(255).optional(),
      address: z.int().min(0).max(65535).optional(),
      quantity: z.int().min(0).max(65535).optional(),
      values: z.array(z.int().min(0).max(65535)).optional(),
      /** Largest difference to what the registers held in the last minute; left out, nobody knows it. */
      change: z.int().min(0).max(65535).optional(),
    })
    .optional(),
  mqtt: mqttWhen.optional(),
  tls: z.strictObject({ serverName: z.string().optional(), alpn: z.array(z.string()).optional() }).optional(),
  port: z.literal(true).optional(),
});

const answer = z.enum(['allow', 'deny']);

const expectation = z.union([
  answer,
  z.strictObject({
    allow: z.boolean(),
    reason: reason.optional(),
    /** `grant:<id>`, `deny:<id>` or `casbin:<name>`, as decisions name it. */
    rule: z.string().min(1).optional(),
    operation: id.optional(),
    /** The condition that failed, in the words of an explanation, e.g. `risk at most 50`. */
    condition: z.string().min(1).optional(),
    /** Names of the obligations that come with the answer, all of them. */
    obligations: z.array(z.string().min(1)).optional(),
    /** Steps that the explanation has to contain, in this order. */
    explain: z
      .array(z.strictObject({ step, rule: z.string().min(1).optional(), outcome: z.string().min(1).optional() }))
      .min(1)
      .optional(),
  }),
]);

const row = z.strictObject({
  name: z.string().min(1).max(256).optional(),
  given: given.optional(),
  when: when.optional(),
  // oxlint-disable-next-line unicorn/no-thenable -- the word of given/when/then; the object is never awaited
  then: expectation.optional(),
  reason: reason.optional(),
});

const policyTest = z
  .strictObject({
    name: z.string().min(1).max(256),
    given: given.optional(),
    when: when.optional(),
    // oxlint-disable-next-line unicorn/no-thenable -- the word of given/when/then; the object is never awaited
    then: expectation.optional(),
    reason: reason.optional(),
    rows: z.array(row).min(1).optional(),
  })
  .superRefine((entry, context) => {
    for (const { path, message } of missingIn(entry)) context.addIssue({ code: 'custom', path: [...path], message });
  });

const invariantScope = z.strictObject({
  /** `all` also means devices that nobody knows. */
  subjects: selectorOrAll,
  interface: id,
  operations: z.union([z.enum(['all', 'writes', 'reads']), z.array(id).min(1)]).default('all'),
  states: z.array(state).min(1).optional(),
  attestation: z.array(attestationClass).min(1).optional(),
  bindings: z.array(binding).min(1).optional(),
  freshness: z.array(freshness).min(1).optional(),
  timeWindow: timeWindow.optional(),
});

const invariant = z
  .strictObject({
    name: z.string().min(1).max(256),
    never: invariantScope.optional(),
    always: invariantScope.optional(),
  })
  .refine((entry) => (entry.never === undefined) !== (entry.always === undefined), {
    path: ['name'],
    message: 'expected either never: {subjects, interface, ...} or always: {...} beside the name',
  });

export const testsSchema = z.strictObject({
  tests: z.array(policyTest).default([]),
  invariants: z.array(invariant).default([]),
});

type Entry = z.infer<typeof policyTest>;
export type InvariantEntry = z.infer<typeof invariant>;
export type InvariantScope = z.infer<typeof invariantScope>;

/** Circumstances of a question: who asks and what is known of the subject. */
export interface Given {
  readonly subject: string;
  readonly state: SubjectState;
  readonly attestation: z.infer<typeof attestationClass> | 'missing';
  /** Milliseconds. */
  readonly attestedAgo: number;
  /** 0 to 100. */
  readonly risk: number | 'missing';
  readonly reduced: boolean;
  readonly freshness: Freshness;
  /** Absent: svid for http, ip for the others. */
  readonly binding?: z.infer<typeof binding>;
  /** Milliseconds since the epoch; absent for the time of the run. */
  readonly time?: number;
  readonly attributes: GivenAttributes;
}

/** What is asked; exactly one of the protocols. */
export interface When {
  readonly interface: string;
  readonly device?: string;
  readonly http?: {
    readonly method: string;
    readonly path: string;
    readonly host?: string;
    readonly headers?: Readonly<Record<string, readonly string[]>>;
    readonly bodyBytes?: number;
  };
  readonly modbus?: {
    readonly function: number;
    readonly unit: number;
    readonly address: number;
    readonly quantity: number;
    readonly values: readonly number[];
    readonly change?: number;
  };
  readonly mqtt?: MqttWhen;
  readonly tls?: Omit<TlsRequest, 'protocol'>;
  readonly port?: true;
}

export interface Expectation {
  readonly allow: boolean;
  readonly reason?: Reason;
  readonly rule?: string;
  readonly operation?: string;
  readonly condition?: string;
  readonly obligations?: readonly string[];
  readonly explain?: readonly {
    readonly step: ExplanationStep['step'];
    readonly rule?: string | undefined;
    readonly outcome?: string | undefined;
  }[];
}

/** One question with its expected answer. A table becomes one of these for each row. */
export interface TestCase {
  readonly name: string;
  /** Row of the table, from 0. */
  readonly row?: number;
  readonly given: Given;
  readonly when: When;
  readonly expected: Expectation;
}

export const givenDefaults = {
  state: 'trusted',
  attestation: 'software',
  attestedAgo: 60_000,
  risk: 0,
  reduced: false,
  freshness: 'fresh',
  attributes: {},
} as const satisfies Partial<Given>;

type Part = Pick<Entry, 'given' | 'when' | 'then' | 'reason'>;

/** What a row leaves out is what the table says. */
function joined(entry: Entry, part: Part): Part {
  const both = <T extends object>(a: T | undefined, b: T | undefined) =>
    a === undefined && b === undefined ? undefined : ({ ...a, ...b } as T);
  const shared = entry.when;
  return {
    given: both(entry.given, part.given),
    when: both(shared, {
      ...part.when,
      ...optional('http', both(shared?.http, part.when?.http)),
      ...optional('modbus', both(shared?.modbus, part.when?.modbus)),
      ...optional('mqtt', both(shared?.mqtt, part.when?.mqtt)),
      ...optional('tls', both(shared?.tls, part.when?.tls)),
    }),
    ...optional('then', part.then ?? entry.then),
    ...optional('reason', part.reason ?? (part.then === undefined ? entry.reason : undefined)),
  };
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in K]?: V });
}

interface Missing {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

function missingIn(entry: Entry): Missing[] {
  if (entry.rows === undefined) return missingInPart(joined(entry, {}), []);
  return entry.rows.flatMap((part, index) => missingInPart(joined(entry, part), ['rows', index]));
}

function missingInPart(part: Part, path: readonly (string | number)[]): Missing[] {
  const missing: Missing[] = [];
  const need = (present: boolean, at: readonly string[], message: string): void => {
    if (!present) missing.push({ path: [...path, ...at], message });
  };
  const asked = part.when;
  need(part.given?.subject !== undefined, ['given'], 'subject is missing: expected given: {subject: <device id>}');
  need(asked?.interface !== undefined, ['when'], 'interface is missing: expected when: {interface: <name>, ...}');
  need(part.then !== undefined, [], 'then is missing: expected then: allow, then: deny or then: {allow: ..., ...}');
  const asks = [asked?.http, asked?.modbus, asked?.mqtt, asked?.tls, asked?.port].filter(
    (value) => value !== undefined,
  );
  need(asks.length === 1, ['when'], 'expected exactly one of http, modbus, mqtt, tls, port beside the interface');
  if (asked?.http !== undefined) {
    need(asked.http.method !== undefined, ['when', 'http'], 'method is missing: expected a text such as GET');
    need(asked.http.path !== undefined, ['when', 'http'], 'path is missing: expected a text such as /status');
  }
  need(
    asked?.modbus === undefined || asked.modbus.function !== undefined,
    ['when', 'modbus'],
    'function is missing: expected a Modbus function code or its name',
  );
  if (asked?.mqtt !== undefined) {
    const { action, topic } = asked.mqtt;
    need(action !== undefined, ['when', 'mqtt'], 'action is missing: expected connect, publish, subscribe or receive');
    const named = action === 'connect' || topic !== undefined;
    need(named, ['when', 'mqtt'], 'topic is missing: expected a topic name, or a filter of subscribe');
  }
  need(
    asked?.tls === undefined || asked.tls.serverName !== undefined,
    ['when', 'tls'],
    'serverName is missing: expected a name such as cam-1.plant.example, or an empty text for none',
  );
  const twice = typeof part.then === 'object' && part.then.reason !== undefined && part.reason !== undefined;
  need(!twice, ['reason'], 'expected the reason once, in then or beside it');
  return missing;
}

/** The questions of one entry; the schema made sure that nothing is missing. */
export function casesOf(entry: Entry): TestCase[] {
  if (entry.rows === undefined) return [caseOf(entry.name, joined(entry, {}))];
  return entry.rows.map((part, index) => ({
    ...caseOf(`${entry.name}: ${part.name ?? `row ${index + 1}`}`, joined(entry, part)),
    row: index,
  }));
}

function caseOf(name: string, part: Part): TestCase {
  const { subject = '', binding: shown, time: at, ...known } = part.given ?? {};
  const { interface: asked = '', device, http, modbus, mqtt, tls, port } = part.when ?? {};
  return {
    name,
    given: {
      ...givenDefaults,
      ...(Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)) as Partial<Given>),
      subject,
      ...optional('binding', shown),
      ...optional('time', at),
    },
    when: {
      interface: asked,
      ...optional('device', device),
      ...(http === undefined ? {} : { http: httpOf(http) }),
      ...(modbus === undefined ? {} : { modbus: modbusOf(modbus) }),
      ...(mqtt === undefined ? {} : { mqtt: mqttWhenOf(mqtt, subject) }),
      ...(tls === undefined ? {} : { tls: { serverName: tls.serverName ?? '', alpn: tls.alpn ?? [] } }),
      ...optional('port', port),
    },
    expected: expectationOf(part),
  };
}

function httpOf(asked: NonNullable<NonNullable<Entry['when']>['http']>): NonNullable<When['http']> {
  const { method = '', path = '', host, headers, bodyBytes } = asked;
  return {
    method,
    path,
    ...optional('host', host),
    ...optional('headers', headers),
    ...optional('bodyBytes', bodyBytes),
  };
}

function modbusOf(asked: NonNullable<NonNullable<Entry['when']>['modbus']>): NonNullable<When['modbus']> {
  const { function: code = 0, unit = 1, address = 0, quantity = 1, values = [], change } = asked;
  return { function: code, unit, address, quantity, values, ...optional('change', change) };
}

function expectationOf({ then: wanted = 'deny', reason: because }: Part): Expectation {
  if (typeof wanted === 'string') return { allow: wanted === 'allow', ...optional('reason', because) };
  const { allow, rule, operation, condition, obligations, explain } = wanted;
  return {
    allow,
    ...optional('reason', wanted.reason ?? because),
    ...optional('rule', rule),
    ...optional('operation', operation),
    ...optional('condition', condition),
    ...optional('obligations', obligations),
    ...optional('explain', explain),
  };
}
