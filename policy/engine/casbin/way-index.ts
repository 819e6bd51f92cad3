// The lines that can make one way of the matcher come true, found without looking at the others: a hash over every column
// that has to equal a request field and over the column that holds a role of the requester; inside it, where many lines
// are left, a trie over a path pattern or a hash over a network. An index only leaves out lines that cannot match; what it
// does not prove is still asked about each line that is left.
import { readAddress } from './address.ts';
import { Buckets } from './buckets.ts';
import type { Asked, LineTest } from './line-test.ts';
import type { Lines } from './lines.ts';
import { NetworkIndex } from './network-index.ts';
import { NO_ENTRY, NumberTable } from './number-table.ts';
import { ANY_START, type PathPattern, startOf } from './path-pattern.ts';
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

/** What a bucket becomes when it is too long to walk. */
interface Large {
  readonly edit: Edit;
  /** Lines whose path pattern is in the trie, or whose network is in the hash. */
  trie: PatternTrie | undefined;
  networks: NetworkIndex | undefined;
  /** The others, and with networks all of them. */
  readonly lines: number[];
}

/** Lines up to which walking is faster than a trie or a hash over networks. */
const longestWalk = 64;
/** Values of the table from here on are large ones, by their index. */
const firstLarge = 0x80000000;
const none = new Uint32Array(0);

export class WayIndex {
  readonly #plan: WayPlan;
  readonly #table: NumberTable;
  readonly #buckets: Buckets;
  readonly #large: Large[];
  readonly #key: Uint32Array;

  private constructor(plan: WayPlan, table: NumberTable, buckets: Buckets, large: Large[]) {
    this.#plan = plan;
    this.#table = table;
    this.#buckets = buckets;
    this.#large = large;
    this.#key = new Uint32Array(widthOf(plan));
  }

  static empty(plan: WayPlan): WayIndex {
    return new WayIndex(plan, new NumberTable(widthOf(plan)), new Buckets(), []);
  }

  copy(): WayIndex {
    return new WayIndex(this.#plan, this.#table.copy(), this.#buckets.copy(), this.#large.slice());
  }

  /** `line` is in the lines of `asked` already. */
  add(line: number, asked: Asked, edit: Edit): void {
    const { membership, path, network } = this.#plan;
    if (!membership.every((test) => test(asked, line))) return;
    this.#readKey(line, asked.lines);
    const entry = this.#table.get(this.#key);
    if (entry >= firstLarge) {
      this.#addToLarge(this.#largeOf(entry, edit), line, asked.lines, edit);
      return;
    }
    const buckets = this.#buckets;
    const bucket = entry === NO_ENTRY ? buckets.make() : entry;
    if (buckets.count(bucket) < longestWalk || (path === undefined && network === undefined)) {
      const pattern = this.#pathOf(line, asked.lines);
      const place = buckets.add(bucket, line, pattern === undefined ? ANY_START : startOf(pattern));
      if (place !== entry) this.#table.set(this.#key, place);
      return;
    }
    const trie = path === undefined ? undefined : PatternTrie.empty(edit);
    const large: Large = { edit, trie, networks: undefined, lines: [] };
    this.#table.set(this.#key, firstLarge + this.#large.push(large) - 1);
    for (const moved of [...buckets.lines(bucket), line]) this.#addToLarge(large, moved, asked.lines, edit);
  }

  remove(line: number, asked: Asked, edit: Edit): void {
    if (!this.#plan.membership.every((test) => test(asked, line))) return;
    this.#readKey(line, asked.lines);
    const entry = this.#table.get(this.#key);
    if (entry < firstLarge) {
      if (!this.#buckets.remove(entry, line)) throw new Error('a line that is in no bucket');
      return;
    }
    const large = this.#largeOf(entry, edit);
    large.networks = undefined;
    const at = large.lines.indexOf(line);
    const path = at === -1 ? this.#pathOf(line, asked.lines) : undefined;
    if (at !== -1) large.lines.splice(at, 1);
    else if (path !== undefined) large.trie = large.trie?.without(path, line, edit);
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
      this.#searchKey(search);
      return;
    }
    const member = asked.numbers[role.field] ?? NO_TEXT;
    if (member === NO_TEXT) return;
    const at = equalities.length;
    key[at] = member;
    if (this.#searchKey(search)) return;
    const names = asked.lines.roles[role.roles]?.rolesOf(member, role.domain(asked)) ?? none;
    for (let index = 0; index < names.length; index++) {
      search.count();
      key[at] = names[index] ?? NO_TEXT;
      if (this.#searchKey(search)) return;
    }
  }

  /** True when the search has enough. */
  #searchKey(search: Search): boolean {
    const entry = this.#table.get(this.#key);
    if (entry === NO_ENTRY) return false;
    if (entry >= firstLarge) return this.#searchLarge(this.#large[entry - firstLarge], search);
    const { words } = this.#buckets;
    const starts = search.starts();
    const from = this.#buckets.from(entry);
    const end = from + 2 * this.#buckets.count(entry);
    for (let at = from; at < end; at += 2) {
      if (starts.mayFit(words[at + 1] ?? ANY_START) && search.look(words[at] ?? 0)) return true;
    }
    return false;
  }

  #searchLarge(large: Large | undefined, search: Search): boolean {
    if (large === undefined) throw new Error('an entry without its lines');
    const { network } = this.#plan;
    if (large.trie === undefined && network !== undefined) return this.#searchNetworks(large, network, search);
    return large.trie?.search(search.path, search) === true || large.lines.some((line) => search.look(line));
  }

  #searchNetworks(large: Large, network: PatternPlan, search: Search): boolean {
    const { lines } = search.asked;
    large.networks ??= new NetworkIndex(
      large.lines.map((line) => {
        const found = network.patternOf(lines, line)?.network;
        if (found === undefined) throw new Error('a network that is none');
        return { line, network: found };
      }),
    );
    const address = readAddress(search.textOf(network));
    return address !== undefined && large.networks.search(address, (line) => search.look(line));
  }

  #addToLarge(large: Large, line: number, lines: Lines, edit: Edit): void {
    large.networks = undefined;
    const path = this.#pathOf(line, lines);
    if (path === undefined || large.trie === undefined) large.lines.push(line);
    else large.trie = large.trie.with(path, line, edit);
  }

  #pathOf(line: number, lines: Lines): PathPattern | undefined {
    return this.#plan.path?.patternOf(lines, line)?.path?.();
  }

  #readKey(line: number, lines: Lines): void {
    const { equalities, role } = this.#plan;
    for (const [at, { column }] of equalities.entries()) this.#key[at] = lines.number(line, column);
    if (role !== undefined) this.#key[equalities.length] = lines.number(line, role.column);
  }

  /** Copied so that this edit may write to it. */
  #largeOf(entry: number, edit: Edit): Large {
    const index = entry - firstLarge;
    const old = this.#large[index];
    if (old === undefined) throw new Error('an entry without its lines');
    if (old.edit === edit) return old;
    return (this.#large[index] = { ...old, edit, lines: old.lines.slice() });
  }
}

const widthOf = ({ equalities, role }: WayPlan): number => equalities.length + (role === undefined ? 0 : 1);
