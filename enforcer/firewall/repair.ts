// Compares the kernel's table with the one that was loaded, by content, and loads it again where they differ.
import { CodedError } from '../../runtime/errors.ts';
import { blockedIn } from './blocks.ts';
import { noteBlocks } from './held.ts';
import type { KernelTable } from './kernel.ts';
import { CLOCK_STEP_MS } from './limits.ts';
import type { Listing } from './listing.ts';
import type { Memory, Parts } from './memory.ts';
import { settledReading } from './settled-reading.ts';
import { driftOf } from './status.ts';
import type { TableState } from './table.ts';
import { type Kept, undone } from './watch/blocked.ts';
import { type Notice, Notices } from './watch/notices.ts';

/** Loads the whole table, with these blocked sources. */
type Replace = (state: TableState, kept: Kept) => Promise<void>;

type Read = Listing | undefined | 'unreadable';

const lookAnyway = (): Notice => new Notices().take(true);

/** Returns what was found and repaired. `replace` loads the whole table. */
export async function repair(
  parts: Parts,
  memory: Memory,
  replace: Replace,
  take: () => Notice = lookAnyway,
): Promise<string | undefined> {
  const { clock, kernel, log } = parts;
  const { loaded, evidence } = memory;
  const started = clock.monotonic();
  const notice = foreign(take(), kernel);
  evidence.add(notice);
  if (!notice.always && !notice.overrun && notice.commits.length + notice.more.length + notice.lost === 0)
    return undefined;
  const foreignWrites = notice.overrun || notice.commits.length + notice.more.length > 0;
  const first = await readTable(parts, foreignWrites);
  const now = clock.now();
  if (loaded === undefined) return first === 'unreadable' ? first : driftOf(loaded, first, now);
  const setBy = now - clock.monotonic() - memory.clockOffset;
  if (Math.abs(setBy) > CLOCK_STEP_MS) {
    log.warn('the clock of this host was set: the timers of the firewall are made anew');
    // Set back, the time at which the plan was compiled bounds them.
    const ahead = Math.max(0, setBy);
    if (memory.island?.until !== undefined) memory.island = { until: memory.island.until + ahead };
    await replace(withTimesLeft(loaded.state, ahead), blockedNow(memory, first, now));
    return undefined;
  }
  const differenceOf = (read: Read): string | undefined =>
    read === 'unreadable' ? 'the table cannot be read' : driftOf(loaded, read, clock.now());
  // Where somebody wrote, an element that is not there was removed: that is repaired at once.
  const { listing, difference: table } = foreignWrites
    ? { listing: first, difference: differenceOf(first) }
    : await settledReading(first, () => readTable(parts, foreignWrites), differenceOf);
  const undo = undone(blockedNow(memory, listing, now), memory.blocked, notice.commits, now);
  const drift = table ?? undo.message;
  if (drift === undefined) {
    await noteBlocks(parts, memory, listing === 'unreadable' ? undefined : listing);
    await evidence.touched();
    return undefined;
  }
  await evidence.drift(drift);
  await (table === undefined ? kernel.change(undo.change, now) : replace(loaded.state, undo.kept));
  await evidence.repaired(drift, clock.monotonic() - started);
  return drift;
}

/** What was given for a while, and not until a date, lasts as long as it would have. */
function withTimesLeft(state: TableState, byMs: number): TableState {
  const { candidate, island } = state;
  return {
    ...state,
    ...(candidate === undefined ? {} : { candidate: { ...candidate, until: candidate.until + byMs } }),
    ...(island?.until === undefined ? {} : { island: { until: island.until + byMs } }),
  };
}

/** As the kernel has it, or as last seen where somebody took the table away. */
function blockedNow({ learned }: Memory, listing: Read, now: number): Kept {
  if (listing === undefined || listing === 'unreadable') {
    return new Map([...learned].map(([address, { until }]) => [address, until]));
  }
  return new Map([...blockedIn(listing)].map(([address, leftMs]) => [address, now + leftMs]));
}

function foreign(notice: Notice, kernel: KernelTable): Notice {
  const others = (by: { readonly pid: number; readonly port: number }): boolean => !kernel.wrote(by);
  return { ...notice, commits: notice.commits.filter(others), more: notice.more.filter(others) };
}

/** What stands in a table that cannot be read was not put there by this process. */
async function readTable({ kernel, log }: Parts, foreignWrites: boolean): Promise<Read> {
  try {
    return await kernel.read();
  } catch (error) {
    // Who writes faster than it can be read does not keep it from being repaired.
    const isMoving = error instanceof CodedError && error.code === 'LINUX_NETLINK_INTERRUPTED' && foreignWrites;
    if (error instanceof CodedError && !isMoving) throw error;
    log.error({ err: error }, 'the table is there and cannot be read');
    return 'unreadable';
  }
}
