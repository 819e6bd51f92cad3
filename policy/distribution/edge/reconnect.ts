// When an edge comes back after a loss: not before the spread that Welcome asked for, later with every failure, and
// never all edges at one moment.
import { MAX_RECONNECT_MS } from '../limits.ts';

/**
 * Milliseconds to wait before attempt `attempt` (0 for the first after a loss): the spread, doubled each time up to ten
 * times itself, plus as much jitter. A small fleet, whose spread is short, so never waits long.
 */
export function reconnectDelayMs(attempt: number, spreadMs: number, random: () => number): number {
  const longest = Math.max(spreadMs, Math.min(MAX_RECONNECT_MS, 10 * spreadMs));
  const base = Math.min(longest, spreadMs * 2 ** Math.min(attempt, 20));
  return Math.round(base + random() * base);
}
