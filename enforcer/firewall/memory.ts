// What one firewall has at hand, and what it knows between two operations.
import type { Learned } from './blocks.ts';
import type { ContainmentOrder, FirewallParts } from './firewall.ts';
import type { Found } from './found.ts';
import type { KernelTable } from './kernel.ts';
import type { Loaded } from './status.ts';
import type { TableState } from './table.ts';
import { Evidence } from './watch/evidence.ts';

/** `number`: in the order in which this process heard them; a state that is no order's has no sequence of its own. */
export type HeardOrder = ContainmentOrder & { readonly number: number };

/** What one firewall knows between two operations. */
export interface Memory {
  loaded: Loaded | undefined;
  /** Later than the plan in force was compiled. */
  orders: readonly HeardOrder[];
  /** How many there were. */
  heard: number;
  /** Of the next candidate. */
  slot: number;
  /** When the table was loaded whole: from then on accepted packets are remembered. */
  countedSince: number;
  /** Devices that were cut and whose flows are still being ended. */
  readonly ending: Map<string, Promise<unknown>>;
  /** By order or a person; by order; by packets. */
  island: TableState['island'];
  blocked: ReadonlyMap<string, number>;
  learned: Learned;
  /** What was changed by others since the last event about it. */
  readonly evidence: Evidence;
  /** Wall clock against monotonic clock when the table's timers were made. */
  clockOffset: number;
  others: readonly string[] | undefined;
  /** Contained in the kernel at the start, and not on the disk. */
  found: Found | undefined;
  /** A change was sent and its answer lost: the kernel may hold something else than `loaded`. */
  isUnsure: boolean;
  /** When the candidate went live, by the monotonic clock. */
  armedAt: number;
  /** The last epoch that was given out. */
  epoch: number | undefined;
}

export interface Parts extends FirewallParts {
  readonly kernel: KernelTable;
  readonly trustedNow: () => number;
}

export type Transaction = <T>(work: () => Promise<T>) => Promise<T>;
