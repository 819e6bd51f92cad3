// Firewall rules that others cover, allows that a deny always beats, and grants whose packets a deny drops. Prefixes,
// ports and devices are finite, so inclusion is exact; rules are looked up by the prefixes that can contain theirs.
import ipaddr from 'ipaddr.js';
import { MAX_LINT_COMPARISONS } from '../../limits.ts';
import type { Problems } from '../problems.ts';
import type { Device, FirewallRule, Grant, Interface, Repository } from '../repository.ts';
import { asWritten } from './as-written.ts';

export function lintRedundantFirewall(repository: Repository, problems: Problems): void {
  const written = asWritten(repository.firewall);
  const allows = written.filter(({ verdict }) => verdict === 'allow');
  const denies = written.filter(({ verdict }) => verdict === 'deny');
  if (repository.firewall.length ** 2 > MAX_LINT_COMPARISONS) {
    const place = repository.firewall[0]?.at('id') ?? { file: 'firewall' };
    problems.add(
      'POLICY_ANALYSIS_CUT',
      { file: place.file },
      `${repository.firewall.length} firewall rules were not compared`,
    );
    return;
  }
  const beaten = new Set<FirewallRule>();
  for (const rule of allows) {
    const deny = denies.find((other) => covers(other, rule));
    if (deny === undefined) continue;
    beaten.add(rule);
    problems.add('POLICY_FIREWALL_UNREACHABLE', rule.at('id'), `${deny.id} denies all that ${rule.id} allows`);
  }
  for (const rules of [allows, denies]) {
    for (const [index, rule] of rules.entries()) {
      const other = rules.find((candidate, at) => {
        if (at === index || !covers(candidate, rule)) return false;
        return at < index || !covers(rule, candidate);
      });
      if (other === undefined || beaten.has(rule)) continue;
      if (covers(rule, other)) problems.add('POLICY_RULE_DUPLICATE', rule.at('id'), `${rule.id} is ${other.id} again`);
      else problems.add('POLICY_RULE_SHADOWED', rule.at('id'), `${other.id} already does all that ${rule.id} does`);
    }
  }
}

function covers(outer: FirewallRule, inner: FirewallRule): boolean {
  const [low, high] = outer.ports ?? [0, 65535];
  const [from, to] = inner.ports ?? [0, 65535];
  return (
    outer.direction === inner.direction &&
    (outer.transport === 'any' || outer.transport === inner.transport) &&
    low <= from &&
    to <= high &&
    inner.peers.every((peer) => outer.peers.some((block) => containsPrefix(block, peer))) &&
    new Set(inner.devices).isSubsetOf(new Set(outer.devices))
  );
}

function containsPrefix(outer: string, inner: string): boolean {
  const [base, bits] = ipaddr.parseCIDR(outer);
  const [address, length] = ipaddr.parseCIDR(inner);
  return base.kind() === address.kind() && bits <= length && address.match(base, bits);
}

/** Grants none of whose subjects can get a packet to any device of the interface. */
export function lintFirewalledGrants(repository: Repository, problems: Problems): void {
  const denies = repository.firewall.filter(({ verdict }) => verdict === 'deny');
  if (denies.length === 0) return;
  const devices = new Map(repository.devices.map((device) => [device.id, device]));
  const interfaces = new Map(repository.interfaces.map((entry) => [entry.name, entry]));
  const byDevice = new Map<string, FirewallRule[]>();
  for (const deny of denies) for (const id of deny.devices) byDevice.set(id, [...(byDevice.get(id) ?? []), deny]);
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
      const found = pathsBetween(client, server).map(([from, to]) =>
        [
          ...(byDevice.get(serving) ?? []).filter((rule) => rule.direction === 'in' && drops(rule, from, entry)),
          ...(byDevice.get(subject) ?? []).filter((rule) => rule.direction === 'out' && drops(rule, to, entry)),
        ].at(0),
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

function drops(rule: FirewallRule, peer: string, { transport, port }: Interface): boolean {
  const [low, high] = rule.ports ?? [0, 65535];
  const address = ipaddr.parse(peer);
  return (
    (rule.transport === 'any' || rule.transport === transport) &&
    low <= port &&
    port <= high &&
    rule.peers.some((block) => {
      const [base, bits] = ipaddr.parseCIDR(block);
      return base.kind() === address.kind() && address.match(base, bits);
    })
  );
}
