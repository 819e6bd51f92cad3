// A body of many bytes from each target in turn: over HTTP, or over TLS that is not ended on the way.
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Target } from './modbus-client.ts';

export interface BulkOrder {
  readonly targets: Readonly<Record<string, Target>>;
  readonly path: string;
  /** Name to ask for in the ClientHello, and in its absence no TLS. */
  readonly serverName?: string;
  readonly bytes: number;
  readonly rounds: number;
}

export interface Bulk {
  /** Bits a second of the body. */
  readonly rounds: readonly Readonly<Record<string, number>>[];
  /** Whether another path (HTTP) or another name (TLS) got nothing. */
  readonly refuses: Readonly<Record<string, boolean>>;
}

export async function bulk({ targets, path, serverName, bytes, rounds }: BulkOrder): Promise<Bulk> {
  const refuses: Record<string, boolean> = {};
  for (const [name, target] of Object.entries(targets)) {
    const other = serverName === undefined ? [`${path}/other`, undefined] : [path, `other.${serverName}`];
    refuses[name] = (await fetchBytes(target, other[0] ?? '', other[1], 1_000).catch(() => 0)) < 1_000;
    await fetchBytes(target, path, serverName, Math.min(bytes, 8_000_000));
  }
  const seen: Record<string, number>[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const rates: Record<string, number> = {};
    for (const [name, target] of Object.entries(targets)) {
      const begun = performance.now();
      const got = await fetchBytes(target, path, serverName, bytes);
      if (got !== bytes) throw new Error(`${name}: ${got} of ${bytes} bytes`);
      rates[name] = (got * 8 * 1_000) / (performance.now() - begun);
    }
    seen.push(rates);
  }
  return { rounds: seen, refuses };
}

/** How many of the bytes asked for came as the body of a 200. */
async function fetchBytes(
  target: Target,
  path: string,
  serverName: string | undefined,
  bytes: number,
): Promise<number> {
  const { address: host, port, from: localAddress } = target;
  const plain = connectTcp({ host, port, localAddress, noDelay: true });
  plain.on('error', () => undefined);
  await once(plain, 'connect');
  const socket: Socket =
    serverName === undefined
      ? plain
      : // The certificate is the bench's own; who is asked is what is passed through or not.
        connectTls({ socket: plain, servername: serverName, rejectUnauthorized: false });
  let body = -1;
  let status = '';
  const head: Buffer[] = [];
  const ended = new Promise<void>((resolve) => {
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
    plain.on('close', () => resolve());
    socket.on('data', (chunk: Buffer) => {
      if (body >= 0) body += chunk.length;
      else {
        head.push(chunk);
        const all = Buffer.concat(head);
        const end = all.indexOf('\r\n\r\n');
        if (end === -1) return;
        status = all.subarray(9, 12).toString();
        body = all.length - end - 4;
      }
      if (body >= bytes || status !== '200') resolve();
    });
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: plc.plant.example\r\nX-Bytes: ${bytes}\r\nConnection: close\r\n\r\n`);
  await ended;
  socket.destroy();
  plain.destroy();
  return status === '200' ? body : 0;
}
