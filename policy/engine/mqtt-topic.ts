// Topic names and topic filters (MQTT 5.0, 4.7; MQTT 3.1.1 says the same): levels between slashes, `+` for one level, a
// last `#` for any rest and for the level above it. In a policy `{device}` stands for the id of the subject.
import { MAX_TOPIC_LENGTH, MAX_TOPIC_LEVELS } from './limits.ts';

/** Stands for the subject's id, in topic filters and client ids of a policy. */
export const devicePlaceholder = '{device}';

/** A level of a filter as a policy writes it; `device` holds the texts around the placeholders. */
export type FilterLevel =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'device'; readonly around: readonly string[] }
  | { readonly kind: 'one' }
  | { readonly kind: 'rest' };

/** A level of a filter that was sent: text, `+` or `#`. */
type SentLevels = readonly string[];

/** Levels of a topic name; undefined for what is none (MQTT 5.0, 4.7.1 and 4.7.3). */
export function readTopicName(text: unknown): SentLevels | undefined {
  if (!isTopicText(text) || text.includes('+') || text.includes('#')) return undefined;
  return levelsOf(text);
}

/** Levels of a topic filter as a client sends it, without `$share/<name>/`; undefined for what is none. */
export function readTopicFilter(text: unknown): SentLevels | undefined {
  const levels = isTopicText(text) ? levelsOf(text) : undefined;
  return levels?.every((level, index) => isFilterLevel(level, index === levels.length - 1)) === true
    ? levels
    : undefined;
}

/** Whether the text is the name of a shared subscription (MQTT 5.0, 4.8.2). */
export function isShareName(text: unknown): boolean {
  return isTopicText(text) && !/[/+#]/.test(text);
}

/** What is wrong with a filter of a policy, in words; undefined when nothing is. */
export function topicFilterFault(text: string): string | undefined {
  if (isShare(text)) return 'expected the filter alone; shared subscriptions are named by shares';
  if (/[{}]/.test(text.replaceAll(devicePlaceholder, ''))) return 'expected no braces besides {device}';
  if (!isTopicText(text)) return `expected 1 to ${MAX_TOPIC_LENGTH} characters of Unicode without U+0000`;
  if (text.split('/').length > MAX_TOPIC_LEVELS) return `expected at most ${MAX_TOPIC_LEVELS} levels`;
  return readTopicFilter(text) === undefined ? 'expected + as a whole level, and # as the whole last one' : undefined;
}

/** A filter of a policy; undefined where topicFilterFault has something to say. */
export function readPolicyFilter(text: string): readonly FilterLevel[] | undefined {
  if (topicFilterFault(text) !== undefined) return undefined;
  return text.split('/').map((level): FilterLevel => {
    if (level === '+') return { kind: 'one' };
    if (level === '#') return { kind: 'rest' };
    const around = level.split(devicePlaceholder);
    return around.length > 1 ? { kind: 'device', around } : { kind: 'literal', text: level };
  });
}

/** Whether the id can stand in a topic as it is: one that is a wildcard or several levels would open more than its own. */
export function isTopicLevel(subject: string): boolean {
  return subject !== '' && !subject.startsWith('$') && isTopicText(subject) && !/[/+#]/.test(subject);
}

/** Topics that start with $ are the server's own: no filter that starts with a wildcard matches them (4.7.2). */
export const isReserved = (level: string | undefined): boolean => level?.startsWith('$') === true;

/**
 * The filter of the topics that match both, as a client may send them; undefined when there are none. A filter that is
 * none has no topics.
 */
export function intersectTopicFilters(one: string, other: string): string | undefined {
  const [a, b] = [readTopicFilter(one), readTopicFilter(other)];
  return a === undefined || b === undefined ? undefined : intersectLevels(a, b);
}

/** The same of filters that are read already. */
export function intersectLevels(a: SentLevels, b: SentLevels): string | undefined {
  if ((isWild(a[0]) && isReserved(b[0])) || (isWild(b[0]) && isReserved(a[0]))) return undefined;
  // Levels of `/#` and `+` share the empty text alone, which is no topic.
  return sharedLevels(a, b)?.join('/') || undefined;
}

function sharedLevels(a: SentLevels, b: SentLevels): SentLevels | undefined {
  const shared: string[] = [];
  for (let at = 0; at < a.length || at < b.length; at++) {
    if (a[at] === '#') return [...shared, ...b.slice(at)];
    if (b[at] === '#') return [...shared, ...a.slice(at)];
    const level = sharedLevel(a[at], b[at]);
    if (level === undefined) return undefined;
    shared.push(level);
  }
  return shared;
}

const isWild = (level: string | undefined): boolean => level === '+' || level === '#';

function sharedLevel(one: string | undefined, other: string | undefined): string | undefined {
  if (one === '+') return other;
  return other === '+' || one === other ? one : undefined;
}

/** A subscription and no topic; a server that reads it as one where it is published would deliver another than was judged. */
const isShare = (text: string): boolean => text === '$share' || text.startsWith('$share/');

/** A UTF-8 string of MQTT (1.5.4): no lone surrogate, no U+0000. */
function isTopicText(text: unknown): text is string {
  return (
    typeof text === 'string' &&
    text !== '' &&
    text.length <= MAX_TOPIC_LENGTH &&
    !text.includes('\0') &&
    !isShare(text) &&
    text.isWellFormed()
  );
}

function levelsOf(text: string): SentLevels | undefined {
  const levels = text.split('/');
  return levels.length <= MAX_TOPIC_LEVELS ? levels : undefined;
}

function isFilterLevel(level: string, isLast: boolean): boolean {
  if (level === '+') return true;
  if (level === '#') return isLast;
  return !level.includes('+') && !level.includes('#');
}
