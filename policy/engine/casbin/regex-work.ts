// What the regexes of one decision may cost together. Each is linear, but a policy may ask thousands of large ones about
// one long value: lines alone do not bound that.
import { MAX_REGEX_WORK } from '../limits.ts';

/** More work than a request may cost; the caller denies. */
export class TooManySteps extends Error {}

/** Compiling has bounds of its own: without a decision there is nothing to count. */
let left = Number.POSITIVE_INFINITY;

/** Runs a decision with a budget of its own. Throws TooManySteps when it is used up. */
export function withinRegexWork<T>(decide: () => T): T {
  left = MAX_REGEX_WORK;
  try {
    return decide();
  } finally {
    left = Number.POSITIVE_INFINITY;
  }
}

/** Before a regex of so many instructions is asked about a value. */
export function countRegexWork(instructions: number, value: string): void {
  left -= instructions * (value.length + 1);
  if (left < 0) throw new TooManySteps();
}
