// The end of a connection and what becomes of its will (MQTT 3.1.1 and 5.0, sections 3.1.2.5 and 3.14). A will was judged with
// its CONNECT and is published much later: it is judged again then, and taken back where it is no longer allowed.
import { isDenied, type Message } from '../protocol.ts';
import { encode } from './encode.ts';
import { passing } from './messages.ts';
import type { Disconnect, MqttVersion } from './packet.ts';
import { reasons } from './reasons.ts';
import type { Session } from './session.ts';

/** A normal DISCONNECT: the server deletes the will. */
export const withoutWill = (version: MqttVersion): Buffer =>
  encode({ type: 'disconnect', reason: reasons.success, properties: [] }, version);

export function disconnecting(packet: Disconnect, bytes: Buffer, session: Session): Message {
  const done = (): void => {
    session.will = undefined;
  };
  const { will } = session;
  // The one reason that deletes the will (5.0, 3.14.4).
  if (will === undefined || packet.reason === reasons.success) {
    return passing(() => ({ onward: bytes, close: 'after', done }));
  }
  return {
    ask: () => ({ kind: 'operations', combine: 'all', operations: [will] }),
    settle: (judged) => ({
      onward: judged.length === 0 || judged.some(isDenied) ? withoutWill(session.version) : bytes,
      close: 'after',
      done,
    }),
  };
}
