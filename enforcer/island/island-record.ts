// What is known of this device's island mode, as data, and each thing that can happen to it. Pure. Two causes, either is
// enough: an order, which only an order takes back, and a person on the device, who may leave again. A lease ends each.
import { MAX_TEXT_CHARACTERS } from './limits.ts';

/** Where in time this device is. */
export interface Position {
  /** Boot of the host, and milliseconds since it. */
  readonly boot: string;
  readonly uptimeMs: number;
  /** Milliseconds since the epoch; `trusted` when a signed time was heard since the boot. */
  readonly now: number;
  readonly trusted: boolean;
}

export interface Entered {
  readonly by: string;
  readonly reason: string;
  /** When: milliseconds since the epoch, and place in the boot. */
  readonly enteredAt: number;
  readonly boot: string;
  readonly uptimeMs: number;
  /** As the policy in force said when it began; absent: it does not end by itself. */
  readonly leaseMs?: number | undefined;
}

export interface IslandRecord {
  readonly ordered?: (Entered & { readonly sequence: number }) | undefined;
  readonly local?: Entered | undefined;
  /** Sequence of an order whose lease has ended: it does not begin again. */
  readonly ended?: number | undefined;
  /** Sequence of the last order to rejoin that was followed: it ends nothing that was entered later, whatever the clocks say. */
  readonly rejoined?: number | undefined;
}

/** What the orders for this device say; activation keeps them. */
export interface IslandOrders {
  /** The order that stands; undefined for none. `issuedAt` is milliseconds since the epoch, control plane clock. */
  readonly island:
    | { readonly sequence: number; readonly issuedAt: number; readonly by: string; readonly reason: string }
    | undefined;
  /** The last order to rejoin. */
  readonly rejoined: { readonly sequence: number; readonly issuedAt: number } | undefined;
}

export type Cause = 'ordered' | 'local';

/** Milliseconds until it ends by itself; Infinity for never, undefined when this device is not in island mode. */
export function remainingMs({ ordered, local }: IslandRecord, position: Position): number | undefined {
  const left = [ordered, local].flatMap((entry) => (entry === undefined ? [] : [leftOf(entry, position)]));
  const longest = Math.max(...left);
  return longest > 0 ? longest : undefined;
}

/** In the boot it began in, by the host's uptime; later by signed time, and until one is heard the whole lease counts from the boot on. */
export function leftOf({ leaseMs, boot, uptimeMs, enteredAt }: Entered, position: Position): number {
  if (leaseMs === undefined) return Number.POSITIVE_INFINITY;
  if (boot === position.boot) return leaseMs - (position.uptimeMs - uptimeMs);
  if (!position.trusted) return leaseMs - position.uptimeMs;
  return Math.min(leaseMs, leaseMs - (position.now - enteredAt));
}

export interface Entering {
  readonly by: string;
  readonly reason: string;
  readonly leaseMs: number | undefined;
}

function enter({ by, reason, leaseMs }: Entering, { boot, uptimeMs, now }: Position): Entered {
  return {
    by: by.slice(0, MAX_TEXT_CHARACTERS),
    reason: reason.slice(0, MAX_TEXT_CHARACTERS),
    enteredAt: now,
    boot,
    uptimeMs,
    ...(leaseMs === undefined ? {} : { leaseMs }),
  };
}

/** Again begins a lease again. */
export function enterLocally(record: IslandRecord, entering: Entering, position: Position): IslandRecord {
  return { ...record, local: enter(entering, position) };
}

export function leaveLocally(record: IslandRecord): IslandRecord {
  return { ...record, local: undefined };
}

/** Whether an order holds this device in island mode. */
export function isOrdered({ ordered }: IslandRecord, position: Position): boolean {
  return ordered !== undefined && leftOf(ordered, position) > 0;
}

/**
 * What the orders say now. One that stands is entered once; an order to rejoin ends what was entered before it was
 * issued, also locally, and never what a person entered after it.
 */
export function followOrders(
  record: IslandRecord,
  { island, rejoined }: IslandOrders,
  leaseMs: number | undefined,
  position: Position,
): IslandRecord {
  const { ordered, local, ended } = record;
  const isNew = rejoined !== undefined && rejoined.sequence > (record.rejoined ?? 0);
  const keptLocal = local !== undefined && !(isNew && local.enteredAt < rejoined.issuedAt);
  const mark = rejoined?.sequence ?? record.rejoined;
  const kept = { ...(keptLocal ? { local } : {}), ...(mark === undefined ? {} : { rejoined: mark }) };
  if (island === undefined) return kept;
  if (island.sequence === ended) return { ...kept, ended };
  if (island.sequence === ordered?.sequence) return { ...kept, ordered };
  return { ...kept, ordered: { ...enter({ ...island, leaseMs }, position), sequence: island.sequence } };
}

/** Without the entries whose lease has ended. */
export function expire(record: IslandRecord, position: Position): IslandRecord {
  const { ordered, local, ended } = record;
  const over = (entry: Entered | undefined): boolean => entry !== undefined && leftOf(entry, position) <= 0;
  if (!over(ordered) && !over(local)) return record;
  const mark = over(ordered) ? ordered?.sequence : ended;
  return {
    ...(ordered === undefined || over(ordered) ? {} : { ordered }),
    ...(local === undefined || over(local) ? {} : { local }),
    ...(mark === undefined ? {} : { ended: mark }),
    ...(record.rejoined === undefined ? {} : { rejoined: record.rejoined }),
  };
}

export function causesOf(record: IslandRecord, position: Position): Cause[] {
  const causes: Cause[] = ['ordered', 'local'];
  return causes.filter((cause) => {
    const entry = record[cause];
    return entry !== undefined && leftOf(entry, position) > 0;
  });
}
