// How much of a bundle still counts, by the trusted clock (design section 3, Offline).
import { type Freshness, freshnessAt } from '../../policy/engine/index.ts';
import { FUTURE_BUNDLE_MS } from './limits.ts';
import type { TrustedTime } from './trusted-clock.ts';

export interface Expiry {
  /** Milliseconds since the epoch, as the manifest says. */
  readonly issuedAt: number;
  readonly softExpiry: number;
  readonly hardExpiry: number;
}

/** A time that is not trusted makes a bundle soft-expired at best; past hard expiry only class `safety` is left. */
export function freshnessOf(expiry: Expiry, time: TrustedTime): Freshness {
  const byDate = freshnessAt(time.now, expiry);
  if (byDate !== 'fresh') return byDate;
  // A clock well before the bundle was made is certainly wrong, however it came to be.
  return time.trusted && time.now >= expiry.issuedAt - FUTURE_BUNDLE_MS ? 'fresh' : 'soft-expired';
}
