// What an engine was asked, beside its policy everything that the answer hangs on.
import type { Freshness } from './judge.ts';
import type { AccessRequest } from './request.ts';

export interface Asked {
  /** With `timeFloor` where the time is not trusted. */
  readonly request: AccessRequest;
  readonly freshness: Freshness;
}
