// What an engine was asked when it gave a recorded decision (docs/detection.md, kinds `authz`, `modbus`, `mqtt`, `http` and
// `tls`), read back from the event: whole, or not at all with the reason.
import { z } from 'zod';
import {
  type AccessRequest,
  type Asked,
  type Fulfilment,
  joinConnection,
  type Obligation,
  type Operation,
  readAttributes,
} from '../../engine/index.ts';
import { bindings, freshnesses, stateOrder } from './surroundings.ts';

export type Recalled =
  | { readonly kind: 'whole'; readonly question: RecalledQuestion }
  /** Circumstances of the subject are missing, in words; the request itself is there. */
  | { readonly kind: 'request'; readonly missing: string }
  /** Something else than was asked is there. */
  | { readonly kind: 'hidden'; readonly missing: string };

export interface RecalledQuestion extends Asked {
  /** Why the enforcement point denied what the policy might allow. */
  readonly ambiguous?: string;
  readonly fulfilment: Fulfilment;
  /** Client and enforcement point are known; only Rego packages and Casbin models look at them. */
  readonly client: boolean;
}

/** Kinds of events that are decisions about requests. */
export const decisionKinds = ['authz', 'modbus', 'mqtt', 'http', 'tls'] as const;
export type DecisionKind = (typeof decisionKinds)[number];

/** A field that the edge masks holds a commitment instead of its value. */
const isMasked = (value: unknown): boolean => typeof value === 'string' && /^sha256:[0-9a-f]{64}$/.test(value);
const aboutTheClient: ReadonlySet<string> = new Set(['source_ip', 'source_port', 'peer', 'enforcement_point']);
const asked: ReadonlySet<string> = new Set([
  'ambiguous',
  'address',
  'alpn',
  'asked_ms',
  'attributes',
  'binding',
  'body_bytes',
  'change',
  'client_id',
  'floor_ms',
  'freshness',
  'fulfils',
  'function_code',
  'headers',
  'host',
  'interface',
  'island',
  'method',
  'path',
  'payload_bytes',
  'qos',
  'quantity',
  'retain',
  'server_name',
  'share',
  'state',
  'subject',
  'topic',
  'truncated',
  'unit',
  'values',
  'verb',
  'version',
  'will',
]);

/** What the record of a request never holds, in words; undefined when it holds all. */
function unrecorded(kind: DecisionKind, operation: Operation | undefined): string | undefined {
  if (kind === 'http') return 'query and headers';
  if (operation?.protocol !== 'mqtt') return undefined;
  switch (operation.action) {
    case 'connect':
      return 'the keep-alive';
    case 'publish':
    case 'receive':
      return 'the payload';
    case 'subscribe':
      return undefined;
  }
}

const names = <T extends string>(known: readonly T[]) => z.enum(known as readonly [T, ...T[]]);
const shape = z.looseObject({
  subject: z.string(),
  interface: z.string(),
  state: names(stateOrder),
  binding: names(bindings),
  freshness: names(freshnesses),
  asked_ms: z.number(),
  floor_ms: z.number().optional(),
  island: z.literal(true).optional(),
  attributes: z.array(z.string()).default([]),
  ambiguous: z.string().optional(),
  fulfils: z.array(z.string()).optional(),
});
const client = z.looseObject({
  /** A proxy is its own, named as its kind. */
  enforcement_point: z.string().optional(),
  source_ip: z.string(),
  source_port: z.int(),
  peer: z.string().optional(),
});

const partly = (missing: string): Recalled => ({ kind: 'request', missing });

/** `data` is that of an event; `operation` what it says was done. */
export function recall(
  kind: DecisionKind,
  data: Readonly<Record<string, unknown>>,
  operation: Operation | undefined,
): Recalled {
  const masked = Object.keys(data).filter((name) => isMasked(data[name]));
  const hidden = masked.filter((name) => asked.has(name));
  if (hidden.length > 0) return { kind: 'hidden', missing: `${hidden.join(' and ')} (masked)` };
  if (Object.hasOwn(data, 'truncated')) return { kind: 'hidden', missing: 'the whole request (too large)' };
  const never = unrecorded(kind, operation);
  if (never !== undefined) return { kind: 'hidden', missing: `${never} (not recorded)` };
  // Two approvers decided, not the policy.
  if (String(data['rule']).startsWith('break-glass:')) return { kind: 'hidden', missing: 'the break-glass ticket' };
  if (data['reason'] === 'no-bundle') return partly('the bundle that was not there');
  if (data['reason'] === 'fault') return partly('the fault');
  if (operation === undefined || !Object.hasOwn(data, 'state')) {
    return partly('state and attestation');
  }
  const found = shape.safeParse(data);
  const attributes = found.success ? readAttributes(found.data.attributes) : undefined;
  if (!found.success || attributes === undefined) return partly('fields that this program knows');
  const fulfilment = fulfilmentOf(found.data.fulfils);
  if (fulfilment === undefined) return partly('fields that this program knows');
  const from = client.safeParse(data);
  // The user name of an MQTT client is one more thing of it that only packages and models read.
  const knowsClient = from.success && kind !== 'mqtt' && !masked.some((name) => aboutTheClient.has(name));
  const { subject, state, binding, freshness, asked_ms: time, floor_ms: timeFloor, ambiguous } = found.data;
  const { island } = found.data;
  const request: AccessRequest = {
    subject: { id: subject, binding, state, attributes: attributes.subject },
    operation,
    resource: { interface: found.data.interface, attributes: attributes.resource },
    context: {
      time,
      ...(timeFloor === undefined ? {} : { timeFloor }),
      ...(island === undefined ? {} : { island }),
      source: knowsClient ? (from.data.enforcement_point ?? kind) : '',
      connection: knowsClient ? connectionOf(kind, from.data) : '',
      attributes: attributes.context,
    },
  };
  const question = { request, freshness, fulfilment, client: knowsClient };
  return { kind: 'whole', question: ambiguous === undefined ? question : { ...question, ambiguous } };
}

function connectionOf(kind: DecisionKind, { source_ip: address, source_port: port, peer }: z.infer<typeof client>) {
  if (kind !== 'authz') return `${address}:${port}`;
  return peer ?? joinConnection(address, port);
}

/** Without a list what every enforcement point fulfils. */
function fulfilmentOf(texts: readonly string[] = ['log', 'notification']): Fulfilment | undefined {
  const ids: Fulfilment['ids'][number][] = [];
  const custom: string[] = [];
  const levels: string[] = [];
  let anyLevel = false;
  for (const text of texts) {
    const colon = text.indexOf(':');
    const id = (colon === -1 ? text : text.slice(0, colon)) as Obligation['id'];
    switch (id) {
      case 'log':
      case 'notification':
        ids.push(id);
        break;
      case 'custom':
        custom.push(text.slice(colon + 1));
        break;
      case 'step-up':
        if (colon === -1) anyLevel = true;
        else levels.push(text.slice(colon + 1));
        break;
      default:
        return undefined;
    }
  }
  return { ids, custom, levels, anyLevel };
}
