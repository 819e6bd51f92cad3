// Something that answers Check with whatever bytes it is told to, as no enforcer of ours can: to see what Envoy makes of them.
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { CheckRequest } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { CheckRequestSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { fromBinary } from '@bufbuild/protobuf';

/** Bytes of a CheckResponse; a gRPC status instead of one; or no answer at all. */
export type StubAnswer = Uint8Array | { readonly grpcStatus: number } | 'reset' | 'silence';

export interface StubEnforcer {
  answer: (request: CheckRequest) => StubAnswer;
  /** Every question so far. */
  readonly asked: CheckRequest[];
  readonly close: () => void;
}

/** Says of itself that it is healthy. `address`: `unix:/path`. */
export async function startStub(address: string): Promise<StubEnforcer> {
  const stub: StubEnforcer = { answer: () => Buffer.alloc(0), asked: [], close: () => undefined };
  const server = createServer();
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      if (headers[':path'] === '/grpc.health.v1.Health/Check') return send(stream, Buffer.from([0x08, 0x01]));
      const question = fromBinary(CheckRequestSchema, Buffer.concat(chunks).subarray(5));
      stub.asked.push(question);
      send(stream, stub.answer(question));
    });
  });
  const path = address.slice('unix:'.length);
  rmSync(path, { force: true });
  await once(server.listen(path), 'listening');
  return Object.assign(stub, { close: () => server.close() });
}

function send(stream: ServerHttp2Stream, answer: StubAnswer): void {
  if (answer === 'silence') return;
  if (answer === 'reset') return stream.close(8);
  const head = { ':status': 200, 'content-type': 'application/grpc' };
  if ('grpcStatus' in answer) {
    stream.respond({ ...head, 'grpc-status': String(answer.grpcStatus) }, { endStream: true });
    return;
  }
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(answer.length, 1);
  stream.end(Buffer.concat([frame, answer]));
}
