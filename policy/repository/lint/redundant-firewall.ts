// Firewall rules that others cover, rules that can never decide, and grants whose packets a deny drops. Prefixes, ports
// and devices are finite, so inclusion is exact; what a rule asks beside them counts as different unless it is equal.
import {
  cidrFamily,
  cidrRange,
  mergeRanges,
  overlapping,
  type AddressRange,
  type Family,
} from '../../../runtime/address-ranges.ts';
import { MAX_LINT_COMPARISONS } from '../../limits.ts';
import type { Problems } from '../problems.ts';
import type { Device, FirewallRule, Grant, Interface, Repository } from '../repository.ts';
import { asWritten } from './as-written.ts';
import { canonical } from './condition-inclusion.ts';

const verdictOrder = { deny: 0, pass: 1, allow: 2 } as const;
const tierOrder = { admin: 0, baseline: 1 } as const;

/** As the edge judges them: by tier, priority, and deny before pass before allow. */
function inJudgedOrder(rules: readonly FirewallRule[]): FirewallRule[] {
  return rules.toSorted((a, b) => place(a) - place(b));
}

const place = ({ tier, priority, verdict }: FirewallRule): number =>
  (tierOrder[tier] * 10_000 + priority) * 10 + verdictOrder[verdict];

export function lintRedundantFirewall(repository: Repository, problems: Problems): void {
  const rules = inJudgedOrder(asWritten(repository.firewall));
  if (rules.length ** 2 > MAX_LINT_COMPARISONS) {
    const { file } = rules[0]?.at('id') ?? { file: 'firewall' };
    problems.add('POLICY_ANALYSIS_CUT', { file }, `${rules.length} firewall rules were not compared`);
    return;
  }
  const deciding = rules.filter(decides);
  const passes = rules.filter(({ verdict }) => verdict === 'pass');
  // Of equal rules the order of their ids decides who is asked; it matters where one of them has a limit.
  const limited = new Set(rules.filter(isLimited).map(place));
  for (const rule of rules) {
    const by = deciding.find(
      (other) =>
        other !== rule && comesBefore(other, rule, limited) && covers(other, rule) && !passedBy(passes, other, rule),
    );
    if (by === undefined) continue;
    if (by.verdict !== rule.verdict) {
      problems.add(
        'POLICY_FIREWALL_UNREACHABLE',
        rule.at('id'),
        `${by.id} decides all that ${rule.id} is about: ${by.verdict}`,
      );
    } else if (covers(rule, by) && by.tier === rule.tier) {
      // Of two that are the same, the one written later.
      if (rules.indexOf(by) < rules.indexOf(rule))
        problems.add('POLICY_RULE_DUPLICATE', rule.at('id'), `${rule.id} is ${by.id} again`);
    } else {
      problems.add('POLICY_RULE_SHADOWED', rule.at('id'), `${by.id} already does all that ${rule.id} does`);
    }
  }
}

/** It decides whenever it matches, and always the same; one with a rate does not, and one that only observes never. */
function decides(rule: FirewallRule): boolean {
  return rule.observe === undefined && !isLimited(rule);
}

const isLimited = ({ rate, maxConnections }: FirewallRule): boolean => (rate ?? maxConnections) !== undefined;

/** `other` is asked first, or its turn makes no difference: same tier, priority and verdict. A pass leaves to baseline what grants do not decide. */
function comesBefore(other: FirewallRule, rule: FirewallRule, limited: ReadonlySet<number>): boolean {
  if (other.tier !== rule.tier && other.verdict === 'pass') return false;
  return place(other) < place(rule) || (place(other) === place(rule) && !limited.has(place(rule)));
}

/** A pass before an admin rule may take packets past it, to the baseline rule. */
function passedBy(passes: readonly FirewallRule[], admin: FirewallRule, baseline: FirewallRule): boolean {
  if (admin.tier === baseline.tier) return false;
  return passes.some(
    (pass) =>
      place(pass) < place(admin) &&
      pass.direction === baseline.direction &&
      !new Set(pass.devices).isDisjointFrom(new Set(baseline.devices)),
  );
}

function covers(outer: FirewallRule, inner: FirewallRule): boolean {
  return (
    outer.direction === inner.direction &&
    coversService(outer, inner) &&
    asksNoMore(outer, inner) &&
    new Set(inner.devices).isSubsetOf(new Set(outer.devices)) &&
    holds(rangesOf(outer.peers), inner.peers) &&
    coversNames(outer, inner) &&
    (outer.to === undefined || (inner.to !== undefined && holds(rangesOf(outer.to), inner.to)))
  );
}

function coversService(outer: FirewallRule, inner: FirewallRule): boolean {
  if (outer.transport !== 'any' && outer.transport !== inner.transport) return false;
  if (outer.ports === undefined) return true;
  return inner.ports !== undefined && outer.ports[0] <= inner.ports[0] && inner.ports[1] <= outer.ports[1];
}

function coversNames(outer: FirewallRule, inner: FirewallRule): boolean {
  if (inner.names === undefined) return true;
  return new Set(inner.names).isSubsetOf(new Set(outer.names)) || isEveryAddress(outer);
}

const isEveryAddress = ({ peers }: FirewallRule): boolean => holds(rangesOf(peers), ['0.0.0.0/0', '::/0']);

/** When and of whom it is about: nothing, or the same. */
function asksNoMore(outer: FirewallRule, inner: FirewallRule): boolean {
  return (['workload', 'conditions', 'notBefore', 'until', 'feedUntil'] as const).every(
    (key) => outer[key] === undefined || canonical(outer[key]) === canonical(inner[key]),
  );
}

type Ranges = Readonly<Record<Family, readonly AddressRange[]>>;
const known = new WeakMap<readonly string[], Ranges>();

/** Joined; worked out once for each list, because a feed is compared with every rule. */
function rangesOf(cidrs: readonly string[]): Ranges {
  const found = known.get(cidrs);
  if (found !== undefined) return found;
  const of = (family: Family): AddressRange[] =>
    mergeRanges(cidrs.filter((cidr) => cidrFamily(cidr) === family).map((cidr) => cidrRange(cidr)));
  const ranges = { 4: of(4), 6: of(6) };
  known.set(cidrs, ranges);
  return ranges;
}

function holds(ranges: Ranges, cidrs: readonly string[]): boolean {
  return cidrs.every((cidr) => {
    const wanted = cidrRange(cidr);
    const found = overlapping(ranges[cidrFamily(cidr)], wanted);
    return found !== undefined && found.first <= wanted.first && wanted.last <= found.last;
  });
}

/** Grants none of whose subjects can get a packet to any device of the interface. */
export function lintFirewalledGrants(repository: Repository, problems: Problems): void {
  const admin = inJudgedOrder(
    repository.firewall.filter((rule) => rule.tier === 'admin' && rule.observe === undefined),
  );
  if (!admin.some(({ verdict }) => verdict === 'deny')) return;
  const devices = new Map(repository.devices.map((device) => [device.id, device]));
  const interfaces = new Map(repository.interfaces.map((entry) => [entry.name, entry]));
  const byDevice = new Map<string, FirewallRule[]>();
  for (const rule of admin) {
    for (const id of rule.devices) {
      const mine = byDevice.get(id);
      if (mine === undefined) byDevice.set(id, [rule]);
      else mine.push(rule);
    }
  }
  for (const grant of repository.grants) {
    const entry = interfaces.get(grant.interface);
    if (entry === undefined) continue;
    const dropped = droppedBy(grant, entry, devices, byDevice);
    if (dropped === undefined) continue;
    const message = `${dropped.id} drops every packet of ${grant.id}`;
    problems.add('POLICY_GRANT_FIREWALLED', grant.at('id'), message, { grant: grant.id });
  }
}

/** A rule that drops packets of the grant, when all of them are dropped by some rule. */
function droppedBy(
  grant: Grant,
  entry: Interface,
  devices: ReadonlyMap<string, Device>,
  byDevice: ReadonlyMap<string, readonly FirewallRule[]>,
): FirewallRule | undefined {
  let by: FirewallRule | undefined;
  for (const serving of entry.devices) {
    for (const subject of grant.subjects) {
      const [server, client] = [devices.get(serving), devices.get(subject)];
      if (server === undefined || client === undefined || serving === subject) continue;
      const found = pathsBetween(client, server).map(
        ([from, to]) =>
          denying(byDevice.get(serving) ?? [], 'in', from, entry) ??
          denying(byDevice.get(subject) ?? [], 'out', to, entry),
      );
      if (found.length === 0 || found.includes(undefined)) return undefined;
      by ??= found[0];
    }
  }
  return by;
}

/** Addresses of client and server on networks both are on; all of them when there is none, for routed sites. */
function pathsBetween(client: Device, server: Device): [string, string][] {
  const all = client.interfaces.flatMap((from) => server.interfaces.map((to) => [from, to] as const));
  const shared = all.filter(([from, to]) => from.network === to.network);
  return (shared.length > 0 ? shared : all).map(([from, to]) => [from.address, to.address]);
}

/** The deny that decides about a packet from or to `peer`, whatever the time: the first rule about it, unless another may let it pass. */
function denying(
  rules: readonly FirewallRule[],
  direction: FirewallRule['direction'],
  peer: string,
  service: Interface,
): FirewallRule | undefined {
  for (const rule of rules) {
    if (rule.direction !== direction || !isAbout(rule, peer, service)) continue;
    if (rule.verdict !== 'deny') return undefined;
    if (asksNoMore(rule, { ...rule, ...unasked })) return rule;
  }
  return undefined;
}

const unasked = { workload: '', conditions: {}, notBefore: -1, until: -1, feedUntil: -1 } as const;

function isAbout(rule: FirewallRule, peer: string, { transport, port }: Interface): boolean {
  const [low, high] = rule.ports ?? [0, 65_535];
  return (
    (rule.transport === 'any' || rule.transport === transport) &&
    low <= port &&
    port <= high &&
    (rule.names !== undefined || holds(rangesOf(rule.peers), [peer]))
  );
}
