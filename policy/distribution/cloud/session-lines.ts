// The lines of a stream that are not resources: its end with the SVID, answers that never come, challenges, signed time.
import { create } from '@bufbuild/protobuf';
import type { VerifiedSvid } from '../../../identity/index.ts';
import {
  type ConnectResponse,
  ConnectResponseSchema,
  ResourceType,
} from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { CodedError } from '../../../runtime/errors.ts';
import type { Logger } from '../../../runtime/log.ts';
import { distributionErrors } from '../errors.ts';
import { ACK_OVERDUE_MS, MAX_WAITING_CONTROL, TIME_INTERVAL_MS } from '../limits.ts';
import { resourceTypeName } from '../resource-types.ts';
import type { Challenges } from './challenges.ts';
import type { Delivery } from './delivery.ts';
import { type Line, repeating } from './line.ts';
import type { ChallengePlan, ResourceSource } from './types.ts';

interface LineContext {
  readonly deviceId: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The stream ends with the identity it was opened with; the edge comes back with the renewed one. */
export function expiryLine(notAfter: number, clock: Clock, finish: (reason: CodedError) => void): Line {
  return {
    // The wall clock may be corrected while we wait, so look again at least as often as the time is told.
    dueInMs: () => Math.min(TIME_INTERVAL_MS, Math.max(0, notAfter + 1 - clock.now())),
    take() {
      finish(distributionErrors.error('STREAM_SVID_EXPIRED', `the SVID ended ${new Date(notAfter).toISOString()}`));
      return Promise.resolve(undefined);
    },
  };
}

export function overdueLine(
  deliveries: ReadonlyMap<ResourceType, Delivery>,
  clock: Clock,
  finish: (reason: CodedError) => void,
): Line {
  const waiting = (): { type: ResourceType; since: number }[] =>
    [...deliveries.values()].flatMap((delivery) => {
      const since = delivery.waitingSince();
      return since === undefined ? [] : [{ type: delivery.type, since }];
    });
  return {
    dueInMs(now) {
      const starts = waiting().map(({ since }) => since);
      return starts.length === 0 ? undefined : Math.max(0, Math.min(...starts) + ACK_OVERDUE_MS - now);
    },
    take() {
      const late = waiting().find(({ since }) => clock.monotonic() - since >= ACK_OVERDUE_MS);
      if (late !== undefined) {
        finish(distributionErrors.error('STREAM_ACK_OVERDUE', `${resourceTypeName(late.type)} was never answered`));
      }
      return Promise.resolve(undefined);
    },
  };
}

/** Signed time at once and every 30 seconds; for the edge also the stream's sign of life. */
export function timeLine(source: ResourceSource, context: LineContext): Line {
  return repeating(context.clock, TIME_INTERVAL_MS, 0, async () => {
    try {
      const time = await source.current(context.deviceId);
      if (time === undefined) return undefined;
      const value = { type: ResourceType.TIME, version: BigInt(time.version), payload: time.payload };
      return create(ConnectResponseSchema, { message: { case: 'resource', value } });
    } catch (error) {
      context.log.error({ device: context.deviceId, err: error }, 'no signed time could be had');
      return undefined;
    }
  });
}

export function challengeLine(
  plan: ChallengePlan,
  device: VerifiedSvid,
  challenges: Challenges,
  context: LineContext,
): ReturnType<typeof repeating> {
  return repeating(context.clock, plan.intervalMs, 0, async () => {
    try {
      const { nonce, deadlineMs } = await plan.issue(device);
      challenges.sent(nonce, deadlineMs, context.clock.monotonic());
      return create(ConnectResponseSchema, { message: { case: 'challenge', value: { nonce, deadlineMs } } });
    } catch (error) {
      context.log.error({ device: context.deviceId, err: error }, 'no challenge could be issued');
      return undefined;
    }
  });
}

export function missedLine(plan: ChallengePlan, challenges: Challenges, context: LineContext): Line {
  return {
    dueInMs: (now) => challenges.nextDeadlineInMs(now),
    async take() {
      for (const nonce of challenges.overdue(context.clock.monotonic())) {
        context.log.warn({ device: context.deviceId }, 'a challenge was not answered in time');
        try {
          await plan.missed(context.deviceId, nonce);
        } catch (error) {
          context.log.error({ device: context.deviceId, err: error }, 'a missed challenge was not recorded');
        }
      }
      return undefined;
    },
  };
}

/** Answers to what the edge asked, in order and bounded. */
export interface ControlLine extends Line {
  /** Throws STREAM_OVERRUN when the edge asks faster than it reads. */
  push(message: ConnectResponse): void;
}

export function controlLine(): ControlLine {
  const waiting: ConnectResponse[] = [];
  return {
    push(message) {
      if (waiting.length >= MAX_WAITING_CONTROL) {
        throw distributionErrors.error('STREAM_OVERRUN', 'the edge asks faster than it reads the answers');
      }
      waiting.push(message);
    },
    dueInMs: () => (waiting.length > 0 ? 0 : undefined),
    take: () => Promise.resolve(waiting.shift()),
  };
}
