// What an edge says after Hello: each message judged, then handed to whom it concerns. An error thrown here ends the
// stream with that code; a fault of a store is retried while the stream waits.
import { create } from '@bufbuild/protobuf';
import type { VerifiedSvid } from '../../../identity/index.ts';
import type {
  Ack,
  ChunkRequest,
  ConnectRequest,
  Evidence,
  Nack,
  Renew,
} from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { ConnectResponseSchema, type ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { CodedError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { asCodedError, fromErrorDetail, toErrorDetail } from '../error-detail.ts';
import { distributionErrors } from '../errors.ts';
import {
  DIGEST_BYTES,
  MAX_CHALLENGE_NONCE_BYTES,
  MAX_CHUNK_DIGESTS,
  MAX_CSR_BYTES,
  MAX_EVIDENCE_CHARACTERS,
  MAX_STORE_RETRY_MS,
  NONCE_BYTES,
  STORE_RETRY_MS,
} from '../limits.ts';
import { resourceTypeName } from '../resource-types.ts';
import type { Challenges } from './challenges.ts';
import type { ChunkLine } from './chunk-line.ts';
import type { Delivery } from './delivery.ts';
import type { NamedChunks } from './named-chunks.ts';
import type { ControlLine } from './session-lines.ts';
import type { StreamPorts } from './types.ts';

export interface IncomingContext {
  readonly device: VerifiedSvid;
  readonly ports: Pick<StreamPorts, 'renew' | 'submitEvidence' | 'record'>;
  readonly deliveries: ReadonlyMap<ResourceType, Delivery>;
  readonly chunks: ChunkLine;
  readonly namedChunks: NamedChunks;
  readonly challenges: Challenges;
  readonly control: ControlLine;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export async function handleRequest(request: ConnectRequest, context: IncomingContext): Promise<void> {
  const { message } = request;
  switch (message.case) {
    case 'hello':
      throw distributionErrors.error('STREAM_HELLO_REPEATED', 'Hello came a second time');
    case 'ack':
      return handleAck(message.value, context);
    case 'nack':
      return handleNack(message.value, context);
    case 'renew':
      return handleRenew(message.value, context);
    case 'evidence':
      return handleEvidence(message.value, context);
    case 'chunkRequest':
      return handleChunkRequest(message.value, context);
    case undefined:
      throw distributionErrors.error('STREAM_MESSAGE_EMPTY', 'a message of the stream was empty');
  }
}

async function handleAck(ack: Ack, context: IncomingContext): Promise<void> {
  const delivery = requireDelivery(ack.type, context);
  requireNonce(ack.nonce);
  if (ack.digest.length !== 0 && ack.digest.length !== DIGEST_BYTES)
    throw oversized('the digest of an ACK', DIGEST_BYTES);
  delivery.acked(ack.version, hex(ack.nonce));
  const { vectors, passed } = ack.selfTest ?? {};
  const acknowledgement = {
    deviceId: context.device.id.name,
    type: ack.type,
    version: ack.version,
    digest: hex(ack.digest),
    selfTest: vectors === undefined || passed === undefined ? undefined : { vectors, passed },
  };
  await untilKept(() => context.ports.record.ack(acknowledgement), context);
}

async function handleNack(nack: Nack, context: IncomingContext): Promise<void> {
  const delivery = requireDelivery(nack.type, context);
  requireNonce(nack.nonce);
  delivery.nacked(nack.version, hex(nack.nonce), nack.activeVersion, context.clock.monotonic());
  const error = fromErrorDetail(nack.error);
  const refusal = {
    deviceId: context.device.id.name,
    type: nack.type,
    version: nack.version,
    activeVersion: nack.activeVersion,
    error,
  };
  context.log.warn({ ...refusal, type: resourceTypeName(nack.type), error: error.code }, 'the edge refused a resource');
  await untilKept(() => context.ports.record.nack(refusal), context);
}

async function handleRenew(renew: Renew, context: IncomingContext): Promise<void> {
  if (renew.csrDer.length > MAX_CSR_BYTES) throw oversized('a certificate request', MAX_CSR_BYTES);
  const { requestId } = renew;
  const result = await context.ports.renew(context.device, renew.csrDer).then(
    (value) => ({ case: 'certificate' as const, value }),
    (cause: unknown) => {
      context.log.warn({ device: context.device.id.name, err: cause }, 'renewal refused');
      return { case: 'error' as const, value: toErrorDetail(asCodedError(cause)) };
    },
  );
  context.control.push(create(ConnectResponseSchema, { message: { case: 'renewed', value: { requestId, result } } }));
}

async function handleEvidence(evidence: Evidence, context: IncomingContext): Promise<void> {
  const { nonce, jws } = evidence;
  if (nonce.length > MAX_CHALLENGE_NONCE_BYTES) throw oversized('the nonce of evidence', MAX_CHALLENGE_NONCE_BYTES);
  if (jws.length > MAX_EVIDENCE_CHARACTERS) throw oversized('evidence', MAX_EVIDENCE_CHARACTERS);
  const device = context.device.id.name;
  if (context.challenges.answered(nonce, context.clock.monotonic()) === 'late') {
    context.log.warn({ device }, 'evidence came after its deadline and was dropped');
    return;
  }
  try {
    await context.ports.submitEvidence(context.device, { nonce, jws });
  } catch (error) {
    // Bad evidence is the appraisal's finding, not a fault of the stream.
    context.log.warn({ device, err: error }, 'evidence was not accepted');
  }
}

function handleChunkRequest(request: ChunkRequest, context: IncomingContext): Promise<void> {
  const { digests } = request;
  if (digests.length === 0 || digests.length > MAX_CHUNK_DIGESTS) throw oversized('a chunk request', MAX_CHUNK_DIGESTS);
  for (const digest of digests) {
    if (digest.length !== DIGEST_BYTES) throw oversized('a digest of a chunk request', DIGEST_BYTES);
    context.namedChunks.require(hex(digest));
  }
  context.chunks.request(digests);
  const now = context.clock.monotonic();
  for (const delivery of context.deliveries.values()) delivery.progress(now);
  return Promise.resolve();
}

function requireDelivery(type: ResourceType, context: IncomingContext): Delivery {
  const delivery = context.deliveries.get(type);
  if (delivery !== undefined) return delivery;
  throw distributionErrors.error(
    'STREAM_NONCE_UNKNOWN',
    `an answer for ${resourceTypeName(type)}, which this stream does not carry`,
  );
}

function requireNonce(nonce: Uint8Array): void {
  if (nonce.length !== NONCE_BYTES) throw oversized('the nonce of an answer', NONCE_BYTES);
}

function oversized(what: string, bound: number): Error {
  return distributionErrors.error('STREAM_OVERSIZED', `${what} is outside its bound of ${bound}`);
}

/** What an edge enforces must not be forgotten because the database was away for a moment. */
async function untilKept(keep: () => Promise<void>, context: IncomingContext): Promise<void> {
  for (let delay = STORE_RETRY_MS; ; delay = Math.min(2 * delay, MAX_STORE_RETRY_MS)) {
    try {
      return await keep();
    } catch (error) {
      // A refusal (an ACK for what was never published) is the edge's fault and ends the stream.
      if (error instanceof CodedError && error.status !== 'UNAVAILABLE' && error.status !== 'ABORTED') throw error;
      context.log.error({ device: context.device.id.name, err: error, retryInMs: delay }, 'an answer was not recorded');
      await context.clock.sleep(delay, context.signal);
    }
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
