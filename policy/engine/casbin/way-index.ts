// The lines that can make one way of the matcher come true, found without looking at the others: a hash over every column
// that has to equal a request field and over the column that holds a role of the requester; inside it, where many lines
// are left, a trie over a path pattern or a hash over a network. An index only leaves out lines that cannot match; what it
// does not prove is still asked about each line that is left.
import { readAddress } from './address.ts';
import type { Asked, LineTest } from './line-test.ts';
import type { Lines } from './lines.ts';
import { NetworkIndex } from './network-index.ts';
import { NO_ENTRY, NumberTable } from './number-table.ts';
import { ANY_START, type PathPattern, startOfPattern } from './path-pattern.ts';
import { PatternTrie } from './pattern-trie.ts';
import type { Pattern } from './pattern.ts';
import type { Edit } from './roles.ts';
import type { Search } from './search.ts';
import { NO_TEXT } from './texts.ts';

export interface WayPlan {
  readonly equalities: readonly { readonly field: number; readonly column: number }[];
  readonly role: RolePlan | undefined;
  readonly path: PatternPlan | undefined;
  readonly network: PatternPlan | undefined;
  /** What only the line decides: asked once, when it is added. */
  readonly membership: readonly LineTest[];
  /** What only the request decides. */
  readonly before: readonly LineTest[];
  /** What no index proves. */
  readonly rest: readonly LineTest[];
}

export interface RolePlan {
  readonly column: number;
  readonly field: number;
  /** Index of the role definition. */
  readonly roles: number;
  /** Number of the domain's text; line-independent. */
  readonly domain: (asked: Asked) => number;
}

export interface PatternPlan {
  readonly field: number;
  /** What the function does to the value first. */
  readonly prepare: ((value: string) => string) | undefined;
  /** Which of a line's patterns it is. */
  readonly index: number;
  /** The compiled pattern of a line, when its reading is one that the index can hold. */
  readonly patternOf: (lines: Lines, line: number) => Pattern | undefined;
}

interface Leaf {
  readonly edit: Edit;
  /**
   * Every line of the leaf while there are few, later those that the trie does not hold; each followed by the number of
   * what its path pattern starts with, so that most are left out without a look at them.
   */
  readonly lines: number[];
  trie: PatternTrie | undefined;
  networks: NetworkIndex | undefined;
}

/** Lines up to which comparing one by one is faster than a trie or a hash over networks. */
const smallLeaf = 64;
const none = new Uint32Array(0);

export class WayIndex {
  readonly #plan: WayPlan;
  readonly #table: NumberTable;
  readonly #leaves: (Leaf | undefined)[];
  readonly #key: Uint32Array;

  private constructor(plan: WayPlan, table: NumberTable, leaves: (Leaf | undefined)[], key: Uint32Array) {
    this.#plan = plan;
    this.#table = table;
    this.#leaves = leaves;
    this.#key = key;
  }

  static empty(plan: WayPlan): WayIndex {
    const width = plan.equalities.length + (plan.role === undefined ? 0 : 1);
    return new WayIndex(plan, new NumberTable(width), [undefined], new Uint32Array(width));
  }

  copy(): WayIndex {
    return new WayIndex(this.#plan, this.#table.copy(), this.#leaves.slice(), this.#key);
  }

  /** `line` is in the lines of `asked` already. */
  add(line: number, asked: Asked, edit: Edit): void {
    const { membership, path } = this.#plan;
    if (!membership.every((test) => test(asked, line))) return;
    const leaf = this.#leafOf(line, asked.lines, edit);
    leaf.networks = undefined;
    if (leaf.trie !== undefined) {
      this.#addToTrie(leaf, line, asked.lines, edit);
      return;
    }
    this.#addToLines(leaf, line, asked.lines);
    if (path === undefined || leaf.lines.length <= 2 * smallLeaf) return;
    leaf.trie = PatternTrie.empty(edit);
    const moved = leaf.lines.splice(0);
    for (let at = 0; at < moved.length; at += 2) this.#addToTrie(leaf, moved[at] ?? 0, asked.lines, edit);
  }

  remove(line: number, asked: Asked, edit: Edit): void {
    if (!this.#plan.membership.every((test) => test(asked, line))) return;
    const leaf = this.#leafOf(line, asked.lines, edit);
    leaf.networks = undefined;
    const at = leaf.lines.findIndex((entry, index) => index % 2 === 0 && entry === line);
    if (at !== -1) {
      leaf.lines.splice(at, 2);
      return;
    }
    const path = this.#pathOf(line, asked.lines);
    if (path !== undefined) leaf.trie = leaf.trie?.without(path, line, edit);
  }

  /** Tells the search of every line that may match until it has enough. */
  search(search: Search): void {
    const { before, equalities, role } = this.#plan;
    const { asked } = search;
    for (const test of before) if (!test(asked, -1)) return;
    const key = this.#key;
    for (let at = 0; at < equalities.length; at++) {
      const number = asked.numbers[equalities[at]?.field ?? 0] ?? NO_TEXT;
      if (number === NO_TEXT) return;
      key[at] = number;
    }
    search.begin(this.#plan);
    if (role === undefined) {
      this.#searchLeaf(search);
      return;
    }
    const member = asked.numbers[role.field] ?? NO_TEXT;
    if (member === NO_TEXT) return;
    const at = equalities.length;
    key[at] = member;
    if (this.#searchLeaf(search)) return;
    const names = asked.lines.roles[role.roles]?.rolesOf(member, role.domain(asked)) ?? none;
    for (let index = 0; index < names.length; index++) {
      search.count();
      key[at] = names[index] ?? NO_TEXT;
      if (this.#searchLeaf(search)) return;
    }
  }

  /** The leaf of the key; true when the search has enough. */
  #searchLeaf(search: Search): boolean {
    const entry = this.#table.get(this.#key);
    if (entry === NO_ENTRY) return false;
    const leaf = this.#leaves[entry];
    if (leaf === undefined) throw new Error('an entry without a leaf');
    const { network } = this.#plan;
    const { lines } = leaf;
    if (leaf.trie !== undefined) {
      if (leaf.trie.search(search.path, search)) return true;
    } else if (network !== undefined && lines.length > 2 * smallLeaf) {
      return this.#searchNetworks(leaf, network, search);
    }
    for (let at = 0; at < lines.length; at += 2) {
      const start = lines[at + 1];
      if ((start === ANY_START || start === search.start) && search.look(lines[at] ?? 0)) return true;
    }
    return false;
  }

  #searchNetworks(leaf: Leaf, network: PatternPlan, search: Search): boolean {
    const { lines } = search.asked;
    leaf.networks ??= new NetworkIndex(
      leaf.lines.flatMap((line, index) => {
        if (index % 2 === 1) return [];
        const found = network.patternOf(lines, line)?.network;
        if (found === undefined) throw new Error('a network that is none');
        return [{ line, network: found }];
      }),
    );
    const address = readAddress(search.textOf(network));
    return address !== undefined && leaf.networks.search(address, (line) => search.look(line));
  }

  #addToTrie(leaf: Leaf, line: number, lines: Lines, edit: Edit): void {
    const path = this.#pathOf(line, lines);
    if (path === undefined || leaf.trie === undefined) this.#addToLines(leaf, line, lines);
    else leaf.trie = leaf.trie.with(path, line, edit);
  }

  #addToLines(leaf: Leaf, line: number, lines: Lines): void {
    const path = this.#pathOf(line, lines);
    leaf.lines.push(line, path === undefined ? ANY_START : startOfPattern(path));
  }

  #pathOf(line: number, lines: Lines): PathPattern | undefined {
    return this.#plan.path?.patternOf(lines, line)?.path?.();
  }

  /** The leaf a line belongs to, made or copied so that this edit may write to it. */
  #leafOf(line: number, lines: Lines, edit: Edit): Leaf {
    const { equalities, role } = this.#plan;
    for (const [at, { column }] of equalities.entries()) this.#key[at] = lines.number(line, column);
    if (role !== undefined) this.#key[equalities.length] = lines.number(line, role.column);
    const index = this.#table.get(this.#key);
    const old = this.#leaves[index];
    if (old?.edit === edit) return old;
    const leaf: Leaf =
      old === undefined
        ? { edit, lines: [], trie: undefined, networks: undefined }
        : { ...old, edit, lines: old.lines.slice() };
    if (index === NO_ENTRY) {
      this.#table.set(this.#key, this.#leaves.length);
      this.#leaves.push(leaf);
    } else {
      this.#leaves[index] = leaf;
    }
    return leaf;
  }
}
