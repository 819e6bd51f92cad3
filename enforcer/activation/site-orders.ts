// What orders for many devices at once say of this one: island mode, and addresses that it blocks. Pure: one order after
// the other, each once, in sequence; what does not concern this device changes nothing.
import { type Order, OrderVerb } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { MAX_ORDERED_BLOCKS, MAX_REASON_CHARACTERS } from './limits.ts';

export interface OrderedIsland {
  readonly sequence: number;
  /** Milliseconds since the epoch, control plane clock. */
  readonly issuedAt: number;
  readonly reason: string;
  /** SPIFFE ID or playbook that ordered it. */
  readonly by: string;
}

export interface OrderedBlock {
  readonly sequence: number;
  /** Milliseconds since the epoch, control plane clock. */
  readonly until: number;
  readonly reason: string;
}

export interface SiteOrders {
  /** Undefined when none was ordered, or it was taken back. */
  readonly island: OrderedIsland | undefined;
  /** The last order to rejoin; it ends what was entered before it was issued. */
  readonly rejoined: { readonly sequence: number; readonly issuedAt: number } | undefined;
  /** By address. */
  readonly blocks: ReadonlyMap<string, OrderedBlock>;
  /** Addresses to be forgotten, by the sequence that said so, until that is carried out. */
  readonly pardons: ReadonlyMap<string, number>;
}

export const noSiteOrders: SiteOrders = {
  island: undefined,
  rejoined: undefined,
  blocks: new Map(),
  pardons: new Map(),
};

export function concerns({ deviceIds, everyDevice }: Order, device: string): boolean {
  return everyDevice || deviceIds.includes(device);
}

/** `full`: the block found no room; those before it stay. */
export function applySiteOrder(
  before: SiteOrders,
  order: Order,
  device: string,
): { readonly after: SiteOrders; readonly full: boolean } {
  const kept = { after: before, full: false };
  if (!concerns(order, device)) return kept;
  const [sequence, issuedAt] = [Number(order.sequence), Number(order.issuedAtMs)];
  const reason = order.reason.slice(0, MAX_REASON_CHARACTERS);
  switch (order.verb) {
    case OrderVerb.ISLAND: {
      const by = (order.approvers[0] ?? '').slice(0, MAX_REASON_CHARACTERS);
      return { after: { ...before, island: { sequence, issuedAt, reason, by } }, full: false };
    }
    case OrderVerb.REJOIN:
      return { after: { ...before, island: undefined, rejoined: { sequence, issuedAt } }, full: false };
    case OrderVerb.BLOCK:
      return block(before, order.address, { sequence, until: Number(order.untilMs), reason }, issuedAt);
    case OrderVerb.PARDON: {
      const blocks = new Map(before.blocks);
      blocks.delete(order.address);
      return {
        after: { ...before, blocks, pardons: new Map(before.pardons).set(order.address, sequence) },
        full: false,
      };
    }
    case OrderVerb.QUARANTINE:
    case OrderVerb.RECOVER:
    case OrderVerb.RELEASE:
    case OrderVerb.REVOKE:
    case OrderVerb.UNSPECIFIED:
    default:
      return kept;
  }
}

function block(before: SiteOrders, address: string, entry: OrderedBlock, now: number) {
  const blocks = new Map([...before.blocks].filter(([, { until }]) => until > now));
  if (!blocks.has(address) && blocks.size >= MAX_ORDERED_BLOCKS) return { after: { ...before, blocks }, full: true };
  blocks.set(address, entry);
  const pardons = new Map(before.pardons);
  pardons.delete(address);
  return { after: { ...before, blocks, pardons }, full: false };
}
