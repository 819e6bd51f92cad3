// A subscription that is not granted as a whole becomes what is: its intersections with the filters of the interface's
// subscribe operations, each judged by the engine. The server never hears of the rest.
import type { SliceInterface } from '../../../policy/bundle/index.ts';
import { intersectTopicFilters, narrowedFilters } from '../../../policy/engine/index.ts';
import { MAX_MQTT_FILTERS } from '../limits.ts';
import type { Qos, Subscription } from './packet.ts';
import { formatTopicFilter, parseTopicFilter, type TopicFilter } from './topic.ts';

/** A subscription that may be asked for, and made when it is allowed. */
export interface Part extends TopicFilter {
  readonly qos: Qos;
}

/**
 * The whole first, then smaller ones: of each filter that the interface names for subscribing, what of it is wanted, at
 * the quality of service that it allows. At most MAX_MQTT_FILTERS; what is beyond is not asked for.
 */
export function partsOf(wanted: Part, entry: SliceInterface | undefined, subject: string): readonly Part[] {
  const parts = new Map<string, Part>([[keyOf(wanted), wanted]]);
  for (const operation of entry?.operations ?? []) {
    if (operation.protocol !== 'mqtt' || !operation.actions.includes('subscribe')) continue;
    const qos = Math.min(wanted.qos, operation.maxQos ?? 2) as Qos;
    for (const filter of narrowedFilters([operation], wanted.filter, subject)) {
      const part = { ...wanted, filter, qos };
      if (parts.size < MAX_MQTT_FILTERS) parts.set(keyOf(part), part);
    }
  }
  return [...parts.values()];
}

const keyOf = ({ filter, qos }: Part): string => `${qos} ${filter}`;

/** Of the allowed parts those that no other one covers, so that a message comes once for each. */
export function largestParts(parts: readonly Part[]): readonly Part[] {
  const sorted = parts.toSorted((one, other) => other.qos - one.qos);
  const kept: Part[] = [];
  for (const part of sorted) {
    if (kept.some((other) => intersectTopicFilters(part.filter, other.filter) === part.filter)) continue;
    const rest = kept.filter(
      (other) => other.qos > part.qos || intersectTopicFilters(other.filter, part.filter) !== other.filter,
    );
    kept.splice(0, kept.length, ...rest, part);
  }
  return kept;
}

/** The filter and what it may have become; the filter itself is always among them. */
export function namesOf(text: string, entry: SliceInterface | undefined, subject: string): readonly string[] {
  const filter = parseTopicFilter(text);
  if (filter === undefined) return [text];
  const parts = partsOf({ ...filter, qos: 2 }, entry, subject);
  return [...new Set(parts.map((part) => formatTopicFilter(part)))];
}

/** The subscription as it was wanted, for this part of it. */
export function asSubscription(wanted: Subscription, part: Part): Subscription {
  return { ...wanted, filter: formatTopicFilter(part), qos: part.qos };
}
