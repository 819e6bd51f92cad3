// What is left of a subscription that is not granted as a whole: its intersections with the filters that the interface
// names. Each is a question of its own to the engine; here nothing is decided.
import type { SliceOperation } from '../bundle/slice.ts';
import { devicePlaceholder, intersectLevels, isTopicLevel, readTopicFilter } from './mqtt-topic.ts';

/**
 * Filters, each once, that lie both in the one that is asked for and in one of the operations that subscribe. Without
 * `$share/<name>/`. Empty for a filter that is none, and for a subject that could not be established where only its own
 * topics are named.
 */
export function narrowedFilters(
  operations: readonly SliceOperation[],
  filter: string,
  subject: string,
): readonly string[] {
  const named = operations.flatMap((operation) =>
    operation.protocol === 'mqtt' && operation.actions.includes('subscribe')
      ? topicFiltersFor(operation.topics, subject)
      : [],
  );
  // Read once: one packet may ask for a thousand, each of a hundred levels.
  const wanted = readTopicFilter(filter);
  if (wanted === undefined) return [];
  return [
    ...new Set(
      named.flatMap((topic) => {
        const levels = readTopicFilter(topic);
        return (levels === undefined ? undefined : intersectLevels(levels, wanted)) ?? [];
      }),
    ),
  ];
}

/**
 * Filters of a policy for one subject, as a client may send them. Those that name the subject are left out where its id
 * is no topic level.
 */
export function topicFiltersFor(topics: readonly string[], subject: string): readonly string[] {
  return topics.flatMap((topic) => {
    if (!topic.includes(devicePlaceholder)) return [topic];
    return isTopicLevel(subject) ? [topic.replaceAll(devicePlaceholder, () => subject)] : [];
  });
}
