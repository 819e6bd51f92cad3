// Chunks that an edge asked for, read when their turn comes and sent within the pace all streams share.
import { create } from '@bufbuild/protobuf';
import { ConnectResponseSchema } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { distributionErrors } from '../errors.ts';
import { MAX_CHUNK_BYTES, MAX_CHUNK_DIGESTS } from '../limits.ts';
import type { Line } from './line.ts';
import type { Pacing } from './pacing.ts';

export interface ChunkLine extends Line {
  /** Queues digests; throws STREAM_OVERRUN when more than 64 would wait. */
  request(digests: readonly Uint8Array[]): void;
}

export function createChunkLine(
  read: (digestHex: string) => Promise<Uint8Array | undefined>,
  pacing: Pacing,
  clock: Clock,
  fail: (error: unknown) => void,
): ChunkLine {
  const waiting: Uint8Array[] = [];
  let loaded: { digest: Uint8Array; content: Uint8Array } | undefined;
  let notBefore = 0;

  const loadNext = async (): Promise<void> => {
    const digest = waiting.shift();
    if (digest === undefined) return;
    const digestHex = Buffer.from(digest).toString('hex');
    const content = await pacing.turn(() => read(digestHex));
    if (content === undefined || content.length === 0 || content.length > MAX_CHUNK_BYTES) {
      throw distributionErrors.error('STREAM_CHUNK_MISSING', `chunk ${digestHex} is not in the store`);
    }
    loaded = { digest, content };
  };

  return {
    request(digests) {
      if (waiting.length + digests.length > MAX_CHUNK_DIGESTS) {
        throw distributionErrors.error('STREAM_OVERRUN', `more than ${MAX_CHUNK_DIGESTS} chunks wait on this stream`);
      }
      waiting.push(...digests);
    },
    dueInMs(now) {
      return loaded === undefined && waiting.length === 0 ? undefined : Math.max(0, notBefore - now);
    },
    async take() {
      try {
        if (loaded === undefined) await loadNext();
      } catch (error) {
        fail(error);
      }
      if (loaded === undefined) return undefined;
      const wait = pacing.take(loaded.content.length);
      notBefore = clock.monotonic() + wait;
      if (wait > 0) return undefined;
      const value = loaded;
      loaded = undefined;
      return create(ConnectResponseSchema, { message: { case: 'chunk', value } });
    },
  };
}
