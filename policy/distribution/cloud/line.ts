// What one stream may have to send: each line says when it has something, the stream asks them in order of priority.
import type { ConnectResponse } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Wakeup } from '../wakeup.ts';

export interface Line {
  /** Milliseconds until `take` is to be called; 0 for now, undefined for not before the next wake-up. */
  dueInMs(now: number): number | undefined;
  /** The message to send; undefined when there is none after all. May fail only by ending the stream. */
  take(): Promise<ConnectResponse | undefined>;
}

/** Sends what the lines have, first line first, until `ended`. Pulled by the transport, so nothing piles up here. */
export async function* drain(
  lines: readonly Line[],
  clock: Clock,
  wakeup: Wakeup,
  ended: () => boolean,
): AsyncGenerator<ConnectResponse, void, undefined> {
  while (!ended()) {
    const now = clock.monotonic();
    const due = lines.find((line) => line.dueInMs(now) === 0);
    if (due !== undefined) {
      const message = await due.take();
      if (message !== undefined && !ended()) yield message;
      continue;
    }
    const waits = lines.map((line) => line.dueInMs(now)).filter((wait) => wait !== undefined);
    await wakeup.wait(waits.length === 0 ? undefined : Math.min(...waits));
  }
}

/** Something to do again and again: `work` at once or after the first interval, then every `intervalMs`. */
export function repeating(
  clock: Clock,
  intervalMs: number,
  firstInMs: number,
  work: () => Promise<ConnectResponse | undefined>,
): Line & { now(): void } {
  let next = clock.monotonic() + firstInMs;
  return {
    dueInMs: (now) => Math.max(0, next - now),
    take() {
      next = clock.monotonic() + intervalMs;
      return work();
    },
    now() {
      next = clock.monotonic();
    },
  };
}
