// MQTT in a slice (MQTT 3.1.1 and 5.0): what an operation of an interface is, and the request of a self-test vector.
import { z } from 'zod';
import { id } from './scalars.ts';

/** Characters of a topic filter that a policy names; a real one has a dozen levels of a dozen letters. */
export const MAX_POLICY_TOPIC_LENGTH = 1_024;
/** Characters of a client id that a policy names (MQTT 5.0, 3.1.3.1: 23 is what every server has to take). */
export const MAX_POLICY_CLIENT_ID_LENGTH = 256;
/** Topic filters, client ids and share names of one operation. */
export const MAX_POLICY_TOPICS = 256;
/** Members of a payload that one operation bounds. */
export const MAX_JSON_RANGES = 32;
/** Bytes of a payload: what the remaining length can say (MQTT 5.0, 1.5.5). */
export const MAX_MQTT_PAYLOAD_BYTES = 268_435_455;

export const mqttActions = ['connect', 'publish', 'subscribe', 'receive'] as const;
export type MqttAction = (typeof mqttActions)[number];

/** What is delivered to who may subscribe need not be said again. */
export function impliedActions(actions: readonly MqttAction[]): readonly MqttAction[] {
  return actions.includes('subscribe') && !actions.includes('receive') ? [...actions, 'receive'] : actions;
}

const qos = z.union([z.literal(0), z.literal(1), z.literal(2)]);

export const sliceMqttOperationSchema = z.strictObject({
  name: id,
  protocol: z.literal('mqtt'),
  /** `subscribe` is `receive` too: what matches the filter may be delivered. */
  actions: z.array(z.enum(mqttActions)).min(1),
  /** Topic filters (MQTT 5.0, 4.7) of publish, subscribe and receive; `{device}` is the subject's id. */
  topics: z.array(z.string().min(1).max(MAX_POLICY_TOPIC_LENGTH)).max(MAX_POLICY_TOPICS),
  /** `{device}` is the subject's id, a last `*` any rest. Absent: any, once connected; nobody may connect. */
  clientIds: z.array(z.string().max(MAX_POLICY_CLIENT_ID_LENGTH)).min(1).max(MAX_POLICY_TOPICS).optional(),
  /** Of publish, subscribe and receive. */
  maxQos: qos.optional(),
  /** Whether what is published may be retained. */
  retain: z.boolean(),
  /** Of connect: whether it may carry a will; of publish: whether the will may be published. */
  will: z.boolean(),
  /** Names of shared subscriptions (MQTT 5.0, 4.8.2); empty for none. */
  shares: z.array(z.string().min(1).max(MAX_POLICY_TOPIC_LENGTH)).max(MAX_POLICY_TOPICS),
  /** Of publish and receive. */
  maxPayloadBytes: z.int().min(0).max(MAX_MQTT_PAYLOAD_BYTES).optional(),
  /** Of publish and receive: JSON pointer (RFC 6901) to the inclusive range of the number there. */
  json: z
    .record(z.string().max(MAX_POLICY_TOPIC_LENGTH), z.tuple([z.number(), z.number()]))
    .refine((ranges) => Object.keys(ranges).length <= MAX_JSON_RANGES)
    .optional(),
  /** Of connect; a client that asks for none (0) is above every maximum. */
  maxKeepAliveSeconds: z.int().min(1).max(65_535).optional(),
  class: z.enum(['safety', 'normal', 'sensitive']),
  island: z.boolean(),
});

/** As `Operation` of policy/engine/request.ts, without the share and the user name. */
export const mqttVectorSchema = z.strictObject({
  protocol: z.literal('mqtt'),
  action: z.enum(mqttActions),
  clientId: z.string(),
  topic: z.string(),
  qos,
  retain: z.boolean(),
  will: z.boolean(),
  payloadBytes: z.int(),
  json: z.unknown().optional(),
  keepAliveSeconds: z.int(),
  version: z.union([z.literal(4), z.literal(5)]),
});
