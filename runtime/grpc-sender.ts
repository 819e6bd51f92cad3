// Sending with back-pressure counted in bytes: grpc-js streams count messages, and sixteen of ours may be 64 MiB.
import type { Writable } from 'node:stream';

/** Bytes handed to a stream that the peer has not yet made room for. */
const maxBytesInFlight = 256 * 1024;

/** Resolves when more may be sent, or when the stream has ended and nothing matters any more. */
export function createSender(stream: Writable): (bytes: Buffer) => Promise<void> {
  let inFlight = 0;
  let ended = false;
  let wake: (() => void) | undefined;
  const end = (): void => {
    ended = true;
    wake?.();
  };
  // grpc-js drops the callbacks of writes when a call ends early.
  for (const event of ['close', 'cancelled', 'status', 'error']) stream.once(event, end);
  return async (bytes) => {
    if (ended || stream.destroyed || stream.writableEnded) return;
    inFlight += bytes.length;
    stream.write(bytes, () => {
      inFlight -= bytes.length;
      wake?.();
    });
    while (inFlight > maxBytesInFlight && !ended) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      await promise;
    }
  };
}
