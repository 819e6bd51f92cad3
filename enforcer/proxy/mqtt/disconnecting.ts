// The end of a connection and what becomes of its will (MQTT 3.1.1 and 5.0, sections 3.1.2.5 and 3.14). A will was judged with
// its CONNECT and is published much later: it is judged again then, and taken back where it is no longer allowed.
import { isDenied, type Message, type ProxyOperation } from '../protocol.ts';
import { encode } from './encode.ts';
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
  // Looked at when its turn comes: the CONNECT before it may still wait. Reason 0 alone deletes the will (5.0, 3.14.4).
  const asked = (): ProxyOperation | undefined => (packet.reason === reasons.success ? undefined : session.will);
  return {
    ask() {
      const will = asked();
      return will === undefined ? { kind: 'pass' } : { kind: 'operations', combine: 'all', operations: [will] };
    },
    settle(judged) {
      const isRefused = asked() !== undefined && (judged.length === 0 || judged.some(isDenied));
      return { onward: isRefused ? withoutWill(session.version) : bytes, close: 'after', done };
    },
  };
}
