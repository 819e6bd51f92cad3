// What orders, people and packets say beside the plans: island mode, and blocked addresses. Kept over plans and candidates,
// in the kernel within one transaction each.
import { plainAddress } from './addresses.ts';
import { MAX_BLOCKED } from './base-chains.ts';
import {
  allowedBlocks,
  blockChange,
  blockedIn,
  blockEvent,
  compareBlocks,
  unblockEvent,
  withLearned,
} from './blocks.ts';
import { firewallErrors } from './errors.ts';
import type { IslandMode } from './firewall.ts';
import type { Listing } from './listing.ts';
import type { Memory, Parts } from './memory.ts';
import type { FirewallPlan, Ruleset } from './plan.ts';
import { blockTimeOf } from './reflex.ts';
import { islandChange } from './table.ts';
import type { TableState } from './table.ts';

/** For a table that is made of this plan. */
export function heldBeside(
  parts: Parts,
  { island, blocked }: Memory,
  plan: FirewallPlan,
): Pick<TableState, 'island' | 'blocked'> {
  const allowed = allowedBlocks(blocked, plan, parts.control());
  return { ...(island === undefined ? {} : { island }), ...(allowed.size === 0 ? {} : { blocked: allowed }) };
}

/** A whole table with the sources that packets had blocked: those that the kernel lists, or else those seen here. */
export async function withKept({ kernel, clock }: Parts, { learned }: Memory, table: Ruleset): Promise<Ruleset> {
  const now = clock.now();
  // What cannot be read is somebody else's table, and goes.
  const listing = await kernel.read().catch(() => undefined);
  if (listing === undefined) return withLearned(table, new Map([...learned].map(([at, { until }]) => [at, until])));
  return withLearned(table, new Map([...blockedIn(listing)].map(([address, leftMs]) => [address, now + leftMs])));
}

export async function setIsland(parts: Parts, memory: Memory, { on, leaseMs }: IslandMode): Promise<void> {
  const { kernel, clock } = parts;
  const now = clock.now();
  const until = leaseMs === undefined ? {} : { until: now + leaseMs };
  memory.island = on ? until : undefined;
  const { loaded } = memory;
  if (loaded === undefined) return;
  const { island: _before, ...rest } = loaded.state;
  const state: TableState = { ...rest, ...(on ? { island: until } : {}) };
  // Not as a change of what is remembered: also when the answer to the word before was lost, the kernel has this one.
  await kernel.change(islandChange({ on, ...(leaseMs === undefined ? {} : { leaseMs }) }, now), now);
  memory.loaded = { ...loaded, state };
}

export async function block(
  parts: Parts,
  memory: Memory,
  ordered: ReadonlyMap<string, number>,
  pardoned: readonly string[],
): Promise<void> {
  const { kernel, clock, log } = parts;
  memory.blocked = ordered;
  const { loaded } = memory;
  if (loaded === undefined) return;
  const { blocked: _before, ...rest } = loaded.state;
  const { plan } = loaded.state.candidate ?? loaded.state.live;
  const allowed = allowedBlocks(ordered, plan, parts.control());
  if (allowed.size < ordered.size) log.warn('an order blocks this device or its control plane, which is not done');
  const state: TableState = { ...rest, ...(allowed.size === 0 ? {} : { blocked: allowed }) };
  const present = blockedIn(await kernel.read());
  await kernel.change(blockChange(loaded.state, state, present, pardoned, clock.now()), clock.now());
  memory.loaded = { ...loaded, state };
  const gone = new Set(pardoned.filter((address) => memory.learned.has(address)));
  memory.learned = new Map([...memory.learned].filter(([address]) => !gone.has(address) && !allowed.has(address)));
  for (const address of gone) await parts.emit(unblockEvent(address, 'pardoned by an order'));
}

export async function pardon(
  parts: Parts,
  memory: Memory,
  { address: text, by, reason }: { address: string; by: string; reason: string },
): Promise<boolean> {
  const { text: address } = plainAddress(text);
  if (memory.blocked.has(address)) {
    throw firewallErrors.error('FIREWALL_BLOCK_ORDERED', `${address} is blocked by an order of the control plane`);
  }
  const { loaded } = memory;
  const present = blockedIn(await parts.kernel.read());
  if (loaded === undefined || !present.has(address)) return false;
  const now = parts.clock.now();
  await parts.kernel.change(blockChange(loaded.state, loaded.state, present, [address], now), now);
  memory.learned = new Map([...memory.learned].filter(([other]) => other !== address));
  await parts.emit(unblockEvent(address, reason, by));
  return true;
}

/** A packet met a rule that blocks its source. */
export function sawBlock(parts: Parts, memory: Memory, address: string, rule: string): void {
  const { plan } = memory.loaded?.state.candidate ?? memory.loaded?.state.live ?? {};
  const timeMs = plan === undefined ? undefined : blockTimeOf(plan.denies.chains, rule);
  if (timeMs === undefined || memory.learned.has(address) || memory.learned.size >= 2 * MAX_BLOCKED) return;
  const entry = { until: parts.clock.now() + timeMs, rule };
  memory.learned = new Map(memory.learned).set(address, entry);
  parts
    .emit(blockEvent(address, entry))
    .catch((error: unknown) => parts.log.error({ err: error }, 'a block could not be recorded'));
}

/** The kernel's list is what counts: blocks that no log told of are told, and those that are over. */
export async function noteBlocks(parts: Parts, memory: Memory, listing: Listing | undefined): Promise<void> {
  if (listing === undefined) return;
  const { after, events } = compareBlocks(memory.learned, blockedIn(listing), memory.blocked, parts.clock.now());
  memory.learned = after;
  for (const event of events) await parts.emit(event);
}
