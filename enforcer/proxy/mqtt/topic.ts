// Topic names and filters (MQTT 5.0 section 4.7, the same in 3.1.1), and `$share` (5.0 section 4.8.2; brokers give it to
// 3.1.1 as well).

/** A filter as it subscribes: with a share name, the messages are shared out among all who use it. */
export interface TopicFilter {
  readonly share?: string;
  readonly filter: string;
}

const sharePrefix = '$share';

/** True for a name that a message can be published under: not empty and without wildcards. */
export function isTopicName(name: string): boolean {
  return name !== '' && !name.includes('+') && !name.includes('#');
}

/**
 * True for names that mean a subscription, not a topic. A broker that reads `$share/x/t` as `t` also in a PUBLISH
 * (mosquitto does) would deliver under another name than the one that was judged.
 */
export function isShareName(name: string): boolean {
  return name === sharePrefix || name.startsWith(`${sharePrefix}/`);
}

/** `+` and `#` stand alone in their level, `#` in the last. */
export function isTopicFilter(filter: string): boolean {
  if (filter === '') return false;
  const levels = filter.split('/');
  return levels.every((level, index) => {
    if (level === '+') return true;
    if (level === '#') return index === levels.length - 1;
    return !level.includes('+') && !level.includes('#');
  });
}

/** Undefined for what is no filter, or a share without a name, without a filter, or of another share. */
export function parseTopicFilter(text: string): TopicFilter | undefined {
  if (!isShareName(text)) return isTopicFilter(text) ? { filter: text } : undefined;
  const [, share = '', ...levels] = text.split('/');
  const filter = levels.join('/');
  if (share === '' || share.includes('+') || share.includes('#')) return undefined;
  return isTopicFilter(filter) && !isShareName(filter) ? { share, filter } : undefined;
}

export function formatTopicFilter({ share, filter }: TopicFilter): string {
  return share === undefined ? filter : `${sharePrefix}/${share}/${filter}`;
}
