// Chunks over one stream: a small window of requests ahead, every content checked against its digest on arrival.
import { createHash } from 'node:crypto';
import type { Clock } from '../../../runtime/clock.ts';
import type { CodedError } from '../../../runtime/errors.ts';
import { distributionErrors } from '../errors.ts';
import { CHUNK_TIMEOUT_MS, CHUNK_WINDOW, MAX_CHUNK_BYTES } from '../limits.ts';
import type { FetchChunks } from './types.ts';

export interface ChunkFetcher {
  readonly fetch: FetchChunks;
  /** A chunk arrived. Throws DISTRIBUTION_ANSWER_INVALID when nobody asked for it. */
  received(digest: Uint8Array, content: Uint8Array): void;
  /** The stream is over: whoever waits is told why, and so is whoever asks later. */
  interrupt(reason: CodedError): void;
}

interface Waiter {
  readonly resolve: (content: Uint8Array) => void;
  readonly reject: (error: CodedError) => void;
}

export function createChunkFetcher(clock: Clock, request: (digest: Uint8Array) => void): ChunkFetcher {
  const waiters = new Map<string, Waiter>();
  /** Asked for, and given up: their late arrival is no fault of the server. */
  const abandoned = new Set<string>();
  let over: CodedError | undefined;

  const fetchOne = async (digest: string): Promise<Uint8Array> => {
    if (over !== undefined) throw over;
    const done = new AbortController();
    const arrived = new Promise<Uint8Array>((resolve, reject) => waiters.set(digest, { resolve, reject }));
    const late = clock.sleep(CHUNK_TIMEOUT_MS, done.signal).then(() => {
      abandoned.add(digest);
      throw distributionErrors.error('DISTRIBUTION_CHUNK_OVERDUE', `chunk ${digest} did not come`);
    });
    try {
      request(Buffer.from(digest, 'hex'));
      return await Promise.race([arrived, late]);
    } finally {
      waiters.delete(digest);
      done.abort();
      late.catch(() => undefined);
    }
  };

  return {
    async fetch(digests, store) {
      const left = [...new Set(digests)].values();
      let failed = false;
      const worker = async (): Promise<void> => {
        for (const digest of left) {
          if (failed) return;
          try {
            await store(digest, await fetchOne(digest));
          } catch (error) {
            failed = true;
            throw error;
          }
        }
      };
      const workers = Array.from({ length: CHUNK_WINDOW }, worker);
      // All have stopped before the caller hears of the first failure: nothing is stored behind its back.
      await Promise.allSettled(workers);
      await Promise.all(workers);
    },
    received(digest, content) {
      const name = Buffer.from(digest).toString('hex');
      const waiter = waiters.get(name);
      if (waiter === undefined) {
        if (abandoned.delete(name)) return;
        throw distributionErrors.error('DISTRIBUTION_ANSWER_INVALID', 'a chunk came that was not asked for');
      }
      waiters.delete(name);
      if (content.length <= MAX_CHUNK_BYTES && createHash('sha256').update(content).digest('hex') === name) {
        waiter.resolve(content);
      } else {
        waiter.reject(distributionErrors.error('DISTRIBUTION_CHUNK_TAMPERED', `chunk ${name} has another digest`));
      }
    },
    interrupt(reason) {
      over = reason;
      for (const { reject } of waiters.values()) reject(reason);
    },
  };
}
