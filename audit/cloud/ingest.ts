// AuditIngestService.Deliver: one stream of one authenticated device. Batches are pipelined into the log writer; each
// answer (acknowledgement and credit, or refusal) leaves after the commit, in order.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import { ErrorDetailSchema, type ErrorDetail } from '../../proto/gen/edgeward/errors/v1/errors_pb.ts';
import {
  DeliverResponseSchema,
  type DeliverRequest,
  type DeliverResponse,
  type Open,
} from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import type { Database } from '../../store/database.ts';
import { auditErrors } from '../errors.ts';
import { deviceCreditRecords, maxPendingHeads, minimumCreditRecords, totalCreditRecords } from '../limits.ts';
import { epochBytes } from '../log/chain.ts';
import type { EmitEvent } from '../spool/event.ts';
import { controlDevice, type Outcome } from './append.ts';
import { openChain } from './epochs.ts';
import { pendingHeads, storeHead, verifyHead, type HeadSource } from './heads.ts';
import { Outbox } from './outbox.ts';
import { parseBatch, safeSequence, type Refusal } from './record.ts';
import type { LogWriter } from './writer.ts';

/** Who delivers, from the verified SVID of the connection. */
export interface DeliveringDevice {
  readonly deviceId: string;
  readonly publicKey: KeyObject;
  /** DER as presented: leaf, then intermediates. Kept with signed heads. */
  readonly certificates: readonly Buffer[];
}

export interface IngestOptions {
  readonly db: Database;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly writer: LogWriter;
  /** Where forks, new epochs and refusals are recorded; the control plane's own log. */
  readonly emitOwn: EmitEvent;
}

export interface Ingest {
  /** Ends with the request stream, with a refusal, or with an error. */
  deliver(requests: AsyncIterable<DeliverRequest>, device: DeliveringDevice): AsyncIterable<DeliverResponse>;
  readonly streams: number;
}

export function createIngest(options: IngestOptions): Ingest {
  let streams = 0;
  return {
    async *deliver(requests, device) {
      if (device.deviceId === controlDevice) {
        throw auditErrors.error('AUDIT_DEVICE_RESERVED', `the name ${controlDevice} belongs to the control plane`);
      }
      streams += 1;
      try {
        yield* new DeliverStream(options, device, () => window(streams)).run(requests);
      } finally {
        streams -= 1;
      }
    },
    get streams() {
      return streams;
    },
  };
}

/** Each stream's share of what may wait for the store in all. */
function window(streams: number): number {
  const share = Math.floor(totalCreditRecords / Math.max(streams, 1));
  return Math.min(deviceCreditRecords, Math.max(minimumCreditRecords, share));
}

class DeliverStream {
  readonly #options: IngestOptions;
  readonly #device: DeliveringDevice;
  readonly #window: () => number;
  readonly #out = new Outbox<DeliverResponse>();
  readonly #underWay = new Set<Promise<void>>();
  #source: HeadSource | undefined;
  #heads = new Map<number, Buffer>();
  /** Records credited and not yet sent, and records sent and not yet stored. */
  #credit = 0;
  #sent = 0;
  #refusing = false;

  constructor(options: IngestOptions, device: DeliveringDevice, window: () => number) {
    this.#options = options;
    this.#device = device;
    this.#window = window;
  }

  async *run(requests: AsyncIterable<DeliverRequest>): AsyncGenerator<DeliverResponse> {
    const reading = this.#read(requests).then(
      () => this.#out.end(),
      (error: unknown) => this.#out.fail(error),
    );
    try {
      yield* this.#out;
    } finally {
      this.#out.end();
      // The reader ends with its stream; what is under way is stored or fails by itself.
      void reading;
    }
  }

  async #read(requests: AsyncIterable<DeliverRequest>): Promise<void> {
    for await (const { message } of requests) {
      if (this.#out.ended || this.#refusing) break;
      if (this.#source === undefined) {
        if (message.case !== 'open') throw auditErrors.error('AUDIT_PROTOCOL', 'the first message has to be Open');
        await this.#open(message.value);
        continue;
      }
      switch (message.case) {
        case 'batch':
          this.#batch(this.#source, parseBatch(message.value.records), message.value.records.length);
          break;
        case 'head':
          await this.#head(this.#source, safeSequence(message.value.sequence), message.value.jws);
          break;
        case 'open':
        case undefined:
          throw auditErrors.error('AUDIT_PROTOCOL', 'only batches and heads follow Open');
      }
    }
    await Promise.all(this.#underWay);
  }

  async #open({ protocolVersion, epoch, firstSequence }: Open): Promise<void> {
    if (protocolVersion !== 1) {
      throw auditErrors.error('AUDIT_VERSION_UNSUPPORTED', `version ${protocolVersion} of the protocol; this is 1`);
    }
    if (epoch.length !== epochBytes) throw auditErrors.error('AUDIT_PROTOCOL', `an epoch has ${epochBytes} bytes`);
    const { db, trustDomain, clock, emitOwn } = this.#options;
    const { deviceId, publicKey, certificates } = this.#device;
    const hex = Buffer.from(epoch).toString('hex');
    const source = { trustDomain, deviceId, epoch: hex, publicKey, certificates };
    const { acknowledgedThrough } = await openChain(db, trustDomain, deviceId, hex, clock.now(), emitOwn);
    this.#heads = await pendingHeads(db, source, acknowledgedThrough);
    this.#source = source;
    const first = safeSequence(firstSequence === 0n ? 1n : firstSequence);
    this.#send({ case: 'opened', value: { acknowledgedThrough: BigInt(acknowledgedThrough) } });
    if (first > acknowledgedThrough + 1) {
      const message = `the edge holds records from ${first} on, the log ends at ${acknowledgedThrough}`;
      await this.#refuse({ sequence: first, error: auditErrors.error('AUDIT_SEQUENCE_GAP', message) });
      return;
    }
    this.#grant();
  }

  #batch(source: HeadSource, parsed: ReturnType<typeof parseBatch>, records: number): void {
    if (records > this.#credit) {
      throw auditErrors.error('AUDIT_CREDIT_EXCEEDED', `${records} records sent, ${this.#credit} credited`);
    }
    this.#credit -= records;
    this.#sent += records;
    const outcome: Promise<Outcome> =
      'error' in parsed
        ? // Behind the batches that are under way, so that their acknowledgements come first.
          Promise.all(this.#underWay).then(() => ({ refused: parsed }))
        : this.#options.writer.submit({
            from: 'device',
            deviceId: source.deviceId,
            epoch: source.epoch,
            batch: parsed,
            heads: this.#heads,
          });
    const answered = outcome
      .then((result) => this.#answer(result, records))
      .catch((error: unknown) => this.#out.fail(error))
      .finally(() => this.#underWay.delete(answered));
    this.#underWay.add(answered);
  }

  async #answer(outcome: Outcome, records: number): Promise<void> {
    this.#sent -= records;
    if (this.#refusing) return;
    if ('refused' in outcome) {
      await this.#refuse(outcome.refused);
      return;
    }
    for (const sequence of this.#heads.keys()) if (sequence <= outcome.through) this.#heads.delete(sequence);
    this.#send({ case: 'acknowledged', value: { through: BigInt(outcome.through) } });
    this.#grant();
  }

  async #head(source: HeadSource, sequence: number, jws: string): Promise<void> {
    const head = await verifyHead(source, sequence, jws).catch(async (error: unknown) => {
      // A device that just renewed signs with its next key until it dials again; anything else is no accident.
      if (!(error instanceof CodedError) || isKeyUnknown(error)) throw error;
      await this.#refuse({ sequence, error });
      return undefined;
    });
    if (head === undefined) return;
    // Afterwards the store holds every record that was sent before this head.
    await Promise.all(this.#underWay);
    if (this.#out.ended) return;
    const fork = await storeHead(this.#options.db, source, head, this.#options.clock.now());
    if (fork !== undefined) await this.#refuse(fork);
    else if (this.#heads.size < maxPendingHeads) this.#heads.set(sequence, head.chain);
  }

  #grant(): void {
    const records = this.#window() - this.#credit - this.#sent;
    if (records <= 0) return;
    this.#credit += records;
    this.#send({ case: 'credit', value: { records } });
  }

  /** Recorded first, then the edge learns why and the stream ends. */
  async #refuse({ sequence, error }: Refusal): Promise<void> {
    if (this.#out.ended || this.#refusing) return;
    this.#refusing = true;
    const data = {
      device: this.#device.deviceId,
      epoch: this.#source?.epoch ?? '',
      sequence,
      code: error.code,
      message: error.message,
    };
    await this.#options.emitOwn({ kind: 'log', activity: 'refuse', severity: 'critical', data }, true);
    this.#send({ case: 'refused', value: { sequence: BigInt(sequence), error: detailOf(error) } });
    this.#out.end();
  }

  #send(message: NonNullable<MessageInitShape<typeof DeliverResponseSchema>['message']>): void {
    this.#out.push(create(DeliverResponseSchema, { message }));
  }
}

function isKeyUnknown(error: CodedError): boolean {
  return error.cause instanceof CodedError && error.cause.code === 'IDENTITY_JWS_KEY_UNKNOWN';
}

function detailOf(error: CodedError): ErrorDetail {
  return create(ErrorDetailSchema, { code: error.code, message: error.message, remedy: error.remedy });
}
