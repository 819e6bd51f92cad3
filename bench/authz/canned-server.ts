// A transport that gives one answer to everything: what a request costs before anything is decided. Neither parses a message
// nor builds one; grpc-js is used as it is.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { createUnaryServer } from '../../runtime/h2/server.ts';
import type { Running, ServerTask } from './server.ts';

const checkPath = '/envoy.service.auth.v3.Authorization/Check';
const healthPath = '/grpc.health.v1.Health/Check';
/** HealthCheckResponse: SERVING. */
const serving = Buffer.from([0x08, 0x01]);

type CannedTask = Extract<ServerTask, { kind: 'canned' }>;

export async function cannedServer({ transport, socket, reply }: CannedTask): Promise<Running> {
  const bytes = Buffer.from(reply, 'base64');
  await (transport === 'h2' ? serveH2 : serveGrpcJs)(socket, bytes);
  return {
    listening: { check: socket },
    settle: () => Promise.resolve(),
    logged: () => ({ logged: 0, lost: 0 }),
  };
}

async function serveH2(socket: string, bytes: Buffer): Promise<void> {
  const server = createUnaryServer({
    methods: new Map([
      [checkPath, () => bytes],
      [healthPath, () => serving],
    ]),
    onFault: (error) => {
      throw error;
    },
  });
  await server.listen(`unix:${socket}`);
}

async function serveGrpcJs(socket: string, bytes: Buffer): Promise<void> {
  const server = new Server({ 'grpc.max_concurrent_streams': 2_048, 'grpc.enable_channelz': 0 });
  const same = (message: Buffer): Buffer => message;
  const method = (path: string) => ({
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  });
  const always = (message: Buffer) => (_call: unknown, answer: (error: null, message: Buffer) => void) =>
    answer(null, message);
  server.addService(
    { check: method(checkPath), health: method(healthPath) },
    { check: always(bytes), health: always(serving) },
  );
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
