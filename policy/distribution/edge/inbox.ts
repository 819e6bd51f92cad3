// Resources on their way into force: one at a time per type, whatever stream they came on; types do not wait for each other.
import type { Logger } from '../../../runtime/log.ts';
import type { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { distributionErrors } from '../errors.ts';
import { MAX_WAITING_RESOURCES } from '../limits.ts';
import { resourceTypeName } from '../resource-types.ts';

export interface Inbox {
  /** Queues `work`, which must not reject. Throws STREAM_OVERRUN when the server did not wait for answers. */
  take(type: ResourceType, work: () => Promise<void>): void;
}

export function createInbox(log: Logger): Inbox {
  const chains = new Map<ResourceType, { waiting: number; last: Promise<void> }>();
  return {
    take(type, work) {
      const chain = chains.get(type) ?? { waiting: 0, last: Promise.resolve() };
      chains.set(type, chain);
      if (chain.waiting >= MAX_WAITING_RESOURCES) {
        throw distributionErrors.error('STREAM_OVERRUN', `too many resources of ${resourceTypeName(type)} at once`);
      }
      chain.waiting += 1;
      chain.last = chain.last
        .then(work)
        .catch((error: unknown) => log.error({ type: resourceTypeName(type), err: error }, 'a resource was lost'))
        .finally(() => {
          chain.waiting -= 1;
        });
    },
  };
}
