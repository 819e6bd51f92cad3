// PUBLISH both ways, and the packets that end its flow (MQTT 3.1.1 and 5.0, sections 3.3 to 3.7 and 4.3). A message that is
// refused takes no part in any flow of the other side: its own is ended here, under the identifier that its sender chose.
import { MAX_MQTT_PACKET_BYTES } from '../limits.ts';
import { isDenied, type JudgedOperation, type Message, type Outcome } from '../protocol.ts';
import { encode } from './encode.ts';
import { closing, outcome, passing } from './messages.ts';
import { publishOperation, receiveOperation } from './operations.ts';
import type { Acknowledgement, Publish } from './packet.ts';
import { propertyOf, withProperty } from './properties.ts';
import { firstFailure, reasons } from './reasons.ts';
import type { Session } from './session.ts';

const denied = (judged: readonly JudgedOperation[]): boolean => judged.length === 0 || judged.some(isDenied);

export function publishedByClient(packet: Publish, bytes: Buffer, session: Session): Message {
  return {
    ask() {
      const topic = topicOf(packet, session);
      if (topic === undefined) {
        return {
          kind: 'close',
          why: 'a topic alias that was never set',
          ...goodbye(session, reasons.topicAliasInvalid),
        };
      }
      if (packet.qos > 0 && !packet.dup && session.isInUse(packet.packetId)) {
        const why = `packet identifier ${packet.packetId} is in use`;
        return { kind: 'close', why, ...goodbye(session, reasons.protocolError) };
      }
      if (packet.qos > 0 && session.hasTooMany()) {
        const why = 'too many messages without an answer';
        return { kind: 'close', why, ...goodbye(session, reasons.receiveMaximumExceeded) };
      }
      const operation = publishOperation(session, packet, topic, session.wantsJson());
      const size = resolved(packet, bytes, topic).length;
      // Also above our own bound: the proxy of who receives it would end the connection at each delivery.
      if (size > Math.min(session.serverMaximum, MAX_MQTT_PACKET_BYTES)) {
        const why = 'a message that is too long with the name behind its alias, or for the server';
        return { kind: 'refuse', why, operation, outcome: refused(packet, topic, session, reasons.packetTooLarge) };
      }
      return { kind: 'operations', combine: 'all', operations: [operation] };
    },
    settle(judged) {
      const topic = topicOf(packet, session) ?? '';
      if (denied(judged)) return deniedByPolicy(packet, topic, session);
      return {
        onward: resolved(packet, bytes, topic),
        done: () => {
          remember(packet, topic, session);
          if (packet.qos === 0) return;
          const answers = packet.qos === 1 ? session.acknowledged : session.received;
          if (!answers.has(packet.packetId)) answers.forwarded(packet.packetId);
          if (packet.qos === 2) session.exchanging.add(packet.packetId);
          session.releasing.delete(packet.packetId);
        },
      };
    },
  };
}

function goodbye(session: Session, reason: number): { readonly back?: Buffer } {
  const back = session.goodbye(reason);
  return back === undefined ? {} : { back };
}

/** Undefined for an alias that was not set, or is above the number that the client was told (3.3.2.3.4). */
function topicOf({ topic, properties }: Publish, session: Session): string | undefined {
  const alias = propertyOf(properties, 'topicAlias');
  if (alias === undefined) return topic;
  if (alias > session.aliasMaximum) return undefined;
  return topic === '' ? session.aliases.get(alias) : topic;
}

/** An alias counts when its packet was read, whatever became of the message. */
function remember({ properties }: Publish, topic: string, session: Session): void {
  const alias = propertyOf(properties, 'topicAlias');
  if (alias !== undefined) session.aliases.set(alias, topic);
}

/** With its name and without an alias: the server knows none. */
function resolved(packet: Publish, bytes: Buffer, topic: string): Buffer {
  if (propertyOf(packet.properties, 'topicAlias') === undefined) return bytes;
  return encode({ ...packet, topic, properties: withProperty(packet.properties, 'topicAlias', undefined) }, 5);
}

function deniedByPolicy(packet: Publish, topic: string, session: Session): Outcome {
  if (session.ports.onDeny() === 'answer') return refused(packet, topic, session, reasons.notAuthorized);
  const back = session.goodbye(reasons.notAuthorized);
  return outcome({ back, close: back === undefined ? 'reset' : 'after' });
}

/**
 * Nothing for QoS 0. In 5.0 the reason; a PUBREC with one ends the flow (4.3.3). 3.1.1 has no refusal: the message is
 * acknowledged and dropped (3.3.5), and the PUBREL of QoS 2 is answered here.
 */
function refused(packet: Publish, topic: string, session: Session, reason: number): Outcome {
  const { qos, packetId } = packet;
  const always = (): void => remember(packet, topic, session);
  // A repetition of what went on before gets the answer that is still to come.
  if (qos === 0 || session.isInUse(packetId)) return { done: always };
  const answers = qos === 1 ? session.acknowledged : session.received;
  const back = answer(qos === 1 ? 'puback' : 'pubrec', packetId, session, reason);
  const now = answers.isEmpty();
  return outcome({
    back: now ? back : undefined,
    done: () => {
      always();
      if (!now) answers.refused(packetId, back);
      if (qos === 2 && session.version === 4) session.releasing.add(packetId);
    },
  });
}

function answer(type: Acknowledgement['type'], packetId: number, session: Session, reason: number): Buffer {
  return encode({ type, packetId, reason: session.version === 5 ? reason : 0, properties: [] }, session.version);
}

/** Delivered when it is granted; else its flow is ended towards the server, and the client never hears of it. */
export function publishedByServer(packet: Publish, bytes: Buffer, session: Session): Message {
  if (propertyOf(packet.properties, 'topicAlias') !== undefined) return closing('a topic alias, where none is allowed');
  const { qos, packetId } = packet;
  return {
    ask() {
      if (session.hasTooMany()) return { kind: 'close', why: 'too many messages without an answer' };
      const operation = receiveOperation(session, packet, session.wantsJson());
      return { kind: 'operations', combine: 'all', operations: [operation] };
    },
    settle(judged) {
      if (!denied(judged)) return { onward: bytes, done: () => void session.dropped.delete(packetId) };
      if (qos === 0) return {};
      const back = answer(qos === 1 ? 'puback' : 'pubrec', packetId, session, reasons.notAuthorized);
      return outcome({
        back,
        done: qos === 2 && session.version === 4 ? () => void session.dropped.add(packetId) : undefined,
      });
    },
  };
}

/** PUBREL of what was published to the server; PUBACK, PUBREC and PUBCOMP of what was delivered. */
export function acknowledgedByClient({ type, packetId }: Acknowledgement, bytes: Buffer, session: Session): Message {
  return passing(() => {
    if (type !== 'pubrel') return session.dropped.has(packetId) ? {} : { onward: bytes };
    if (!session.releasing.has(packetId)) return { onward: bytes };
    return {
      back: answer('pubcomp', packetId, session, reasons.success),
      done: () => void session.releasing.delete(packetId),
    };
  });
}

/** PUBREL of what was delivered; PUBACK, PUBREC and PUBCOMP of what was published. */
export function acknowledgedByServer(packet: Acknowledgement, bytes: Buffer, session: Session): Message {
  const { type, packetId } = packet;
  switch (type) {
    case 'pubrel':
      return passing(() => {
        if (!session.dropped.has(packetId)) return { onward: bytes };
        return {
          back: answer('pubcomp', packetId, session, reasons.success),
          done: () => void session.dropped.delete(packetId),
        };
      });
    case 'pubcomp':
      return passing(() => ({ onward: bytes, done: () => void session.exchanging.delete(packetId) }));
    case 'puback':
    case 'pubrec':
      return passing(() => {
        const answers = type === 'puback' ? session.acknowledged : session.received;
        const after = answers.after(packetId);
        // Nobody waits for it.
        if (after === undefined) return {};
        return {
          onward: after.length === 0 ? bytes : Buffer.concat([bytes, ...after]),
          done: () => {
            answers.answered(packetId);
            if (type === 'pubrec' && packet.reason >= firstFailure) session.exchanging.delete(packetId);
          },
        };
      });
  }
}
