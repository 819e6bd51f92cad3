// What the proxy itself answers on a stream: a status of HTTP, or one of gRPC in the form of trailers only (gRPC over HTTP/2,
// "Responses").
import { constants, type ServerHttp2Stream } from 'node:http2';
import { maxDrainedBytes } from '../limits.ts';

const answers = {
  denied: { status: 403, grpc: 7, message: 'denied by policy' },
  refused: { status: 400, grpc: 3, message: 'not a request that has one reading' },
  unreachable: { status: 503, grpc: 14, message: 'the server does not answer' },
} as const;

export function answerStream(stream: ServerHttp2Stream, what: keyof typeof answers, isGrpc: boolean): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return;
  const { status, grpc, message } = answers[what];
  drain(stream);
  if (isGrpc) {
    const fields = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': grpc, 'grpc-message': message };
    stream.respond(fields, { endStream: true });
    return;
  }
  stream.respond({ ':status': status, 'content-type': 'text/plain', 'cache-control': 'no-store' });
  stream.end(`${message}\n`);
}

/** Reads on for a while: Node resets a stream that was answered and not read, and the reset may overtake the answer. */
function drain(stream: ServerHttp2Stream): void {
  let octets = 0;
  stream.on('data', (chunk: Buffer) => {
    octets += chunk.length;
    if (octets > maxDrainedBytes && !stream.closed) stream.close(constants.NGHTTP2_NO_ERROR);
  });
}
