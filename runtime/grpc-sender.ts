// Sending with back-pressure counted in bytes: grpc-js streams count messages, and sixteen of ours may be 64 MiB.
import type { Writable } from 'node:stream';
import { maxBytesInFlight } from './limits.ts';

/** Resolves when more may be sent, or when the stream has ended and nothing matters any more. */
export function createSender(stream: Writable): (bytes: Buffer) => Promise<void> {
  const state = { inFlight: 0, ended: false };
  let wake: (() => void) | undefined;
  const end = (): void => {
    state.ended = true;
    wake?.();
  };
  // grpc-js drops the callbacks of writes when a call ends early.
  for (const event of ['close', 'cancelled', 'status', 'error']) stream.once(event, end);
  return async (bytes) => {
    if (state.ended || stream.destroyed || stream.writableEnded) return;
    state.inFlight += bytes.length;
    stream.write(bytes, () => {
      state.inFlight -= bytes.length;
      wake?.();
    });
    while (state.inFlight > maxBytesInFlight && !state.ended) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      await promise;
    }
  };
}
