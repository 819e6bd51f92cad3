// Which version a connection speaks: HTTP/2 with prior knowledge begins with a preface that no request of HTTP/1.1 can be
// (RFC 9113, section 3.4).
import type { Socket } from 'node:net';
import type { Connection, ConnectionPorts } from '../connection.ts';
import { endNow } from '../upstream.ts';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export interface Versions {
  readonly http1: (client: Socket, ports: ConnectionPorts) => Connection;
  readonly http2: (client: Socket, ports: ConnectionPorts) => Connection;
}

/** Looks at the first bytes, and hands the connection on with all of them. */
export function serveByFirstBytes(client: Socket, ports: ConnectionPorts, versions: Versions): Connection {
  let chosen: Connection | undefined;
  let seen = Buffer.alloc(0);
  let since: number | undefined;
  let isOver = false;

  const over = (): void => {
    if (isOver) return;
    isOver = true;
    ports.onClosed();
  };
  const look = (chunk: Buffer): void => {
    since ??= ports.clock.monotonic();
    seen = Buffer.concat([seen, chunk]);
    const compared = Math.min(seen.length, preface.length);
    const mayBe = seen.subarray(0, compared).equals(preface.subarray(0, compared));
    if (mayBe && compared < preface.length) return;
    client.pause();
    client.off('data', look);
    client.unshift(seen);
    try {
      chosen = (mayBe ? versions.http2 : versions.http1)(client, { ...ports, onClosed: over });
      if (!mayBe) client.resume();
    } catch {
      // A connection that nobody takes ends alone.
      endNow(client);
      over();
    }
  };
  const gone = (): void => {
    if (chosen === undefined) over();
  };
  client.on('error', gone);
  client.on('close', gone);
  client.on('data', look);

  return {
    describe: ports.describe,
    tick() {
      if (chosen !== undefined) chosen.tick();
      else if (since !== undefined && ports.clock.monotonic() - since >= ports.limits.frameTimeoutMs) {
        ports.onRefused(ports.describe(), 'a preface was begun and not finished');
        this.reset();
      }
    },
    drain() {
      if (chosen !== undefined) chosen.drain();
      else this.reset();
    },
    reset() {
      if (chosen !== undefined) chosen.reset();
      else {
        endNow(client);
        over();
      }
    },
  };
}
