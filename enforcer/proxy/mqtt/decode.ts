// One packet's body, strictly (MQTT 3.1.1 and 5.0, section 3): what is accepted here has one reading only, so that the
// broker behind cannot see another packet than the one that was judged. What the specification calls malformed or a
// protocol error, and what can be seen in the packet alone, is refused here; what needs the session, in the exchange.
import { createFieldReader, type FieldReader, Malformed } from './fields.ts';
import type {
  Acknowledgement,
  Auth,
  Connack,
  Connect,
  Disconnect,
  MqttVersion,
  Packet,
  Publish,
  Qos,
  Sender,
  Suback,
  Subscribe,
  Subscription,
  UnsupportedConnect,
  Unsuback,
  Unsubscribe,
  Will,
} from './packet.ts';
import { type Property, propertyOf, type PropertyPlace, readProperties } from './properties.ts';
import type { Frame } from './reader.ts';
import { isReason, type ReasonPlace } from './reasons.ts';
import { isTopicName, parseTopicFilter } from './topic.ts';

export type Decoded = { readonly packet: Packet } | { readonly fault: string };

/** `version` as the CONNECT of the connection named it; a CONNECT names its own. */
export function decode(frame: Frame, version: MqttVersion, sender: Sender): Decoded {
  try {
    const fields = createFieldReader(frame.body);
    const packet = read(frame, fields, { version, sender });
    if (fields.rest() > 0 && packet.type !== 'unsupported-connect') throw new Malformed('bytes behind the end');
    return { packet };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { fault: `${frame.type}: ${error.message}` };
  }
}

interface Context {
  readonly version: MqttVersion;
  readonly sender: Sender;
}

function read({ type, flags }: Frame, fields: FieldReader, context: Context): Packet {
  switch (type) {
    case 'connect':
      return connect(fields);
    case 'connack':
      return connack(fields, context);
    case 'publish':
      return publish(fields, flags, context);
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return acknowledgement(type, fields, context);
    case 'subscribe':
      return subscribe(fields, context);
    case 'suback':
      return suback(fields, context);
    case 'unsubscribe':
      return unsubscribe(fields, context);
    case 'unsuback':
      return unsuback(fields, context);
    case 'pingreq':
    case 'pingresp':
      return { type };
    case 'disconnect':
      return disconnect(fields, context);
    case 'auth':
      return auth(fields, context);
  }
}

const none: readonly Property[] = [];

function properties(fields: FieldReader, place: PropertyPlace, { version, sender }: Context): readonly Property[] {
  return version === 5 ? readProperties(fields, place, sender) : none;
}

function reason(code: number, place: ReasonPlace, { version, sender }: Context): number {
  if (!isReason(code, place, version, sender)) throw new Malformed(`reason code ${code}`);
  return code;
}

function packetId(fields: FieldReader): number {
  const id = fields.uint16();
  if (id === 0) throw new Malformed('packet identifier 0');
  return id;
}

function qosOf(bits: number): Qos {
  if (bits === 0 || bits === 1 || bits === 2) return bits;
  throw new Malformed('QoS 3');
}

function topicName(fields: FieldReader): string {
  const name = fields.text();
  if (!isTopicName(name)) throw new Malformed('no topic name');
  return name;
}

function topicFilter(fields: FieldReader): string {
  const filter = fields.text();
  if (parseTopicFilter(filter) === undefined) throw new Malformed('no topic filter');
  return filter;
}

/** 3.1: flags that contradict each other are malformed, and the payload holds exactly what they announce. */
function connect(fields: FieldReader): Connect | UnsupportedConnect {
  const protocol = fields.text();
  const level = fields.byte();
  if (protocol !== 'MQTT' || (level !== 4 && level !== 5)) return { type: 'unsupported-connect', protocol, level };
  const context: Context = { version: level, sender: 'client' };
  const flags = fields.byte();
  const has = (bit: number): boolean => (flags & (1 << bit)) !== 0;
  if (has(0)) throw new Malformed('the reserved flag is set');
  const willQos = qosOf((flags >> 3) & 3);
  if (!has(2) && (willQos !== 0 || has(5))) throw new Malformed('flags of a will without a will');
  if (level === 4 && has(6) && !has(7)) throw new Malformed('a password without a user name');
  const keepAlive = fields.uint16();
  const own = properties(fields, 'connect', context);
  const clientId = fields.text();
  const will = has(2) ? readWill(fields, willQos, has(5), context) : undefined;
  const userName = has(7) ? fields.text() : undefined;
  const password = has(6) ? fields.binary() : undefined;
  return {
    type: 'connect',
    version: level,
    clean: has(1),
    keepAlive,
    clientId,
    ...(will === undefined ? {} : { will }),
    ...(userName === undefined ? {} : { userName }),
    ...(password === undefined ? {} : { password }),
    properties: own,
  };
}

function readWill(fields: FieldReader, qos: Qos, retain: boolean, context: Context): Will {
  const own = properties(fields, 'will', context);
  return { properties: own, topic: topicName(fields), payload: fields.binary(), qos, retain };
}

function connack(fields: FieldReader, context: Context): Connack {
  const flags = fields.byte();
  if (flags > 1) throw new Malformed('reserved flags are set');
  const code = reason(fields.byte(), 'connack', context);
  if (flags === 1 && code !== 0) throw new Malformed('a session with a refusal');
  return {
    type: 'connack',
    sessionPresent: flags === 1,
    reason: code,
    properties: properties(fields, 'connack', context),
  };
}

/** The reader has seen that the flags do not contradict each other. */
function publish(fields: FieldReader, flags: number, context: Context): Publish {
  const qos = qosOf((flags >> 1) & 3);
  const topic = fields.text();
  if (topic !== '' && !isTopicName(topic)) throw new Malformed('no topic name');
  const id = qos === 0 ? 0 : packetId(fields);
  const own = properties(fields, 'publish', context);
  if (topic === '' && propertyOf(own, 'topicAlias') === undefined) throw new Malformed('no topic and no alias');
  return {
    type: 'publish',
    dup: (flags & 8) !== 0,
    qos,
    retain: (flags & 1) !== 0,
    topic,
    packetId: id,
    properties: own,
    payload: fields.bytes(fields.rest()),
  };
}

/** 3.4 to 3.7: in 5.0 reason and properties may be left away, from behind. */
function acknowledgement(type: Acknowledgement['type'], fields: FieldReader, context: Context): Acknowledgement {
  const id = packetId(fields);
  if (context.version === 4 || fields.rest() === 0) return { type, packetId: id, reason: 0, properties: none };
  const code = reason(fields.byte(), type, context);
  const own = fields.rest() === 0 ? none : properties(fields, type, context);
  return { type, packetId: id, reason: code, properties: own };
}

function subscribe(fields: FieldReader, context: Context): Subscribe {
  const id = packetId(fields);
  const own = properties(fields, 'subscribe', context);
  const subscriptions: Subscription[] = [];
  while (fields.rest() > 0) subscriptions.push(subscription(fields, context));
  if (subscriptions.length === 0) throw new Malformed('no filter');
  return { type: 'subscribe', packetId: id, properties: own, subscriptions };
}

/** 3.8.3.1. */
function subscription(fields: FieldReader, { version }: Context): Subscription {
  const filter = topicFilter(fields);
  const options = fields.byte();
  if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) throw new Malformed('reserved options are set');
  const retainHandling = (options >> 4) & 3;
  if (retainHandling === 3) throw new Malformed('retain handling 3');
  const noLocal = (options & 4) !== 0;
  if (noLocal && parseTopicFilter(filter)?.share !== undefined) throw new Malformed('no local with a share');
  return {
    filter,
    qos: qosOf(options & 3),
    noLocal,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  };
}

function suback(fields: FieldReader, context: Context): Suback {
  const id = packetId(fields);
  const own = properties(fields, 'suback', context);
  const codes = reasonsOf(fields, 'suback', context);
  return { type: 'suback', packetId: id, properties: own, reasons: codes };
}

function reasonsOf(fields: FieldReader, place: 'suback' | 'unsuback', context: Context): readonly number[] {
  const codes = [...fields.bytes(fields.rest())].map((code) => reason(code, place, context));
  if (codes.length === 0) throw new Malformed('no reason code');
  return codes;
}

function unsubscribe(fields: FieldReader, context: Context): Unsubscribe {
  const id = packetId(fields);
  const own = properties(fields, 'unsubscribe', context);
  const filters: string[] = [];
  while (fields.rest() > 0) filters.push(topicFilter(fields));
  if (filters.length === 0) throw new Malformed('no filter');
  return { type: 'unsubscribe', packetId: id, properties: own, filters };
}

function unsuback(fields: FieldReader, context: Context): Unsuback {
  const id = packetId(fields);
  if (context.version === 4) return { type: 'unsuback', packetId: id, properties: none, reasons: [] };
  const own = properties(fields, 'unsuback', context);
  return { type: 'unsuback', packetId: id, properties: own, reasons: reasonsOf(fields, 'unsuback', context) };
}

/** 3.14: in 3.1.1 only the client says it, and nothing with it. */
function disconnect(fields: FieldReader, context: Context): Disconnect {
  if (context.version === 4) {
    if (context.sender === 'server') throw new Malformed('comes from the other side');
    return { type: 'disconnect', reason: 0, properties: none };
  }
  if (fields.rest() === 0) return { type: 'disconnect', reason: 0, properties: none };
  const code = reason(fields.byte(), 'disconnect', context);
  const own = fields.rest() === 0 ? none : properties(fields, 'disconnect', context);
  return { type: 'disconnect', reason: code, properties: own };
}

/** 3.15. */
function auth(fields: FieldReader, context: Context): Auth {
  if (context.version === 4) throw new Malformed('does not exist in 3.1.1');
  if (fields.rest() === 0) return { type: 'auth', reason: 0, properties: none };
  const code = reason(fields.byte(), 'auth', context);
  return { type: 'auth', reason: code, properties: properties(fields, 'auth', context) };
}
