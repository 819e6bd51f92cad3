// Sigma correlations over event time with sliding windows: event_count and value_count, by group, in bounded memory.
import { maxEventsPerGroup, maxGroups, retroAfterMs } from './limits.ts';
import type { CorrelationRule } from './sigma-rule.ts';
import type { FlatEvent } from './sigma-match.ts';

interface Seen {
  readonly time: number;
  readonly index: number;
  readonly value: string;
  /** Identical events that this one stands for (`count` of an aggregated event). */
  readonly weight: number;
}

export interface CorrelationHit {
  readonly evidence: readonly number[];
  readonly firstTime: number;
  readonly lastTime: number;
  readonly count: number;
}

/** One matching event, with what keeps it apart from others besides the rule's own `group-by`. */
export interface CorrelatedEvent {
  readonly flat: FlatEvent;
  /** Milliseconds since the epoch, never after the receipt. */
  readonly time: number;
  readonly index: number;
  /** Events of different lots are never counted together: late ones not with live ones, known actors not with unknown. */
  readonly lot: string;
}

export class CorrelationWindow {
  readonly rule: CorrelationRule;
  readonly #groups = new Map<string, Seen[]>();

  constructor(rule: CorrelationRule) {
    this.rule = rule;
  }

  /** Counts one matching event; a hit empties the group, so that the next hit needs a full window of its own. */
  add({ flat, time, index, lot }: CorrelatedEvent): CorrelationHit | undefined {
    const value = this.rule.field === '' ? '' : flat[this.rule.field];
    if (value === undefined) return undefined;
    const key = JSON.stringify([lot, ...this.rule.groupBy.map((field) => flat[field] ?? null)]);
    const seen = [...(this.#groups.get(key) ?? []), { time, index, value: String(value), weight: weightOf(flat) }];
    const inWindow = seen.filter((entry) => Math.abs(time - entry.time) < this.rule.windowMs);
    const weight = inWindow.reduce((sum, entry) => sum + entry.weight, 0);
    const reached = this.rule.type === 'event_count' ? weight : new Set(inWindow.map((entry) => entry.value)).size;
    if (reached < this.rule.threshold) {
      this.#remember(key, this.#current(seen, time));
      return undefined;
    }
    this.#groups.delete(key);
    const times = inWindow.map((entry) => entry.time);
    return {
      evidence: inWindow.map((entry) => entry.index),
      firstTime: Math.min(...times),
      lastTime: Math.max(...times),
      count: weight,
    };
  }

  /**
   * What may still count with an event to come. There is room for what comes late: otherwise one event with a wrong or
   * forged time would empty the window of all others.
   */
  #current(seen: readonly Seen[], time: number): Seen[] {
    const kept = seen.filter((entry) => time - entry.time < this.rule.windowMs + retroAfterMs);
    if (kept.length <= maxEventsPerGroup) return kept;
    const [oldest, next, ...rest] = kept.toSorted((a, b) => a.time - b.time) as [Seen, Seen, ...Seen[]];
    return [{ ...next, weight: next.weight + oldest.weight }, ...rest];
  }

  #remember(key: string, seen: Seen[]): void {
    this.#groups.delete(key);
    this.#groups.set(key, seen);
    if (this.#groups.size <= maxGroups) return;
    const leastRecent = this.#groups.keys().next().value;
    if (leastRecent !== undefined) this.#groups.delete(leastRecent);
  }
}

/** A count that no honest reporter writes must not lower the sum of the others. */
export function weightOf(flat: FlatEvent): number {
  const count = flat['count'];
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 1 ? count : 1;
}
