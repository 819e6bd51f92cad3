// Token buckets by key, in bounded memory: a flood of new keys neither grows the map nor resets a used-up bucket.
import type { Clock } from './clock.ts';
import { maxRateLimitKeys } from './limits.ts';

export interface RateLimits {
  /** Tokens a fresh or rested key has. */
  readonly burst: number;
  readonly perSecond: number;
  /** Keys remembered; further keys share one bucket. Default 10,000. */
  readonly maxKeys?: number;
}

export interface RateLimit {
  /** Takes `cost` tokens of `key`. 0 when allowed, else milliseconds until it would be. */
  take(key: string, cost?: number): number;
  readonly size: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

const overflowKey = Symbol('all keys that found no place');

export function createRateLimit(limits: RateLimits, clock: Clock): RateLimit {
  const { burst, perSecond, maxKeys = maxRateLimitKeys } = limits;
  if (!(burst > 0 && perSecond > 0 && maxKeys > 0)) throw new RangeError('rate limits are positive numbers');
  const buckets = new Map<string | typeof overflowKey, Bucket>();
  const refillMs = (burst / perSecond) * 1000;

  /** Drops buckets that are full again: forgetting them changes nothing. The map is in order of last use. */
  const forgetRested = (now: number): void => {
    for (const [key, bucket] of buckets) {
      if (now - bucket.at < refillMs) return;
      buckets.delete(key);
    }
  };

  return {
    get size(): number {
      return buckets.size;
    },
    take(key, cost = 1) {
      const now = clock.monotonic();
      let slot: string | typeof overflowKey = key;
      if (!buckets.has(key) && buckets.size >= maxKeys) {
        forgetRested(now);
        if (buckets.size >= maxKeys) slot = overflowKey;
      }
      const bucket = buckets.get(slot) ?? { tokens: burst, at: now };
      bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * perSecond);
      bucket.at = now;
      buckets.delete(slot);
      buckets.set(slot, bucket);
      if (bucket.tokens >= cost) {
        bucket.tokens -= cost;
        return 0;
      }
      if (cost > burst) return Infinity;
      return Math.ceil(((cost - bucket.tokens) / perSecond) * 1000);
    },
  };
}
