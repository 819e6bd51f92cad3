// A node:http2 server that answers as ours should: same paths, same handler, written with none of our code.
import { once } from 'node:events';
import { createServer, type ServerHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';

export interface Oracle {
  readonly port: number;
  close(): void;
}

export async function startOracle(maxMessageBytes: number): Promise<Oracle> {
  const server = createServer({ settings: { headerTableSize: 0, maxConcurrentStreams: 2048 } });
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
  });
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => undefined);
    stream.on('end', () => {
      if (!stream.destroyed) answer(stream, headers, Buffer.concat(chunks), maxMessageBytes);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, content: Buffer, maxBytes: number): void {
  const status = statusOf(headers, content, maxBytes);
  if (status >= 100) stream.respond({ ':status': status }, { endStream: true });
  else if (status > 0) {
    stream.respond({ 'content-type': 'application/grpc', 'grpc-status': String(status) }, { endStream: true });
  } else {
    stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    const message = content.subarray(5);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([prefix, message]));
  }
}

/** An HTTP status (100 and more) or a gRPC status. */
function statusOf(headers: IncomingHttpHeaders, content: Buffer, maxBytes: number): number {
  if (headers[':method'] !== 'POST') return 405;
  if (headers['content-type'] !== 'application/grpc') return 415;
  if (headers[':path'] !== '/t.T/Echo') return 12;
  const timeout = headers['grpc-timeout'];
  if (typeof timeout === 'string' && !/^\d{1,8}[HMSmun]$/.test(timeout)) return 13;
  if (content.length < 5) return 12;
  if (content.readUInt32BE(1) > maxBytes) return 8;
  if (content[0] === 1) return 12;
  if (content[0] !== 0) return 13;
  return content.length === content.readUInt32BE(1) + 5 ? 0 : 12;
}
