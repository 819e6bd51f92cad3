// MQTT 3.1.1 and 5.0 as the frame sees them: each packet of both sides is a message, decoded strictly and judged where it
// asks for something: CONNECT, PUBLISH, SUBSCRIBE of the client, PUBLISH of the server.
import { MAX_MQTT_CONNECT_BYTES, MAX_MQTT_PACKET_BYTES, MQTT_CONNECT_TIMEOUT_MS } from '../limits.ts';
import type { Batch, Direction, Exchange, ExchangePorts, Message, Protocol, ProxyOperation } from '../protocol.ts';
import { connected, connecting, unsupported } from './connecting.ts';
import { disconnecting, withoutWill } from './disconnecting.ts';
import { decode } from './decode.ts';
import { closing, passing } from './messages.ts';
import { recordOf } from './operations.ts';
import type { Packet, Sender } from './packet.ts';
import { acknowledgedByClient, acknowledgedByServer, publishedByClient, publishedByServer } from './publishing.ts';
import { createFrameReader } from './reader.ts';
import { reasons } from './reasons.ts';
import { type LoginOf, Session } from './session.ts';
import { subscribed, subscribing, unsubscribing } from './subscribing.ts';

/**
 * `loginOf`: the account at the broker that a device is logged in with instead of what its client says; without one, that
 * is passed on. Asked for each CONNECT that goes on.
 */
export function mqttProtocol(loginOf: LoginOf = () => undefined): Protocol {
  const open = (ports: ExchangePorts): Exchange => new MqttExchange(ports, loginOf);
  return { name: 'mqtt', alpn: ['mqtt'], kind: 'mqtt', open, record: recordOf };
}

const bounds = { maxPacketBytes: MAX_MQTT_PACKET_BYTES, maxFirstPacketBytes: MAX_MQTT_CONNECT_BYTES };

class MqttExchange implements Exchange {
  readonly client: Direction;
  readonly server: Direction;
  readonly #session: Session;

  constructor(ports: ExchangePorts, loginOf: LoginOf) {
    const session = new Session(ports, loginOf);
    this.#session = session;
    const fromClient = directionOf('client', session, clientMessage);
    this.client = {
      push(chunk) {
        session.heard = ports.clock.monotonic();
        return fromClient.push(chunk);
      },
      isPartial: () => fromClient.isPartial(),
      // What comes behind a CONNECT waits for its answer, which is the first that a client may hear (3.2.0).
      hasRoom: () => session.phase !== 'connecting' && session.subscriptions.hasRoom(),
    };
    this.server = directionOf('server', session, serverMessage);
  }

  isIdle(): boolean {
    const { phase, acknowledged, received, exchanging, subscriptions } = this.#session;
    const open = acknowledged.size() + received.size() + exchanging.size + subscriptions.pendingCount();
    return phase !== 'connecting' && open === 0;
  }

  tick(nowMs: number): string | undefined {
    const { phase, phaseSince, keepAlive, heard } = this.#session;
    if (phase !== 'open') {
      if (nowMs - phaseSince < MQTT_CONNECT_TIMEOUT_MS) return undefined;
      return phase === 'opening' ? 'no CONNECT in time' : 'no answer to the CONNECT in time';
    }
    // One and a half times the keep-alive (3.1.2.10).
    if (keepAlive > 0 && nowMs - heard > keepAlive * 1_500) return `silent for more than ${keepAlive * 1.5} s`;
    return undefined;
  }

  farewell(allows: (operation: ProxyOperation) => boolean): Buffer | undefined {
    const { will, version } = this.#session;
    return will === undefined || allows(will) ? undefined : withoutWill(version);
  }

  standing(): readonly ProxyOperation[] {
    return this.#session.standing;
  }
}

function directionOf(
  sender: Sender,
  session: Session,
  messageOf: (packet: Packet, bytes: Buffer, session: Session) => Message,
): Direction {
  const reader = createFrameReader(sender, bounds);
  return {
    isPartial: reader.isPartial,
    push(chunk): Batch {
      const { frames, fault } = reader.push(chunk);
      const messages = frames.map((frame) => {
        const decoded = decode(frame, session.version, sender);
        if ('fault' in decoded)
          return closing(decoded.fault, sender === 'client' ? session.goodbye(reasons.malformedPacket) : undefined);
        // What comes behind a CONNECT is read as it says, also before it is forwarded.
        if (decoded.packet.type === 'connect') session.version = decoded.packet.version;
        return messageOf(decoded.packet, frame.bytes, session);
      });
      return { messages, fault };
    },
  };
}

function clientMessage(packet: Packet, bytes: Buffer, session: Session): Message {
  switch (packet.type) {
    case 'connect':
      return connecting(packet, bytes, session);
    case 'unsupported-connect':
      return unsupported(packet);
    case 'publish':
      return publishedByClient(packet, bytes, session);
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return acknowledgedByClient(packet, bytes, session);
    case 'subscribe':
      return subscribing(packet, bytes, session);
    case 'unsubscribe':
      return unsubscribing(packet, bytes, session);
    case 'pingreq':
      return passing(() => ({ onward: bytes }));
    case 'disconnect':
      return disconnecting(packet, bytes, session);
    case 'auth':
      return closing('AUTH without enhanced authentication', session.goodbye(reasons.protocolError));
    case 'connack':
    case 'suback':
    case 'unsuback':
    case 'pingresp':
      return closing(`${packet.type} comes from the other side`);
  }
}

function serverMessage(packet: Packet, bytes: Buffer, session: Session): Message {
  switch (packet.type) {
    case 'connack':
      return connected(packet, bytes, session);
    case 'publish':
      return publishedByServer(packet, bytes, session);
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return acknowledgedByServer(packet, bytes, session);
    case 'suback':
    case 'unsuback':
      return subscribed(packet, bytes, session);
    case 'pingresp':
      return passing(() => ({ onward: bytes }));
    case 'disconnect':
      return passing(() => ({ onward: bytes, close: 'after' }));
    case 'auth':
      return closing('AUTH without enhanced authentication');
    case 'connect':
    case 'unsupported-connect':
    case 'subscribe':
    case 'unsubscribe':
    case 'pingreq':
      return closing(`${packet.type} comes from the other side`);
  }
}
