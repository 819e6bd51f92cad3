// One walk over the indexes for one request: what it found, and how far it went.
import { MAX_CASBIN_STEPS } from '../limits.ts';
import type { Asked } from './line-test.ts';
import { startOf } from './path-pattern.ts';
import type { PatternPlan, WayPlan } from './way-index.ts';

/** More lines to compare than a request may cost; the caller denies. */
export class TooManySteps extends Error {}

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
  #start: number | undefined;

  constructor(asked: Asked, ordered: boolean) {
    this.asked = asked;
    this.#ordered = ordered;
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
    this.#start = undefined;
  }

  /** What the way's path pattern is about. */
  get path(): string {
    return this.#path;
  }

  /** What lines have to start with, see path-pattern.ts. */
  get start(): number {
    return (this.#start ??= startOf(this.#path));
  }

  count(): void {
    if (++this.#steps > MAX_CASBIN_STEPS) throw new TooManySteps();
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
    const order = asked.lines.order[line] ?? 0;
    if (order >= this.#bestOrder) return false;
    const { path, network, rest } = plan;
    if (!pathProven && path !== undefined && !asked.lines.pattern(line, path.index)(this.#path)) return false;
    if (network !== undefined && !asked.lines.pattern(line, network.index)(this.#network)) return false;
    for (let at = 0; at < rest.length; at++) if (rest[at]?.(asked, line) !== true) return false;
    this.#best = line;
    this.#bestOrder = order;
    return !this.#ordered;
  }
}
