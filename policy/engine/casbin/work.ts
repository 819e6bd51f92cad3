// What one decision may cost, whatever the policy says and whoever asks. Everything is linear, but a policy may ask
// thousands of large patterns about one long value, and one access to registers is as many questions.
import { MAX_DECISION_WORK } from '../limits.ts';

/** More work than a decision may cost; the caller denies. */
export class TooMuchWork extends Error {}

/** Compiling has bounds of its own: without a decision there is nothing to count. */
let left = Number.POSITIVE_INFINITY;

/** Runs a decision with a budget of its own; inside another one with what that has left. Throws TooMuchWork. */
export function withinWork<T>(decide: () => T): T {
  if (left !== Number.POSITIVE_INFINITY) return decide();
  left = MAX_DECISION_WORK;
  try {
    return decide();
  } finally {
    left = Number.POSITIVE_INFINITY;
  }
}

/** Before something that costs so many units, see MAX_DECISION_WORK. */
export function countWork(units: number): void {
  left -= units;
  if (left < 0) throw new TooMuchWork();
}
