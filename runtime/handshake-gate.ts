// Admission of TLS handshakes: a few at a time, the others in line. A fleet that lost its server comes back at once, and
// a thousand handshakes begun together all end too late.
import type { Socket } from 'node:net';

export interface HandshakeLimits {
  /** Handshakes begun at a time; each costs about a millisecond of CPU. */
  readonly maxHandshakesInFlight: number;
  /** A handshake that takes longer goes on, but no longer keeps others from beginning: a silent client costs no CPU. */
  readonly handshakeSlotMs: number;
  /** Accepted sockets that wait for their handshake; further ones are refused. */
  readonly maxHandshakesWaiting: number;
}

export interface HandshakeGate {
  /** Begins the handshake now or later; false when too many wait. */
  admit(socket: Socket): boolean;
  /** The handshake on this connection is done. Takes the TLS socket, which does not say which socket it wraps. */
  done(socket: Socket): void;
  /** Closes what waits. */
  stop(): void;
}

export function createHandshakeGate(limits: HandshakeLimits, begin: (socket: Socket) => void): HandshakeGate {
  const inFlight = new Map<string, Socket>();
  let waiting: Socket[] = [];

  const enter = (socket: Socket): void => {
    const key = fourTuple(socket);
    inFlight.set(key, socket);
    const slow = setTimeout(() => leave(key, socket), limits.handshakeSlotMs).unref();
    socket.once('close', () => {
      clearTimeout(slow);
      leave(key, socket);
    });
    begin(socket);
  };

  // A handshake leaves once, in whatever way; then the next one enters.
  const leave = (key: string, socket: Socket | undefined): void => {
    if (socket === undefined || inFlight.get(key) !== socket) return;
    inFlight.delete(key);
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (next.destroyed) continue;
      enter(next);
      return;
    }
  };

  return {
    admit(socket) {
      if (inFlight.size < limits.maxHandshakesInFlight) {
        enter(socket);
        return true;
      }
      if (waiting.length >= limits.maxHandshakesWaiting) waiting = waiting.filter((waiter) => !waiter.destroyed);
      if (waiting.length >= limits.maxHandshakesWaiting) return false;
      waiting.push(socket);
      return true;
    },
    done: (socket) => {
      const key = fourTuple(socket);
      leave(key, inFlight.get(key));
    },
    stop: () => {
      for (const socket of waiting.splice(0)) socket.destroy();
    },
  };
}

/** Both ends of a connection in one text: a TLS socket has the same as the one it wraps. */
export function fourTuple(socket: Socket): string {
  return [socket.remoteAddress, socket.remotePort, socket.localAddress, socket.localPort].join(' ');
}
