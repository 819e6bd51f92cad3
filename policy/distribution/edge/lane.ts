// One Connect call of the edge: Hello, then resources to their handlers and answers back, until the stream ends.
import { create } from '@bufbuild/protobuf';
import type { EnrollResponse } from '../../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import type { Challenge, Renewed, Resource } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { type ConnectResponse, HelloSchema, ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { CodedError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { asCodedError, fromErrorDetail, toErrorDetail } from '../error-detail.ts';
import { distributionErrors } from '../errors.ts';
import {
  MAX_CHALLENGE_NONCE_BYTES,
  PROTOCOL_VERSION,
  RENEWAL_TIMEOUT_MS,
  SILENCE_MS,
  WELCOME_TIMEOUT_MS,
} from '../limits.ts';
import { inPriority, resourceTypeName, resourceTypes } from '../resource-types.ts';
import { type ChunkFetcher, createChunkFetcher } from './chunk-fetcher.ts';
import type { Inbox } from './inbox.ts';
import { createRequestQueue, type RequestQueue } from './request-queue.ts';
import type { ResourceHandler, StreamConnection, StreamHandlers } from './types.ts';

export interface LaneContext {
  readonly name: string;
  readonly types: ReadonlySet<ResourceType>;
  readonly handlers: StreamHandlers;
  readonly inbox: Inbox;
  readonly agentVersion: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called for every message; with the reconnect spread when it is Welcome. */
  readonly contact: (welcome?: { readonly serverVersion: string; readonly reconnectSpreadMs: number }) => void;
}

export interface LaneEnd {
  readonly reason: CodedError;
  /** The server had accepted this stream. */
  readonly welcomed: boolean;
}

export interface Lane {
  /** Resolves when the stream is over, for whatever reason. Call once. */
  run(signal: AbortSignal): Promise<LaneEnd>;
  /** Asks for a renewed certificate; rejects with the server's error, or when the stream ends first. */
  renew(csrDer: Uint8Array): Promise<EnrollResponse>;
}

interface LaneState {
  readonly context: LaneContext;
  readonly queue: RequestQueue;
  readonly chunks: ChunkFetcher;
  readonly renewals: Map<bigint, PromiseWithResolvers<EnrollResponse>>;
  readonly challenge: { collecting: boolean; next: Challenge | undefined };
  nextRenewal: bigint;
}

export function createLane(connection: StreamConnection, context: LaneContext): Lane {
  const queue = createRequestQueue();
  const state: LaneState = {
    context,
    queue,
    chunks: createChunkFetcher(context.clock, (digest) =>
      queue.push({ case: 'chunkRequest', value: { digests: [digest] } }),
    ),
    renewals: new Map(),
    challenge: { collecting: false, next: undefined },
    nextRenewal: 1n,
  };
  return {
    run: (signal) => runLane(connection, state, signal),
    renew: (csrDer) => renew(state, csrDer),
  };
}

async function runLane(connection: StreamConnection, state: LaneState, signal: AbortSignal): Promise<LaneEnd> {
  const { context, queue } = state;
  const over = new AbortController();
  let welcomed = false;
  let reason: CodedError;
  try {
    queue.push({ case: 'hello', value: hello(context) });
    const call = connection.connect(queue, { signal: AbortSignal.any([signal, over.signal]) });
    const responses = call[Symbol.asyncIterator]();
    for (;;) {
      const response = await nextWithin(responses, welcomed ? silence(context) : WELCOME_TIMEOUT_MS, context.clock);
      if (response === undefined) throw distributionErrors.error('DISTRIBUTION_INTERRUPTED', 'the stream ended');
      welcomed = dispatch(response, welcomed, state) || welcomed;
    }
  } catch (error) {
    reason = signal.aborted ? interrupted() : asCodedError(error);
  }
  over.abort(reason);
  queue.close();
  state.chunks.interrupt(interrupted());
  for (const { reject } of state.renewals.values()) reject(interrupted());
  return { reason, welcomed };
}

function interrupted(): CodedError {
  return distributionErrors.error('DISTRIBUTION_INTERRUPTED', 'the stream to the control plane was interrupted');
}

function hello(context: LaneContext) {
  const subscriptions = inPriority(context.types).map((type) => ({
    type,
    version: context.handlers.resources[type]?.version() ?? 0n,
  }));
  return create(HelloSchema, {
    protocolVersion: PROTOCOL_VERSION,
    agentVersion: context.agentVersion,
    subscriptions,
  });
}

/** Signed time comes at intervals, so silence tells a dead path that TCP has not noticed. */
function silence(context: LaneContext): number | undefined {
  return context.types.has(ResourceType.TIME) ? SILENCE_MS : undefined;
}

async function nextWithin(
  responses: AsyncIterator<ConnectResponse>,
  timeoutMs: number | undefined,
  clock: Clock,
): Promise<ConnectResponse | undefined> {
  const done = new AbortController();
  const next = responses.next();
  const silent =
    timeoutMs === undefined
      ? []
      : [
          clock.sleep(timeoutMs, done.signal).then((): never => {
            throw distributionErrors.error('DISTRIBUTION_SILENT', `nothing was heard for ${timeoutMs} ms`);
          }),
        ];
  try {
    const result = await Promise.race([next, ...silent]);
    return result.done === true ? undefined : result.value;
  } finally {
    done.abort();
    next.catch(() => undefined);
  }
}

/** Hands one message on. True when it was Welcome. Throws what ends the stream. */
function dispatch({ message }: ConnectResponse, welcomed: boolean, state: LaneState): boolean {
  if (!welcomed && message.case !== 'welcome' && message.case !== 'goodbye') {
    throw invalid('the stream did not begin with Welcome');
  }
  state.context.contact(message.case === 'welcome' ? message.value : undefined);
  switch (message.case) {
    case 'welcome':
      if (welcomed) throw invalid('Welcome came a second time');
      return true;
    case 'resource':
      takeResource(message.value, state);
      return false;
    case 'chunk':
      state.chunks.received(message.value.digest, message.value.content);
      return false;
    case 'renewed':
      takeRenewed(message.value, state);
      return false;
    case 'challenge':
      takeChallenge(message.value, state);
      return false;
    case 'goodbye':
      throw fromErrorDetail(message.value.reason);
    case undefined:
      throw invalid('a message of the stream was empty');
  }
}

function invalid(what: string): CodedError {
  return distributionErrors.error('DISTRIBUTION_ANSWER_INVALID', what);
}

function takeResource(resource: Resource, state: LaneState): void {
  const { context } = state;
  const { type, payload } = resource;
  const row = resourceTypes.get(type);
  if (row === undefined || !context.types.has(type)) {
    throw invalid(`resource ${resourceTypeName(type)} was not subscribed`);
  }
  if (payload.length > row.maxPayloadBytes) throw invalid(`${row.name} of ${payload.length} bytes is too large`);
  if (type === ResourceType.TIME) {
    context.inbox.take(type, async () => context.handlers.time?.(Buffer.from(payload).toString('utf8')));
    return;
  }
  const handler = context.handlers.resources[type];
  if (handler === undefined) throw invalid(`resource ${row.name} has no handler`);
  context.inbox.take(type, () => answerResource(resource, handler, state));
}

async function answerResource(resource: Resource, handler: ResourceHandler, state: LaneState): Promise<void> {
  const { type, version, nonce, payload } = resource;
  const { queue, chunks, context } = state;
  try {
    if (payload.length === 0 && version !== handler.version()) {
      throw invalid(`${resourceTypeName(type)} came empty, and version ${version} is not in force here`);
    }
    const inForce =
      payload.length === 0 ? await handler.confirm() : await handler.apply({ version, payload }, chunks.fetch);
    const { digest, selfTest } = inForce;
    queue.push({
      case: 'ack',
      value: { type, version, nonce, digest, ...(selfTest === undefined ? {} : { selfTest }) },
    });
  } catch (cause) {
    const error = asCodedError(cause);
    context.log.warn({ type: resourceTypeName(type), version, err: cause }, 'a resource was refused');
    queue.push({
      case: 'nack',
      value: { type, version, nonce, activeVersion: handler.version(), error: toErrorDetail(error) },
    });
  }
}

function takeChallenge(challenge: Challenge, state: LaneState): void {
  const { nonce } = challenge;
  if (nonce.length === 0 || nonce.length > MAX_CHALLENGE_NONCE_BYTES)
    throw invalid('a challenge without a usable nonce');
  // One collection at a time; of those that come meanwhile only the newest can still be in time.
  const busy = state.challenge.collecting;
  state.challenge.next = challenge;
  if (!busy) void collect(state);
}

async function collect(state: LaneState): Promise<void> {
  const { challenge, context, queue } = state;
  challenge.collecting = true;
  for (let next = challenge.next; next !== undefined; next = challenge.next) {
    challenge.next = undefined;
    const { nonce, deadlineMs } = next;
    try {
      queue.push({ case: 'evidence', value: { nonce, jws: await context.handlers.evidence({ nonce, deadlineMs }) } });
    } catch (error) {
      context.log.error({ err: error }, 'no evidence could be collected');
    }
  }
  challenge.collecting = false;
}

async function renew(state: LaneState, csrDer: Uint8Array): Promise<EnrollResponse> {
  const { clock } = state.context;
  const requestId = state.nextRenewal++;
  const answer = Promise.withResolvers<EnrollResponse>();
  state.renewals.set(requestId, answer);
  const done = new AbortController();
  const late = clock.sleep(RENEWAL_TIMEOUT_MS, done.signal).then((): never => {
    throw distributionErrors.error('DISTRIBUTION_RENEWAL_OVERDUE', 'the renewed certificate did not come');
  });
  try {
    state.queue.push({ case: 'renew', value: { requestId, csrDer } });
    return await Promise.race([answer.promise, late]);
  } finally {
    state.renewals.delete(requestId);
    done.abort();
    late.catch(() => undefined);
  }
}

function takeRenewed({ requestId, result }: Renewed, state: LaneState): void {
  const waiting = state.renewals.get(requestId);
  // An answer after its time-out; the next request is on its way or will be.
  if (waiting === undefined) return;
  switch (result.case) {
    case 'certificate':
      waiting.resolve(result.value);
      return;
    case 'error':
      waiting.reject(fromErrorDetail(result.value));
      return;
    case undefined:
      throw invalid('a renewal was answered with nothing');
  }
}
