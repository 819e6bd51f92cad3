// A client that sends frames as they are told, right or wrong, and collects what comes. It shares no code with the server.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export const types = {
  data: 0,
  headers: 1,
  priority: 2,
  rst: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const endStream = 1;
export const ack = 1;
export const endHeaders = 4;
export const padded = 8;

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

export const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export type Field = readonly [name: string, value: string];

/** A header block of literals without Huffman code and without a table. */
export function block(fields: readonly Field[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, 'latin1');
    const { length } = bytes;
    if (length < 127) return Buffer.concat([Buffer.from([length]), bytes]);
    const rest = length - 127;
    const more = [];
    for (let left = rest; ; left = Math.floor(left / 128)) {
      if (left < 128) {
        more.push(left);
        break;
      }
      more.push((left % 128) | 0x80);
    }
    return Buffer.concat([Buffer.from([127, ...more]), bytes]);
  };
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

export const callFields = (path: string, ...more: Field[]): Field[] => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', path],
  [':authority', 'localhost'],
  ['te', 'trailers'],
  ['content-type', 'application/grpc'],
  ...more,
];

export function message(content: Uint8Array, flags = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(content.length, 1);
  return Buffer.concat([prefix, content]);
}

/** A whole call as frames. */
export function call(streamId: number, path: string, content: Uint8Array, ...more: Field[]): Buffer {
  return Buffer.concat([
    frame(types.headers, endHeaders, streamId, block(callFields(path, ...more))),
    frame(types.data, endStream, streamId, message(content)),
  ]);
}

export interface Answer {
  /** Names and values of header and trailer blocks, as far as this reader knows them. */
  readonly fields: Readonly<Record<string, string>>;
  /** Content of the messages. */
  readonly messages: readonly Buffer[];
  /** Error code of RST_STREAM. */
  readonly reset: number | undefined;
}

export class RawClient {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  closed = false;
  #bytes = Buffer.alloc(0);
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** Connected; with `greet` the preface has gone and the server's SETTINGS are acknowledged. */
  static async open(target: { path: string } | { port: number }, greet = true): Promise<RawClient> {
    const socket = connect('path' in target ? target : { ...target, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const client = new RawClient(socket);
    if (greet) {
      client.send(preface, frame(types.settings, 0, 0));
      await client.until(({ type, flags }) => type === types.settings && flags === 0);
      client.send(frame(types.settings, ack, 0));
      // Header blocks from here on must begin with the size update that follows our SETTINGS_HEADER_TABLE_SIZE.
      client.#tableUpdate = true;
    }
    return client;
  }

  #tableUpdate = false;

  send(...bytes: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  /** HEADERS with END_HEADERS, and with the size update that the first one needs. */
  headers(streamId: number, flags: number, fields: readonly Field[]): void {
    const update = this.#tableUpdate ? Buffer.from([0x20]) : Buffer.alloc(0);
    this.#tableUpdate = false;
    this.send(frame(types.headers, flags | endHeaders, streamId, Buffer.concat([update, block(fields)])));
  }

  call(streamId: number, path: string, content: Uint8Array, ...more: Field[]): void {
    this.headers(streamId, 0, callFields(path, ...more));
    this.send(frame(types.data, endStream, streamId, message(content)));
  }

  /** The first frame that fits, also of those that have come already; undefined when the connection ends before. */
  async until(fits: (frame: Frame) => boolean): Promise<Frame | undefined> {
    for (;;) {
      const found = this.frames.find(fits);
      if (found !== undefined || this.closed) return found;
      await this.#change();
    }
  }

  /** What came for a stream once it has ended. */
  async answer(streamId: number): Promise<Answer> {
    const ends = (frame: Frame): boolean =>
      frame.streamId === streamId && (frame.type === types.rst || (frame.type <= 1 && (frame.flags & endStream) !== 0));
    await this.until(ends);
    return this.answered(streamId);
  }

  answered(streamId: number): Answer {
    const of = (type: number): Buffer[] =>
      this.frames.filter((frame) => frame.streamId === streamId && frame.type === type).map(({ payload }) => payload);
    const [reset] = of(types.rst);
    return {
      fields: Object.fromEntries(of(types.headers).flatMap(fieldsOf)),
      messages: messagesOf(Buffer.concat(of(types.data))),
      reset: reset?.readUInt32BE(),
    };
  }

  /** The code of the GOAWAY that ended the connection, or 'closed' when none came. */
  async end(): Promise<number | 'closed'> {
    const goaway = await this.until(({ type, payload }) => type === types.goaway && payload.readUInt32BE(4) !== 0);
    while (!this.closed) await this.#change();
    return goaway?.payload.readUInt32BE(4) ?? 'closed';
  }

  /** Resolves when the server has taken in everything sent so far. */
  async settled(): Promise<void> {
    const mark = Buffer.alloc(8);
    mark.writeUInt32BE(++marks);
    this.send(frame(types.ping, 0, 0, mark));
    await this.until(({ type, flags, payload }) => type === types.ping && flags === ack && payload.equals(mark));
  }

  close(): void {
    this.socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= 9) {
      const end = 9 + this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < end) break;
      this.frames.push({
        type: this.#bytes[3] ?? 0,
        flags: this.#bytes[4] ?? 0,
        streamId: this.#bytes.readUInt32BE(5),
        payload: Buffer.from(this.#bytes.subarray(9, end)),
      });
      this.#bytes = this.#bytes.subarray(end);
    }
    this.#wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

let marks = 0;

function messagesOf(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  let at = 0;
  while (at + 5 <= bytes.length) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return messages;
}

/** The forms that the server uses: a size update, `:status 200`, literals without indexing and without Huffman code. */
function fieldsOf(bytes: Buffer): [string, string][] {
  const fields: [string, string][] = [];
  let at = 0;
  const integer = (bits: number): number => {
    const max = 2 ** bits - 1;
    let value = (bytes[at++] ?? 0) & max;
    if (value < max) return value;
    for (let shift = 0; ; shift += 7) {
      const octet = bytes[at++] ?? 0;
      value += (octet & 127) << shift;
      if (octet < 128) return value;
    }
  };
  const text = (): string => {
    const length = integer(7);
    at += length;
    return bytes.toString('latin1', at - length, at);
  };
  while (at < bytes.length) {
    const first = bytes[at] ?? 0;
    if (first === 0x20) at++;
    else if (first === 0x88) {
      at++;
      fields.push([':status', '200']);
    } else {
      const name = integer(4);
      fields.push([name === 0 ? text() : (names[name] ?? '?'), text()]);
    }
  }
  return fields;
}

const names: Readonly<Record<number, string>> = { 8: ':status', 31: 'content-type' };
