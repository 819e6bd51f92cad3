// Sigma correlations over event time with sliding windows: event_count and value_count, by group, in bounded memory.
import { maxEventsPerGroup, maxGroups } from './limits.ts';
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
  readonly count: number;
}

export class CorrelationWindow {
  readonly rule: CorrelationRule;
  readonly #groups = new Map<string, Seen[]>();

  constructor(rule: CorrelationRule) {
    this.rule = rule;
  }

  /** Counts one matching event; a hit empties the group, so that the next hit needs a full window of its own. */
  add(event: FlatEvent, time: number, index: number): CorrelationHit | undefined {
    const key = JSON.stringify(this.rule.groupBy.map((field) => event[field] ?? null));
    const value = this.rule.field === '' ? '' : event[this.rule.field];
    if (value === undefined) return undefined;
    const seen = (this.#groups.get(key) ?? []).filter((entry) => Math.abs(time - entry.time) < this.rule.windowMs);
    seen.push({ time, index, value: String(value), weight: typeof event['count'] === 'number' ? event['count'] : 1 });
    if (seen.length > maxEventsPerGroup) seen.shift();
    this.#remember(key, seen);
    const weight = seen.reduce((sum, entry) => sum + entry.weight, 0);
    const reached = this.rule.type === 'event_count' ? weight : new Set(seen.map((entry) => entry.value)).size;
    if (reached < this.rule.threshold) return undefined;
    this.#groups.delete(key);
    return {
      evidence: seen.map((entry) => entry.index),
      firstTime: Math.min(...seen.map((entry) => entry.time)),
      count: weight,
    };
  }

  #remember(key: string, seen: Seen[]): void {
    this.#groups.delete(key);
    this.#groups.set(key, seen);
    if (this.#groups.size <= maxGroups) return;
    const oldest = this.#groups.keys().next().value;
    if (oldest !== undefined) this.#groups.delete(oldest);
  }
}
