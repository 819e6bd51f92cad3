// How often a grant may be used: a rate, and a number of uses. The only part of a decision with state; asked last, when
// everything else would allow. Who keeps the counts is the consumer's: on the edge they survive a restart.
import type { SliceGrant } from '../bundle/slice.ts';

export interface UseLimit {
  /** At most `count` in any window of `perMs` milliseconds, for each subject. */
  readonly rate?: { readonly key: string; readonly count: number; readonly perMs: number };
  /** At most `count` ever, for each subject. */
  readonly uses?: { readonly key: string; readonly count: number };
  /** For decisions and explanations, e.g. `rate 10 in 60 s`. */
  readonly words: Readonly<Record<Exclude<UseAnswer, 'taken'>, string>>;
}

/** Which limit is reached, or that nobody can say: the counts cannot be kept. */
export type UseAnswer = 'taken' | 'rate' | 'uses' | 'unavailable';

export interface Usage {
  /** Takes one use of every limit, or of none. `time` is that of the request. Does not throw. */
  readonly take: (limit: UseLimit, subject: string, time: number) => UseAnswer;
  /** What `take` would answer; takes nothing. */
  readonly look: (limit: UseLimit, subject: string, time: number) => UseAnswer;
}

/** As if nothing had been used yet; for one question without history (tests, self-test). */
export const unusedUsage: Usage = { take: () => 'taken', look: () => 'taken' };

/** For whoever keeps no counts and may not let through what is counted. */
export const noUsage: Usage = { take: () => 'unavailable', look: () => 'unavailable' };

/** The same counts for asking what would be decided. */
export const lookOnly = ({ look }: Usage): Usage => ({ take: look, look });

/**
 * The keys name grant, device and limit: an unchanged grant keeps its count from bundle to bundle. Ids hold none of the
 * separators.
 */
export function compileLimit({ id, device, rate, uses }: SliceGrant): UseLimit | undefined {
  if (rate === undefined && uses === undefined) return undefined;
  const grant = `${id}@${device}`;
  const words = {
    rate: rate === undefined ? '' : `rate ${rate.count} in ${rate.perSeconds} s`,
    uses: uses === undefined ? '' : `uses ${uses}`,
    unavailable: 'uses cannot be counted',
  };
  return {
    ...(rate === undefined
      ? {}
      : {
          rate: {
            key: `${grant}/rate:${rate.count}:${rate.perSeconds}`,
            count: rate.count,
            perMs: rate.perSeconds * 1_000,
          },
        }),
    ...(uses === undefined ? {} : { uses: { key: `${grant}/uses:${uses}`, count: uses } }),
    words,
  };
}
