// The same two services on both gRPC servers, to be asked the same questions: the path of the request says what happens.
import { setTimeout as delay } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Authorization,
  type CheckRequest,
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
} from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import {
  Health,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
} from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { runtimeErrors } from '../../runtime/error-codes.ts';
import { createGrpcServer } from '../../runtime/grpc.ts';
import { createUnaryServer } from '../../runtime/h2/server.ts';

export interface RunningServer {
  readonly port: number;
  close(graceMs: number): Promise<void>;
}

/** What the methods saw, for the test to look at. */
export interface Seen {
  aborted: number;
  faults: unknown[];
}

export type StartServer = (address: string, seen: Seen) => Promise<RunningServer>;

export const maxMessageBytes = 64 * 1024;
export const checkPath = '/envoy.service.auth.v3.Authorization/Check';

/** Answers with the path as body, at once or not, or fails, as the path says. */
export function answerCheck(request: CheckRequest, signal: () => AbortSignal): CheckResponse | Promise<CheckResponse> {
  const path = request.attributes?.request?.http?.path ?? '';
  const [, what = '', value = ''] = path.split('/');
  switch (what) {
    case 'coded':
      throw runtimeErrors.error('RPC_PERMISSION_DENIED', `not for you: ä%\n`, { place: { file: 'a.yaml', line: 3 } });
    case 'fault':
      throw new Error('hunter2');
    case 'later':
      return delay(1).then(() => responseOf(path));
    case 'fault-later':
      return delay(1).then(() => {
        throw new Error('hunter2');
      });
    case 'never':
      return new Promise((_, reject) => {
        const { aborted } = signal();
        if (aborted) reject(new Error('over before it began'));
        signal().addEventListener('abort', () => reject(signal().reason as Error));
      });
    case 'large':
      return responseOf('x'.repeat(Number(value)));
    default:
      return responseOf(path);
  }
}

const responseOf = (body: string): CheckResponse =>
  create(CheckResponseSchema, {
    status: { code: 7 },
    httpResponse: { case: 'deniedResponse', value: { body } },
  });

async function* watch(service: string, signal: () => AbortSignal, seen: Seen): AsyncGenerator<HealthCheckResponse> {
  yield create(HealthCheckResponseSchema, { status: 1 });
  yield create(HealthCheckResponseSchema, { status: 2 });
  if (service === 'fails') throw runtimeErrors.error('RPC_NOT_FOUND', 'gone');
  if (service !== 'endless') return;
  await new Promise((resolve) => signal().addEventListener('abort', resolve));
  seen.aborted++;
}

const counted = (signal: AbortSignal, seen: Seen): AbortSignal => {
  signal.addEventListener('abort', () => seen.aborted++, { once: true });
  return signal;
};

export const startGrpcJs: StartServer = async (address, seen) => {
  const server = createGrpcServer({ maxMessageBytes });
  server.addService(Authorization, {
    check: async (request, call) => await answerCheck(request, () => counted(call.signal, seen)),
  });
  server.addService(Health, {
    check: async () => ({ status: 1 }),
    watch: (request, call) => watch(request.service, () => call.signal, seen),
  });
  return { port: await server.listen(address, 'insecure'), close: (graceMs) => server.close(graceMs) };
};

export const startOurs: StartServer = async (address, seen) => {
  const server = createUnaryServer({
    methods: new Map([
      [
        checkPath,
        (message, _, call) => {
          const answer = answerCheck(fromBinary(CheckRequestSchema, message), () => counted(call.signal, seen));
          return answer instanceof Promise ? answer.then(bytesOf) : bytesOf(answer);
        },
      ],
    ]),
    streams: new Map([
      [
        '/grpc.health.v1.Health/Watch',
        async function* (message, _, call) {
          const { service } = fromBinary(HealthCheckRequestSchema, message);
          for await (const status of watch(service, () => call.signal, seen)) {
            yield toBinary(HealthCheckResponseSchema, status);
          }
        },
      ],
    ]),
    limits: { maxMessageBytes },
    onFault: (error) => seen.faults.push(error),
  });
  return { port: await server.listen(address), close: (graceMs) => server.close(graceMs) };
};

const bytesOf = (response: CheckResponse): Uint8Array => toBinary(CheckResponseSchema, response);
