// Ends what a peer has open on this host once the containment sets have cut it: its TCP sockets here are destroyed,
// which resets also an idle peer, and its tracked connections are forgotten, so that none wakes up after a release.
import type { PlainAddress } from '../addresses.ts';

export interface FlowTarget {
  readonly addresses: readonly PlainAddress[];
  /** Service ports whose flows go on: island operations of a quarantined peer. */
  readonly sparedPorts: readonly number[];
}

export interface EndedFlows {
  /** Tracked connections forgotten: through this host, or with it. */
  readonly flows: number;
  /** TCP sockets of this host that were reset. */
  readonly sockets: number;
  /** What could not be done, for people; the packets stay out either way. */
  readonly failures: readonly string[];
}

/** Best effort after the cut: never rejects. */
export type EndFlows = (target: FlowTarget) => Promise<EndedFlows>;
