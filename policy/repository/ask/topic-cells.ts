// Topics and filters that stand for all of them. Two that leave every filter of the interface in the same place get the
// same answer, so the filters are followed as a set (the subset construction of automata), once as grants read them and
// once as denies do; each set that can be reached gives one topic.
import { MAX_PATH_SETS } from '../../limits.ts';

export interface TopicWalk {
  readonly topics: readonly string[];
  /** False when there are more sets than the bound. */
  readonly complete: boolean;
}

/** `index:level` of a filter, or `index:rest` once its `#` has taken one. */
type Place = string;

interface Front {
  /** As grants read: of a filter that is asked, those that contain it. */
  readonly sure: ReadonlySet<Place>;
  /** As denies read: those that may share a topic with it. */
  readonly possible: ReadonlySet<Place>;
}

/** `filters`: of the policy, with the subject's id in the place of `{device}`. `asFilters`: for subscribe. */
export function walkTopics(filters: readonly string[], asFilters: boolean): TopicWalk {
  const patterns = [...new Set(filters)].map((filter) => filter.split('/'));
  const every = new Set(patterns.map((_, index): Place => `${index}:0`));
  const seen = new Set<string>();
  const topics = new Set<string>();
  const queue: { front: Front; levels: readonly string[] }[] = [
    { front: { sure: every, possible: every }, levels: [] },
  ];
  for (let at = 0; at < queue.length; at++) {
    const { front, levels } = queue[at] ?? { front: { sure: every, possible: every }, levels: [] };
    if (levels.length > 0) topics.add(levels.join('/'));
    if (asFilters) topics.add([...levels, '#'].join('/'));
    // Where no filter goes on, one topic stands for all that are longer; and one for all where there is no filter.
    if (front.possible.size === 0 && levels.length > 0) continue;
    for (const level of choices(patterns, front, levels.length === 0, asFilters)) {
      const next = step(patterns, front, level, levels.length === 0);
      const key = `${[...next.sure].sort().join(' ')}|${[...next.possible].sort().join(' ')}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > MAX_PATH_SETS) return { topics: [...topics], complete: false };
      queue.push({ front: next, levels: [...levels, level] });
    }
  }
  return { topics: [...topics].filter((topic) => topic !== ''), complete: true };
}

/** Each literal, one that nobody wrote, at the start one of the server's own, and of a filter that is asked the plus. */
function choices(
  patterns: readonly (readonly string[])[],
  { possible }: Front,
  first: boolean,
  asFilters: boolean,
): string[] {
  const literals = new Set<string>();
  for (const place of possible) {
    const level = levelAt(patterns, place);
    if (level !== undefined && level !== '+' && level !== '#') literals.add(level);
  }
  let fresh = 'x';
  while (literals.has(fresh)) fresh += 'x';
  return [...literals, fresh, ...(first ? [`$${fresh}`] : []), ...(asFilters ? ['+'] : [])];
}

function step(patterns: readonly (readonly string[])[], front: Front, level: string, first: boolean): Front {
  const hidden = first && level.startsWith('$');
  const taken = (places: ReadonlySet<Place>, takes: (wanted: string) => boolean): Set<Place> => {
    const next = new Set<Place>();
    for (const place of places) {
      const [index = '', at = ''] = place.split(':');
      const wanted = levelAt(patterns, place);
      if (at === 'rest') next.add(place);
      else if (wanted !== undefined && takes(wanted))
        next.add(wanted === '#' ? `${index}:rest` : `${index}:${Number(at) + 1}`);
    }
    return next;
  };
  return {
    sure: taken(front.sure, (wanted) => (wanted === '+' || wanted === '#' ? !hidden : wanted === level)),
    possible: taken(front.possible, (wanted) => level === '+' || wanted === '+' || wanted === '#' || wanted === level),
  };
}

/** The level that comes next; undefined behind the last. */
function levelAt(patterns: readonly (readonly string[])[], place: Place): string | undefined {
  const [index = '', at = ''] = place.split(':');
  return at === 'rest' ? undefined : patterns[Number(index)]?.[Number(at)];
}
