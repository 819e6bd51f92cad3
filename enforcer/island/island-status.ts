// Island mode as others hear of it: people, and the kernel.
import {
  type Cause,
  causesOf,
  type Entered,
  type IslandRecord,
  leftOf,
  type Position,
  remainingMs,
} from './island-record.ts';

/** What the kernel is to do: `leaseMs` is its own timer, absent for none. */
export interface KernelIsland {
  readonly on: boolean;
  readonly leaseMs?: number;
}

export interface IslandEntry {
  readonly cause: Cause;
  readonly by: string;
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** Absent when only an order, or a person on the device, ends it. */
  readonly secondsLeft?: number;
}

export interface IslandStatus {
  readonly active: boolean;
  readonly entries: readonly IslandEntry[];
}

export function statusOf(record: IslandRecord, position: Position): IslandStatus {
  const entries = causesOf(record, position).map((cause): IslandEntry => {
    const entry = record[cause] as Entered;
    const left = leftOf(entry, position);
    const { by, reason, enteredAt: since } = entry;
    return { cause, by, reason, since, ...(Number.isFinite(left) ? { secondsLeft: Math.ceil(left / 1000) } : {}) };
  });
  return { active: entries.length > 0, entries };
}

export function kernelStateOf(record: IslandRecord, position: Position): KernelIsland {
  const left = remainingMs(record, position);
  if (left === undefined) return { on: false };
  return Number.isFinite(left) ? { on: true, leaseMs: Math.ceil(left) } : { on: true };
}
