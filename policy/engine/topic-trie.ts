// Topic filters of a policy as a trie over levels. No regex; a question costs no more than the trie has nodes, whatever
// the wildcards of the filter that is asked.
import { type FilterLevel, isReserved, isTopicLevel } from './mqtt-topic.ts';

interface Node {
  readonly literals: Map<string, Node>;
  readonly devices: Map<string, { readonly around: readonly string[]; readonly next: Node }>;
  one: Node | undefined;
  /** Values of filters that end here, and of filters whose `#` follows here. */
  readonly ends: number[];
  readonly rests: number[];
}

export interface TopicTrie {
  readonly add: (filter: readonly FilterLevel[], value: number) => void;
  /**
   * Values of the filters that match every topic of the given filter, or the given topic. `subject`: whose id `{device}`
   * stands for. A value can appear twice.
   */
  readonly containing: (levels: readonly string[], subject: string) => readonly number[];
  /** Values of the filters that match some topic of it; `$` hides nothing here, and an id that is no level is any. */
  readonly touching: (levels: readonly string[], subject: string) => readonly number[];
}

export function createTopicTrie(): TopicTrie {
  const root = node();
  return {
    add(filter, value) {
      // `+/#` is every topic, as `#` is.
      const levels = filter.length === 2 && filter[0]?.kind === 'one' && filter[1]?.kind === 'rest' ? [rest] : filter;
      let at = root;
      for (const level of levels) {
        if (level.kind === 'rest') {
          at.rests.push(value);
          return;
        }
        at = child(at, level);
      }
      at.ends.push(value);
    },
    containing(levels, subject) {
      const found: number[] = [];
      const named = isTopicLevel(subject);
      const walk = (at: Node, index: number): void => {
        const level = levels[index];
        const reserved = index === 0 && isReserved(level);
        if (!reserved) found.push(...at.rests);
        if (level === undefined) found.push(...at.ends);
        if (level === undefined || level === '#') return;
        if (level !== '+') {
          const literal = at.literals.get(level);
          if (literal !== undefined) walk(literal, index + 1);
          if (named) {
            for (const { around, next } of at.devices.values()) {
              if (around.join(subject) === level) walk(next, index + 1);
            }
          }
        }
        if (at.one !== undefined && !reserved) walk(at.one, index + 1);
      };
      walk(root, 0);
      return found;
    },
    touching(levels, subject) {
      const found: number[] = [];
      const named = isTopicLevel(subject);
      const walk = (at: Node, index: number): void => {
        const level = levels[index];
        found.push(...at.rests);
        if (level === undefined || level === '#') found.push(...at.ends);
        if (level === undefined) return;
        const next = level === '#' ? index : index + 1;
        const any = level === '+' || level === '#';
        if (any) for (const literal of at.literals.values()) walk(literal, next);
        else {
          const literal = at.literals.get(level);
          if (literal !== undefined) walk(literal, next);
        }
        for (const { around, next: device } of at.devices.values()) {
          if (any || !named || around.join(subject) === level) walk(device, next);
        }
        if (at.one !== undefined) walk(at.one, next);
      };
      walk(root, 0);
      return found;
    },
  };
}

const rest: FilterLevel = { kind: 'rest' };

function node(): Node {
  return { literals: new Map(), devices: new Map(), one: undefined, ends: [], rests: [] };
}

function child(at: Node, level: Exclude<FilterLevel, { kind: 'rest' }>): Node {
  switch (level.kind) {
    case 'one':
      return (at.one ??= node());
    case 'literal': {
      const known = at.literals.get(level.text);
      if (known !== undefined) return known;
      const next = node();
      at.literals.set(level.text, next);
      return next;
    }
    case 'device': {
      const key = level.around.join('{device}');
      const known = at.devices.get(key);
      if (known !== undefined) return known.next;
      const next = node();
      at.devices.set(key, { around: level.around, next });
      return next;
    }
  }
}
