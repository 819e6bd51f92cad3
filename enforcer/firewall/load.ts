// Puts a state of the table into the kernel, whole or as what differs, and reads back what the kernel holds.
import { CodedError } from '../../runtime/errors.ts';
import { withLearned } from './blocks.ts';
import { tableChange } from './change.ts';
import { firewallErrors } from './errors.ts';
import { withKept } from './held.ts';
import type { KernelTable } from './kernel.ts';
import { differenceTo } from './listing.ts';
import type { Listing } from './listing.ts';
import type { Memory, Parts } from './memory.ts';
import { ensureProxyRoutes } from './routes.ts';
import { settledReading } from './settled-reading.ts';
import type { Loaded } from './status.ts';
import { tableOf } from './table.ts';
import type { TableState } from './table.ts';
import type { Kept } from './watch/blocked.ts';

/**
 * A clock that went back must not lengthen a grant beyond what was meant when it was compiled. In a plan without ends nothing
 * can be lengthened, and lock-down may have been compiled by a clock that was ahead: blocks and island mode keep their time.
 */
function timeFor({ clock }: Parts, { live, candidate }: TableState): number {
  const { compiledAt, nextChange } = (candidate ?? live).plan;
  return nextChange === undefined ? clock.now() : Math.max(clock.now(), compiledAt);
}

/** From nothing that is known, or from what somebody changed: the whole table anew. */
export async function replace(parts: Parts, memory: Memory, state: TableState, kept?: Kept): Promise<void> {
  const { clock, kernel } = parts;
  const table = tableOf(state);
  const whole = kept === undefined ? await withKept(parts, memory, table) : withLearned(table, kept);
  memory.clockOffset = clock.now() - clock.monotonic();
  await kernel.replace(whole, timeFor(parts, state));
  memory.countedSince = parts.trustedNow();
  await verify(parts, memory, state);
}

/** The next state in one transaction, and checked in the kernel where rules changed. */
export async function move(parts: Parts, memory: Memory, loaded: Loaded, state: TableState, how: 'rules' | 'elements') {
  const { kernel } = parts;
  // The answer to the change before was lost: what leads from one state to the next would leave out what did not arrive.
  if (memory.isUnsure) return await replace(parts, memory, state);
  memory.isUnsure = true;
  try {
    await kernel.change(tableChange(tableOf(loaded.state), tableOf(state)), timeFor(parts, state));
  } catch (error) {
    memory.isUnsure = !isRefusal(error);
    throw error;
  }
  if (how === 'elements') {
    memory.loaded = { ...loaded, state };
    memory.isUnsure = false;
  } else await verify(parts, memory, state);
}

/** The kernel's own word that it changed nothing. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof CodedError && error.code === 'FIREWALL_KERNEL_REFUSED';

/** Reads back what the kernel holds; when it is something else, the state of before is loaded again. */
async function verify(parts: Parts, memory: Memory, state: TableState): Promise<void> {
  const { kernel, clock } = parts;
  const { listing, difference } = await settledReading(
    await readBack(kernel),
    () => readBack(kernel),
    (read) => (read === undefined ? 'the table is gone' : differenceTo(tableOf(state), read, timeFor(parts, state))),
  );
  if (listing === undefined || difference !== undefined) {
    if (memory.loaded !== undefined) {
      await kernel.replace(await withKept(parts, memory, tableOf(memory.loaded.state)), clock.now());
    }
    throw notHeld(`${difference}`);
  }
  const { fingerprint, definitions } = listing;
  memory.loaded = { state, fingerprint, definitions };
  memory.isUnsure = false;
  // After the rules: a host without loopback yet (early boot) must not stay without rules. Diverted packets are for
  // this host's own addresses, so they arrive without these routes too.
  const { divertedFamilies } = (state.candidate ?? state.live).plan;
  await ensureProxyRoutes(parts.run, divertedFamilies).catch((error: unknown) =>
    parts.log.warn({ err: error }, 'the routes for proxied packets are missing'),
  );
}

/** What was loaded. That it is not shown does not mean that it was refused. */
async function readBack(kernel: KernelTable): Promise<Listing | undefined> {
  try {
    return await kernel.read();
  } catch (cause) {
    throw isRefusal(cause) ? notHeld('it is not shown', cause) : cause;
  }
}

const notHeld = (why: string, cause?: unknown): Error =>
  firewallErrors.error('FIREWALL_DRIFT', `the kernel does not hold what was loaded: ${why}`, { cause });
