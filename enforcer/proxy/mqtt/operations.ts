// What MQTT packets ask for, and what an event says of it.
import type { Operation } from '../../../policy/engine/index.ts';
import { readIJson } from '../../../runtime/i-json.ts';
import { MAX_MQTT_JSON_BYTES } from '../limits.ts';
import type { OperationRecord, ProxyOperation } from '../protocol.ts';
import type { Connect, Publish, Will } from './packet.ts';
import type { Session } from './session.ts';
import type { TopicFilter } from './topic.ts';

export type MqttOperation = Extract<Operation, { protocol: 'mqtt' }>;

type Who = Pick<Session, 'clientId' | 'version' | 'userName'>;

const common = ({ clientId, version, userName }: Who) =>
  ({ protocol: 'mqtt', clientId, version, ...(userName === undefined ? {} : { userName }) }) as const;

export function connectOperation({ clientId, version, userName, will, keepAlive }: Connect): MqttOperation {
  return {
    ...common({ clientId, version, userName }),
    action: 'connect',
    topic: '',
    qos: 0,
    retain: false,
    will: will !== undefined,
    payloadBytes: 0,
    keepAliveSeconds: keepAlive,
  };
}

/** What the server publishes in the client's name when it goes without a goodbye. */
export function willOperation(who: Who, will: Will, wantsJson: boolean): MqttOperation {
  return { ...common(who), action: 'publish', ...message(will, wantsJson), will: true };
}

/** `topic`: the name, also where an alias stands for it. */
export function publishOperation(who: Who, publish: Publish, topic: string, wantsJson: boolean): MqttOperation {
  return { ...common(who), action: 'publish', ...message({ ...publish, topic }, wantsJson), will: false };
}

export function receiveOperation(who: Who, publish: Publish, wantsJson: boolean): MqttOperation {
  return { ...common(who), action: 'receive', ...message(publish, wantsJson), will: false };
}

function message({ topic, qos, retain, payload }: Omit<Will, 'properties'>, wantsJson: boolean) {
  const known = { topic, qos, retain, payloadBytes: payload.length };
  if (!wantsJson || payload.length > MAX_MQTT_JSON_BYTES) return known;
  const reading = readIJson(payload);
  return reading.ok ? { ...known, json: reading.value } : known;
}

export function subscribeOperation(who: Who, { share, filter }: TopicFilter, qos: 0 | 1 | 2): MqttOperation {
  return {
    ...common(who),
    action: 'subscribe',
    topic: filter,
    ...(share === undefined ? {} : { share }),
    qos,
    retain: false,
    will: false,
    payloadBytes: 0,
  };
}

export function recordOf(operation: ProxyOperation): OperationRecord {
  if (operation.protocol !== 'mqtt') throw new TypeError(`${operation.protocol} is not MQTT`);
  const { action, clientId, topic, share, qos, retain, will, payloadBytes, version } = operation;
  const isMessage = action === 'publish' || action === 'receive';
  return {
    class: action,
    data: {
      verb: action,
      client_id: clientId,
      version: version === 5 ? '5.0' : '3.1.1',
      ...(action === 'connect' ? {} : { topic, qos }),
      ...(share === undefined ? {} : { share }),
      ...(isMessage ? { retain, payload_bytes: payloadBytes } : {}),
      ...(will ? { will } : {}),
    },
    key: [action, clientId, topic, share ?? '', qos, retain ? 1 : 0, will ? 1 : 0],
    changes: action === 'publish',
  };
}
