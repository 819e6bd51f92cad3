// MQTT for the self-test vectors: a request that falls under an operation, and whether one does. Written independently of
// the engine (policy/engine/mqtt-operation.ts), level by level and without its trie.
import { impliedActions } from '../bundle/mqtt.ts';
import type { SelfTestVector, SliceOperation } from '../bundle/slice.ts';

type MqttOperation = Extract<SliceOperation, { protocol: 'mqtt' }>;
type MqttSample = Extract<SelfTestVector['operation'], { protocol: 'mqtt' }>;

/** A text that nobody writes. */
const anything = 'self-test';
const usualKeepAliveSeconds = 60;

const named = (pattern: string, subject: string): string => pattern.split('{device}').join(subject);

/** Undefined where the ranges of its payload contradict each other (`/a` and `/a/b`). */
export function sampleMqtt(operation: MqttOperation, subject: string): MqttSample | undefined {
  const { clientIds = ['{device}'], topics, json, maxKeepAliveSeconds = usualKeepAliveSeconds } = operation;
  const [action = 'connect'] = operation.actions;
  const filter = named(topics[0] ?? '', subject);
  const payload = json === undefined ? {} : payloadOf(json);
  if (payload === undefined) return undefined;
  return {
    protocol: 'mqtt',
    action,
    clientId: named(clientIds[0] ?? '', subject).replace(/\*$/, anything),
    topic: action === 'connect' ? '' : action === 'subscribe' ? filter : topicOf(filter),
    qos: 0,
    retain: false,
    will: false,
    payloadBytes: 0,
    keepAliveSeconds: Math.min(usualKeepAliveSeconds, maxKeepAliveSeconds),
    version: 4,
    ...payload,
  };
}

/** A topic name that the filter lets through. */
export function topicOf(filter: string): string {
  return filter
    .split('/')
    .map((level) => (level === '+' || level === '#' ? anything : level))
    .join('/');
}

/** The smallest number of each range, in objects. */
function payloadOf(ranges: NonNullable<MqttOperation['json']>): { json: unknown } | undefined {
  const root: Record<string, unknown> = {};
  for (const [pointer, [low]] of Object.entries(ranges)) {
    const path = ['', ...pointer.split('/').slice(1)].map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    let at = root;
    for (const part of path.slice(0, -1)) {
      const next = Object.hasOwn(at, part) ? at[part] : (at[part] = Object.create(null));
      if (typeof next !== 'object' || next === null) return undefined;
      at = next as Record<string, unknown>;
    }
    const last = path.at(-1) ?? '';
    if (Object.hasOwn(at, last)) return undefined;
    at[last] = low;
  }
  return { json: root[''] };
}

export function matchesMqtt(operation: MqttOperation, request: MqttSample, subject: string): boolean {
  if (!impliedActions(operation.actions).includes(request.action)) return false;
  const ids = operation.clientIds?.map((id) => named(id, subject));
  if (ids === undefined ? request.action === 'connect' : !ids.some((id) => isId(id, request.clientId))) return false;
  if (request.qos > (operation.maxQos ?? 2) || (request.will && !operation.will)) return false;
  if (request.action === 'connect') return request.keepAliveSeconds <= (operation.maxKeepAliveSeconds ?? Infinity);
  const asked = request.topic.split('/');
  if (!operation.topics.some((topic) => covers(named(topic, subject).split('/'), asked, true))) return false;
  if (request.action === 'subscribe') return true;
  if (request.action === 'publish' && request.retain && !operation.retain) return false;
  if (request.payloadBytes > (operation.maxPayloadBytes ?? Infinity)) return false;
  return Object.entries(operation.json ?? {}).every(([pointer, [low, high]]) => {
    const value = pointer
      .split('/')
      .slice(1)
      .reduce<unknown>(
        (at, part) => (at as Record<string, unknown> | undefined)?.[part.replaceAll('~1', '/').replaceAll('~0', '~')],
        request.json,
      );
    return typeof value === 'number' && low <= value && value <= high;
  });
}

function isId(pattern: string, clientId: string): boolean {
  return pattern.endsWith('*') ? clientId.startsWith(pattern.slice(0, -1)) : pattern === clientId;
}

/** Whether every topic that `asked` stands for, itself a name or a filter, is one of the filter. */
function covers([level, ...more]: readonly string[], [first, ...rest]: readonly string[], atStart: boolean): boolean {
  if (atStart && first?.startsWith('$') === true && level !== first) return false;
  if (level === '#') return true;
  if (level === undefined || first === undefined) return level === undefined && first === undefined;
  if (level === '+' ? first === '#' : level !== first) return false;
  return covers(more, rest, false);
}
