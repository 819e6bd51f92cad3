// What an edge has to say on one stream, in order: pushed from many places, pulled by the transport, bounded.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { type ConnectRequest, ConnectRequestSchema } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { distributionErrors } from '../errors.ts';
import { MAX_WAITING_REQUESTS } from '../limits.ts';

export interface RequestQueue extends AsyncIterable<ConnectRequest> {
  /** Dropped silently after `close`. Throws STREAM_OVERRUN when the transport takes nothing any more. */
  push(message: NonNullable<MessageInitShape<typeof ConnectRequestSchema>['message']>): void;
  /** Ends the iteration after what is waiting. */
  close(): void;
}

export function createRequestQueue(): RequestQueue {
  const waiting: ConnectRequest[] = [];
  let closed = false;
  let wake: (() => void) | undefined;
  return {
    push(message) {
      if (closed) return;
      if (waiting.length >= MAX_WAITING_REQUESTS) {
        throw distributionErrors.error('STREAM_OVERRUN', 'the control plane reads nothing of what the edge says');
      }
      waiting.push(create(ConnectRequestSchema, { message }));
      wake?.();
    },
    close() {
      closed = true;
      wake?.();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const next = waiting.shift();
        if (next !== undefined) yield next;
        else if (closed) return;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  };
}
