// Draws from a seeded generator. An instance is drawn from (seed, index) alone, so that a difference is found again at once.
import { seededRandom } from '../../../store/simulated-files.ts';

export interface Draw {
  /** Whole number from 0, below `bound`. */
  readonly below: (bound: number) => number;
  /** Whole number, both ends included. */
  readonly between: (low: number, high: number) => number;
  readonly chance: (share: number) => boolean;
  readonly pick: <T>(from: readonly T[]) => T;
  /** `count` picks, repeats allowed. */
  readonly picks: <T>(from: readonly T[], count: number) => T[];
  readonly shuffled: <T>(from: readonly T[]) => T[];
}

export function drawFor(seed: number, index: number): Draw {
  const random = seededRandom((seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0);
  const below = (bound: number): number => Math.floor(random() * bound);
  const pick = <T>(from: readonly T[]): T => {
    if (from.length === 0) throw new Error('nothing to pick from');
    return from[below(from.length)] as T;
  };
  return {
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (share) => random() < share,
    pick,
    picks: (from, count) => Array.from({ length: count }, () => pick(from)),
    shuffled: (from) => {
      const rest = [...from];
      return from.map(() => rest.splice(below(rest.length), 1)[0] as (typeof from)[number]);
    },
  };
}
