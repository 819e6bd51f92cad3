// The first rules of a process, before any network: the last good plan, or lock-down, and what was never confirmed denies
// on beside either.
import { foundBeyond, withFound } from './found.ts';
import { heldBeside } from './held.ts';
import { isRefusal, replace } from './load.ts';
import type { Memory, Parts } from './memory.ts';
import { mustReach } from './must-reach.ts';
import type { FirewallPlan } from './plan.ts';
import { readSaved, refuseSaved } from './saved.ts';
import type { ReadPlans } from './saved.ts';
import { stateOf } from './table.ts';
import type { Layer } from './table.ts';

export async function restore(parts: Parts, memory: Memory, lockdown: FirewallPlan): Promise<'last-good' | 'lockdown'> {
  const saved = await readSaved(parts);
  // What cannot be read is somebody else's table, and goes.
  const listing = await parts.kernel.read().catch(() => undefined);
  const keep = async (plan: FirewallPlan): Promise<FirewallPlan> => {
    memory.found = foundBeyond(listing, plan, parts.control());
    if (memory.found === undefined) return plan;
    const values = [...memory.found.keys].flatMap(([set, keys]) => keys.map((key) => `${key} (${set})`));
    const message = 'contained in the kernel and not on the disk: stays so until the orders here are newer';
    parts.log.warn({ values }, message);
    await parts.emit({ kind: 'firewall', activity: 'keep', severity: 'high', data: { message, values } });
    return withFound(plan, memory.found);
  };
  const closing = (saved?.closing ?? []).map((plan, at) => ({ plan, slot: at + 2 }));
  let refused = true;
  for (const { live: plan, isClosing, isLess } of attemptsOf(saved)) {
    if (isLess && !refused) continue;
    try {
      if (plan === undefined) mustReach(lockdown, parts.control());
      const live = await keep(plan ?? lockdown);
      const state = { live: { plan: live, slot: 1 }, closing: isClosing ? closing : [] };
      await replace(parts, memory, { ...state, ...heldBeside(parts, memory, live) });
      memory.slot = state.closing.length + 2;
      return plan === undefined ? 'lockdown' : 'last-good';
    } catch (error) {
      // Another kernel or another nft than the plan was made on.
      refused = isRefusal(error);
      await refuseSaved(parts, error, 'the saved firewall plan cannot be put in force');
    }
  }
  mustReach(lockdown, parts.control());
  await replace(parts, memory, { ...stateOf(await keep(lockdown)), ...heldBeside(parts, memory, lockdown) });
  if (!refused && closing.length > 0) comeLater(memory, closing);
  return 'lockdown';
}

/** What these deny is put in force with the next change or look: a fault says nothing about whether the kernel takes it. */
function comeLater(memory: Memory, closing: readonly Layer[]): void {
  if (memory.loaded === undefined) return;
  memory.loaded = { ...memory.loaded, state: { ...memory.loaded.state, closing } };
  memory.slot = closing.length + 2;
  memory.isUnsure = true;
}

interface Attempt {
  /** Absent for lock-down. */
  readonly live?: FirewallPlan;
  /** With what was never confirmed. */
  readonly isClosing: boolean;
  /** Only where the kernel has refused more: other faults say nothing about what was in force. */
  readonly isLess?: true;
}

/**
 * What was never confirmed stays closed also where the last good plan cannot be had. A candidate that this kernel refuses
 * was never in force: nothing that it denies has to stay.
 */
function attemptsOf({ live, closing }: ReadPlans = { closing: [] }): Attempt[] {
  const isClosing = closing.length > 0;
  return [
    ...(live === undefined ? [] : [{ live, isClosing }]),
    ...(live === undefined || !isClosing ? [] : [{ live, isClosing: false, isLess: true as const }]),
    ...(isClosing ? [{ isClosing }] : []),
  ];
}
