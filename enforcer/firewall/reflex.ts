// Traps and meters of the slice: who touches a trapped port, or opens flows faster than a meter allows, is blocked in the
// same packet. They stand before every grant and, being denies, stay whatever happens to a generation. By then the
// antispoof stage has judged the source. An address that nobody can prove is not blocked, only denied: a forged packet
// must not cut off its owner.
import type { SliceMeter, SliceTrap } from '../../policy/bundle/index.ts';
import { plainAddress } from './addresses.ts';
import { MAX_BLOCKED } from './base-chains.ts';
import type { Build } from './build.ts';
import { blockedSets } from './plan.ts';
import type { Chain, Family, Field, Match, Rule, Transport } from './plan.ts';
import { short } from './keys.ts';
import { drop, goto, lookup, protocol, state } from './rule-parts.ts';
import type { Wanted } from './sets.ts';

const families: readonly Family[] = [4, 6];
const addressType = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;

/** Rule ids, in the packet log and in events. */
export const trapRule = (id: string): string => `trap:${id}`;
export const meterRule = (id: string): string => `meter:${id}`;
export const isReflexRule = (rule: string): boolean => rule.startsWith('trap:') || rule.startsWith('meter:');
/** The set of blocked sources takes no more: the packet is denied, its source is not remembered. */
export const FULL_RULE = 'blocked-full';

export interface Reflex {
  /** For requests to this host, before all other denies. */
  readonly rules: readonly Rule[];
  readonly chains: readonly Chain[];
}

export function reflexOf(build: Build): Reflex {
  const { traps = [], meters = [] } = build.slice;
  if (traps.length + meters.length === 0) return { rules: [], chains: [] };
  const unprovable = perFamily((family) =>
    build.denies.add(
      `unprovable${family}`,
      'never blocked by a packet',
      [addressType[family]],
      unprovableOf(build, family),
    ),
  );
  const chains = new Map<string, Chain>();
  const blockChain = (rule: string, seconds: number): string => {
    const name = `block_${short(rule)}`;
    chains.set(name, { name, rules: blockRules(rule, seconds, unprovable) });
    return name;
  };
  const rules = [
    ...trapRules(build, traps, blockChain),
    ...families.flatMap((family) => meterRules(build, family, meters, blockChain)),
  ];
  return { rules, chains: [...chains.values()] };
}

const perFamily = <T>(of: (family: Family) => T): Readonly<Record<Family, T>> => ({ 4: of(4), 6: of(6) });

type BlockChain = (rule: string, seconds: number) => string;

/** Of both families: what leads here looks at protocol and port, which say nothing of the family. */
function blockRules(rule: string, seconds: number, unprovable: Readonly<Record<Family, string>>): Rule[] {
  return [
    ...families.flatMap((family): Rule[] => [
      { family, match: [lookup(unprovable[family], 'source')], log: `${rule}:unproven`, verdict: drop },
      {
        family,
        match: [],
        log: rule,
        verdict: { kind: 'block', set: blockedSets[family], field: 'source', timeoutMs: seconds * 1_000 },
      },
    ]),
    // Only a set that is full gets here.
    { match: [], log: FULL_RULE, verdict: drop },
  ];
}

/** One lookup for all traps. */
function trapRules(build: Build, traps: readonly SliceTrap[], blockChain: BlockChain): Rule[] {
  if (traps.length === 0) return [];
  const chainOf = new Map(traps.map((trap) => [trap.id, blockChain(trapRule(trap.id), trap.blockSeconds)]));
  const wanted = disjoint(traps).map(({ trap, first, last }): Wanted => ({
    key: [trap.transport, first === last ? String(first) : `${first}-${last}`],
    reason: trap.id,
    verdict: { kind: 'goto', chain: chainOf.get(trap.id) ?? '' },
  }));
  const map = build.denies.add('traps', 'trapped ports', ['inet_proto', 'inet_service'], wanted, {
    interval: true,
    data: 'verdict',
  });
  const fields: Field[] = ['protocol', 'dport'];
  const ported = protocol('tcp', 'udp', 'sctp', 'udplite');
  return [{ match: [ported], verdict: { kind: 'dispatch', fields, map } }];
}

interface Trapped {
  readonly trap: SliceTrap;
  readonly first: number;
  readonly last: number;
}

/** Ports of each protocol belong to the first trap that names them: the kernel takes no range that overlaps another. */
export function disjoint(traps: readonly SliceTrap[]): Trapped[] {
  const taken: Trapped[] = [];
  for (const trap of traps) {
    let free: [number, number][] = [[trap.ports[0], trap.ports[1]]];
    for (const other of taken.filter((entry) => entry.trap.transport === trap.transport)) {
      free = free.flatMap(([first, last]): [number, number][] => [
        ...(first < other.first ? [[first, Math.min(last, other.first - 1)] as [number, number]] : []),
        ...(last > other.last ? [[Math.max(first, other.last + 1), last] as [number, number]] : []),
      ]);
    }
    taken.push(...free.map(([first, last]) => ({ trap, first, last })));
  }
  return taken;
}

function meterRules(build: Build, family: Family, meters: readonly SliceMeter[], blockChain: BlockChain): Rule[] {
  return meters.flatMap((meter): Rule[] => {
    const set = build.denies.add(
      `meter_${short(meter.id)}_${family}`,
      'new flows by source',
      [addressType[family]],
      [],
      { timeout: true, learned: { size: MAX_BLOCKED, timeoutMs: METER_FORGETS_MS } },
    );
    const over: Match = {
      kind: 'meter-over',
      set,
      field: 'source',
      amount: meter.flowsPerSecond,
      per: 'second',
      burst: meter.burst,
    };
    const chain = blockChain(meterRule(meter.id), meter.blockSeconds);
    return [{ family, match: [state('new'), ...transportMatch(family, meter.transport), over], verdict: goto(chain) }];
  });
}

/** Milliseconds after which a source that opened no flow is forgotten, so that invented ones do not fill the meter. */
const METER_FORGETS_MS = 60_000;

function transportMatch(family: Family, transport: SliceMeter['transport']): Match[] {
  if (transport === 'any') return [];
  const named: Transport = transport === 'icmp' && family === 6 ? 'icmpv6' : transport;
  return [protocol(named)];
}

/**
 * Addresses whose packets anybody may forge here, and that mean something: peers on networks that are not attached, or
 * whose MAC the inventory does not name, this device itself, resolvers and the control plane.
 */
function unprovableOf(build: Build, family: Family): Wanted[] {
  const { neighbourhood, control, host } = build;
  const unproven = [...neighbourhood.peers.values()]
    .flat()
    .filter((entry) => entry.interfaces.length === 0 || entry.mac === undefined);
  const others = [...control.map(({ address }) => address), ...(host.dns ?? [])].map(plainAddress);
  return [...neighbourhood.own, ...unproven, ...others]
    .filter((entry) => entry.family === family)
    .map((entry) => ({ key: [entry.text] }));
}

/** How long the plan's rule blocks, milliseconds; undefined for a rule that does not. */
export function blockTimeOf(chains: readonly Chain[], rule: string): number | undefined {
  for (const chain of chains) {
    for (const { log, verdict } of chain.rules) if (log === rule && verdict.kind === 'block') return verdict.timeoutMs;
  }
  return undefined;
}
