// When a packet of an address was last accepted, and how many ever were: elements that packets put into a set, renewed
// and counted by each. How long an element still has says how long ago that was. nft_last would say it too, but nft 1.0.6
// cannot write it, and both ways here have to see the same.
import type { FlowAddress } from './flow-address.ts';

export interface SeenElement {
  readonly address: FlowAddress;
  /** Milliseconds between the last packet and the kernel's answer, to `RESOLUTION_MS`. */
  readonly agoMs: number;
  /** Since the element was made: by the first packet, or by the first after `SEEN_TIMEOUT_MS` without one. */
  readonly packets: number;
  readonly bytes: number;
}

/** Elements of a set of the table, with the counters; addresses that nothing was seen of are left out. */
export type ReadSeen = (set: string, addresses: readonly FlowAddress[]) => Promise<readonly SeenElement[]>;
