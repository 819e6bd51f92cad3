// The lines of a policy as rows of numbers, with what was compiled for each. A copy is a few moves of memory, so that a
// delta makes a new version and leaves the old one whole.
import type { LineTest } from './line-test.ts';
import { Paged } from './paged.ts';
import type { Roles } from './roles.ts';
import type { Texts } from './texts.ts';

/** A pattern's or rule's reading for one line. */
export type Matches = (value: string) => boolean;

export interface NewLine {
  /** Numbers of the columns' texts. */
  readonly row: readonly number[];
  readonly line: number;
  readonly allow: boolean;
  readonly priority: number;
  readonly patterns: readonly Matches[];
  readonly rules: readonly LineTest[];
}

export interface LinesShape {
  readonly columns: number;
  readonly patternsPerLine: number;
  /** Whether the order of the lines decides anything. */
  readonly ordered: boolean;
}

/** So far apart that lines of one priority never reach the next one. */
const ordersPerPriority = 2 ** 32;

/** Ends a chain of lines. */
const NO_LINE = 0xffffffff;

export class Lines {
  readonly texts: Texts;
  /** Role definitions, in the order of the model. */
  readonly roles: readonly Roles[];
  readonly shape: LinesShape;
  count = 0;
  readonly #rows: Paged<number>;
  #lineNumbers: Uint32Array;
  #allows: Uint8Array;
  /** Where the line comes; lower is earlier. Empty where that decides nothing. */
  #order: Float64Array;
  /** As many a line as the matcher has calls with a pattern. */
  #patterns = new Paged<Matches | undefined>(undefined);
  /** Empty where the matcher has no eval. */
  #rules = new Paged<readonly LineTest[] | undefined>(undefined);
  #end = 0;
  #sequence = 0;
  #free: number[] = [];
  /** By the hash of the row, the line added last; and from each line to the one before with that place. */
  #newest: Paged<number>;
  #places: number;
  #before: Paged<number>;

  constructor(texts: Texts, roles: readonly Roles[], shape: LinesShape, expected: number, rows = new Paged(0)) {
    let capacity = 16;
    while (capacity < expected) capacity *= 2;
    this.texts = texts;
    this.roles = roles;
    this.shape = shape;
    this.#rows = rows;
    this.#lineNumbers = new Uint32Array(capacity);
    this.#allows = new Uint8Array(capacity);
    this.#order = new Float64Array(shape.ordered ? capacity : 0);
    this.#newest = new Paged(NO_LINE);
    this.#places = capacity;
    this.#before = new Paged(NO_LINE);
  }

  /** `roles` are those of the new version. */
  copy(roles: readonly Roles[]): Lines {
    const copy = new Lines(this.texts, roles, this.shape, 0, this.#rows.copy());
    copy.count = this.count;
    copy.#lineNumbers = this.#lineNumbers.slice();
    copy.#allows = this.#allows.slice();
    copy.#order = this.#order.slice();
    copy.#patterns = this.#patterns.copy();
    copy.#rules = this.#rules.copy();
    copy.#end = this.#end;
    copy.#sequence = this.#sequence;
    copy.#free = this.#free.slice();
    copy.#newest = this.#newest.copy();
    copy.#places = this.#places;
    copy.#before = this.#before.copy();
    return copy;
  }

  /** Index of the new line. It comes after all others of its priority. */
  add({ row, line, allow, priority, patterns, rules }: NewLine): number {
    const { columns, patternsPerLine, ordered } = this.shape;
    const index = this.#free.pop() ?? this.#end++;
    if (index === this.#lineNumbers.length) this.#grow();
    for (let at = 0; at < columns; at++) this.#rows.set(index * columns + at, row[at] ?? 0);
    this.#lineNumbers[index] = line;
    this.#allows[index] = allow ? 1 : 0;
    if (ordered) this.#order[index] = priority * ordersPerPriority + this.#sequence++;
    for (let at = 0; at < patternsPerLine; at++) this.#patterns.set(index * patternsPerLine + at, patterns[at]);
    if (rules.length > 0) this.#rules.set(index, rules);
    this.#chain(index, hashOf(row));
    this.count++;
    return index;
  }

  /** A line with this row, the one of that number or else the one added last; undefined when there is none. */
  find(row: readonly number[], lineNumber: number): number | undefined {
    let found: number | undefined;
    for (let line = this.#newest.get(this.#place(hashOf(row))); line !== NO_LINE;) {
      if (this.#hasRow(line, row)) {
        if (this.#lineNumbers[line] === lineNumber) return line;
        found ??= line;
      }
      line = this.#before.get(line);
    }
    return found;
  }

  remove(index: number): void {
    const { patternsPerLine } = this.shape;
    const place = this.#place(hashOf(this.#row(index)));
    const next = this.#before.get(index);
    if (this.#newest.get(place) === index) {
      this.#newest.set(place, next);
    } else {
      let line = this.#newest.get(place);
      while (line !== NO_LINE && this.#before.get(line) !== index) line = this.#before.get(line);
      if (line === NO_LINE) throw new Error('a line that is in no chain');
      this.#before.set(line, next);
    }
    for (let at = 0; at < patternsPerLine; at++) this.#patterns.set(index * patternsPerLine + at, undefined);
    if (this.#rules.get(index) !== undefined) this.#rules.set(index, undefined);
    this.count--;
    this.#free.push(index);
  }

  renumber(from: number, by: number): void {
    for (let line = 0; line < this.#end; line++) {
      const number = this.#lineNumbers[line] ?? 0;
      if (number >= from) this.#lineNumbers[line] = number + by;
    }
  }

  number(line: number, column: number): number {
    return this.#rows.get(line * this.shape.columns + column);
  }

  text(line: number, column: number): string {
    return this.texts.text(this.number(line, column));
  }

  allows(line: number): boolean {
    return this.#allows[line] === 1;
  }

  lineNumber(line: number): number {
    return this.#lineNumbers[line] ?? 0;
  }

  /** Where an order decides. */
  order(line: number): number {
    const order = this.#order[line];
    if (order === undefined) throw new Error('lines without an order');
    return order;
  }

  /** The reading of a line's pattern that its effect asks for. */
  pattern(line: number, index: number): Matches {
    const matches = this.#patterns.get(line * this.shape.patternsPerLine + index);
    if (matches === undefined) throw new Error('a line has no such pattern');
    return matches;
  }

  rule(line: number, index: number): LineTest {
    const rule = this.#rules.get(line)?.[index];
    if (rule === undefined) throw new Error('a line has no such rule');
    return rule;
  }

  #row(line: number): number[] {
    return Array.from({ length: this.shape.columns }, (_, column) => this.number(line, column));
  }

  #hasRow(line: number, row: readonly number[]): boolean {
    return row.every((number, column) => this.number(line, column) === number);
  }

  /** A power of two of places. */
  #place(hash: number): number {
    return hash & (this.#places - 1);
  }

  #chain(line: number, hash: number): void {
    const place = this.#place(hash);
    this.#before.set(line, this.#newest.get(place));
    this.#newest.set(place, line);
  }

  #grow(): void {
    // Oldest first: equal rows share a chain, and stay in the order in which they were added.
    const chained: number[] = [];
    for (let place = 0; place < this.#places; place++) {
      const chain: number[] = [];
      for (let line = this.#newest.get(place); line !== NO_LINE; line = this.#before.get(line)) chain.unshift(line);
      for (const line of chain) chained.push(line);
    }
    const capacity = this.#lineNumbers.length * 2;
    this.#lineNumbers = enlarged(this.#lineNumbers, new Uint32Array(capacity));
    this.#allows = enlarged(this.#allows, new Uint8Array(capacity));
    this.#order = enlarged(this.#order, new Float64Array(this.shape.ordered ? capacity : 0));
    this.#newest = new Paged(NO_LINE);
    this.#places = capacity;
    this.#before = new Paged(NO_LINE);
    for (const line of chained) this.#chain(line, hashOf(this.#row(line)));
  }
}

function enlarged<Numbers extends Uint8Array | Uint32Array | Float64Array>(old: Numbers, larger: Numbers): Numbers {
  larger.set(old);
  return larger;
}

function hashOf(row: ArrayLike<number>): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < row.length; at++) {
    hash = Math.imul(hash ^ (row[at] ?? 0), 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  return hash >>> 0;
}
