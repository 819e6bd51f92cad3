// Servers and clients on loopback, without TLS, for tests of calls.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { EnrolmentService } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { EdgeStreamService } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { ConnectRequest, ConnectRequestSchema } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { Health } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { createGrpcClient, createGrpcServer } from '../../runtime/grpc.ts';
import type { CallContext, CallRecord, GrpcServerOptions, Implementation } from '../../runtime/grpc.ts';

export type Stream = Implementation<typeof EdgeStreamService>['connect'];
export type Request = MessageInitShape<typeof ConnectRequestSchema>;

const cleanups: (() => unknown)[] = [];

/** Ends what `startLoopback` started; for afterEach. */
export async function stopLoopback(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

export interface Handlers {
  readonly enroll?: Implementation<typeof EnrolmentService>['enroll'];
  readonly connect?: Stream;
  readonly options?: GrpcServerOptions;
  readonly interceptor?: (call: CallContext) => void;
}

/** A server with a unary, a server-streaming and a bidirectional service, and a client for each. */
export async function startLoopback({ enroll, connect, options, interceptor }: Handlers, address = '127.0.0.1:0') {
  const records: CallRecord[] = [];
  const server = createGrpcServer({ onCall: (record) => records.push(record), ...options });
  server.addService(
    EnrolmentService,
    { enroll: enroll ?? (async () => ({ spiffeId: 'spiffe://plant.example/device/a' })) },
    interceptor,
  );
  server.addService(EdgeStreamService, { connect: connect ?? echo }, interceptor ? { interceptor } : {});
  server.addService(Health, {
    check: async () => ({ status: 1 }),
    async *watch() {
      yield { status: 1 };
      yield { status: 2 };
    },
  });
  const port = await server.listen(address, 'insecure');
  const target = address.startsWith('unix:') ? address : `127.0.0.1:${port}`;
  const enrolment = createGrpcClient(EnrolmentService, target, 'insecure');
  const stream = createGrpcClient(EdgeStreamService, target, 'insecure');
  const health = createGrpcClient(Health, target, 'insecure');
  cleanups.push(async () => {
    for (const client of [enrolment, stream, health]) client.close();
    await server.close(0);
  });
  return { server, records, target, enrolment, stream, health };
}

const echo: Stream = async function* (requests) {
  for await (const request of requests) yield answerTo(request);
};

export const answerTo = (request: ConnectRequest) => ({
  message: { case: 'welcome' as const, value: { serverVersion: request.message.case ?? 'nothing' } },
});

export async function* renewals(count: number, bytes = 10): AsyncGenerator<Request> {
  for (let i = 0; i < count; i++) {
    yield { message: { case: 'renew', value: { requestId: BigInt(i), csrDer: Buffer.alloc(bytes) } } };
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
