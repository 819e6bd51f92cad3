// Puts plans into the kernel. A plan that differs from the one before in elements only follows it in one transaction. Any
// other becomes a candidate beside it: live at once, proven by reaching the control plane, and then confirmed; otherwise the
// kernel falls back by itself, however this process died. What a candidate denies stays denied.
import { fallen, saveState, withoutSameDenies } from './candidate.ts';
import { isContainedBy, withContainment } from './containment.ts';
import { firewallErrors } from './errors.ts';
import { followsByElements } from './follows.ts';
import { withFound } from './found.ts';
import { heldBeside } from './held.ts';
import { CONFIRM_MARGIN_MS, CONFIRM_MS, MAX_KEPT_DENIES, MAX_UNCONFIRMED_PLANS } from './limits.ts';
import { move, replace } from './load.ts';
import type { Memory, Parts, Transaction } from './memory.ts';
import { mustReach } from './must-reach.ts';
import type { FirewallPlan } from './plan.ts';
import { save } from './saved.ts';
import { stateOf } from './table.ts';
import type { TableState } from './table.ts';

interface Compiled {
  readonly plan: FirewallPlan;
  /** Orders that had been given when it was compiled; absent where only their sequences say so. */
  readonly heard: number | undefined;
}

export async function apply(parts: Parts, memory: Memory, transaction: Transaction, compiled: Compiled): Promise<void> {
  const { clock, log } = parts;
  const { plan } = compiled;
  const started = clock.monotonic();
  // Before it is asked what the plan needs: what is left of the last candidate decides about that.
  await transaction(() => settle(parts, memory));
  // Containment waits for no proof: only plans do, one after the other.
  const asks = needsProof(memory, plan) ? await parts.confirm?.() : undefined;
  await endedOfReleased(memory, plan);
  const step = await transaction(() => begin(parts, memory, compiled));
  if (step === 'candidate') {
    // A candidate that nobody was prepared for is one that nobody proves.
    const proven = asks === undefined ? parts.confirm === undefined : await proveReachable(parts, asks);
    try {
      await transaction(() => (proven ? confirm(parts, memory) : fallBack(parts, memory)));
    } catch (error) {
      await transaction(() => settle(parts, memory));
      throw error;
    }
  }
  const elapsedMs = Math.round(clock.monotonic() - started);
  log.info({ epoch: plan.epoch, step, elapsedMs }, 'firewall plan in force');
  for (const warning of plan.warnings) log.warn(warning);
}

/** Whether the plan comes as a candidate: it has other rules, or it knows better than denies that were kept. */
function needsProof({ loaded }: Memory, plan: FirewallPlan): boolean {
  if (loaded === undefined) return false;
  const { live, closing } = loaded.state;
  return closing.some((layer) => layer.plan.bundle < plan.bundle) || !followsByElements(live.plan, plan);
}

/** The first transaction of a plan: the whole change, or a candidate that has to be confirmed. */
async function begin(
  parts: Parts,
  memory: Memory,
  { plan, heard = Infinity }: Compiled,
): Promise<'first' | 'elements' | 'candidate'> {
  const { clock } = parts;
  // Whichever says so: a sequence is known before its order was given here, and device states have none.
  const later = memory.orders.filter((order) => order.sequence > plan.ordersSequence || order.number > heard);
  const ordered = later.reduce((held, order) => withContainment(held, order.device, order.containment), plan);
  const wanted = withFound(ordered, memory.found);
  mustReach(wanted, parts.control());
  mustReach(wanted, wanted.control);
  const { loaded } = memory;
  if (loaded === undefined) {
    await replace(parts, memory, { ...stateOf(wanted), ...heldBeside(parts, memory, wanted) });
    memory.orders = later;
    await save(parts, { live: wanted, closing: [] });
    return 'first';
  }
  // What the kernel did not take when it was said comes with the plan.
  const { island: _island, blocked: _blocked, ...others } = loaded.state;
  const state: TableState = { ...others, ...heldBeside(parts, memory, wanted) };
  if (!needsProof(memory, wanted)) {
    await move(parts, memory, loaded, { ...state, live: { ...state.live, plan: wanted } }, 'elements');
    memory.orders = later;
    await saveState(parts, memory);
    return 'elements';
  }
  const kept = withoutSameDenies(state.closing, wanted);
  // Whoever published a newer bundle may have corrected what kept the others from being confirmed.
  const isNewer = kept.every((layer) => layer.plan.bundle < wanted.bundle);
  if (kept.length >= (isNewer ? MAX_KEPT_DENIES : MAX_UNCONFIRMED_PLANS)) {
    throw firewallErrors.error(
      'FIREWALL_UNCONFIRMED',
      `${kept.length} plans in a row could not be confirmed; no further one is tried`,
    );
  }
  const { slot } = memory;
  memory.slot += 1;
  // On disk first: after a crash the next start closes what this candidate denies.
  await save(parts, { live: state.live.plan, closing: [...state.closing.map((layer) => layer.plan), wanted] });
  const until = Math.max(clock.now(), wanted.compiledAt) + (parts.confirmMs ?? CONFIRM_MS);
  const candidate = { plan: wanted, slot, until };
  memory.armedAt = clock.monotonic();
  try {
    await move(parts, memory, loaded, { ...state, candidate }, 'rules');
  } catch (error) {
    await saveState(parts, memory);
    throw error;
  }
  memory.orders = later;
  return 'candidate';
}

async function proveReachable(
  { confirmMs = CONFIRM_MS, log }: Parts,
  ask: (signal: AbortSignal) => Promise<boolean>,
): Promise<boolean> {
  try {
    return await ask(AbortSignal.timeout(Math.max(1, confirmMs - 2 * CONFIRM_MARGIN_MS)));
  } catch (error) {
    log.warn({ err: error }, 'the control plane was not reached under the new rules');
    return false;
  }
}

async function confirm(parts: Parts, memory: Memory): Promise<void> {
  const { loaded } = memory;
  const candidate = loaded?.state.candidate;
  if (loaded === undefined || candidate === undefined) throw unconfirmed('another plan took its place');
  const { clock, confirmMs = CONFIRM_MS } = parts;
  // By the clock that the kernel counts with, whatever the time of day became meanwhile.
  if (clock.monotonic() - memory.armedAt > confirmMs - CONFIRM_MARGIN_MS) return await fallBack(parts, memory);
  const { plan, slot } = candidate;
  const { candidate: _, ...rest } = loaded.state;
  // What a newer bundle denies stays denied, though it could not be confirmed; a plan of that bundle knows it by itself.
  const closing = rest.closing.filter((layer) => layer.plan.bundle > plan.bundle);
  await move(parts, memory, loaded, { ...rest, live: { plan, slot }, closing }, 'rules');
  await saveState(parts, memory);
}

/**
 * A candidate that was neither confirmed nor taken back, because the kernel refused that or its answer was lost: the kernel
 * falls back by itself, and what the candidate denies stays denied under every plan that follows. The whole table, because
 * nobody knows which half the kernel holds.
 */
async function settle(parts: Parts, memory: Memory): Promise<void> {
  const state = memory.loaded?.state;
  if (state?.candidate === undefined) return;
  await replace(parts, memory, fallen(state));
  await saveState(parts, memory);
}

/** Back to the generation of before; the candidate's denies stay. Throws FIREWALL_UNCONFIRMED. */
async function fallBack(parts: Parts, memory: Memory): Promise<never> {
  const { loaded } = memory;
  if (loaded?.state.candidate !== undefined) {
    await move(parts, memory, loaded, fallen(loaded.state), 'rules');
    await saveState(parts, memory);
  }
  const error = unconfirmed('the control plane was not reached under the new rules');
  const { code, message } = error;
  await parts.emit({ kind: 'firewall', activity: 'fall-back', severity: 'high', data: { code, message } });
  throw error;
}

const unconfirmed = (why: string) =>
  firewallErrors.error('FIREWALL_UNCONFIRMED', `${why}: the rules of before are in force again, with its denies`);

/** A flow that has not been forgotten yet must not wake up when its peer is released. */
async function endedOfReleased({ ending }: Memory, plan: FirewallPlan): Promise<void> {
  const released = [...ending].filter(([device]) => !isContainedBy(plan, device));
  await Promise.all(released.map(([, done]) => done));
}
