// The codec of MQTT.js beside ours: the same packets in its words, so that two independent readers can be compared.
import { generate, parser, type Packet as OraclePacket } from 'mqtt-packet';
import type { EncodedPacket } from '../../enforcer/proxy/mqtt/encode.ts';
import type { MqttVersion, Packet } from '../../enforcer/proxy/mqtt/packet.ts';
import type { Property, PropertyName } from '../../enforcer/proxy/mqtt/properties.ts';

const oracleNames: Partial<Record<PropertyName, string>> = {
  maximumQos: 'maximumQoS',
  subscriptionIdentifierAvailable: 'subscriptionIdentifiersAvailable',
};

/** The oracle has booleans where the specification has bytes of 0 and 1. */
const booleans: ReadonlySet<PropertyName> = new Set([
  ...([
    'payloadFormatIndicator',
    'requestProblemInformation',
    'requestResponseInformation',
    'retainAvailable',
  ] as const),
  ...(['wildcardSubscriptionAvailable', 'subscriptionIdentifierAvailable', 'sharedSubscriptionAvailable'] as const),
]);

type Fields = Record<string, unknown>;

/** Several of a name become an array; the oracle keeps no order among names. */
function collect(into: Fields, name: string, value: unknown): void {
  const before = into[name];
  into[name] = before === undefined ? value : [...(Array.isArray(before) ? (before as unknown[]) : [before]), value];
}

function oracleProperties(properties: readonly Property[]): Fields {
  if (properties.length === 0) return {};
  const result: Fields = {};
  for (const property of properties) {
    if (property.name === 'userProperty') {
      const pairs = (result['userProperties'] ??= Object.create(null)) as Fields;
      collect(pairs, property.value[0], property.value[1]);
    } else {
      const value = booleans.has(property.name) ? property.value === 1 : property.value;
      collect(result, oracleNames[property.name] ?? property.name, value);
    }
  }
  return { properties: result };
}

/** What the oracle makes of the packet, without what it adds of its own (length, unused header fields). */
export function inOracleWords(packet: Packet, version: MqttVersion): Fields {
  const own = 'properties' in packet ? oracleProperties(packet.properties) : {};
  const messageId = 'packetId' in packet && packet.packetId !== 0 ? { messageId: packet.packetId } : {};
  const cmd = packet.type;
  switch (packet.type) {
    case 'connect':
      return {
        cmd,
        protocolId: 'MQTT',
        protocolVersion: version,
        clean: packet.clean,
        keepalive: packet.keepAlive,
        clientId: packet.clientId,
        ...(packet.will === undefined ? {} : { will: { ...packet.will, ...willProperties(packet.will.properties) } }),
        ...(packet.userName === undefined ? {} : { username: packet.userName }),
        ...(packet.password === undefined ? {} : { password: packet.password }),
        ...own,
      };
    case 'connack':
      return {
        cmd,
        sessionPresent: packet.sessionPresent,
        ...(version === 5 ? { reasonCode: packet.reason } : { returnCode: packet.reason }),
        ...own,
      };
    case 'publish': {
      const { dup, qos, retain, topic, payload } = packet;
      return { cmd, dup, qos, retain, topic, payload, ...messageId, ...own };
    }
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
    case 'disconnect':
    case 'auth':
      return { cmd, ...messageId, ...(version === 5 ? { reasonCode: packet.reason } : {}), ...own };
    case 'subscribe': {
      const subscriptions = packet.subscriptions.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) => ({
        topic: filter,
        qos,
        ...(version === 5 ? { nl: noLocal, rap: retainAsPublished, rh: retainHandling } : {}),
      }));
      return { cmd, ...messageId, subscriptions, ...own };
    }
    case 'suback':
      return { cmd, ...messageId, granted: packet.reasons, ...own };
    case 'unsubscribe':
      return { cmd, ...messageId, unsubscriptions: packet.filters, ...own };
    case 'unsuback':
      return { cmd, ...messageId, ...(version === 5 ? { granted: packet.reasons } : {}), ...own };
    case 'pingreq':
    case 'pingresp':
      return { cmd };
    case 'unsupported-connect':
      throw new Error('the oracle knows no such packet');
  }
}

function willProperties(properties: readonly Property[]): Fields {
  return { properties: undefined, ...oracleProperties(properties) };
}

export function oracleEncodes(packet: EncodedPacket, version: MqttVersion): Buffer {
  return generate(inOracleWords(packet, version) as unknown as OraclePacket, { protocolVersion: version });
}

/** What the oracle reads, in comparable form: JSON without what is not of the packet itself. Undefined for an error. */
export function oracleDecodes(bytes: Buffer, version: MqttVersion): string[] | undefined {
  const packets: string[] = [];
  let failed = false;
  const reading = parser({ protocolVersion: version });
  reading.on('packet', (packet) => packets.push(comparable(packet as unknown as Fields)));
  reading.on('error', () => (failed = true));
  try {
    const left = reading.parse(bytes);
    return failed || left > 0 ? undefined : packets;
  } catch {
    return undefined;
  }
}

const onlyPublish = new Set(['dup', 'qos', 'retain', 'topic', 'payload']);

export function comparable(packet: Fields): string {
  const kept = Object.entries(packet).filter(
    ([name]) => name !== 'length' && (packet['cmd'] === 'publish' || !onlyPublish.has(name)),
  );
  return json(Object.fromEntries(kept));
}

/** The same text for the same values: sorted names, bytes in hex. */
export function json(value: unknown): string {
  return JSON.stringify(sorted(value));
}

function sorted(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('hex');
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]));
}
