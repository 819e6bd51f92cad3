// Packets as bytes: what is answered here, and what is forwarded otherwise than it came. Only values that were decoded,
// or made here, are encoded.
import { encodeBinary, encodeText, encodeUint16, encodeVariable } from './fields.ts';
import {
  type Acknowledgement,
  type Connack,
  type Connect,
  type Disconnect,
  type MqttVersion,
  type Packet,
  packetTypes,
  type Publish,
  type Subscribe,
  type Subscription,
} from './packet.ts';
import { encodeProperties, type Property } from './properties.ts';

/** All that a connection encodes; the rest is only read. */
export type EncodedPacket = Exclude<Packet, { readonly type: 'unsupported-connect' }>;

export function encode(packet: EncodedPacket, version: MqttVersion): Buffer {
  const withProperties = (properties: readonly Property[]): Buffer =>
    version === 5 ? encodeProperties(properties) : nothing;
  switch (packet.type) {
    case 'connect':
      return connect(packet);
    case 'connack':
      return connack(packet, withProperties(packet.properties));
    case 'publish':
      return publish(packet, withProperties(packet.properties));
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return acknowledgement(packet, version);
    case 'subscribe':
      return subscribe(packet, withProperties(packet.properties));
    case 'suback':
    case 'unsuback':
      return whole(
        packet.type,
        0,
        encodeUint16(packet.packetId),
        withProperties(packet.properties),
        Buffer.from(packet.reasons),
      );
    case 'unsubscribe':
      return whole(
        'unsubscribe',
        2,
        encodeUint16(packet.packetId),
        withProperties(packet.properties),
        ...packet.filters.map((filter) => encodeText(filter)),
      );
    case 'pingreq':
    case 'pingresp':
      return whole(packet.type, 0);
    case 'disconnect':
      return disconnect(packet, version);
    case 'auth':
      return whole('auth', 0, Buffer.from([packet.reason]), encodeProperties(packet.properties));
  }
}

const nothing = Buffer.alloc(0);

function whole(type: keyof typeof packetTypes, flags: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([(packetTypes[type] << 4) | flags]), encodeVariable(length), ...parts]);
}

function connect({ version, clean, keepAlive, clientId, will, userName, password, properties }: Connect): Buffer {
  const own = (list: readonly Property[]): Buffer => (version === 5 ? encodeProperties(list) : nothing);
  const flags =
    (clean ? 0x02 : 0) |
    (will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)) |
    (password === undefined ? 0 : 0x40) |
    (userName === undefined ? 0 : 0x80);
  return whole(
    'connect',
    0,
    encodeText('MQTT'),
    Buffer.from([version, flags]),
    encodeUint16(keepAlive),
    own(properties),
    encodeText(clientId),
    ...(will === undefined ? [] : [own(will.properties), encodeText(will.topic), encodeBinary(will.payload)]),
    ...(userName === undefined ? [] : [encodeText(userName)]),
    ...(password === undefined ? [] : [encodeBinary(password)]),
  );
}

function connack({ sessionPresent, reason }: Connack, properties: Buffer): Buffer {
  return whole('connack', 0, Buffer.from([sessionPresent ? 1 : 0, reason]), properties);
}

function publish({ dup, qos, retain, topic, packetId, payload }: Publish, properties: Buffer): Buffer {
  const flags = (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  const id = qos === 0 ? nothing : encodeUint16(packetId);
  return whole('publish', flags, encodeText(topic), id, properties, payload);
}

/** In 5.0 what says nothing is left away (3.4.2.1). */
function acknowledgement({ type, packetId, reason, properties }: Acknowledgement, version: MqttVersion): Buffer {
  const flags = type === 'pubrel' ? 2 : 0;
  const id = encodeUint16(packetId);
  if (version === 4 || (reason === 0 && properties.length === 0)) return whole(type, flags, id);
  return whole(
    type,
    flags,
    id,
    Buffer.from([reason]),
    ...(properties.length === 0 ? [] : [encodeProperties(properties)]),
  );
}

function subscribe({ packetId, subscriptions }: Subscribe, properties: Buffer): Buffer {
  const parts = subscriptions.flatMap((one) => [encodeText(one.filter), Buffer.from([optionsOf(one)])]);
  return whole('subscribe', 2, encodeUint16(packetId), properties, ...parts);
}

function optionsOf({ qos, noLocal, retainAsPublished, retainHandling }: Subscription): number {
  return qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4);
}

function disconnect({ reason, properties }: Disconnect, version: MqttVersion): Buffer {
  if (version === 4 || (reason === 0 && properties.length === 0)) return whole('disconnect', 0);
  return whole(
    'disconnect',
    0,
    Buffer.from([reason]),
    ...(properties.length === 0 ? [] : [encodeProperties(properties)]),
  );
}
