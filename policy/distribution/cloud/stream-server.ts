// The control plane's end of the one stream: EdgeStreamService.Connect for devices that the caller authenticated.
import { create } from '@bufbuild/protobuf';
import type { VerifiedSvid } from '../../../identity/index.ts';
import {
  type ConnectRequest,
  type ConnectResponse,
  ConnectResponseSchema,
  type ResourceType,
} from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { CodedError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { type DistributionErrorCode, distributionErrors } from '../errors.ts';
import {
  CHUNK_BURST_BYTES,
  CHUNK_BYTES_PER_SECOND,
  HELLO_TIMEOUT_MS,
  MAX_BULK_LOADS,
  MAX_RECONNECT_SPREAD_MS,
  MAX_STREAMS,
  MIN_RECONNECT_SPREAD_MS,
  RECONNECTS_PER_SECOND,
} from '../limits.ts';
import { type Connections, createConnections } from './connections.ts';
import { acceptHello } from './hello.ts';
import { createPacing } from './pacing.ts';
import { createSession } from './session.ts';
import type { ConnectedDevice, StreamPorts } from './types.ts';

export interface StreamServerOptions extends StreamPorts {
  readonly clock: Clock;
  /** Cryptographically random bytes. */
  readonly random: (bytes: number) => Uint8Array;
  readonly serverVersion: string;
  readonly log: Logger;
}

export interface StreamServer {
  /** One Connect. `device` is who the transport proved; `signal` aborts when the call ends. */
  connect(
    device: VerifiedSvid,
    requests: AsyncIterable<ConnectRequest>,
    signal: AbortSignal,
  ): AsyncIterable<ConnectResponse>;
  /** Resources of this type may be newer. Cheap, and may be said too often: notices coalesce. */
  notify(type: ResourceType, devices: readonly string[] | 'all'): void;
  /** Asks a device for evidence now; false when it is not connected here. */
  reappraise(deviceId: string): boolean;
  /** Ends every stream of a device, for example because it was revoked; false when it had none here. */
  disconnect(deviceId: string, reason?: CodedError): boolean;
  connected(): ConnectedDevice[];
  /** Says Goodbye to all and refuses new streams: the first step of a clean stop. */
  stop(): void;
}

export function createStreamServer(options: StreamServerOptions): StreamServer {
  const { clock, random, log } = options;
  const connections = createConnections();
  const pacing = createPacing(clock, {
    bytesPerSecond: CHUNK_BYTES_PER_SECOND,
    burstBytes: CHUNK_BURST_BYTES,
    loads: MAX_BULK_LOADS,
  });
  let stopping = false;
  const admit = async (device: VerifiedSvid): Promise<void> => {
    if (device.id.kind !== 'device') {
      throw distributionErrors.error('STREAM_NOT_A_DEVICE', `${device.id.uri} is not a device`);
    }
    if (stopping) throw distributionErrors.error('STREAM_STOPPING', 'the control plane is stopping');
    if (connections.size >= MAX_STREAMS) {
      throw distributionErrors.error('STREAM_FULL', `${connections.size} streams are open`);
    }
    await options.admission(device);
  };

  /** From Hello to the end; what it throws is why the stream was refused or ended. */
  async function* serve(
    device: VerifiedSvid,
    requests: AsyncIterable<ConnectRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<ConnectResponse, void, undefined> {
    await admit(device);
    const iterator = requests[Symbol.asyncIterator]();
    const hello = acceptHello(await firstMessage(iterator, clock), (type) => options.sources[type] !== undefined);
    const ended = new AbortController();
    const session = createSession(device, hello, { ports: options, clock, random, pacing, log });
    connections.add(session);
    log.info({ device: session.deviceId, agent: hello.agentVersion, streams: connections.size }, 'stream opened');
    try {
      yield welcome(options.serverVersion, connections.size);
      yield* session.run(iterator, AbortSignal.any([signal, ended.signal]));
    } finally {
      connections.remove(session);
      ended.abort();
      log.info({ device: session.deviceId, streams: connections.size }, 'stream closed');
    }
  }

  return {
    async *connect(device, requests, signal) {
      try {
        yield* serve(device, requests, signal);
      } catch (error) {
        await tellRefused(options, device.id.name, error);
        throw error;
      }
    },
    notify(type, devices) {
      for (const session of sessionsOf(connections, devices)) session.notice(type);
    },
    reappraise: (deviceId) => connections.of(deviceId).reduce((asked, session) => session.challenge() || asked, false),
    disconnect(deviceId, reason) {
      const sessions = connections.of(deviceId);
      const why = reason ?? distributionErrors.error('STREAM_DISCONNECTED', `${deviceId} was disconnected`);
      for (const session of sessions) session.end(why);
      return sessions.length > 0;
    },
    connected: () => connections.list(),
    stop() {
      stopping = true;
      for (const session of connections.all()) {
        session.end(distributionErrors.error('STREAM_STOPPING', 'the control plane is stopping'));
      }
    },
  };
}

function* sessionsOf(connections: Connections, devices: readonly string[] | 'all') {
  if (devices === 'all') yield* connections.all();
  else for (const device of devices) yield* connections.of(device);
}

/** Ends that say nothing about the edge; neither does UNAVAILABLE (stopping, full, database gone). */
const innocent: ReadonlySet<string> = new Set<DistributionErrorCode | 'RPC_CANCELLED'>([
  'STREAM_SVID_EXPIRED',
  'RPC_CANCELLED',
]);

async function tellRefused({ record, log }: StreamServerOptions, deviceId: string, error: unknown): Promise<void> {
  if (!(error instanceof CodedError) || error.status === 'UNAVAILABLE' || innocent.has(error.code)) return;
  log.warn({ device: deviceId, err: error }, 'a stream was refused or ended');
  try {
    await record.refused(deviceId, error);
  } catch (cause) {
    log.error({ device: deviceId, err: cause }, 'a refusal was not recorded');
  }
}

/** How long the edges wait before they come back: what it takes this replica to welcome all it holds now. */
export function reconnectSpreadMs(streams: number): number {
  const spread = Math.ceil((streams / 2 / RECONNECTS_PER_SECOND) * 1000);
  return Math.min(MAX_RECONNECT_SPREAD_MS, Math.max(MIN_RECONNECT_SPREAD_MS, spread));
}

function welcome(serverVersion: string, streams: number): ConnectResponse {
  return create(ConnectResponseSchema, {
    message: { case: 'welcome', value: { serverVersion, reconnectSpreadMs: reconnectSpreadMs(streams) } },
  });
}

/** The first message, if it comes in time. */
async function firstMessage(
  iterator: AsyncIterator<ConnectRequest>,
  clock: Clock,
): Promise<ConnectRequest | undefined> {
  const done = new AbortController();
  try {
    const next = await Promise.race([
      iterator.next(),
      clock.sleep(HELLO_TIMEOUT_MS, done.signal).then(() => undefined),
    ]);
    return next?.done === false ? next.value : undefined;
  } finally {
    done.abort();
  }
}
