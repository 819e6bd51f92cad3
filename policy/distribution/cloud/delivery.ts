// One subscribed resource type of one stream: what the edge has in force, what is on its way, and when to offer again.
// At most one resource of a type is on its way; what changes meanwhile is coalesced into the next (xDS ACK/NACK).
import type { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { distributionErrors } from '../errors.ts';
import { MAX_NACK_RETRY_MS, MAX_STORE_RETRY_MS, NACK_RETRY_MS, STORE_RETRY_MS } from '../limits.ts';
import { resourceTypeName } from '../resource-types.ts';

interface OnItsWay {
  readonly version: bigint;
  readonly nonce: string;
  /** Monotonic milliseconds. */
  since: number;
}

export interface Delivery {
  readonly type: ResourceType;
  /** What the edge has in force, as far as it said. */
  readonly known: bigint;
  /** True until the first answer after Hello was sent: that one is sent also when nothing is newer. */
  readonly first: boolean;
  /** Something may be newer: look now, also when a refused resource was to wait. */
  notice(): void;
  /** Milliseconds until the source is to be asked; 0 for now, undefined for not before a notice or an answer. */
  dueInMs(now: number): number | undefined;
  /** The source is being asked: a notice from now on means another look. */
  asked(): void;
  answeredNothingNewer(): void;
  sent(version: bigint, nonce: string, now: number): void;
  /** The source failed; asked again later. Returns the delay. */
  failed(now: number): number;
  acked(version: bigint, nonce: string): void;
  nacked(version: bigint, nonce: string, activeVersion: bigint, now: number): void;
  /** The edge is busy with it: it asked for a chunk. */
  progress(now: number): void;
  /** Monotonic milliseconds since which an answer is awaited. */
  waitingSince(): number | undefined;
}

export function createDelivery(type: ResourceType, subscribed: bigint): Delivery {
  let known = subscribed;
  let first = true;
  let dirty = true;
  let notBefore = 0;
  let refusals = 0;
  let failures = 0;
  let onItsWay: OnItsWay | undefined;

  const answered = (version: bigint, nonce: string): void => {
    if (onItsWay === undefined || onItsWay.nonce !== nonce) {
      throw distributionErrors.error(
        'STREAM_NONCE_UNKNOWN',
        `an answer for ${resourceTypeName(type)} carries no nonce that awaits one`,
      );
    }
    if (onItsWay.version !== version) {
      throw distributionErrors.error(
        'STREAM_VERSION_MISMATCH',
        `the answer names version ${version} of ${resourceTypeName(type)}, the nonce belongs to ${onItsWay.version}`,
      );
    }
    onItsWay = undefined;
  };

  return {
    type,
    get known() {
      return known;
    },
    get first() {
      return first;
    },
    notice() {
      dirty = true;
      notBefore = 0;
    },
    dueInMs(now) {
      if (!dirty || onItsWay !== undefined) return undefined;
      return Math.max(0, notBefore - now);
    },
    asked() {
      dirty = false;
    },
    answeredNothingNewer() {
      failures = 0;
    },
    sent(version, nonce, now) {
      first = false;
      failures = 0;
      onItsWay = { version, nonce, since: now };
    },
    failed(now) {
      dirty = true;
      const delay = doubling(failures, STORE_RETRY_MS, MAX_STORE_RETRY_MS);
      failures += 1;
      notBefore = now + delay;
      return delay;
    },
    acked(version, nonce) {
      answered(version, nonce);
      known = version;
      refusals = 0;
    },
    nacked(version, nonce, activeVersion, now) {
      answered(version, nonce);
      // What came in meanwhile may be the remedy, and an edge that corrects what we thought it had (a gap in the
      // orders) is answered at once; the same again waits.
      const soon = dirty || (activeVersion !== known && refusals === 0);
      known = activeVersion;
      dirty = true;
      notBefore = soon ? 0 : now + doubling(refusals, NACK_RETRY_MS, MAX_NACK_RETRY_MS);
      refusals += 1;
    },
    progress(now) {
      if (onItsWay !== undefined) onItsWay.since = now;
    },
    waitingSince: () => onItsWay?.since,
  };
}

function doubling(times: number, firstMs: number, maxMs: number): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(times, 30));
}
