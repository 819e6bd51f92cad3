// Reads header blocks with a foreign decoder: nghttp2 in node's own HTTP/2 client is given a server that sends just them.
import { connect } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { flags, frame, FRAME_HEAD, frameTypes, preface, settingsFrame } from './h2-frames.ts';

export interface Blocks {
  readonly headers: readonly string[];
  readonly trailers: readonly string[];
  /** Of calls that ended with their first block. */
  readonly late: readonly string[];
}

/** What is wrong with the blocks of successful gRPC calls; undefined for nothing. */
export async function faultOfBlocks({ headers, trailers, late }: Blocks): Promise<string | undefined> {
  const first = headers[0] ?? '';
  const last = trailers[0] ?? '';
  for (const block of headers) {
    const { status, type } = await readCall(block, last);
    if (status !== '200' || !type.startsWith('application/grpc')) return `answered :status ${status}, type ${type}`;
  }
  for (const block of trailers) {
    const { code } = await readCall(first, block);
    if (code !== '0') return `answered grpc-status ${code}`;
  }
  for (const block of late) {
    const { code } = await readCall(block, undefined);
    if (code !== deadlineExceeded) return `answered grpc-status ${code} and no message`;
  }
  return undefined;
}

const deadlineExceeded = '4';

interface Call {
  readonly status: string;
  readonly type: string;
  readonly code: string;
}

/** Without trailers the call ends with the headers. */
async function readCall(headers: string, trailers: string | undefined): Promise<Call> {
  const server = await serve(
    Buffer.from(headers, 'latin1'),
    trailers === undefined ? undefined : Buffer.from(trailers, 'latin1'),
  );
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    return await new Promise<Call>((resolve, reject) => {
      session.on('error', reject);
      const call = session.request({ ':method': 'POST', ':path': '/' });
      let seen: Call = { status: '', type: '', code: '' };
      call.on('response', (got) => {
        seen = { status: String(got[':status']), type: String(got['content-type']), code: String(got['grpc-status']) };
      });
      call.on('trailers', (got) => {
        seen = { ...seen, code: String(got['grpc-status']) };
      });
      call.on('error', reject);
      call.on('close', () => resolve(seen));
      call.resume().end();
    });
  } finally {
    session.destroy();
    server.close();
  }
}

function serve(headers: Buffer, trailers: Buffer | undefined): Promise<Server> {
  const server = createServer((socket) => answerFirst(socket, headers, trailers));
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function answerFirst(socket: Socket, headers: Buffer, trailers: Buffer | undefined): void {
  let bytes: Buffer = Buffer.alloc(0);
  let answered = false;
  socket.on('error', () => undefined);
  socket.write(settingsFrame([]));
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (answered || !asks(bytes.subarray(preface.length))) return;
    answered = true;
    const { endHeaders, endStream } = flags;
    socket.write(
      Buffer.concat([
        frame(frameTypes.settings, flags.ack, 0, Buffer.alloc(0)),
        frame(frameTypes.headers, trailers === undefined ? endHeaders | endStream : endHeaders, 1, headers),
        ...(trailers === undefined ? [] : [frame(frameTypes.headers, endHeaders | endStream, 1, trailers)]),
      ]),
    );
  });
}

/** Whether a whole HEADERS frame is there. */
function asks(bytes: Buffer): boolean {
  for (let at = 0; at + FRAME_HEAD <= bytes.length;) {
    const end = at + FRAME_HEAD + bytes.readUIntBE(at, 3);
    if (bytes[at + 3] === frameTypes.headers && end <= bytes.length) return true;
    at = end;
  }
  return false;
}
