// Containing and releasing a peer, between two plans: its elements in one transaction, then what it has open.
import { saveState } from './candidate.ts';
import { flowTarget, withContainment } from './containment.ts';
import type { ContainmentOrder } from './firewall.ts';
import { withoutDevice } from './found.ts';
import { move, replace } from './load.ts';
import type { HeardOrder, Memory, Parts, Transaction } from './memory.ts';
import type { Containment, FirewallPlan } from './plan.ts';
import { conclude } from './receipt.ts';
import type { Cut } from './receipt.ts';
import type { TableState } from './table.ts';

/** The plans whose generations may answer for a packet, the newest first. */
const answering = (state: TableState | undefined): FirewallPlan[] =>
  state === undefined ? [] : [...(state.candidate === undefined ? [] : [state.candidate.plan]), state.live.plan];

interface Queues {
  readonly transaction: Transaction;
  readonly concluded: Transaction;
}

export async function contain(
  parts: Parts,
  memory: Memory,
  { transaction, concluded }: Queues,
  order: HeardOrder,
): Promise<number | undefined> {
  const { device, containment } = order;
  if (containment === undefined) return await release(parts, memory, transaction, order);
  const cutting = transaction(() => cutOff(parts, memory, { ...order, containment }));
  const ending = cutting.then(async (cut) => {
    if (cut !== undefined) await concluded(() => conclude({ ...parts, now: parts.trustedNow }, cut));
  });
  const over = ending.catch(() => undefined);
  memory.ending.set(device, over);
  const saving = cutting.then(() => transaction(() => saveState(parts, memory)));
  try {
    await Promise.all([ending, saving]);
    return (await cutting)?.elapsedMs;
  } finally {
    await over;
    if (memory.ending.get(device) === over) memory.ending.delete(device);
  }
}

async function cutOff(
  parts: Parts,
  memory: Memory,
  order: HeardOrder & { readonly containment: Containment },
): Promise<Cut | undefined> {
  const { device, containment, sequence } = order;
  const plans = answering(memory.loaded?.state);
  const elapsedMs = await carryOut(parts, memory, order);
  if (elapsedMs === undefined) return undefined;
  return {
    device,
    containment,
    sequence,
    at: Math.round(parts.trustedNow()),
    elapsedMs,
    target: flowTarget(plans, device, containment),
    streams: (order.streams ?? 0) + parts.closeStreams(device),
    countedSince: memory.countedSince,
  };
}

async function release(
  parts: Parts,
  memory: Memory,
  transaction: Transaction,
  order: HeardOrder,
): Promise<number | undefined> {
  const { device, sequence } = order;
  await memory.ending.get(device);
  const elapsedMs = await transaction(async () => {
    const elapsed = await carryOut(parts, memory, order);
    if (elapsed !== undefined) await saveState(parts, memory);
    return elapsed;
  });
  if (elapsedMs === undefined) return undefined;
  const data = { device, state: 'none', sequence };
  await parts.emit({ kind: 'firewall', activity: 'uncontain', severity: 'high', data });
  return elapsedMs;
}

/** The elements of an order, into the kernel; milliseconds it took. undefined when the plan names no such peer. */
async function carryOut(parts: Parts, memory: Memory, order: HeardOrder): Promise<number | undefined> {
  const { clock } = parts;
  memory.orders = [...memory.orders.filter((other) => other.device !== order.device), order];
  const before = memory.loaded;
  for (const plan of answering(before?.state)) memory.found = withoutDevice(memory.found, plan, order.device);
  // A candidate that names it no more may fall back to a plan that does.
  const isKnown = answering(before?.state).some((plan) => plan.peers[order.device] !== undefined);
  if (before === undefined) return undefined;
  if (!isKnown) {
    // A candidate whose answer was lost may be live and name it: the table goes back to what is known.
    if (memory.isUnsure) await replace(parts, memory, before.state);
    return undefined;
  }
  const started = clock.monotonic();
  await move(parts, memory, before, contained(before.state, order), 'elements');
  return clock.monotonic() - started;
}

function contained(state: TableState, { device, containment, sequence }: ContainmentOrder): TableState {
  const { live, candidate } = state;
  const next = (plan: FirewallPlan): FirewallPlan => ({
    ...withContainment(plan, device, containment),
    ordersSequence: Math.max(plan.ordersSequence, sequence),
  });
  return {
    ...state,
    live: { ...live, plan: next(live.plan) },
    ...(candidate === undefined ? {} : { candidate: { ...candidate, plan: next(candidate.plan) } }),
  };
}
