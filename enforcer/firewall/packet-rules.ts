// The rules of firewall/ as the kernel judges them: one map per tier, family and kind of flow, however many rules there
// are. A tier is made of disjoint boxes (tiers.ts); each box leads to the chain of its rule, which logs, limits, admits.
import { isDeepStrictEqual } from 'node:util';
import { calendarAt } from '../../policy/engine/index.ts';
import { MAX_THROUGH_RULES } from '../../policy/bundle/index.ts';
import type { Slice, SliceFirewallRule } from '../../policy/bundle/index.ts';
import { cidrFamily, mergedRanges, plainAddress } from './addresses.ts';
import type { Build } from './build.ts';
import { firewallErrors } from './errors.ts';
import { admit } from './flow-rules.ts';
import type { FamilySets, FlowKind, ThroughRule, TierMaps, UserSets } from './generation-input.ts';
import type { GrantSets } from './grant-sets.ts';
import { short } from './keys.ts';
import { earlier } from './openings.ts';
import type { Closed } from './openings.ts';
import type { Chain, Family, Match, Rule } from './plan.ts';
import { direction, drop, notIn, protocol, state } from './rule-parts.ts';
import type { SetRegistry, Wanted } from './sets.ts';
import { tierBoxes } from './tiers.ts';
import type { Box, TierRule } from './tiers.ts';
import { backToWorkload, ofUsers, toWorkload } from './workload-chains.ts';
import { interfaceOf, judgeable, levelOf, type WorkloadUser } from './workloads.ts';

type RuleSets = Omit<FamilySets, keyof GrantSets>;

export interface PacketRules {
  readonly families: Readonly<Record<Family, RuleSets>>;
  /** The same of the packets of one user. */
  readonly forUser: (user: WorkloadUser, family: Family) => Omit<UserSets, 'reached'>;
  /** Chains of rules that admit or only note, and chains of rules that deny. */
  readonly chains: ReadonlyMap<string, Chain>;
  readonly denyChains: ReadonlyMap<string, Chain>;
  readonly nextChange: number | undefined;
  readonly warnings: readonly string[];
}

const addressType = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;

/** A rule that is judged now, and until when. */
interface Current {
  readonly rule: SliceFirewallRule;
  readonly until: number | undefined;
}

export function packetRules(build: Build, now: number): PacketRules {
  const chains = new Map<string, Chain>();
  const denyChains = new Map<string, Chain>();
  const { current, nextChange, warnings } = currentRules(build.slice, now);
  const familyOf = (family: Family): RuleSets => {
    const tiers = (tier: 'admin' | 'baseline') => (kind: FlowKind) => {
      const mine = current.filter(
        ({ rule }) => rule.tier === tier && rule.direction === kind && rule.workload === undefined,
      );
      return tierMaps(build, family, tier, kind, mine, chains, denyChains);
    };
    const both = <T>(of: (kind: FlowKind) => T): Record<FlowKind, T> => ({ in: of('in'), out: of('out') });
    const admin = both(tiers('admin'));
    const baseline = both(tiers('baseline'));
    const closed = { in: build.openings.closedHere, out: build.openings.closedThere };
    return {
      denies: both((kind) => [admin[kind].denies, closedMaps(build.denies, family, kind, closed[kind], denyChains)]),
      admin: both((kind) => admin[kind].allows),
      observedAdmin: both((kind) => admin[kind].observed),
      lateDenies: both((kind) => baseline[kind].denies),
      baseline: both((kind) => baseline[kind].allows),
      observedBaseline: both((kind) => baseline[kind].observed),
      through: throughRules(build, family, current),
    };
  };
  const families = { 4: familyOf(4), 6: familyOf(6) };
  const forUser: PacketRules['forUser'] = ({ key, workloads }, family) => {
    const tier = (name: 'admin' | 'baseline'): Tier => {
      const about = ({ workload }: SliceFirewallRule): boolean => workload === undefined || workloads.has(workload);
      const mine = current.filter(({ rule }) => rule.tier === name && rule.direction === 'out' && about(rule));
      return tierMaps(build, family, name, 'out', mine, chains, denyChains, `${key}_`);
    };
    const [admin, baseline] = [tier('admin'), tier('baseline')];
    return {
      denies: [admin.denies, ...families[family].denies.out.slice(1)],
      admin: admin.allows,
      observedAdmin: admin.observed,
      lateDenies: baseline.denies,
      baseline: baseline.allows,
      observedBaseline: baseline.observed,
    };
  };
  return {
    families,
    forUser,
    chains,
    denyChains,
    nextChange,
    warnings: [...warnings, ...current.flatMap(({ rule }) => unresolved(rule, build.host.resolved))],
  };
}

/** Names without an address: the rule is about nothing behind them yet. */
function unresolved({ id, names = [], place }: SliceFirewallRule, resolved: Build['host']['resolved'] = {}): string[] {
  return names
    .filter((name) => (resolved[name] ?? []).length === 0)
    .map((name) => `rule ${id}: no address is known of ${name}, so it is about nothing there (${place})`);
}

interface CurrentRules {
  readonly current: Current[];
  readonly nextChange: number | undefined;
  readonly warnings: string[];
}

function currentRules(slice: Slice, now: number): CurrentRules {
  let nextChange: number | undefined;
  const warnings: string[] = [];
  const current = slice.firewall.flatMap((given): Current[] => {
    const { rule, warning } = judgeable(slice, given);
    if (warning !== undefined) warnings.push(warning);
    if (rule === undefined) return [];
    const { open, changesAt } = calendarAt({ ...rule.conditions, notBefore: rule.notBefore, until: rule.until }, now);
    nextChange = earlier(nextChange, changesAt);
    return open ? [{ rule, until: changesAt }] : [];
  });
  return { current, nextChange, warnings };
}

interface Tier {
  readonly denies: TierMaps;
  readonly allows: TierMaps;
  readonly observed: TierMaps;
}

function tierMaps(
  build: Build,
  family: Family,
  tier: 'admin' | 'baseline',
  kind: FlowKind,
  rules: readonly Current[],
  chains: Map<string, Chain>,
  denyChains: Map<string, Chain>,
  prefix = '',
): Tier {
  const byId = new Map(rules.map((entry) => [entry.rule.id, entry]));
  const boxesOf = (which: readonly Current[]) =>
    tierBoxes(
      which.map(({ rule }) => tierRule(rule, family, build.host.resolved)),
      family,
    );
  const name = (what: string): string => `${prefix}${tier}_${what}_${kind}${family}`;
  const decided = boxesOf(rules.filter(({ rule }) => rule.observe !== true));
  const staged = rules.some(({ rule }) => rule.observe === true) ? boxesOf(rules) : { ported: [], plain: [] };
  const observes = (box: Box): boolean => byId.get(box.rule)?.rule.observe === true;
  const deny = (box: Box): Wanted => ({
    key: box.key,
    reason: box.rule,
    verdict: { kind: 'goto', chain: denyChain(denyChains, `firewall:${box.rule}`) },
  });
  const leads = new Map<string, string>();
  const allow = (box: Box): Wanted => {
    const chain = leads.get(box.rule) ?? allowChain(build, family, chains, byId.get(box.rule));
    leads.set(box.rule, chain);
    return { key: box.key, reason: box.rule, verdict: { kind: 'jump', chain } };
  };
  const note = (box: Box): Wanted => ({
    key: box.key,
    reason: box.rule,
    verdict: { kind: 'jump', chain: observeChain(chains, box.rule) },
  });
  const of = (
    registry: SetRegistry,
    what: string,
    boxes: typeof decided,
    pick: (box: Box) => boolean,
    to: (box: Box) => Wanted,
  ) => {
    const only = (list: readonly Box[]): Wanted[] => list.filter(pick).map(to);
    return maps(registry, name(what), family, only(boxes.ported), only(boxes.plain));
  };
  // A contained device keeps what closes; nothing of firewall/ opens anything for it.
  const admits = (box: Box): boolean => box.verdict === 'allow' && !build.contained;
  return {
    denies: of(build.denies, 'deny', decided, (box) => box.verdict === 'deny', deny),
    allows: of(build.generation, 'allow', decided, admits, allow),
    observed: of(build.generation, 'observe', staged, observes, note),
  };
}

function tierRule(rule: SliceFirewallRule, family: Family, resolved: Build['host']['resolved']): TierRule {
  const found = (rule.names ?? []).flatMap((name) => resolved?.[name] ?? []).map(plainAddress);
  const hosts = found.map(({ family: its, text }) => `${text}/${its === 4 ? 32 : 128}`);
  return {
    id: rule.id,
    priority: rule.priority,
    verdict: rule.verdict,
    transport: rule.transport,
    peers: [...rule.peers, ...hosts].filter((cidr) => cidrFamily(cidr) === family),
    ...(rule.ports === undefined ? {} : { ports: rule.ports }),
  };
}

/** Maps of one purpose; a map without an element could never answer and is left out. */
function maps(registry: SetRegistry, name: string, family: Family, ported: Wanted[], plain: Wanted[]): TierMaps {
  const options = { interval: true, data: 'verdict' } as const;
  const address = addressType[family];
  return {
    ...(ported.length === 0
      ? {}
      : {
          ported: registry.add(
            `${name}_ported`,
            'rules by address, protocol and port',
            [address, 'inet_proto', 'inet_service'],
            ported,
            options,
          ),
        }),
    ...(plain.length === 0
      ? {}
      : {
          plain: registry.add(
            `${name}_plain`,
            'rules by address and protocol',
            [address, 'inet_proto'],
            plain,
            options,
          ),
        }),
  };
}

function closedMaps(
  registry: SetRegistry,
  family: Family,
  kind: FlowKind,
  closed: readonly Closed[],
  denyChains: Map<string, Chain>,
): TierMaps {
  const wanted = closed
    .filter((path) => path.family === family)
    .map(({ address, transport, port, deny }): Wanted => ({
      key: [address, transport, String(port)],
      reason: deny,
      verdict: { kind: 'goto', chain: denyChain(denyChains, `deny:${deny}`) },
    }));
  if (wanted.length === 0) return {};
  const type = [addressType[family], 'inet_proto', 'inet_service'] as const;
  const name = `closed_${kind}${family}`;
  return { ported: registry.add(name, 'closed by a deny', type, wanted, { data: 'verdict' }) };
}

function denyChain(chains: Map<string, Chain>, id: string): string {
  const name = `no_${short(id)}`;
  if (!chains.has(name)) chains.set(name, { name, rules: denyRules(id) });
  return name;
}

/** A flow that was open is told; a new one meets silence. */
const denyRules = (id: string): Rule[] => [
  { match: [state('established'), protocol('tcp')], log: id, verdict: { kind: 'reset' } },
  { match: [], log: id, verdict: drop },
];

/**
 * What a rule admits, within its limits. Beyond them a flow is dropped: the map had one answer, so a deny behind the rule
 * would not be asked, and a grant would open what it closes. All boxes of the rule lead to the same chain.
 */
function allowChain(build: Build, family: Family, chains: Map<string, Chain>, entry: Current | undefined): string {
  const guards = entry === undefined ? [] : guardsOf(build, family, entry);
  const admission = admissionOf(build, entry?.rule);
  if (entry === undefined || guards.length === 0) {
    const shared = `admitted${admission.length === 1 ? '' : entry?.rule.workload === undefined ? '_out' : '_workload'}`;
    chains.set(shared, { name: shared, rules: admission });
    return shared;
  }
  const name = `yes_${short(entry.rule.id)}`;
  const known = chains.get(name)?.rules.slice(0, -admission.length) ?? [];
  const fresh = guards.filter((rule) => !known.some((other) => isDeepStrictEqual(other, rule)));
  if (fresh.length > 0) chains.set(name, { name, rules: [...known, ...fresh, ...admission] });
  return name;
}

/** What ends before the rule admits: after its time, and beyond its rate and its number of connections. */
function guardsOf(build: Build, family: Family, { rule, until }: Current): Rule[] {
  const guards: Rule[] = [];
  if (until !== undefined) {
    const families = ['ipv4', 'ipv6'].map((key) => ({ key: [key], until }));
    const set = build.generation.add(`valid_${short(rule.id)}`, 'until its rule ends', ['nf_proto'], families, {
      timeout: true,
    });
    guards.push({ match: [notIn(set, 'family')], log: `ended:${rule.id}`, verdict: drop });
  }
  if (rule.maxConnections !== undefined) {
    const set = build.generation.add(
      `open_${short(rule.id)}_${family}`,
      'open flows by peer',
      [addressType[family]],
      [],
      { learned: { size: MAX_COUNTED_PEERS } },
    );
    const peer = rule.direction === 'out' ? 'destination' : 'source';
    const over: Match = { kind: 'connections-over', set, field: peer, count: rule.maxConnections };
    const uncounted: Match = { kind: 'uncounted', set, field: peer };
    for (const match of [over, uncounted]) {
      guards.push({ family, match: [state('new'), match], log: `limit:${rule.id}`, verdict: drop });
    }
  }
  if (rule.rate !== undefined) {
    const { flows, per, burst } = rule.rate;
    const over: Match = { kind: 'rate-over', amount: flows, per, burst };
    guards.push({ match: [state('new'), over], log: `limit:${rule.id}`, verdict: drop });
  }
  return guards;
}

/** Flows of users with workloads are not marked as this epoch's, and a rule about a workload marks nobody else's. */
function admissionOf({ users }: Build, rule: SliceFirewallRule | undefined): Rule[] {
  const everybody: Rule = { match: [], verdict: admit };
  if (users.length === 0 || rule?.direction !== 'out') return [everybody];
  if (rule.workload === undefined) {
    const levels = new Set(users.flatMap(({ cgroup }) => (cgroup === undefined ? [] : levelOf(cgroup))));
    return [
      ...ofUsers([...levels]).map((one) => ({ match: [direction('original'), one], verdict: toWorkload })),
      everybody,
    ];
  }
  return [
    { match: [direction('original')], verdict: toWorkload },
    { match: [direction('reply')], verdict: backToWorkload },
  ];
}

/** Peer addresses whose open flows are counted at a time; one more is not admitted. */
const MAX_COUNTED_PEERS = 65_536;

function observeChain(chains: Map<string, Chain>, id: string): string {
  const name = `seen_${short(id)}`;
  if (!chains.has(name)) {
    chains.set(name, { name, rules: [{ match: [], log: `observe:${id}`, verdict: { kind: 'continue' } }] });
  }
  return name;
}

/** Rules about packets that this host forwards. They are judged one after the other, so there are few. */
function throughRules(build: Build, family: Family, current: readonly Current[]): ThroughRule[] {
  const rules = current
    .filter(({ rule }) => rule.direction === 'through')
    .filter(({ rule }) => rule.verdict !== 'allow' || !build.contained)
    .sort(
      ({ rule: a }, { rule: b }) =>
        tierOrder(a) - tierOrder(b) || a.priority - b.priority || verdictOrder(a) - verdictOrder(b),
    );
  if (rules.length > MAX_THROUGH_RULES) {
    throw firewallErrors.error(
      'FIREWALL_TOO_LARGE',
      `${rules.length} rules with direction through; at most ${MAX_THROUGH_RULES} keep packets fast`,
    );
  }
  return rules.flatMap((entry): ThroughRule[] => {
    const { rule } = entry;
    const prefixes = (cidrs: readonly string[]) =>
      mergedRanges(
        cidrs.filter((cidr) => cidrFamily(cidr) === family),
        family,
      ).map((key) => ({ key: [key] }));
    // An allow is in both: it keeps later denies off, and admits what comes that far.
    const registries =
      rule.verdict === 'deny' && rule.observe !== true ? [build.denies] : [build.denies, build.generation];
    const set = (side: 'from' | 'to', wanted: Wanted[]): string => {
      const name = `${side}_${short(rule.id)}_${family}`;
      for (const registry of registries) {
        registry.add(name, 'forwarded', [addressType[family]], wanted, { interval: true });
      }
      return name;
    };
    const from = prefixes(rule.peers);
    const to = rule.to === undefined ? undefined : prefixes(rule.to);
    if (from.length === 0 || to?.length === 0) return [];
    return [
      {
        id: rule.id,
        tier: rule.tier,
        verdict: rule.verdict,
        transport: transportMatch(family, rule),
        ...(rule.ports === undefined ? {} : { ports: rule.ports }),
        from: set('from', from),
        to: to === undefined ? undefined : set('to', to),
        observe: rule.observe === true,
        via: rule.workload === undefined ? undefined : interfaceOf(build.slice, rule.workload),
        guards: rule.verdict === 'allow' && rule.observe !== true ? guardsOf(build, family, entry) : [],
      },
    ];
  });
}

const tierOrder = ({ tier }: SliceFirewallRule): number => (tier === 'admin' ? 0 : 1);
const verdictOrder = ({ verdict }: SliceFirewallRule): number => ['deny', 'pass', 'allow'].indexOf(verdict);

function transportMatch(family: Family, rule: SliceFirewallRule): Match[] {
  if (rule.transport === 'icmp') return [protocol(family === 4 ? 'icmp' : 'icmpv6')];
  if (rule.transport !== 'any') return [protocol(rule.transport)];
  return rule.ports === undefined ? [] : [protocol('tcp', 'udp', 'sctp', 'udplite')];
}
