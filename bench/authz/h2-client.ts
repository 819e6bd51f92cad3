// A raw HTTP/2 client for unary gRPC calls over a unix socket: frames made beforehand, one write for all that one read set
// free, flow control both ways (RFC 9113, 5.2). It tells what came; judging it is for the caller.
import { connect, type Socket } from 'node:net';
import {
  type CallFrames,
  flags,
  frame,
  FRAME_HEAD,
  frameTypes,
  headerBlock,
  preface,
  settingIds,
  settingsFrame,
  windowUpdateFrame,
} from './h2-frames.ts';

/** What came on one stream until it ended. */
export interface Reply {
  /** Header blocks as they came, latin1; the second is of the trailers, empty when there were none. */
  readonly headers: string;
  readonly trailers: string;
  /** DATA; valid during the call. */
  readonly data: Uint8Array;
  /** Error code of RST_STREAM; undefined for a stream that ended by itself. */
  readonly reset: number | undefined;
}

export interface H2Client {
  /** How header blocks have to be made for this server: the first call, then all others. */
  readonly blocks: { readonly first: Buffer; readonly next: Buffer };
  readonly maxStreams: number;
  /** Queues a call; `tag` comes back with its reply. Sent when `flush` is called, or after the replies being read. */
  call(tag: number, frames: CallFrames, change?: (bytes: Buffer, message: number) => void): void;
  flush(): void;
  /** Told of every stream that ends; may call. */
  onReply: (tag: number, reply: Reply) => void;
  /** Told once, when the connection ends or says GOAWAY; what is open then gets no reply. */
  onEnd: (reason: string) => void;
  close(): void;
}

const OWN_WINDOW = 2 ** 24;
const FIRST_WINDOW = 65_535;
const OUTPUT_BYTES = 2 ** 20;
const empty = Buffer.alloc(0);

interface Open {
  readonly tag: number;
  headers: string | undefined;
  data: Uint8Array;
  done: boolean;
}

interface Waiting {
  readonly tag: number;
  readonly frames: CallFrames;
  readonly change: ((bytes: Buffer, message: number) => void) | undefined;
}

/** Resolves once the server's SETTINGS are there. */
export function connectH2(path: string): Promise<H2Client> {
  return new Promise((resolve, reject) => {
    const client = new Connection(path, resolve);
    client.onEnd = (reason) => reject(new Error(`no HTTP/2 server on ${path}: ${reason}`));
  });
}

class Connection implements H2Client {
  blocks = { first: headerBlock('indexing'), next: headerBlock('indexed') };
  maxStreams = Number.POSITIVE_INFINITY;
  onReply: H2Client['onReply'] = () => undefined;
  onEnd: H2Client['onEnd'] = () => undefined;
  readonly #socket: Socket;
  readonly #open = new Map<number, Open>();
  #ready: ((client: H2Client) => void) | undefined;
  #waiting: Waiting[] = [];
  #output: Buffer = Buffer.allocUnsafe(OUTPUT_BYTES);
  readonly #spare: Buffer[] = [];
  /** Open streams whose data is still in the buffer that is being read. */
  readonly #borrowing: Open[] = [];
  #written = 0;
  #rest: Buffer = empty;
  #nextStream = 1;
  /** Bytes the server takes on the connection, and on a new stream. */
  #window = FIRST_WINDOW;
  #streamWindow = FIRST_WINDOW;
  /** Bytes received since the last WINDOW_UPDATE. */
  #received = 0;
  #ended = false;

  constructor(path: string, ready: (client: H2Client) => void) {
    this.#ready = ready;
    const buffer = Buffer.allocUnsafe(2 ** 18);
    this.#socket = connect({
      path,
      onread: {
        buffer,
        callback: (length) => {
          this.#read(buffer.subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the connection was closed'));
    const settings = settingsFrame([
      [settingIds.tableSize, 0],
      [settingIds.enablePush, 0],
      [settingIds.window, OWN_WINDOW],
    ]);
    this.#socket.write(Buffer.concat([preface, settings, windowUpdateFrame(0, OWN_WINDOW - FIRST_WINDOW)]));
  }

  call(tag: number, frames: CallFrames, change?: Waiting['change']): void {
    if (this.#waiting.length > 0 || frames.counted > this.#window) this.#waiting.push({ tag, frames, change });
    else this.#send(tag, frames, change);
  }

  flush(): void {
    if (this.#written === 0) return;
    const output = this.#output;
    // The socket keeps what it was given until the kernel has it.
    this.#socket.write(output.subarray(0, this.#written), () => this.#spare.push(output));
    this.#output = this.#spare.pop() ?? Buffer.allocUnsafe(OUTPUT_BYTES);
    this.#written = 0;
  }

  close(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  #send(tag: number, { bytes, secondId, message, counted }: CallFrames, change: Waiting['change']): void {
    if (counted > this.#streamWindow) throw new Error(`a request of ${counted} bytes is more than a stream may carry`);
    if (this.#written + bytes.length > OUTPUT_BYTES) this.flush();
    const at = this.#written;
    const output = this.#output;
    output.set(bytes, at);
    const stream = this.#nextStream;
    this.#nextStream += 2;
    output.writeUInt32BE(stream, at + 5);
    output.writeUInt32BE(stream, at + secondId);
    change?.(output, at + message);
    this.#written += bytes.length;
    this.#window -= counted;
    this.#open.set(stream, { tag, headers: undefined, data: empty, done: false });
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD) {
      const end = at + FRAME_HEAD + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const type = bytes.readUInt8(at + 3);
      const flag = bytes.readUInt8(at + 4);
      const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
      this.#frame(type, flag, stream, bytes.subarray(at + FRAME_HEAD, end));
      if (this.#ended) return;
      at = end;
    }
    for (const open of this.#borrowing) if (!open.done) open.data = Buffer.from(open.data);
    this.#borrowing.length = 0;
    bytes = bytes.subarray(at);
    this.#rest = bytes.length === 0 ? empty : Buffer.from(bytes);
    if (this.#received > OWN_WINDOW / 2) {
      this.#append(windowUpdateFrame(0, this.#received));
      this.#received = 0;
    }
    this.flush();
  }

  #frame(type: number, flag: number, stream: number, payload: Buffer): void {
    switch (type) {
      case frameTypes.data:
        this.#received += payload.length;
        this.#data(flag, stream, unpadded(flag, payload));
        return;
      case frameTypes.headers:
        this.#headers(flag, stream, payload);
        return;
      case frameTypes.reset:
        this.#finish(stream, '', payload.readUInt32BE());
        return;
      case frameTypes.settings:
        if ((flag & flags.ack) === 0) this.#settings(payload);
        return;
      case frameTypes.ping:
        if ((flag & flags.ack) === 0) this.#append(frame(frameTypes.ping, flags.ack, 0, payload));
        return;
      case frameTypes.goaway:
        this.#end(`GOAWAY with code ${payload.readUInt32BE(4)}`);
        return;
      case frameTypes.windowUpdate:
        if (stream === 0) this.#window += payload.readUInt32BE() & 0x7fffffff;
        this.#sendWaiting();
        return;
      default:
      // Unknown frames are ignored (RFC 9113, 4.1); what no server here sends ends as a stream without reply.
    }
  }

  #data(flag: number, stream: number, payload: Uint8Array): void {
    const open = this.#open.get(stream);
    if (open === undefined) return;
    open.data = open.data.length === 0 ? payload : Buffer.concat([open.data, payload]);
    if ((flag & flags.endStream) !== 0) this.#finish(stream, '', undefined);
    else this.#borrowing.push(open);
  }

  #headers(flag: number, stream: number, payload: Buffer): void {
    const skipped = (flag & flags.priority) === 0 ? 0 : 5;
    const block = unpadded(flag, payload).subarray(skipped).toString('latin1');
    const open = this.#open.get(stream);
    if (open === undefined) return;
    if (open.headers === undefined) {
      open.headers = block;
      if ((flag & flags.endStream) !== 0) this.#finish(stream, '', undefined);
    } else this.#finish(stream, block, undefined);
  }

  #finish(stream: number, trailers: string, reset: number | undefined): void {
    const open = this.#open.get(stream);
    if (open === undefined) return;
    this.#open.delete(stream);
    open.done = true;
    this.onReply(open.tag, { headers: open.headers ?? '', trailers, data: open.data, reset });
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      switch (payload.readUInt16BE(at)) {
        case settingIds.tableSize:
          // Where the server keeps less than we would use, nothing is put into its table.
          if (value < 4_096) this.blocks = { first: headerBlock('first plain'), next: headerBlock('plain') };
          break;
        case settingIds.maxStreams:
          this.maxStreams = value;
          break;
        case settingIds.window:
          this.#streamWindow = value;
          break;
      }
    }
    this.#append(frame(frameTypes.settings, flags.ack, 0, empty));
    const ready = this.#ready;
    this.#ready = undefined;
    ready?.(this);
  }

  #sendWaiting(): void {
    let sent = 0;
    for (const { tag, frames, change } of this.#waiting) {
      if (frames.counted > this.#window) break;
      this.#send(tag, frames, change);
      sent++;
    }
    if (sent > 0) this.#waiting = this.#waiting.slice(sent);
  }

  #append(bytes: Buffer): void {
    if (this.#written + bytes.length > OUTPUT_BYTES) this.flush();
    this.#output.set(bytes, this.#written);
    this.#written += bytes.length;
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.destroy();
    this.onEnd(reason);
  }
}

function unpadded(flag: number, payload: Buffer): Buffer {
  return (flag & flags.padded) === 0 ? payload : payload.subarray(1, payload.length - payload.readUInt8());
}
