// One Connect of one edge after its Hello: joins the lines that send, in order of priority, with the reader of what
// the edge says. Ends by itself when the SVID expires, when an answer is overdue, and when the edge breaks the contract.
import { create } from '@bufbuild/protobuf';
import type { VerifiedSvid } from '../../../identity/index.ts';
import {
  type ConnectRequest,
  type ConnectResponse,
  ConnectResponseSchema,
  ResourceType,
} from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { CodedError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { asCodedError, toErrorDetail } from '../error-detail.ts';
import { REFRESH_INTERVAL_MS } from '../limits.ts';
import { inPriority, resourceTypeName } from '../resource-types.ts';
import { createWakeup } from '../wakeup.ts';
import { createChallenges } from './challenges.ts';
import { createChunkLine } from './chunk-line.ts';
import { createDelivery, type Delivery } from './delivery.ts';
import type { AcceptedHello } from './hello.ts';
import { handleRequest, type IncomingContext } from './incoming.ts';
import { drain, type Line, repeating } from './line.ts';
import { createNamedChunks } from './named-chunks.ts';
import type { Pacing } from './pacing.ts';
import { createResourceLine } from './resource-line.ts';
import { challengeLine, controlLine, expiryLine, missedLine, overdueLine, timeLine } from './session-lines.ts';
import type { StreamPorts } from './types.ts';

export interface SessionContext {
  readonly ports: StreamPorts;
  readonly clock: Clock;
  readonly random: (bytes: number) => Uint8Array;
  readonly pacing: Pacing;
  readonly log: Logger;
}

export interface Session {
  readonly device: VerifiedSvid;
  readonly deviceId: string;
  readonly agentVersion: string;
  readonly types: ReadonlySet<ResourceType>;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly lastSeen: number;
  /** Something of this type may be newer. */
  notice(type: ResourceType): void;
  /** Challenges the edge now, if this is the stream that does. */
  challenge(): boolean;
  /** Says Goodbye with the reason and ends the stream. */
  end(reason: CodedError): void;
  /** Everything this stream sends after Welcome; returns when the edge is done, throws the reason when it was ended. */
  run(requests: AsyncIterator<ConnectRequest>, signal: AbortSignal): AsyncGenerator<ConnectResponse, void, undefined>;
}

export function createSession(device: VerifiedSvid, hello: AcceptedHello, context: SessionContext): Session {
  const { clock, log, ports } = context;
  const deviceId = device.id.name;
  const wakeup = createWakeup(clock);
  const since = clock.now();
  let lastSeen = since;
  let ended: { readonly reason: CodedError | undefined } | undefined;
  const finish = (reason: CodedError | undefined): void => {
    ended ??= { reason };
    wakeup.wake();
  };
  const parts = assemble(device, hello, context, finish);

  const read = async (requests: AsyncIterator<ConnectRequest>, signal: AbortSignal): Promise<void> => {
    const incoming = { ...parts, device, ports, clock, log, signal };
    for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
      if (ended !== undefined) return;
      lastSeen = clock.now();
      await handleRequest(next.value, incoming);
      wakeup.wake();
    }
  };

  return {
    device,
    deviceId,
    agentVersion: hello.agentVersion,
    types: new Set(hello.versions.keys()),
    since,
    get lastSeen() {
      return lastSeen;
    },
    notice(type) {
      parts.deliveries.get(type)?.notice();
      wakeup.wake();
    },
    challenge() {
      if (parts.challenge === undefined || ended !== undefined) return false;
      parts.challenge.now();
      wakeup.wake();
      return true;
    },
    end: finish,
    async *run(requests, signal) {
      read(requests, signal).then(
        () => finish(undefined),
        (error: unknown) => finish(signal.aborted ? undefined : asCodedError(error)),
      );
      // A generator that waits cannot be returned from outside, so the end of the call has to wake it.
      signal.addEventListener('abort', () => finish(undefined), { once: true });
      yield* drain(parts.lines, clock, wakeup, () => ended !== undefined);
      const reason = ended?.reason;
      if (reason === undefined) return;
      yield create(ConnectResponseSchema, { message: { case: 'goodbye', value: { reason: toErrorDetail(reason) } } });
      throw reason;
    },
  };
}

interface Parts extends Pick<IncomingContext, 'deliveries' | 'chunks' | 'namedChunks' | 'challenges' | 'control'> {
  /** In order of priority. */
  readonly lines: readonly Line[];
  /** Set on the stream that carries orders; challenging on both would ask twice. */
  readonly challenge: ReturnType<typeof challengeLine> | undefined;
}

function assemble(
  device: VerifiedSvid,
  hello: AcceptedHello,
  context: SessionContext,
  finish: (reason: CodedError) => void,
): Parts {
  const { clock, ports, pacing, log } = context;
  const deviceId = device.id.name;
  const challenges = createChallenges();
  const namedChunks = createNamedChunks();
  const control = controlLine();
  const deliveries = new Map<ResourceType, Delivery>();
  const policy = ports.sources[ResourceType.POLICY];
  const readChunk = async (digest: string): Promise<Uint8Array | undefined> => policy?.chunk?.(deviceId, digest);
  const chunks = createChunkLine(readChunk, pacing, clock, (error) => finish(asCodedError(error)));

  const resources = inPriority(hello.versions.keys()).map((type): Line => {
    const source = ports.sources[type];
    if (source === undefined) throw new Error(`${resourceTypeName(type)} was subscribed and is not served`);
    if (type === ResourceType.TIME) return timeLine(source, { deviceId, clock, log });
    const delivery = createDelivery(type, hello.versions.get(type) ?? 0n);
    deliveries.set(type, delivery);
    return createResourceLine(delivery, source, { ...context, deviceId, namedChunks });
  });
  const refresh = repeating(clock, REFRESH_INTERVAL_MS, REFRESH_INTERVAL_MS, () => {
    for (const delivery of deliveries.values()) delivery.notice();
    return Promise.resolve(undefined);
  });
  const challenge = hello.versions.has(ResourceType.ORDERS)
    ? challengeLine(ports.challenge, device, challenges, { deviceId, clock, log })
    : undefined;
  const lines: Line[] = [
    expiryLine(device.notAfter, clock, finish),
    ...resources.slice(0, 1),
    control,
    ...resources.slice(1),
    ...(challenge === undefined ? [] : [challenge]),
    missedLine(ports.challenge, challenges, { deviceId, clock, log }),
    overdueLine(deliveries, clock, finish),
    refresh,
    chunks,
  ];
  return { deliveries, chunks, namedChunks, challenges, control, lines, challenge };
}
