// What the firewall says of itself: is the kernel's table the plan's, who is held, what was denied.
import type { KernelTable } from './kernel.ts';
import { differenceTo } from './listing.ts';
import type { Listing } from './listing.ts';
import { blockedIn } from './blocks.ts';
import { containmentSets, ISLAND_SET } from './plan.ts';
import type { Containment, ControlEndpoint, FirewallPlan } from './plan.ts';
import { tableOf } from './table.ts';
import type { TableState } from './table.ts';

export interface FirewallStatus {
  readonly loaded: boolean;
  readonly epoch: number;
  readonly compiledAt: number;
  /** Where the kernel's table is not the plan's; undefined when it is. */
  readonly drift: string | undefined;
  /** What stays reachable whatever the policy says, beside loopback. */
  readonly failsafe: readonly ControlEndpoint[];
  readonly contained: Readonly<Record<Containment, readonly string[]>>;
  /** Packets dropped since the plan was loaded, by rule id. */
  readonly denied: Readonly<Record<string, number>>;
  /** Packets that opened a flow since the plan was loaded. */
  readonly admitted: number;
  /** How the kernel is spoken to. */
  readonly backend: KernelTable['backend'];
  /** Only this process can change the table while it lives; the kernel may be too old for that (before 6.9). */
  readonly owned: boolean | 'unsupported';
  /** New rules are live and not confirmed; the kernel falls back at this time, milliseconds since the epoch. */
  readonly unconfirmedUntil: number | undefined;
  /** Island mode is on in the kernel. */
  readonly island: boolean;
  /** Blocked addresses with the seconds left. */
  readonly blocked: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
  readonly nextChange: number | undefined;
  /** What other tables do to packets that this one lets through; undefined where nobody looks. */
  readonly others: readonly string[] | undefined;
}

/** What is known about the table in the kernel after a successful change. */
export interface Loaded {
  readonly state: TableState;
  readonly fingerprint: string;
  readonly definitions?: readonly string[] | undefined;
}

/** What differs between the plan in force and the kernel; undefined when nothing does. */
export function driftOf(loaded: Loaded | undefined, listing: Listing | undefined, now: number): string | undefined {
  if (loaded === undefined)
    return listing === undefined ? undefined : 'a table is loaded that this process did not load';
  if (listing === undefined) return 'the table is gone';
  const difference = differenceTo(tableOf(loaded.state), listing, now);
  if (difference !== undefined) return difference;
  return listing.fingerprint === loaded.fingerprint ? undefined : inPlace(loaded.definitions, listing.definitions);
}

/** Characters of a definition that are told. */
const MAX_DEFINITION = 400;

/** What was changed without another name, order, log or verdict. */
function inPlace(before: readonly string[] = [], after: readonly string[] = []): string {
  // The whole text stands first; what differs in JSON as well says it shorter.
  const at = before.findIndex((line, index) => index > 0 && line !== after[index]);
  if (at > 0) {
    return `a definition was changed in place: ${cut(after[at] ?? 'missing')} instead of ${cut(before[at] ?? '')}`;
  }
  const [was, is] = [before, after].map((lines) => (lines[0] ?? '').split('\n'));
  const line = was?.findIndex((text, index) => text !== is?.[index]) ?? -1;
  if (line < 0) return 'a rule or set was changed in place';
  return `a definition was changed in place: ${cut(is?.[line]?.trim() ?? 'missing')} instead of ${cut(was?.[line]?.trim() ?? '')}`;
}

const cut = (text: string): string => (text.length > MAX_DEFINITION ? `${text.slice(0, MAX_DEFINITION)}…` : text);

export function statusOf(
  loaded: Loaded | undefined,
  listing: Listing | undefined,
  now: number,
  kernel: Pick<KernelTable, 'backend' | 'owned'>,
  others?: readonly string[],
): FirewallStatus {
  const denied: Record<string, number> = {};
  let admitted = 0;
  for (const rule of listing?.rules ?? []) {
    const id = rule.log.replace(/^ew:/, '');
    if (id !== '') denied[id] = (denied[id] ?? 0) + rule.packets;
    // A workload's packets are admitted one by one.
    else if (rule.admits && !rule.chain.endsWith('_workload_out')) admitted += rule.packets;
  }
  const plan = loaded?.state.live.plan;
  const members = (kind: Containment): string[] =>
    Object.entries(plan?.peers ?? {})
      .filter(([, peer]) => peer.addresses.some((address) => isMember(plan, kind, address)))
      .map(([device]) => device);
  return {
    loaded: listing !== undefined,
    epoch: plan?.epoch ?? 0,
    compiledAt: plan?.compiledAt ?? 0,
    drift: driftOf(loaded, listing, now),
    failsafe: plan?.control ?? [],
    contained: { revoked: members('revoked'), quarantined: members('quarantined') },
    denied,
    admitted,
    backend: kernel.backend,
    owned: kernel.owned ?? false,
    unconfirmedUntil: loaded?.state.candidate?.until,
    island: (listing?.sets.get(ISLAND_SET)?.elements.length ?? 0) > 0,
    blocked: Object.fromEntries([...blockedIn(listing)].map(([address, ms]) => [address, Math.ceil(ms / 1_000)])),
    warnings: plan?.warnings ?? [],
    nextChange: plan?.nextChange,
    others,
  };
}

function isMember(plan: FirewallPlan | undefined, kind: Containment, address: string): boolean {
  const names = new Set<string>([containmentSets[kind][4], containmentSets[kind][6]]);
  return (plan?.base ?? []).some(
    (set) => names.has(set.name) && set.elements.some((element) => element.key[0] === address),
  );
}
