// Firewall rules, traps and meters one by one: what opens everything, forgets IPv6, cannot be told by the kernel, or
// does not fit.
import { cidrFamily } from '../../../runtime/address-ranges.ts';
import { MAX_METERS, MAX_RULE_PEERS, MAX_THROUGH_RULES, MAX_THROUGH_STEPS, MAX_TRAPS } from '../../bundle/firewall.ts';
import { MAX_FIREWALL_RULES } from '../../limits.ts';
import type { Place } from '../../../runtime/errors.ts';
import type { Problems } from '../problems.ts';
import type { Device, FirewallRule, Repository, Workload } from '../repository.ts';
import { cidrWithoutHostBits } from './host-bits.ts';

export function lintFirewall(repository: Repository, problems: Problems): void {
  const devices = new Map(repository.devices.map((device) => [device.id, device]));
  for (const rule of repository.firewall) {
    lintBlocks(rule, problems);
    lintOpen(rule, problems);
    lintFamilies(rule, devices, problems);
    lintWorkload(rule, devices, problems);
    if (rule.observe === true) {
      problems.add(
        'POLICY_FIREWALL_OBSERVED',
        rule.at('id'),
        `${rule.id} only observes: what it would ${rule.verdict} is not`,
      );
    }
  }
  lintTraps(repository, problems);
  lintSizes(repository, problems);
  lintNames(repository, problems);
}

/** Where one of its peers is written. */
export function peerPlace(rule: FirewallRule, index: number): Place {
  return rule.written === 'peers' ? rule.at('peers', index) : rule.at(rule.written);
}

function lintBlocks(rule: FirewallRule, problems: Problems): void {
  // A feed is checked line by line.
  if (rule.feed === undefined)
    rule.peers.forEach((cidr, index) => hostBits(cidr, () => peerPlace(rule, index), problems));
  rule.to?.forEach((cidr, index) => hostBits(cidr, () => rule.at('to', index), problems));
}

export function hostBits(cidr: string, place: () => Place, problems: Problems): void {
  const expected = cidrWithoutHostBits(cidr);
  if (expected !== undefined) problems.add('POLICY_CIDR', place(), `${cidr} has host bits set; expected ${expected}`);
}

function lintOpen(rule: FirewallRule, problems: Problems): void {
  const every = rule.peers.findIndex((cidr) => cidr.endsWith('/0'));
  if (rule.verdict !== 'allow' || every === -1) return;
  const everything = rule.transport === 'any' && rule.ports === undefined && rule.to === undefined;
  const narrowed = (rule.workload ?? rule.rate ?? rule.maxConnections) !== undefined;
  if (rule.tier === 'admin' && rule.direction !== 'out' && everything && !narrowed) {
    problems.add('POLICY_FIREWALL_OPEN', peerPlace(rule, every), `${rule.id} lets everything in from every address`);
  } else problems.add('POLICY_FIREWALL_WIDE', peerPlace(rule, every), `${rule.id} allows every address`);
}

/** Single hosts and feeds are what they are; a network on one family is often half of what was meant. */
function lintFamilies(rule: FirewallRule, devices: ReadonlyMap<string, Device>, problems: Problems): void {
  if (rule.to !== undefined) {
    const both = forwardedFamilies(rule);
    const oneSided = rule.peers.find((cidr) => !both.has(cidrFamily(cidr)));
    if (oneSided !== undefined) {
      const family = cidrFamily(oneSided);
      const message = `${rule.id} has IPv${family} in its peers and none in to: over IPv${family} it decides nothing`;
      problems.add('POLICY_FIREWALL_FAMILY', rule.at('to'), message);
    }
  }
  if (rule.feed !== undefined || rule.names !== undefined) return;
  if (rule.peers.some((cidr) => cidrFamily(cidr) === 6)) return;
  const network = rule.peers.findIndex((cidr) => !cidr.endsWith('/32'));
  if (network === -1) return;
  for (const id of rule.devices) {
    const card = devices.get(id)?.interfaces.find(({ address }) => cidrFamily(address) === 6);
    if (card === undefined) continue;
    const outcome =
      rule.verdict === 'allow'
        ? 'over IPv6 it stays denied'
        : `over IPv6 it does not ${rule.verdict}: grants and baseline decide`;
    const message = `${rule.id} is about IPv4 only, and ${id} has ${card.address}: ${outcome}`;
    problems.add('POLICY_FIREWALL_FAMILY', peerPlace(rule, network), message);
    return;
  }
}

/** Families of which both sides of a rule with direction through have addresses. */
function forwardedFamilies({ peers, to }: FirewallRule): Set<number> {
  const of = (cidrs: readonly string[]): Set<number> => new Set(cidrs.map(cidrFamily));
  return to === undefined ? of(peers) : of(peers).intersection(of(to));
}

function lintWorkload(rule: FirewallRule, devices: ReadonlyMap<string, Device>, problems: Problems): void {
  if (rule.workload === undefined) return;
  for (const id of rule.devices) {
    const workload = devices.get(id)?.workloads.find(({ name }) => name === rule.workload);
    if (workload === undefined) continue;
    const directions = directionsOf(workload);
    if (directions.includes(rule.direction)) continue;
    const message = `${rule.workload} of ${id} can be told in direction ${directions.join(' or ')}, not ${rule.direction}`;
    problems.add('POLICY_FIREWALL_WORKLOAD', rule.at('workload'), message);
    return;
  }
}

function directionsOf({ uid, cgroup }: Workload): FirewallRule['direction'][] {
  if (uid !== undefined) return ['out'];
  return cgroup === undefined ? ['through'] : ['in', 'out'];
}

function lintTraps(repository: Repository, problems: Problems): void {
  for (const trap of repository.traps) {
    const [low, high] = trap.ports;
    const service = repository.interfaces.find(
      (entry) =>
        entry.transport === trap.transport &&
        low <= entry.port &&
        entry.port <= high &&
        entry.devices.some((device) => trap.devices.includes(device)),
    );
    if (service === undefined) continue;
    const message = `${trap.id} would block who opens ${service.name} (${service.transport} ${service.port})`;
    problems.add('POLICY_TRAP_SERVICE', trap.at('ports'), message);
  }
}

/** By device: how many rules there are, and how many blocks the rules of one tier and direction name. */
function lintSizes({ firewall, traps, meters }: Repository, problems: Problems): void {
  const through = firewall.filter(({ direction }) => direction === 'through');
  const bounds = [
    { list: [...firewall, ...traps, ...meters], most: MAX_FIREWALL_RULES, what: 'rules, traps and meters' },
    { list: traps, most: MAX_TRAPS, what: 'traps' },
    { list: meters, most: MAX_METERS, what: 'meters' },
    { list: through, most: MAX_THROUGH_RULES, what: 'rules with direction through' },
  ];
  for (const { list, most, what } of bounds) {
    const counts = new Map<string, number>();
    for (const entry of list) for (const id of entry.devices) counts.set(id, (counts.get(id) ?? 0) + 1);
    const over = [...counts].find(([, count]) => count > most);
    const last = list.at(-1);
    if (over === undefined || last === undefined) continue;
    problems.add(
      'POLICY_FIREWALL_LARGE',
      last.at('id'),
      `${over[0]} would have ${over[1]} ${what}; at most ${most} fit`,
    );
  }
  lintSteps(through, problems);
  const blocks = new Map<string, number>();
  const blamed = new Set<string>();
  for (const rule of firewall) {
    for (const id of rule.devices) {
      const key = `${id}: tier ${rule.tier}, direction ${rule.direction}`;
      const count = (blocks.get(key) ?? 0) + rule.peers.length;
      blocks.set(key, count);
      if (count <= MAX_RULE_PEERS || blamed.size > 0) continue;
      blamed.add(key);
      const message = `${key} would have ${count} address blocks or more; at most ${MAX_RULE_PEERS} fit`;
      problems.add('POLICY_FIREWALL_LARGE', rule.at('id'), message);
    }
  }
}

/** Rules of the kernel are asked one after the other about what is forwarded. */
function lintSteps(through: readonly FirewallRule[], problems: Problems): void {
  const steps = new Map<string, number>();
  for (const rule of through) {
    for (const id of rule.devices) {
      const key = `${id}: tier ${rule.tier}, direction through`;
      const before = steps.get(key) ?? 0;
      const count = before + stepsOf(rule);
      steps.set(key, count);
      if (count <= MAX_THROUGH_STEPS || before > MAX_THROUGH_STEPS) continue;
      const message = `${key} would ask ${count} rules about every packet, two to seven for each rule and family; at most ${MAX_THROUGH_STEPS} fit`;
      problems.add('POLICY_FIREWALL_LARGE', rule.at('id'), message);
      return;
    }
  }
}

/** A deny has a reset and a drop, an allow its limits; in both directions. */
function stepsOf(rule: FirewallRule): number {
  const ends = [rule.until, rule.feedUntil, rule.conditions].some((end) => end !== undefined);
  // A number of connections is asked twice: are they too many, and are they counted at all.
  const limits = (rule.rate === undefined ? 0 : 1) + (rule.maxConnections === undefined ? 0 : 2);
  const guards = rule.verdict === 'allow' ? limits + (ends ? 2 : 0) : 0;
  return forwardedFamilies(rule).size * ((rule.verdict === 'deny' ? 4 : 2) + guards);
}

/** Words of nftables that name a statement or an expression, and of the rules that every device has. */
const reserved: ReadonlySet<string> = new Set(
  (
    'accept counter ct drop dup fwd ip ip6 jump goto return queue limit log map meta quota reject set synproxy tcp udp vmap ' +
    'antispoof blocked candidate default-forward default-in default-out failsafe invalid island neighbours observe ' +
    'quarantined revoked spoofed stale-flow'
  ).split(' '),
);

function lintNames({ firewall, traps, meters, devices }: Repository, problems: Problems): void {
  const check = (name: string, place: () => Place): void => {
    if (reserved.has(name)) problems.add('POLICY_NAME_RESERVED', place(), `${name} is reserved`);
  };
  for (const entry of [...firewall, ...traps, ...meters]) check(entry.id, () => entry.at('id'));
  for (const device of devices) {
    const names = new Set<string>();
    for (const [index, { name }] of device.workloads.entries()) {
      const place = (): Place => device.at('workloads', index, 'name');
      check(name, place);
      if (names.has(name)) problems.add('POLICY_ID_DUPLICATE', place(), `${device.id} has workload ${name} twice`);
      names.add(name);
    }
  }
}
