// One Deliver stream from Open to its end: a generator that sends what credit and spool allow, and a reader of answers.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { runtimeErrors } from '../../runtime/error-codes.ts';
import { CodedError } from '../../runtime/errors.ts';
import {
  DeliverRequestSchema,
  type DeliverRequest,
  type DeliverResponse,
  type Refused,
} from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { auditErrors } from '../errors.ts';
import { headIntervalMs, maxBatchBytes, maxBatchRecords, renewDrainMs } from '../limits.ts';
import { sameBytes } from '../log/chain.ts';
import { encodeHead } from '../log/head.ts';
import type { ChainHead, SpoolRecord } from '../spool/index.ts';
import type { DeliveryOptions } from './deliver.ts';

export interface SessionEvents {
  readonly opened: () => void;
  readonly acknowledged: () => void;
}

/** Refusals after which the chain cannot go on; it continues under a new epoch. */
const endsTheChain: ReadonlySet<string> = new Set(['AUDIT_FORK', 'AUDIT_CHAIN_BROKEN', 'AUDIT_SEQUENCE_GAP']);

export class DeliverySession {
  readonly #options: DeliveryOptions;
  readonly #events: SessionEvents;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #epoch: Buffer;
  #opened = false;
  #credit = 0;
  /** Last record sent, last acknowledged. */
  #position = 0;
  #through = 0;
  #headSentAt = Number.NEGATIVE_INFINITY;
  #headSent = 0;
  #failure: unknown;
  #wake: (() => void) | undefined;
  /** Counts what could make `#requests` go on; a change between looking and resting must not be missed. */
  #changes = 0;

  constructor(options: DeliveryOptions, signal: AbortSignal, events: SessionEvents) {
    this.#options = options;
    this.#events = events;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#epoch = options.spool.head().epoch;
  }

  /** Ends when the stream does; rejects with why. `renewed`: the chain goes on under a new epoch, connect again. */
  async run(): Promise<'ended' | 'renewed'> {
    const { dial, spool } = this.#options;
    const watching = this.#watchSpool();
    try {
      for await (const response of dial(this.#requests(), { signal: this.#signal })) await this.#answer(response);
    } catch (error) {
      if (this.#failure === undefined && !this.#renewed()) throw error;
    } finally {
      this.#stop.abort();
      this.#notify();
      await watching;
    }
    if (this.#failure !== undefined) await this.#recover(this.#failure);
    return sameBytes(this.#epoch, spool.head().epoch) ? 'ended' : 'renewed';
  }

  /** A chain that cannot go on is renewed, when that helps; every other failure is the caller's. */
  async #recover(failure: unknown): Promise<void> {
    const { spool, log } = this.#options;
    if (failure instanceof CodedError && failure.code === 'SPOOL_DAMAGED') {
      log.error({ err: failure }, 'the spool is damaged; its rest continues under a new epoch');
      await spool.renew('damage');
    } else if (failure instanceof CodedError && endsTheChain.has(failure.code)) {
      log.error({ err: failure }, 'the control plane refuses the chain; it continues under a new epoch');
      await spool.renew('refused');
    } else {
      throw failure;
    }
  }

  async *#requests(): AsyncGenerator<DeliverRequest> {
    const { spool, clock } = this.#options;
    const firstSequence = BigInt(spool.status().firstSequence);
    yield request({ case: 'open', value: { protocolVersion: 1, epoch: this.#epoch, firstSequence } });
    while (!this.#signal.aborted && !this.#renewed()) {
      const seen = this.#changes;
      if (this.#opened && this.#headIsDue()) {
        yield await this.#head(spool.head());
        continue;
      }
      const records = await this.#nextBatch();
      if (records === 'damaged') {
        await this.#untilAcknowledged();
        return;
      }
      if (records.length > 0) {
        yield request({ case: 'batch', value: { records: records.map(toWire) } });
        continue;
      }
      const untilHead = this.#headSentAt + headIntervalMs - clock.monotonic();
      await this.#rest(this.#opened && spool.head().sequence !== this.#headSent ? untilHead : headIntervalMs, seen);
    }
    // A renewed chain is opened on a stream of its own.
    if (!this.#signal.aborted) await this.#untilAcknowledged();
  }

  /** Contiguous records within credit and size; none when there is nothing to send now. */
  async #nextBatch(): Promise<readonly SpoolRecord[] | 'damaged'> {
    const { spool } = this.#options;
    const max = Math.min(this.#credit, maxBatchRecords);
    if (!this.#opened || max <= 0 || spool.head().sequence <= this.#position) return [];
    const records: SpoolRecord[] = [];
    let bytes = 0;
    try {
      for await (const record of spool.read(this.#position, max)) {
        bytes += record.payload.length;
        if (bytes > maxBatchBytes) break;
        records.push(record);
      }
    } catch (error) {
      if (records.length === 0) {
        this.#failure ??= error;
        return 'damaged';
      }
      // What could be read goes first; the next round meets the same place again.
    }
    // Renewed while reading: these records have other sequences now.
    if (this.#renewed()) return [];
    this.#credit -= records.length;
    this.#position += records.length;
    return records;
  }

  #headIsDue(): boolean {
    const { spool, clock } = this.#options;
    const { sequence } = spool.head();
    return sequence > 0 && sequence !== this.#headSent && clock.monotonic() - this.#headSentAt >= headIntervalMs;
  }

  async #head(head: ChainHead): Promise<DeliverRequest> {
    const { signHead, clock } = this.#options;
    const jws = await signHead(encodeHead(head, clock.now()));
    this.#headSent = head.sequence;
    this.#headSentAt = clock.monotonic();
    return request({ case: 'head', value: { sequence: BigInt(head.sequence), jws } });
  }

  async #answer({ message }: DeliverResponse): Promise<void> {
    switch (message.case) {
      case 'opened':
        this.#open(Number(message.value.acknowledgedThrough));
        break;
      case 'credit':
        this.#credit += message.value.records;
        break;
      case 'acknowledged':
        await this.#acknowledge(Number(message.value.through));
        break;
      case 'refused':
        this.#failure ??= refusalOf(message.value);
        this.#stop.abort();
        break;
      case undefined:
        throw auditErrors.error('AUDIT_PROTOCOL', 'the control plane sent an empty answer');
    }
    this.#notify();
  }

  #open(through: number): void {
    const { spool } = this.#options;
    this.#opened = true;
    // The last stored record goes once more, when it is still here: its acknowledgement proves that the cloud has these
    // records and not others with the same sequences. Only then are they freed.
    this.#position = through >= spool.status().firstSequence ? through - 1 : through;
    this.#through = this.#position;
    this.#events.opened();
    if (through <= spool.head().sequence) return;
    // The disk was set back, or the spool copied: what comes next would be a fork.
    const message = `the control plane has ${through} records, the spool ends at ${spool.head().sequence}`;
    this.#failure ??= auditErrors.error('AUDIT_FORK', message);
    this.#stop.abort();
  }

  async #acknowledge(through: number): Promise<void> {
    if (through > this.#position) {
      throw auditErrors.error('AUDIT_PROTOCOL', `${through} acknowledged, ${this.#position} sent`);
    }
    this.#through = Math.max(this.#through, through);
    this.#events.acknowledged();
    if (this.#renewed()) return;
    await this.#options.spool.acknowledged(this.#through).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'the cursor of the spool could not be saved');
    });
  }

  #renewed(): boolean {
    return !sameBytes(this.#epoch, this.#options.spool.head().epoch);
  }

  /** So that records before the end of a chain are not sent again under the next epoch. Bounded. */
  async #untilAcknowledged(): Promise<void> {
    const deadline = this.#options.clock.monotonic() + renewDrainMs;
    while (this.#through < this.#position && !this.#signal.aborted) {
      const left = deadline - this.#options.clock.monotonic();
      if (left <= 0) break;
      await this.#rest(left, this.#changes);
    }
    this.#stop.abort();
  }

  async #watchSpool(): Promise<void> {
    while (!this.#signal.aborted) {
      await this.#options.spool.changed(this.#signal).catch(() => undefined);
      this.#notify();
    }
  }

  /** Until something changed since `seen`, at most `ms`. */
  async #rest(ms: number, seen: number): Promise<void> {
    if (this.#changes !== seen) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const signal = AbortSignal.any([this.#signal, woken.signal]);
    await this.#options.clock.sleep(Math.max(ms, 1), signal).catch(() => undefined);
    this.#wake = undefined;
  }

  #notify(): void {
    this.#changes += 1;
    this.#wake?.();
  }
}

function request(message: NonNullable<MessageInitShape<typeof DeliverRequestSchema>['message']>): DeliverRequest {
  return create(DeliverRequestSchema, { message });
}

function toWire({ sequence, payload, chain }: SpoolRecord): { sequence: bigint; payload: Buffer; chain: Buffer } {
  return { sequence: BigInt(sequence), payload, chain };
}

/** The refusal as an error with the code that the control plane gave. */
function refusalOf({ error, sequence }: Refused): CodedError {
  const code = error?.code ?? '';
  const message = error?.message ?? `refused from record ${sequence} on`;
  if (code in auditErrors.codes) return auditErrors.error(code as keyof typeof auditErrors.codes, message);
  return runtimeErrors.error('RPC_FAILED_PRECONDITION', `${code}: ${message}`);
}
