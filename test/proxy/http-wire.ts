// A client that sends what it is told, byte for byte, and reads answers.
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

export interface RawHttpClient extends AsyncDisposable {
  /** Each piece a segment of its own. */
  readonly send: (...pieces: readonly (string | Buffer)[]) => Promise<void>;
  /** All that came so far. */
  readonly text: () => string;
  readonly statuses: () => readonly number[];
  readonly isClosed: () => boolean;
  readonly socket: Socket;
  /** Until something holds, the connection ends, or it was silent for a moment. */
  readonly until: (holds: () => boolean) => Promise<void>;
}

const quietMs = 80;

export async function rawHttpClient(port: number, host = '127.0.0.1'): Promise<RawHttpClient> {
  const socket = connect({ port, host, noDelay: true });
  const chunks: Buffer[] = [];
  let closed = false;
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  socket.on('close', () => (closed = true));
  await once(socket, 'connect');
  const text = (): string => Buffer.concat(chunks).toString('latin1');
  return {
    socket,
    text,
    isClosed: () => closed,
    statuses: () => [...text().matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, code]) => Number(code)),
    async send(...pieces) {
      for (const piece of pieces) {
        if (closed) return;
        socket.write(Buffer.isBuffer(piece) ? piece : Buffer.from(piece, 'latin1'));
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async until(holds) {
      for (let before = -1; !socket.closed && !holds() && chunks.length !== before;) {
        before = chunks.length;
        await new Promise<void>((resolve) => {
          const done = (): void => {
            clearTimeout(timer);
            socket.off('data', done);
            socket.off('close', done);
            resolve();
          };
          const timer = setTimeout(done, quietMs);
          socket.on('data', done);
          socket.on('close', done);
        });
      }
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      if (!closed) await once(socket, 'close');
    },
  };
}
