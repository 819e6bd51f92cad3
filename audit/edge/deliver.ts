// Delivers the spool to the cloud: one stream at a time, resumed after what the cloud acknowledged, within its credit.
// A record leaves as soon as it is durable; chain heads are signed and sent when they changed, every two seconds.
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { backoff, type Task } from '../../runtime/tasks.ts';
import type { DeliverRequest, DeliverResponse } from '../../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { redialMaxMs, redialMinMs } from '../limits.ts';
import type { Spool } from '../spool/index.ts';
import { DeliverySession } from './session.ts';

export interface DeliveryOptions {
  readonly spool: Spool;
  /** Opens the Deliver stream with the identity that is valid now, as a gRPC client's bidirectional method does. */
  readonly dial: (
    requests: AsyncIterable<DeliverRequest>,
    options: { readonly signal: AbortSignal },
  ) => AsyncIterable<DeliverResponse>;
  /** JWS (typ edgeward-head+json) over the payload, by the device key that `dial` uses. */
  readonly signHead: (payload: Uint8Array) => Promise<string>;
  readonly clock: Clock;
  readonly log: Logger;
  /** From 0 to 1, for jitter; Math.random by default. */
  readonly random?: () => number;
}

export interface DeliveryStatus {
  readonly connected: boolean;
  /** Wall clock of the last acknowledgement, milliseconds since 1970; 0 for none. */
  readonly acknowledgedAtMs: number;
  /** Code of the last failure, empty for none since the last acknowledgement. */
  readonly failure: string;
}

export interface Delivery {
  readonly task: Task;
  status(): DeliveryStatus;
}

export function createDelivery(options: DeliveryOptions): Delivery {
  const { clock, log, random = Math.random } = options;
  let status: DeliveryStatus = { connected: false, acknowledgedAtMs: 0, failure: '' };
  let attempt = 0;

  /** One stream until it ends; true when the next one may follow at once. */
  async function connectOnce(signal: AbortSignal): Promise<boolean> {
    const session = new DeliverySession(options, signal, {
      opened: () => {
        status = { ...status, connected: true };
      },
      acknowledged: () => {
        attempt = 0;
        status = { connected: true, acknowledgedAtMs: Math.trunc(clock.now()), failure: '' };
      },
    });
    try {
      return (await session.run()) === 'renewed';
    } catch (error) {
      if (signal.aborted) return false;
      const failure = error instanceof CodedError ? error.code : 'RPC_INTERNAL';
      // A site without a link would fill its log with the same line.
      if (failure !== status.failure) log.warn({ err: error }, 'delivery of the audit log was interrupted');
      status = { ...status, failure };
      return false;
    } finally {
      status = { ...status, connected: false };
    }
  }

  return {
    status: () => status,
    task: async (signal) => {
      while (!signal.aborted) {
        const atOnce = await connectOnce(signal);
        if (signal.aborted) return;
        const waitMs = backoff(atOnce ? 0 : attempt, { firstMs: redialMinMs, maxMs: redialMaxMs }, random);
        attempt += 1;
        await clock.sleep(waitMs, signal).catch(() => undefined);
      }
    },
  };
}
