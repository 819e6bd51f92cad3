// Answers for one packet what the plan would do with it, rule by rule as the kernel does (nft(8), "goto" and "jump").
// The oracle of the tests against the real kernel, and the check before a plan is loaded that the control plane stays
// reachable.
import { addressNumber } from './addresses.ts';
import { PROXIED_BIT, PROXY_MARK } from './plan.ts';
import type { Chain, ControlEndpoint, Family, Field, FirewallPlan, Match, Rule, SetDefinition } from './plan.ts';

export interface Packet {
  /** `in` runs prerouting and input, `through` prerouting and forward, `out` output. */
  readonly way: 'in' | 'through' | 'out';
  readonly source: string;
  readonly destination: string;
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'icmpv6';
  readonly sport?: number;
  readonly dport?: number;
  readonly icmpType?: 'echo-request' | 'echo-reply';
  readonly inInterface?: string;
  readonly outInterface?: string;
  readonly mac?: string;
  readonly state: 'new' | 'established' | 'related' | 'invalid';
  readonly direction: 'original' | 'reply';
  readonly connectionMark?: number;
  readonly tcpReset?: boolean;
  /** A local proxy has an open connection for it, or listens on its port. */
  readonly transparentSocket?: boolean;
  readonly proxyListens?: boolean;
}

export interface PacketVerdict {
  readonly verdict: 'accept' | 'drop' | 'reset';
  /** Id of the rule that logged and decided it; empty for an accept. */
  readonly rule: string;
  /** Mark of the flow afterwards. */
  readonly connectionMark: number;
  /** It was handed to a proxy. */
  readonly proxied: boolean;
}

/** What the kernel keeps beside the packet while it passes the hooks. */
interface Passage {
  readonly packet: Packet;
  readonly family: Family;
  readonly plan: FirewallPlan;
  readonly now: number;
  packetMark: number;
  connectionMark: number;
}

type Outcome = { readonly verdict: 'accept' | 'drop' | 'reset'; readonly rule: string };

/** `now` decides which end dates have come. */
export function judgePacket(plan: FirewallPlan, packet: Packet, now: number = plan.compiledAt): PacketVerdict {
  const family = packet.source.includes(':') ? 6 : 4;
  const passage: Passage = { packet, family, plan, now, packetMark: 0, connectionMark: packet.connectionMark ?? 0 };
  const hooks = { in: ['prerouting', 'input'], through: ['prerouting', 'forward'], out: ['output'] }[packet.way];
  let outcome: Outcome = { verdict: 'accept', rule: '' };
  for (const hook of hooks) {
    const chain = plan.chains.find((entry) => entry.hook === hook);
    outcome = (chain && walk(chain, passage)) ?? { verdict: chain?.policy ?? 'accept', rule: '' };
    if (outcome.verdict !== 'accept') break;
  }
  return { ...outcome, connectionMark: passage.connectionMark, proxied: passage.packetMark === PROXY_MARK };
}

/** undefined when the chain ends, or returns, without a verdict. */
function walk(chain: Chain, passage: Passage): Outcome | undefined {
  for (const rule of chain.rules) {
    if (!applies(rule, passage)) continue;
    const { verdict } = rule;
    switch (verdict.kind) {
      case 'accept':
      case 'drop':
      case 'reset':
        return { verdict: verdict.kind, rule: rule.log ?? '' };
      case 'return':
        return undefined;
      case 'goto':
        // `goto` does not come back: where that chain ends, the policy of the hook decides, which is drop but for prerouting.
        return walk(chainNamed(passage.plan, verdict.chain), passage) ?? { verdict: 'drop', rule: '' };
      case 'jump': {
        const inner = walk(chainNamed(passage.plan, verdict.chain), passage);
        if (inner !== undefined) return inner;
        break;
      }
      case 'divert':
        // Without a listener tproxy does not match, and the packet goes on to the next rule.
        if (passage.packet.proxyListens !== true) break;
        passage.packetMark = PROXY_MARK;
        return { verdict: 'accept', rule: '' };
      case 'to-proxy':
        passage.packetMark = PROXY_MARK;
        return { verdict: 'accept', rule: '' };
      case 'admit':
        passage.connectionMark = verdict.mark;
        return { verdict: 'accept', rule: '' };
    }
  }
  return undefined;
}

function chainNamed(plan: FirewallPlan, name: string): Chain {
  const chain = plan.chains.find((entry) => entry.name === name);
  if (chain === undefined) throw new RangeError(`the plan has no chain ${name}`);
  return chain;
}

function applies(rule: Rule, passage: Passage): boolean {
  if (rule.family !== undefined && rule.family !== passage.family) return false;
  return rule.match.every((match) => matches(match, passage));
}

function matches(match: Match, passage: Passage): boolean {
  const { packet } = passage;
  switch (match.kind) {
    case 'interface':
      return (match.direction === 'in' ? packet.inInterface : packet.outInterface) === match.name;
    case 'lookup':
      return lookUp(match.fields, match.set, passage) !== match.not;
    case 'state':
      return match.states.some((state) => state === packet.state);
    case 'direction':
      return match.direction === packet.direction;
    case 'connection-mark':
      return match.values.includes(passage.connectionMark);
    case 'proxied-flow':
      return passage.connectionMark >= PROXIED_BIT;
    case 'packet-mark':
      return passage.packetMark === match.value;
    case 'protocol':
      return match.protocols.includes(packet.protocol);
    case 'port': {
      const port = packet[match.field];
      return port !== undefined && port >= match.range[0] && port <= match.range[1];
    }
    case 'icmp':
      return packet.icmpType !== undefined && match.types.includes(packet.icmpType);
    case 'neighbour':
      // Neighbour discovery is not a packet between hosts that a policy names.
      return false;
    case 'tcp-reset':
      return packet.tcpReset === true;
    case 'transparent-socket':
      return packet.transparentSocket === true;
    case 'local-destination':
      return packet.way === 'in';
  }
}

function lookUp(fields: readonly Field[], setName: string, passage: Passage): boolean {
  const set = passage.plan.sets.find((entry) => entry.name === setName);
  if (set === undefined) throw new RangeError(`the plan has no set ${setName}`);
  const key = fields.map((field) => fieldOf(field, passage.packet));
  if (key.includes(undefined)) return false;
  const live = set.elements.filter((element) => element.until === undefined || element.until > passage.now);
  if (set.interval) return live.some((element) => within(element.key[0] ?? '', key[0] ?? ''));
  return live.some((element) => element.key.join(' . ') === key.join(' . '));
}

function fieldOf(field: Field, packet: Packet): string | undefined {
  switch (field) {
    case 'source':
      return packet.source;
    case 'destination':
      return packet.destination;
    case 'protocol':
      return packet.protocol;
    case 'sport':
      return packet.sport?.toString();
    case 'dport':
      return packet.dport?.toString();
    case 'in':
      return packet.inInterface ?? '';
    case 'ether':
      return packet.mac ?? '';
  }
}

function within(range: string, address: string): boolean {
  const [first = '', last = ''] = range.split('-');
  const number = addressNumber(address);
  return addressNumber(first) <= number && number <= addressNumber(last);
}

/** Whether this device can open a connection to the control plane under the plan, and hear its answer. */
export function reachesControlPlane(plan: FirewallPlan, endpoint: ControlEndpoint): boolean {
  const self = plan.own.find((own) => own.includes(':') === endpoint.address.includes(':')) ?? unknownSelf(endpoint);
  const local =
    plan.own.includes(endpoint.address) || endpoint.address.startsWith('127.') || endpoint.address === '::1';
  const request: Packet = {
    way: 'out',
    source: self,
    destination: endpoint.address,
    protocol: endpoint.transport,
    sport: 40_000,
    dport: endpoint.port,
    outInterface: local ? 'lo' : 'any',
    state: 'new',
    direction: 'original',
  };
  const asked = judgePacket(plan, request);
  if (asked.verdict !== 'accept') return false;
  const heard = (connectionMark: number): boolean =>
    arrivals(plan, endpoint.address, local).some(
      (arrival) =>
        judgePacket(plan, {
          way: 'in',
          source: endpoint.address,
          destination: self,
          protocol: endpoint.transport,
          sport: endpoint.port,
          dport: 40_000,
          ...arrival,
          state: 'established',
          direction: 'reply',
          connectionMark,
        }).verdict === 'accept',
    );
  // Also on a connection of before: the control plane may speak first under the new epoch.
  return heard(asked.connectionMark) && heard(0);
}

function unknownSelf(endpoint: ControlEndpoint): string {
  return endpoint.address.includes(':') ? '::' : '0.0.0.0';
}

/** Where answers may come from: where the inventory expects that address, or anywhere when it does not know it. */
function arrivals(plan: FirewallPlan, address: string, local: boolean): { inInterface: string; mac?: string }[] {
  if (local) return [{ inInterface: 'lo' }];
  const expected = (types: SetDefinition['type'][number][]): SetDefinition[] =>
    plan.sets.filter((set) => types.every((type, index) => set.type[index] === type));
  const places = expected(['ifname'])
    .flatMap((set) => set.elements)
    .filter((element) => element.key.at(-1) === address)
    .map(({ key }) => ({ inInterface: key[0] ?? '', ...(key.length === 3 && key[1] ? { mac: key[1] } : {}) }));
  return [{ inInterface: 'any' }, ...places];
}
