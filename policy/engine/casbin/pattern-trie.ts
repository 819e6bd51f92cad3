// Lines by the path pattern in one of their columns, as a trie over segments. A change copies the nodes on its way and
// shares the others, so that the trie before it stays as it was.
import { END, type PathPattern } from './path-pattern.ts';
import type { Edit } from './roles.ts';

/** Told of every line whose pattern fits; `complete` as the pattern says. True ends the walk. */
export interface Visitor {
  readonly visit: (line: number, complete: boolean) => boolean;
  /** Called at every node; may throw to give up. */
  readonly count: () => void;
}

/** A line and whether its pattern is complete, as one number. */
type Entry = number;
const entryOf = (line: number, complete: boolean): Entry => line * 2 + (complete ? 1 : 0);

interface Node {
  readonly edit: Edit;
  literals: Map<string, Node> | undefined;
  any: Node | undefined;
  /** Patterns that end here, and those after which anything may follow. */
  ends: Entry[];
  rests: Entry[];
  /** Patterns with a tail that has text, by that text, and how many there are of each length. */
  tails: Map<string, Entry[]> | undefined;
  tailLengths: Map<number, number> | undefined;
}

const nodeOf = (edit: Edit): Node => ({
  edit,
  literals: undefined,
  any: undefined,
  ends: [],
  rests: [],
  tails: undefined,
  tailLengths: undefined,
});

export class PatternTrie {
  readonly #root: Node;

  private constructor(root: Node) {
    this.#root = root;
  }

  static empty(edit: Edit): PatternTrie {
    return new PatternTrie(nodeOf(edit));
  }

  with(pattern: PathPattern, line: number, edit: Edit): PatternTrie {
    const { root, node } = this.#way(pattern, edit);
    entriesAt(node, pattern.tail).push(entryOf(line, pattern.complete));
    return root === this.#root ? this : new PatternTrie(root);
  }

  without(pattern: PathPattern, line: number, edit: Edit): PatternTrie {
    const { root, node } = this.#way(pattern, edit);
    const entries = entriesAt(node, pattern.tail);
    const at = entries.findIndex((entry) => entry >>> 1 === line);
    if (at !== -1) entries.splice(at, 1);
    if (entries.length === 0) forgetTail(node, pattern.tail);
    return root === this.#root ? this : new PatternTrie(root);
  }

  /** True when the visitor ended it. Costs what the patterns that share a beginning with the value have nodes. */
  search(value: string, visitor: Visitor): boolean {
    return searchNode(this.#root, value, 0, visitor);
  }

  /** The node of a pattern, with everything on the way to it made or copied for this edit. */
  #way({ segments }: PathPattern, edit: Edit): { root: Node; node: Node } {
    const root = owned(this.#root, edit);
    let node = root;
    for (const segment of segments) {
      if (segment === undefined) {
        node = node.any = node.any === undefined ? nodeOf(edit) : owned(node.any, edit);
        continue;
      }
      const literals: Map<string, Node> = (node.literals ??= new Map());
      const next = literals.get(segment);
      const child = next === undefined ? nodeOf(edit) : owned(next, edit);
      if (child !== next) literals.set(segment, child);
      node = child;
    }
    return { root, node };
  }
}

/** Where entries of a pattern are kept; made when there is no place yet. */
function entriesAt(node: Node, tail: string | undefined): Entry[] {
  if (tail === undefined) return node.ends;
  if (tail === '') return node.rests;
  const known = node.tails?.get(tail);
  if (known !== undefined) return known;
  const entries: Entry[] = [];
  (node.tails ??= new Map()).set(tail, entries);
  const lengths = (node.tailLengths ??= new Map());
  lengths.set(tail.length, (lengths.get(tail.length) ?? 0) + 1);
  return entries;
}

function forgetTail(node: Node, tail: string | undefined): void {
  if (tail === undefined || tail === '' || node.tails?.delete(tail) !== true) return;
  const left = (node.tailLengths?.get(tail.length) ?? 1) - 1;
  if (left === 0) node.tailLengths?.delete(tail.length);
  else node.tailLengths?.set(tail.length, left);
}

function owned(node: Node, edit: Edit): Node {
  if (node.edit === edit) return node;
  return {
    ...node,
    edit,
    literals: node.literals === undefined ? undefined : new Map(node.literals),
    ends: node.ends.slice(),
    rests: node.rests.slice(),
    tails:
      node.tails === undefined ? undefined : new Map([...node.tails].map(([tail, entries]) => [tail, entries.slice()])),
    tailLengths: node.tailLengths === undefined ? undefined : new Map(node.tailLengths),
  };
}

function searchNode(node: Node, value: string, from: number, visitor: Visitor): boolean {
  visitor.count();
  if (from === END) return visitAll(node.ends, visitor);
  if (visitAll(node.rests, visitor)) return true;
  if (node.tails !== undefined && searchTails(node, value, from, visitor)) return true;
  const { literals, any } = node;
  if (literals === undefined && any === undefined) return false;
  const slash = value.indexOf('/', from);
  const end = slash === -1 ? value.length : slash;
  const next = slash === -1 ? END : slash + 1;
  const literal = literals?.get(value.slice(from, end));
  if (literal !== undefined && searchNode(literal, value, next, visitor)) return true;
  return any !== undefined && end > from && searchNode(any, value, next, visitor);
}

function searchTails(node: Node, value: string, from: number, visitor: Visitor): boolean {
  if (node.tails === undefined || node.tailLengths === undefined) return false;
  for (const length of node.tailLengths.keys()) {
    const entries = from + length > value.length ? undefined : node.tails.get(value.slice(from, from + length));
    if (entries !== undefined && visitAll(entries, visitor)) return true;
  }
  return false;
}

function visitAll(entries: readonly Entry[], visitor: Visitor): boolean {
  for (const entry of entries) if (visitor.visit(entry >>> 1, (entry & 1) === 1)) return true;
  return false;
}
