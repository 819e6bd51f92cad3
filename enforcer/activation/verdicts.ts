// What the orders so far say of each device. Pure: one order after the other, each once, in sequence.
import { type Order, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { MAX_REASON_CHARACTERS } from './limits.ts';

/** A released device has none. `revoked` is for good. */
export type Verdict = 'quarantined' | 'recovering' | 'revoked';

export interface VerdictEntry {
  readonly verdict: Verdict;
  /** Order that said so. */
  readonly sequence: number;
  /** Milliseconds since the epoch, control plane clock. */
  readonly issuedAt: number;
  readonly reason: string;
}

export type Verdicts = ReadonlyMap<string, VerdictEntry>;

const verbNames: ReadonlyMap<OrderVerb, string> = new Map<OrderVerb, string>([
  [OrderVerb.QUARANTINE, 'quarantine'],
  [OrderVerb.RECOVER, 'recover'],
  [OrderVerb.RELEASE, 'release'],
  [OrderVerb.REVOKE, 'revoke'],
  [OrderVerb.ISLAND, 'island'],
  [OrderVerb.REJOIN, 'rejoin'],
  [OrderVerb.BLOCK, 'block'],
  [OrderVerb.PARDON, 'pardon'],
]);

/** For events. */
export function verbName(verb: OrderVerb): string {
  return verbNames.get(verb) ?? 'unknown';
}

/**
 * The verdict after an order, undefined for none. Back to trusted leads one path: a release that does not follow a
 * recovery leaves the device as it is, and nothing brings back what was revoked.
 */
export function nextVerdict(before: Verdict | undefined, verb: OrderVerb): Verdict | undefined {
  if (before === 'revoked') return 'revoked';
  switch (verb) {
    case OrderVerb.QUARANTINE:
      return 'quarantined';
    case OrderVerb.RECOVER:
      return 'recovering';
    case OrderVerb.REVOKE:
      return 'revoked';
    case OrderVerb.RELEASE:
      return before === 'quarantined' ? 'quarantined' : undefined;
    case OrderVerb.ISLAND:
    case OrderVerb.REJOIN:
    case OrderVerb.BLOCK:
    case OrderVerb.PARDON:
    case OrderVerb.UNSPECIFIED:
    default:
      // Unspecified or unknown: refused before it comes here, and without effect if it did.
      return before;
  }
}

/** Says what an order does to the verdict of its device, and does it. */
export function applyOrder(
  verdicts: Map<string, VerdictEntry>,
  order: Order,
): { from: Verdict | undefined; to: Verdict | undefined } {
  const from = verdicts.get(order.deviceId)?.verdict;
  const to = nextVerdict(from, order.verb);
  if (to === undefined) verdicts.delete(order.deviceId);
  else if (to !== from) {
    const { sequence, issuedAtMs, reason } = order;
    const entry = {
      sequence: Number(sequence),
      issuedAt: Number(issuedAtMs),
      reason: reason.slice(0, MAX_REASON_CHARACTERS),
    };
    verdicts.set(order.deviceId, { verdict: to, ...entry });
  }
  return { from, to };
}
