// Sends resources of one type on one stream: what is newer than what the edge has, once, until it answers.
import { create } from '@bufbuild/protobuf';
import {
  type ConnectResponse,
  ConnectResponseSchema,
  ResourceType,
} from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/log.ts';
import { NONCE_BYTES } from '../limits.ts';
import { resourceTypeName, resourceTypes } from '../resource-types.ts';
import type { Delivery } from './delivery.ts';
import type { Line } from './line.ts';
import type { NamedChunks } from './named-chunks.ts';
import type { Pacing } from './pacing.ts';
import type { ResourceSource } from './types.ts';

export interface ResourceLineContext {
  readonly deviceId: string;
  readonly clock: Clock;
  readonly random: (bytes: number) => Uint8Array;
  readonly pacing: Pacing;
  readonly namedChunks: NamedChunks;
  readonly log: Logger;
}

export function createResourceLine(delivery: Delivery, source: ResourceSource, context: ResourceLineContext): Line {
  const { deviceId, clock, random, pacing, namedChunks, log } = context;
  const { type } = delivery;
  const waitsForOrders = resourceTypes.get(type)?.lane === 'bulk';

  const load = async (): Promise<{ version: bigint; payload: Uint8Array } | undefined> => {
    const found =
      source.since === undefined ? await source.current(deviceId) : await source.since(deviceId, delivery.known);
    return found === undefined ? undefined : { version: BigInt(found.version), payload: found.payload };
  };

  const message = (version: bigint, payload: Uint8Array): ConnectResponse => {
    const nonce = random(NONCE_BYTES);
    if (type === ResourceType.POLICY && payload.length > 0) namedChunks.add(payload);
    delivery.sent(version, Buffer.from(nonce).toString('hex'), clock.monotonic());
    return create(ConnectResponseSchema, {
      message: { case: 'resource', value: { type, version, nonce, payload } },
    });
  };

  return {
    dueInMs: (now) => delivery.dueInMs(now),
    async take() {
      // Before the source is asked, so that a notice that comes while it answers is not lost.
      delivery.asked();
      try {
        const found = waitsForOrders ? await pacing.turn(load) : await load();
        if (found !== undefined && found.version > delivery.known) return message(found.version, found.payload);
        if (found !== undefined && found.version < delivery.known) {
          log.warn(
            { device: deviceId, type: resourceTypeName(type), edge: delivery.known, here: found.version },
            'the edge has a newer version than the control plane; was a backup restored?',
          );
        }
        if (delivery.first) return message(delivery.known, new Uint8Array());
        delivery.answeredNothingNewer();
        return undefined;
      } catch (error) {
        const retryInMs = delivery.failed(clock.monotonic());
        log.error({ device: deviceId, type: resourceTypeName(type), err: error, retryInMs }, 'source failed');
        return undefined;
      }
    },
  };
}
