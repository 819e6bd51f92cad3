// What the demo computes from what foreign clients printed.
import { prove } from './report.ts';
import type { Poll } from './site.ts';

/** The 99th percentile (nearest rank) of successful polls, milliseconds; 0 for none. */
export function p99(polls: readonly Poll[]): number {
  const times = polls
    .filter((poll) => poll.ok)
    .map((poll) => poll.ms)
    .toSorted((a, b) => a - b);
  return times[Math.min(times.length - 1, Math.ceil(times.length * 0.99) - 1)] ?? 0;
}

export const between = (polls: readonly Poll[], from: number, to: number): Poll[] =>
  polls.filter((poll) => poll.at >= from && poll.at < to);

/** Polls that should have happened in the time, and those that failed or never happened. */
export function missed(
  polls: readonly Poll[],
  from: number,
  to: number,
  intervalMs: number,
): { expected: number; missed: number } {
  const inside = between(polls, from, to);
  const expected = Math.floor((to - from) / intervalMs);
  const failed = inside.filter((poll) => !poll.ok).length;
  // A poll that hangs delays those after it: what is not there counts as missed, but for one at either end.
  const absent = Math.max(0, expected - inside.length - 2);
  return { expected, missed: failed + absent };
}

/** What issue 2 allows between the first hostile packet and containment. */
const containWithinMs = 3_000;

/**
 * Milliseconds from the first hostile packet to the last one that a neighbour accepted. Fails when that says nothing:
 * when the packet probe saw nothing after it, or when nobody tried any more (`tries`: polls of the contained device).
 */
export function containMs(firstHostile: number, accepted: readonly number[], tries: readonly Poll[]): number {
  const last = Math.max(...accepted);
  prove(last >= firstHostile, 'the packet probe saw no packet of gateway-1 after the attack began');
  prove(
    tries.some(({ at }) => at > last),
    'nothing on gateway-1 tried after the last accepted packet: its silence shows nothing',
  );
  const ms = Math.round(last - firstHostile);
  prove(
    ms <= containWithinMs,
    `contained ${ms} ms after the first hostile packet, expected at most ${containWithinMs}`,
  );
  return ms;
}
