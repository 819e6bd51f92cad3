// Modbus/TCP from the outside: frames built by hand, a client that sends them in any pieces, and a server that only
// notes what reaches it. Shares nothing with the code under test.
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** A whole frame: header, unit, and function code with data byte by byte. */
export function frame(transaction: number, unit: number, pdu: readonly number[]): Buffer {
  const header = Buffer.alloc(7);
  header.writeUInt16BE(transaction, 0);
  header.writeUInt16BE(pdu.length + 1, 4);
  header.writeUInt8(unit, 6);
  return Buffer.concat([header, Buffer.from(pdu)]);
}

const word = (value: number): [number, number] => [value >> 8, value & 0xff];

export const readRegisters = (transaction: number, address: number, quantity = 1, unit = 1): Buffer =>
  frame(transaction, unit, [3, ...word(address), ...word(quantity)]);

export const writeRegister = (transaction: number, address: number, value: number, unit = 1): Buffer =>
  frame(transaction, unit, [6, ...word(address), ...word(value)]);

export const writeRegisters = (transaction: number, address: number, values: readonly number[], unit = 1): Buffer =>
  frame(transaction, unit, [16, ...word(address), ...word(values.length), values.length * 2, ...values.flatMap(word)]);

export interface Answer {
  readonly transaction: number;
  readonly functionCode: number;
  /** Data after the function code. */
  readonly data: Buffer;
}

export interface RawClient extends AsyncDisposable {
  readonly socket: Socket;
  readonly send: (...pieces: readonly Buffer[]) => Promise<void>;
  /** The next answer, or undefined when the connection ends first. */
  readonly answer: () => Promise<Answer | undefined>;
  readonly closed: Promise<void>;
  readonly isClosed: () => boolean;
}

/** Each piece is its own TCP segment. */
export async function rawClient(port: number, host = '127.0.0.1', localAddress?: string): Promise<RawClient> {
  const socket = connect({ port, host, noDelay: true, ...(localAddress === undefined ? {} : { localAddress }) });
  let received = Buffer.alloc(0);
  let wake: () => void = () => undefined;
  let ended = false;
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      ended = true;
      wake();
      resolve();
    });
  });
  await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), closed]);
  const take = (): Answer | undefined => {
    if (received.length < 6 || received.length < 6 + received.readUInt16BE(4)) return undefined;
    const whole = received.subarray(0, 6 + received.readUInt16BE(4));
    received = received.subarray(whole.length);
    return {
      transaction: whole.readUInt16BE(0),
      functionCode: whole.readUInt8(7),
      data: Buffer.from(whole.subarray(8)),
    };
  };
  return {
    socket,
    closed,
    isClosed: () => ended,
    async send(...pieces) {
      for (const piece of pieces) {
        await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
        // Lets the other side read this piece alone.
        if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async answer() {
      for (;;) {
        const found = take();
        if (found !== undefined) return found;
        if (ended) return undefined;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await closed;
    },
  };
}

export interface RecordingServer extends AsyncDisposable {
  readonly port: number;
  /** Every byte that reached it, over all connections. */
  readonly bytes: () => Buffer;
  readonly connections: () => readonly Socket[];
  /** How often somebody connected. */
  readonly accepted: () => number;
}

/** Answers every frame with `reply`; the default echoes header and function code with one word, null stays silent. */
export async function recordingServer(
  reply: (request: Buffer, respond: (bytes: Buffer) => void) => Buffer | null = (request) =>
    frame(request.readUInt16BE(0), request.readUInt8(6), [request.readUInt8(7), 2, 0, 7]),
): Promise<RecordingServer> {
  const sockets = new Set<Socket>();
  const chunks: Buffer[] = [];
  let accepted = 0;
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    accepted++;
    let pending = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 6 && pending.length >= 6 + pending.readUInt16BE(4)) {
        const size = 6 + pending.readUInt16BE(4);
        const answer = reply(pending.subarray(0, size), (bytes) => socket.write(bytes));
        pending = pending.subarray(size);
        if (answer !== null) socket.write(answer);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => Buffer.concat(chunks),
    connections: () => [...sockets],
    accepted: () => accepted,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await Promise.resolve();
    },
  };
}
