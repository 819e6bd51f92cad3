// One walk over the indexes for one request: what it found, and how far it went.
import { MAX_CASBIN_STEPS, WORK_OF_A_STEP } from '../limits.ts';
import type { Asked } from './line-test.ts';
import { Starts } from './path-pattern.ts';
import { countWork, TooMuchWork } from './work.ts';
import type { PatternPlan, WayPlan } from './way-index.ts';

const NO_LINE = -1;

export class Search {
  readonly asked: Asked;
  /** Every match has to be seen, because the earliest line decides. */
  readonly #ordered: boolean;
  #plan: WayPlan | undefined;
  #best = NO_LINE;
  #bestOrder = Number.POSITIVE_INFINITY;
  #steps = 0;
  #path = '';
  #network = '';
  readonly #starts = new Starts();
  #startsRead = false;

  constructor(asked: Asked, ordered: boolean) {
    this.asked = asked;
    this.#ordered = ordered;
  }

  /** A search is used again and again: the next request leaves nothing of the one before. */
  restart(): void {
    this.#plan = undefined;
    this.#best = NO_LINE;
    this.#bestOrder = Number.POSITIVE_INFINITY;
    this.#steps = 0;
    this.#path = '';
    this.#network = '';
    this.#startsRead = false;
  }

  /** Index of the line that was found; undefined for none. */
  get found(): number | undefined {
    return this.#best === NO_LINE ? undefined : this.#best;
  }

  get foundOrder(): number {
    return this.#bestOrder;
  }

  /** Nothing that is still to come could change the answer. */
  get done(): boolean {
    return !this.#ordered && this.#best !== NO_LINE;
  }

  /** The way whose lines are looked at next. */
  begin(plan: WayPlan): void {
    this.#plan = plan;
    this.#path = plan.path === undefined ? '' : this.textOf(plan.path);
    this.#network = plan.network === undefined ? '' : this.textOf(plan.network);
    this.#startsRead = false;
  }

  /** What the way's path pattern is about. */
  get path(): string {
    return this.#path;
  }

  /** What that starts with, for leaving out lines without a look at them. */
  starts(): Starts {
    if (!this.#startsRead) this.#starts.read(this.#path);
    this.#startsRead = true;
    return this.#starts;
  }

  count(): void {
    if (++this.#steps > MAX_CASBIN_STEPS) throw new TooMuchWork();
    countWork(WORK_OF_A_STEP);
  }

  /** The value that a pattern is about, a bare text field. */
  textOf({ field, prepare }: PatternPlan): string {
    const value = this.asked.values[field];
    if (typeof value !== 'string') throw new Error('a path or an address that is no text');
    return prepare === undefined ? value : prepare(value);
  }

  /** Asks the whole way about a line; true when the search has enough. */
  look(line: number): boolean {
    return this.#look(line, false);
  }

  /** A line that the trie found; `complete` when its pattern needs no further question. */
  visit(line: number, complete: boolean): boolean {
    return this.#look(line, complete);
  }

  #look(line: number, pathProven: boolean): boolean {
    this.count();
    const { asked } = this;
    const plan = this.#plan;
    if (plan === undefined) throw new Error('no way is being searched');
    if (this.#ordered && asked.lines.order(line) >= this.#bestOrder) return false;
    const { path, network, rest } = plan;
    if (!pathProven && path !== undefined && !asked.lines.pattern(line, path.index)(this.#path)) return false;
    if (network !== undefined && !asked.lines.pattern(line, network.index)(this.#network)) return false;
    for (let at = 0; at < rest.length; at++) if (rest[at]?.(asked, line) !== true) return false;
    this.#best = line;
    if (!this.#ordered) return true;
    this.#bestOrder = asked.lines.order(line);
    return false;
  }
}
