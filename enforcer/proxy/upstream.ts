// The server's side of a proxied connection: dialled when the first message is allowed, so that a peer without rights does
// not even take one of the few connections a PLC has. It comes from this host's own address: the rules that divert to
// the proxy look at packets from outside only, so that it is not diverted again (proxy.ts guards against it anyway).
import { connect, type Socket } from 'node:net';
import type { Clock } from '../../runtime/clock.ts';
import type { Endpoint } from './endpoint.ts';
import { proxyErrors } from './errors.ts';

export interface UpstreamPorts {
  readonly connect: () => Promise<Socket>;
  readonly onData: (chunk: Buffer) => void;
  /** It was opened, or has taken what was written. */
  readonly onRoom: () => void;
  /** `broken`: by a reset or another failure, not by its own word. */
  readonly onEnd: (broken: boolean) => void;
  /** `isGone` is true now. */
  readonly onGone: () => void;
}

/** `none`: nobody dialled yet; `wait`: onRoom follows. */
export type UpstreamRoom = 'none' | 'wait' | 'room';

export interface Upstream {
  readonly room: () => UpstreamRoom;
  readonly dial: () => void;
  readonly write: (bytes: Buffer) => void;
  /** While true, what is written waits, to leave together. */
  readonly gather: (on: boolean) => void;
  /** Whether it is read from. */
  readonly flow: (on: boolean) => void;
  /** Bytes that it has not taken yet. */
  readonly pending: () => number;
  /** Bytes that it has taken in all. */
  readonly taken: () => number;
  /** After what was written, or at once with a reset. */
  readonly end: (reset: boolean) => void;
  /** Nothing is left of it: neither a socket, nor one on its way. */
  readonly isGone: () => boolean;
}

export function createUpstream(ports: UpstreamPorts): Upstream {
  let socket: Socket | undefined;
  let dialling = false;
  let ended = false;
  let isReset = false;
  let flowing = true;

  const finish = (broken: boolean): void => {
    if (ended) return;
    ended = true;
    ports.onEnd(broken);
  };
  const use = (opened: Socket): void => {
    dialling = false;
    socket = opened;
    if (ended) {
      opened.destroy();
      ports.onGone();
      return;
    }
    opened.setNoDelay(true);
    opened.on('data', ports.onData);
    opened.on('drain', ports.onRoom);
    opened.on('error', () => finish(true));
    opened.on('close', () => {
      finish(false);
      ports.onGone();
    });
    if (!flowing) opened.pause();
    ports.onRoom();
  };

  return {
    room() {
      if (ended) return 'wait';
      if (socket === undefined) return dialling ? 'wait' : 'none';
      return socket.writableNeedDrain ? 'wait' : 'room';
    },
    dial() {
      if (dialling || socket !== undefined) return;
      dialling = true;
      ports.connect().then(use, () => {
        dialling = false;
        finish(false);
        ports.onGone();
      });
    },
    write: (bytes) => void socket?.write(bytes),
    gather(on) {
      if (on) socket?.cork();
      else socket?.uncork();
    },
    flow(on) {
      if (flowing === on) return;
      flowing = on;
      if (on) socket?.resume();
      else socket?.pause();
    },
    pending: () => socket?.writableLength ?? 0,
    taken: () => (socket === undefined ? 0 : socket.bytesWritten - socket.writableLength),
    end(reset) {
      ended = true;
      isReset ||= reset;
      if (!reset) socket?.destroySoon();
      else if (socket !== undefined) endNow(socket);
    },
    isGone: () => (socket === undefined ? !dialling || isReset : socket.destroyed),
  };
}

/**
 * With a reset, unless its end is on its way already: a socket that shuts down cannot be reset (libuv, uv_tcp_close_reset), and
 * Node would keep it open for ever.
 */
export function endNow(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** Rejects with PROXY_UPSTREAM_UNREACHABLE. */
export async function connectDirectly(destination: Endpoint, clock: Clock, timeoutMs: number): Promise<Socket> {
  const socket = connect({ host: destination.address, port: destination.port, noDelay: true });
  const settled = new AbortController();
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const late = clock.sleep(timeoutMs, settled.signal).then(() => {
    throw new Error(`no answer within ${timeoutMs} ms`);
  });
  // Only one of the two is listened to in the end.
  connected.catch(() => undefined);
  late.catch(() => undefined);
  try {
    await Promise.race([connected, late]);
    return socket;
  } catch (cause) {
    socket.destroy();
    const why = cause instanceof Error ? cause.message : 'unknown';
    throw proxyErrors.error(
      'PROXY_UPSTREAM_UNREACHABLE',
      `${destination.address} port ${destination.port} does not answer: ${why}`,
      { cause },
    );
  } finally {
    settled.abort();
  }
}
