// The lines of a policy as rows of numbers, with what was compiled for each. A copy is a few moves of memory, so that a
// delta makes a new version and leaves the old one whole.
import type { LineTest } from './line-test.ts';
import { NO_ENTRY, NumberTable } from './number-table.ts';
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

/** So far apart that lines of one priority never reach the next one. */
const ordersPerPriority = 2 ** 32;

/** Ends a chain of lines; a table holds no zero. */
const NO_LINE = 0xffffffff;

export class Lines {
  readonly texts: Texts;
  /** Role definitions, in the order of the model. */
  readonly roles: readonly Roles[];
  readonly columns: number;
  rows: Uint32Array;
  /** Where the line comes; lower is earlier. */
  order: Float64Array;
  lineNumbers: Uint32Array;
  allows: Uint8Array;
  /** As many a line as the matcher has calls with a pattern. */
  patterns: (Matches | undefined)[];
  rules: (readonly LineTest[])[];
  count = 0;
  readonly #patternsPerLine: number;
  #end = 0;
  #sequence = 0;
  #free: number[] = [];
  /** By a hash of the row, the line added last that has it; and from each line to the one before. */
  #byRow = new NumberTable(1);
  #before: Uint32Array;

  constructor(texts: Texts, roles: readonly Roles[], columns: number, patternsPerLine: number, capacity: number) {
    this.texts = texts;
    this.roles = roles;
    this.columns = columns;
    this.#patternsPerLine = patternsPerLine;
    this.rows = new Uint32Array(capacity * columns);
    this.order = new Float64Array(capacity);
    this.lineNumbers = new Uint32Array(capacity);
    this.allows = new Uint8Array(capacity);
    this.patterns = [];
    this.rules = [];
    this.#before = new Uint32Array(capacity);
  }

  /** `roles` are those of the new version. */
  copy(roles: readonly Roles[]): Lines {
    const copy = new Lines(this.texts, roles, this.columns, this.#patternsPerLine, 0);
    copy.rows = this.rows.slice();
    copy.order = this.order.slice();
    copy.lineNumbers = this.lineNumbers.slice();
    copy.allows = this.allows.slice();
    copy.patterns = this.patterns.slice();
    copy.rules = this.rules.slice();
    copy.count = this.count;
    copy.#end = this.#end;
    copy.#sequence = this.#sequence;
    copy.#free = this.#free.slice();
    copy.#byRow = this.#byRow.copy();
    copy.#before = this.#before.slice();
    return copy;
  }

  /** Index of the new line. It comes after all others of its priority. */
  add({ row, line, allow, priority, patterns, rules }: NewLine): number {
    const index = this.#free.pop() ?? this.#end++;
    if (index === this.order.length) this.#grow();
    this.rows.set(row, index * this.columns);
    this.order[index] = priority * ordersPerPriority + this.#sequence++;
    this.lineNumbers[index] = line;
    this.allows[index] = allow ? 1 : 0;
    for (let at = 0; at < this.#patternsPerLine; at++) {
      this.patterns[index * this.#patternsPerLine + at] = patterns[at];
    }
    this.rules[index] = rules;
    this.count++;
    const key = hashOf(row);
    this.#before[index] = this.#newest(key);
    this.#byRow.set(key, index + 1);
    return index;
  }

  /** A line with this row, the one of that number or else the one added last; undefined when there is none. */
  find(row: readonly number[], lineNumber: number): number | undefined {
    let found: number | undefined;
    for (let line = this.#newest(hashOf(row)); line !== NO_LINE; line = this.#before[line] ?? NO_LINE) {
      if (!this.#hasRow(line, row)) continue;
      if (this.lineNumbers[line] === lineNumber) return line;
      found ??= line;
    }
    return found;
  }

  renumber(from: number, by: number): void {
    for (let line = 0; line < this.#end; line++) {
      const number = this.lineNumbers[line] ?? 0;
      if (number >= from) this.lineNumbers[line] = number + by;
    }
  }

  remove(index: number): void {
    const key = hashOf(this.rows.subarray(index * this.columns, (index + 1) * this.columns));
    const newest = this.#newest(key);
    const next = this.#before[index] ?? NO_LINE;
    if (newest === index) {
      this.#byRow.set(key, next === NO_LINE ? NO_LINE : next + 1);
    } else {
      let line = newest;
      while (this.#before[line] !== index) line = this.#before[line] ?? NO_LINE;
      this.#before[line] = next;
    }
    this.patterns.fill(undefined, index * this.#patternsPerLine, (index + 1) * this.#patternsPerLine);
    this.rules[index] = [];
    this.count--;
    this.#free.push(index);
  }

  number(line: number, column: number): number {
    return this.rows[line * this.columns + column] ?? 0;
  }

  lineNumber(line: number): number {
    return this.lineNumbers[line] ?? 0;
  }

  orderOf(line: number): number {
    return this.order[line] ?? 0;
  }

  /** The reading of a line's pattern that its effect asks for. */
  pattern(line: number, index: number): Matches {
    const matches = this.patterns[line * this.#patternsPerLine + index];
    if (matches === undefined) throw new Error('a line has no such pattern');
    return matches;
  }

  text(line: number, column: number): string {
    return this.texts.text(this.number(line, column));
  }

  #newest(key: Uint32Array): number {
    const line = this.#byRow.get(key);
    return line === NO_ENTRY || line === NO_LINE ? NO_LINE : line - 1;
  }

  #hasRow(line: number, row: readonly number[]): boolean {
    const start = line * this.columns;
    for (let column = 0; column < this.columns; column++) if (this.rows[start + column] !== row[column]) return false;
    return true;
  }

  #grow(): void {
    const capacity = Math.max(16, this.order.length * 2);
    const rows = new Uint32Array(capacity * this.columns);
    rows.set(this.rows);
    const order = new Float64Array(capacity);
    order.set(this.order);
    const lineNumbers = new Uint32Array(capacity);
    lineNumbers.set(this.lineNumbers);
    const allows = new Uint8Array(capacity);
    allows.set(this.allows);
    const before = new Uint32Array(capacity);
    before.set(this.#before);
    this.rows = rows;
    this.order = order;
    this.lineNumbers = lineNumbers;
    this.allows = allows;
    this.#before = before;
  }
}

const rowHash = new Uint32Array(1);

/** Valid until the next call. */
function hashOf(row: ArrayLike<number>): Uint32Array {
  let hash = 0x811c9dc5;
  for (let at = 0; at < row.length; at++) {
    hash = Math.imul(hash ^ (row[at] ?? 0), 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  rowHash[0] = hash;
  return rowHash;
}
