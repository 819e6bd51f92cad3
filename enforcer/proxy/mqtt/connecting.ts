// CONNECT and its answer (MQTT 3.1.1 and 5.0, sections 3.1 and 3.2). The client id is what policy binds to the identity; a
// will is a message that is published later, and judged now. What both sides agree on is held to what can be followed
// here: no topic aliases towards the client, ours from it, packets that are not greater than we read.
import { MAX_MQTT_PACKET_BYTES, MAX_MQTT_TOPIC_ALIASES } from '../limits.ts';
import { isDenied, type JudgedOperation, type Message, type Outcome } from '../protocol.ts';
import { closing, passing } from './messages.ts';
import { encode } from './encode.ts';
import { connectOperation, willOperation } from './operations.ts';
import type { Connack, Connect, MqttVersion, UnsupportedConnect } from './packet.ts';
import { propertyOf, withProperty } from './properties.ts';
import { reasons, returnCodes } from './reasons.ts';
import type { Session } from './session.ts';

function refusal(version: MqttVersion, returnCode: number, reason: number): Buffer {
  const code = version === 5 ? reason : returnCode;
  return encode({ type: 'connack', sessionPresent: false, reason: code, properties: [] }, version);
}

/** Levels below 5 are told so in the form of 3.1.1 (3.1.2.2 of both), those above in that of 5.0. */
export function unsupported({ protocol, level }: UnsupportedConnect): Message {
  const code = level > 5 && level < 0x80 ? 5 : 4;
  const back = refusal(code, returnCodes.unacceptableProtocolVersion, reasons.unsupportedProtocolVersion);
  return closing(`protocol ${JSON.stringify(protocol.slice(0, 16))} level ${level} is not MQTT 3.1.1 or 5.0`, back);
}

export function connecting(packet: Connect, bytes: Buffer, session: Session): Message {
  const { version, clientId, clean, properties, will } = packet;
  if (propertyOf(properties, 'authenticationMethod') !== undefined) {
    return closing('enhanced authentication', refusal(version, 0, reasons.badAuthenticationMethod));
  }
  if (version === 4 && clientId === '' && !clean) {
    return closing('a session without a client id', refusal(4, returnCodes.identifierRejected, 0));
  }
  const operation = connectOperation(packet);
  const who = { clientId, version, userName: packet.userName };
  return {
    ask: () => ({
      kind: 'operations',
      combine: 'all',
      operations: will === undefined ? [operation] : [operation, willOperation(who, will, session.wantsJson())],
    }),
    settle(judged) {
      if (judged.length === 0 || judged.some(isDenied)) {
        if (session.ports.onDeny() === 'close') return { close: 'reset' };
        return { back: refusal(version, returnCodes.notAuthorized, reasons.notAuthorized), close: 'after' };
      }
      return { onward: forwarded(packet, bytes, session), done: () => begin(packet, session, judged) };
    },
  };
}

function forwarded(packet: Connect, bytes: Buffer, session: Session): Buffer {
  const { interface: name, subject } = session.ports.connection();
  const login = session.loginOf(name, subject.id);
  const account = login === undefined ? {} : { userName: login.userName, password: Buffer.from(login.password) };
  if (packet.version === 4) return login === undefined ? bytes : encode({ ...packet, ...account }, 4);
  const most = Math.min(
    propertyOf(packet.properties, 'maximumPacketSize') ?? MAX_MQTT_PACKET_BYTES,
    MAX_MQTT_PACKET_BYTES,
  );
  const bounded = withProperty(packet.properties, 'maximumPacketSize', most);
  // An alias that is set by a message which is not delivered would be unknown to the client: the server uses none.
  return encode({ ...packet, ...account, properties: withProperty(bounded, 'topicAliasMaximum', undefined) }, 5);
}

function begin({ clientId, userName, keepAlive }: Connect, session: Session, judged: readonly JudgedOperation[]): void {
  session.enter('connecting');
  session.clientId = clientId;
  session.userName = userName;
  session.keepAlive = keepAlive;
  session.standing = judged.map(({ operation }) => operation);
  session.will = session.standing[1];
}

export function connected(packet: Connack, bytes: Buffer, session: Session): Message {
  const assigned = propertyOf(packet.properties, 'assignedClientIdentifier');
  if (assigned !== undefined && session.clientId !== '') return closing('another client id than the one it was sent');
  const accepted = packet.reason === 0;
  return passing((): Outcome => {
    if (!accepted) return { onward: bytes, close: 'after' };
    return {
      onward: session.version === 4 ? bytes : encode(bounded(packet), 5),
      done: () => {
        session.enter('open');
        session.heard = session.phaseSince;
        session.clientId = assigned ?? session.clientId;
        session.keepAlive = propertyOf(packet.properties, 'serverKeepAlive') ?? session.keepAlive;
        session.aliasMaximum = session.version === 5 ? MAX_MQTT_TOPIC_ALIASES : 0;
        session.serverMaximum = propertyOf(packet.properties, 'maximumPacketSize') ?? Number.POSITIVE_INFINITY;
      },
    };
  });
}

/** Aliases are ours to resolve, whatever number of them the server would take: it gets names. */
function bounded(packet: Connack): Connack {
  const most = Math.min(
    propertyOf(packet.properties, 'maximumPacketSize') ?? MAX_MQTT_PACKET_BYTES,
    MAX_MQTT_PACKET_BYTES,
  );
  const properties = withProperty(packet.properties, 'maximumPacketSize', most);
  return { ...packet, properties: withProperty(properties, 'topicAliasMaximum', MAX_MQTT_TOPIC_ALIASES) };
}
