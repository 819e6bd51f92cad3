// MQTT in interfaces/*.yaml, and as tests ask for it.
import { z } from 'zod';
import {
  MAX_JSON_RANGES,
  MAX_MQTT_PAYLOAD_BYTES,
  MAX_POLICY_CLIENT_ID_LENGTH,
  MAX_POLICY_TOPIC_LENGTH,
  MAX_POLICY_TOPICS,
  mqttActions,
} from '../../bundle/mqtt.ts';
import type { MqttRequest } from '../../engine/request.ts';
import { worded } from './scalars.ts';

const text = z.string().min(1).max(MAX_POLICY_TOPIC_LENGTH);
const qos = z.union([z.literal(0), z.literal(1), z.literal(2)]);

/** `-40-85`, `0.5-1.5` or `7`, or the number itself; becomes an inclusive range. */
const decimalRange = z.union([z.number(), z.string()]).transform((value, context): [number, number] => {
  const [, low = '', high = low] =
    /^(-?\d{1,15}(?:\.\d{1,9})?)(?:-(-?\d{1,15}(?:\.\d{1,9})?))?$/.exec(String(value)) ?? [];
  if (low !== '' && Number(low) <= Number(high)) return [Number(low), Number(high)];
  context.addIssue({
    code: 'custom',
    message: 'expected a number or an inclusive range such as "-40-85" or "0.5-1.5", smaller number first',
  });
  return z.NEVER;
});

const jsonPointer = worded(/^(\/([^~]|~[01])*)?$/s, 'a JSON pointer such as /temperature (RFC 6901)');

export const mqttOperation = z
  .strictObject({
    actions: z.array(z.enum(mqttActions)).min(1),
    /** The rest of the form is rule POLICY_TOPIC_FILTER. */
    topics: z.array(text).min(1).max(MAX_POLICY_TOPICS).optional(),
    clientIds: z.array(z.string().max(MAX_POLICY_CLIENT_ID_LENGTH)).min(1).max(MAX_POLICY_TOPICS).optional(),
    maxQos: qos.optional(),
    retain: z.boolean().default(false),
    will: z.boolean().default(false),
    shares: z
      .array(worded(/^[^/+#\0]+$/, 'the name of a shared subscription, without / + and #'))
      .max(MAX_POLICY_TOPICS)
      .default([]),
    maxPayloadBytes: z.int().min(0).max(MAX_MQTT_PAYLOAD_BYTES).optional(),
    json: z
      .record(jsonPointer, decimalRange)
      .refine((ranges) => Object.keys(ranges).length > 0, 'expected at least one pointer')
      .refine((ranges) => Object.keys(ranges).length <= MAX_JSON_RANGES, `expected at most ${MAX_JSON_RANGES} pointers`)
      .optional(),
    maxKeepAliveSeconds: z.int().min(1).max(65_535).optional(),
    island: z.boolean().default(false),
    class: z.enum(['safety', 'normal', 'sensitive']).optional(),
  })
  .refine(({ actions, topics }) => actions.every((action) => action === 'connect') === (topics === undefined), {
    path: ['topics'],
    message: 'expected topic filters with publish, subscribe or receive, and none with connect alone',
  });

export type MqttOperationEntry = z.infer<typeof mqttOperation>;

/** Of `when` in tests; what is left out is `mqttDefaults`. */
export const mqttWhen = z.strictObject({
  action: z.enum(mqttActions).optional(),
  topic: z.string().optional(),
  clientId: z.string().optional(),
  share: z.string().min(1).optional(),
  qos: qos.optional(),
  retain: z.boolean().optional(),
  will: z.boolean().optional(),
  payloadBytes: z.int().min(0).max(MAX_MQTT_PAYLOAD_BYTES).optional(),
  json: z.unknown().optional(),
  keepAliveSeconds: z.int().min(0).max(65_535).optional(),
  version: z.union([z.literal(4), z.literal(5)]).optional(),
  userName: z.string().optional(),
});

export type MqttWhen = Omit<MqttRequest, 'protocol'>;

/** Seconds that most clients ask for, and the servers' default. */
const USUAL_KEEP_ALIVE_SECONDS = 60;

/** What an ordinary client sends: its own id, MQTT 3.1.1, quality 0. */
export function mqttDefaults(subject: string, { action, json }: z.infer<typeof mqttWhen>): MqttWhen {
  return {
    action: action ?? 'publish',
    clientId: subject,
    topic: '',
    qos: 0,
    retain: false,
    will: false,
    payloadBytes: json === undefined ? 0 : Buffer.byteLength(JSON.stringify(json)),
    version: 4,
    ...(action === 'connect' ? { keepAliveSeconds: USUAL_KEEP_ALIVE_SECONDS } : {}),
  };
}

export function mqttWhenOf(asked: z.infer<typeof mqttWhen>, subject: string): MqttWhen {
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  return { ...mqttDefaults(subject, asked), ...given };
}
