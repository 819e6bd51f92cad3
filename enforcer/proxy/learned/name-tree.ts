// Names of several levels (topics, paths) as they are seen, generalised: a level below which there are too many different
// names becomes a wildcard, and with it all that was below those names; what is too much as a whole becomes open-ended.
import {
  MAX_LEARNED_LEVELS,
  MAX_LEARNED_NAME_CHARACTERS,
  MAX_LEARNED_NAMES_PER_LEVEL,
  MAX_LEARNED_NODES,
} from '../limits.ts';

interface Node {
  /** A name ended here. */
  ends: boolean;
  readonly children: Map<string, Node>;
}

export interface NameTree {
  /** `undefined` at the end stands for any rest. */
  readonly add: (levels: readonly (string | undefined)[]) => void;
  /** Each with the wildcard where names were too many; `undefined` at the end stands for any rest. Sorted. */
  readonly names: () => readonly (readonly (string | undefined)[])[];
}

const named = ({ children }: Node): number => children.size - (children.has(rest) ? 1 : 0);
const newNode = (): Node => ({ ends: false, children: new Map() });
const sizeOf = (node: Node): number => [...node.children.values()].reduce((sum, child) => sum + sizeOf(child), 1);

/** `wildcard` is never a level of its own right: what is added with it at a level is meant as one. */
export function createNameTree(wildcard: string): NameTree {
  const root = newNode();
  let nodes = 1;

  /** False where there is no room for another name. */
  const hasRoom = (node: Node, level: string): boolean =>
    nodes < MAX_LEARNED_NODES ||
    node.children.has(level) ||
    node.children.has(wildcard) ||
    named(node) >= MAX_LEARNED_NAMES_PER_LEVEL;

  /** The child for a level, after making room for it. */
  const below = (node: Node, level: string): Node => {
    const every = node.children.get(wildcard);
    if (every !== undefined) return every;
    if (level !== wildcard && !node.children.has(level) && named(node) < MAX_LEARNED_NAMES_PER_LEVEL) {
      node.children.set(level, newNode());
      nodes++;
    }
    const known = node.children.get(level);
    if (known !== undefined) return known;
    const joined = newNode();
    for (const [name, child] of node.children) {
      if (name === rest) continue;
      merge(joined, child);
      node.children.delete(name);
    }
    node.children.set(wildcard, joined);
    nodes = sizeOf(root);
    return joined;
  };

  const openEnded = (node: Node): Node => {
    const known = node.children.get(rest) ?? newNode();
    node.children.set(rest, known);
    return known;
  };

  const merge = (into: Node, from: Node): void => {
    into.ends ||= from.ends;
    for (const [level, child] of from.children) merge(level === rest ? openEnded(into) : below(into, level), child);
  };

  return {
    add(levels) {
      let node = root;
      let characters = 0;
      for (const level of levels.slice(0, MAX_LEARNED_LEVELS)) {
        characters += level?.length ?? 0;
        if (level === undefined || characters > MAX_LEARNED_NAME_CHARACTERS || !hasRoom(node, level)) {
          openEnded(node);
          return;
        }
        node = below(node, level);
      }
      if (levels.length > MAX_LEARNED_LEVELS) openEnded(node);
      else if (levels.length > 0) node.ends = true;
    },
    names() {
      const found: (string | undefined)[][] = [];
      const walk = (node: Node, levels: readonly (string | undefined)[]): void => {
        if (node.ends) found.push([...levels]);
        for (const [level, child] of node.children) {
          if (level === rest) found.push([...levels, undefined]);
          else walk(child, [...levels, level]);
        }
      };
      walk(root, []);
      return found.sort((a, b) => (a.join('/') < b.join('/') ? -1 : 1));
    },
  };
}

/** Marks that names go on below; no level can hold it. */
const rest = '\u0000';
