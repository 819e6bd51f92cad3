// Answers for one packet what the plan would do with it, rule by rule as the kernel does (nft(8), "goto" and "jump").
// The oracle of the tests against the real kernel, and the check before a plan is loaded that the control plane stays
// reachable.
import { canonicalField, canonicalKey, groupOfKey } from './keys.ts';
import { PROXIED_BIT, PROXY_MARK } from './plan.ts';
import type {
  Chain,
  ControlEndpoint,
  Family,
  Field,
  FirewallPlan,
  IcmpType,
  Match,
  Rule,
  Ruleset,
  SetDefinition,
  SetElement,
  Transport,
} from './plan.ts';
import { fieldNumber, RangeIndex } from './range-index.ts';
import { tableOfPlan } from './table.ts';

export interface Packet {
  /** `in` runs prerouting and input, `through` prerouting and forward, `out` output. */
  readonly way: 'in' | 'through' | 'out';
  readonly source: string;
  readonly destination: string;
  /** Or its IANA number. */
  readonly protocol: Transport | number;
  readonly sport?: number;
  readonly dport?: number;
  readonly icmpType?: IcmpType;
  readonly inInterface?: string;
  readonly outInterface?: string;
  readonly mac?: string;
  readonly state: 'new' | 'established' | 'related' | 'invalid';
  readonly direction: 'original' | 'reply';
  readonly connectionMark?: number;
  readonly tcpReset?: boolean;
  /** A local proxy has an open connection for it, or listens on its port. */
  readonly transparentSocket?: boolean;
  /** On every port, on none, or on these. */
  readonly proxyListens?: boolean | readonly number[];
  /** Owner and control group (below /sys/fs/cgroup) of the local socket that sends it. */
  readonly uid?: number;
  readonly cgroup?: string;
  /** It exceeds every rate, meter and number of connections that a rule asks about. */
  readonly overLimits?: boolean;
}

/** A rule that a packet met; `reason` is the comment of the set element that it matched by: ids of grants or of a rule. */
export interface Step {
  readonly chain: string;
  readonly index: number;
  readonly reason?: string;
}

export interface PacketVerdict {
  readonly verdict: 'accept' | 'drop' | 'reset';
  /** Id of the rule that logged and decided it; empty for an accept. */
  readonly rule: string;
  /** Mark of the flow afterwards. */
  readonly connectionMark: number;
  /** It was handed to a proxy. */
  readonly proxied: boolean;
  /** Ids of the rules that logged it, those in observe mode among them, in order. */
  readonly logged: readonly string[];
  /** Rules that it met, in order: chain and index. The last one decided; none when a hook's policy did. */
  readonly path: readonly Step[];
  /** Its source is blocked from now on. */
  readonly blocks: boolean;
}

/** What the kernel keeps beside the packet while it passes the hooks. */
interface Passage {
  readonly packet: Packet;
  readonly family: Family;
  readonly table: Ruleset;
  readonly now: number;
  readonly logged: string[];
  readonly path: Step[];
  /** Comment of the element that the rule just asked about was matched by. */
  reason: string | undefined;
  packetMark: number;
  connectionMark: number;
  blocks: boolean;
}

type Outcome = { readonly verdict: 'accept' | 'drop' | 'reset'; readonly rule: string };

/** What a table with this plan alone does. `now` decides which end dates have come. */
export function judgePacket(plan: FirewallPlan, packet: Packet, now: number = plan.compiledAt): PacketVerdict {
  return judgeTable(tableOfPlan(plan), packet, now);
}

/** What the table does with the packet at that time, milliseconds since the epoch. */
export function judgeTable(table: Ruleset, packet: Packet, now: number): PacketVerdict {
  const passage: Passage = {
    packet,
    family: packet.source.includes(':') ? 6 : 4,
    table,
    now,
    logged: [],
    path: [],
    reason: undefined,
    packetMark: 0,
    connectionMark: packet.connectionMark ?? 0,
    blocks: false,
  };
  const hooks = { in: ['prerouting', 'input'], through: ['prerouting', 'forward'], out: ['output'] }[packet.way];
  let outcome: Outcome = { verdict: 'accept', rule: '' };
  for (const hook of hooks) {
    const chain = indexOf(table).hooks.get(hook);
    outcome = (chain && walk(chain, passage)) ?? { verdict: chain?.policy ?? 'accept', rule: '' };
    if (outcome.verdict !== 'accept') break;
  }
  const { connectionMark, packetMark, logged, path, blocks } = passage;
  return { ...outcome, connectionMark, proxied: packetMark === PROXY_MARK, logged, path, blocks };
}

interface TableIndex {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly hooks: ReadonlyMap<string, Chain>;
  readonly sets: ReadonlyMap<string, SetDefinition>;
}

const indexes = new WeakMap<Ruleset, TableIndex>();

function indexOf(table: Ruleset): TableIndex {
  const known = indexes.get(table);
  if (known !== undefined) return known;
  const index = {
    chains: new Map(table.chains.map((chain) => [chain.name, chain])),
    // Those behind every filter only remember what passed.
    hooks: new Map(
      table.chains.flatMap((chain) => (chain.hook === undefined || chain.after === true ? [] : [[chain.hook, chain]])),
    ),
    sets: new Map(table.sets.map((set) => [set.name, set])),
  };
  indexes.set(table, index);
  return index;
}

/** undefined when the chain ends, or returns, without a verdict. */
function walk(chain: Chain, passage: Passage): Outcome | undefined {
  for (const [index, rule] of chain.rules.entries()) {
    passage.reason = undefined;
    if (!applies(rule, passage)) continue;
    const { verdict } = rule;
    const answer = verdict.kind === 'dispatch' ? answerOf(verdict.fields, verdict.map, passage)?.verdict : undefined;
    if (verdict.kind === 'dispatch' && answer === undefined) continue;
    const { reason } = passage;
    passage.path.push({ chain: chain.name, index, ...(reason === undefined ? {} : { reason }) });
    if (rule.log !== undefined) passage.logged.push(rule.log);
    const next = answer ?? verdict;
    switch (next.kind) {
      case 'accept':
      case 'drop':
      case 'reset':
        return { verdict: next.kind, rule: rule.log ?? '' };
      case 'return':
        return undefined;
      case 'goto':
        // Where the chain ends that `goto` leads to, the packet goes on behind the last `jump`.
        return walk(chainNamed(passage.table, next.chain), passage);
      case 'jump': {
        const inner = walk(chainNamed(passage.table, next.chain), passage);
        if (inner !== undefined) return inner;
        break;
      }
      case 'divert':
        // Without a listener tproxy does not match, and the packet goes on to the next rule.
        if (!listens(passage.packet, next.port)) break;
        passage.packetMark = PROXY_MARK;
        return { verdict: 'accept', rule: '' };
      case 'to-proxy':
        passage.packetMark = PROXY_MARK;
        return { verdict: 'accept', rule: '' };
      case 'admit': {
        const mark = answerOf(['family'], next.map, passage)?.mark;
        // A map without an answer ends the rule, as in the kernel.
        if (mark === undefined) break;
        passage.connectionMark = mark;
        return { verdict: 'accept', rule: rule.log ?? '' };
      }
      case 'block':
        passage.blocks = true;
        return { verdict: 'drop', rule: rule.log ?? '' };
      case 'remember':
      case 'continue':
      case 'dispatch':
        break;
    }
  }
  return undefined;
}

const listens = ({ proxyListens = false }: Packet, port: number): boolean =>
  typeof proxyListens === 'boolean' ? proxyListens : proxyListens.includes(port);

function chainNamed(table: Ruleset, name: string): Chain {
  const chain = indexOf(table).chains.get(name);
  if (chain === undefined) throw new RangeError(`the table has no chain ${name}`);
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
    case 'lookup': {
      const found = lookUp(match.fields, match.set, passage);
      if (typeof found === 'object' && found.comment !== undefined) passage.reason = found.comment;
      // A field that the packet has not ends the rule, whatever it asks.
      return found === 'no such field' ? false : (found !== undefined) !== match.not;
    }
    case 'state':
      return match.states.some((state) => state === packet.state);
    case 'direction':
      return match.direction === packet.direction;
    case 'proxied-flow':
      return passage.connectionMark >= PROXIED_BIT;
    case 'packet-mark':
      return passage.packetMark === match.value;
    case 'protocol':
      return match.protocols.some((name) => isProtocol(name, packet.protocol)) !== match.not;
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
      // What TPROXY took belongs to the proxy's socket from then on.
      return packet.transparentSocket === true || passage.packetMark === PROXY_MARK;
    case 'local-destination':
      return packet.way === 'in';
    case 'rate-over':
    case 'meter-over':
    case 'connections-over':
    case 'uncounted':
      return packet.overLimits === true;
    case 'cgroup': {
      if (packet.cgroup === undefined) return false;
      const group = packet.cgroup.split('/').slice(0, match.level).join('/');
      return (
        setNamed(passage.table, match.set).elements.some(
          (element) => groupOfKey(element.key[0] ?? '').path === group,
        ) !== match.not
      );
    }
  }
}

const isProtocol = (name: Transport, protocol: Transport | number): boolean =>
  canonicalField(name, 'inet_proto') === canonicalField(String(protocol), 'inet_proto');

function setNamed(table: Ruleset, name: string): SetDefinition {
  const set = indexOf(table).sets.get(name);
  if (set === undefined) throw new RangeError(`the table has no set ${name}`);
  return set;
}

/** Elements by key, for sets whose keys are single values. */
const exact = new WeakMap<SetDefinition, ReadonlyMap<string, SetElement>>();

function elementsByKey(set: SetDefinition): ReadonlyMap<string, SetElement> {
  const known = exact.get(set);
  if (known !== undefined) return known;
  const map = new Map(set.elements.map((element) => [canonicalKey(set.type, element.key), element]));
  exact.set(set, map);
  return map;
}

function lookUp(fields: readonly Field[], setName: string, passage: Passage): SetElement | undefined | 'no such field' {
  const set = setNamed(passage.table, setName);
  const values: string[] = [];
  for (const [at, field] of fields.entries()) {
    const value = fieldOf(field, passage);
    if (value === undefined) return 'no such field';
    values.push(canonicalField(value, set.type[at]));
  }
  const live = (element: SetElement): boolean => element.until === undefined || element.until > passage.now;
  if (!set.interval) {
    const element = elementsByKey(set).get(values.join(' . '));
    return element !== undefined && live(element) ? element : undefined;
  }
  return rangesOf(set).find(
    values.map((value, at) => fieldNumber(value, set.type[at])),
    live,
  );
}

/** The same for sets whose keys are ranges. */
const ranged = new WeakMap<SetDefinition, RangeIndex>();

function rangesOf(set: SetDefinition): RangeIndex {
  const known = ranged.get(set) ?? new RangeIndex(set);
  ranged.set(set, known);
  return known;
}

function answerOf(fields: readonly Field[], map: string, passage: Passage): SetElement | undefined {
  const found = lookUp(fields, map, passage);
  if (found === 'no such field') return undefined;
  if (found?.comment !== undefined) passage.reason = found.comment;
  return found;
}

function fieldOf(field: Field, { packet, family, connectionMark }: Passage): string | undefined {
  switch (field) {
    case 'source':
      return packet.source;
    case 'destination':
      return packet.destination;
    case 'protocol':
      return String(packet.protocol);
    case 'sport':
      return packet.sport?.toString();
    case 'dport':
      return packet.dport?.toString();
    case 'in':
      return packet.inInterface ?? '';
    case 'out':
      return packet.outInterface ?? '';
    case 'ether':
      return packet.mac ?? '';
    case 'family':
      return family === 4 ? 'ipv4' : 'ipv6';
    case 'connection-mark':
      return String(connectionMark);
    case 'uid':
      return packet.uid?.toString();
  }
}

/** Whether this device can open a connection to the control plane under the plan, and hear its answer. */
export function reachesControlPlane(plan: FirewallPlan, endpoint: ControlEndpoint): boolean {
  return controlPlaneCut(plan, endpoint) === undefined;
}

/** What ends the way to the control plane under the plan, and which packet of it; undefined when nothing does. */
export function controlPlaneCut(
  plan: FirewallPlan,
  endpoint: ControlEndpoint,
): { readonly packet: 'request' | 'answer'; readonly verdict: PacketVerdict } | undefined {
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
  if (asked.verdict !== 'accept') return { packet: 'request', verdict: asked };
  const heard = (connectionMark: number): readonly PacketVerdict[] =>
    arrivals(plan, endpoint.address, local).map((arrival) =>
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
      }),
    );
  // Also on a connection of before: the control plane may speak first under the new epoch.
  for (const answers of [heard(asked.connectionMark), heard(0)]) {
    const [first] = answers;
    if (first !== undefined && answers.every((answer) => answer.verdict !== 'accept')) {
      return { packet: 'answer', verdict: first };
    }
  }
  return undefined;
}

function unknownSelf(endpoint: ControlEndpoint): string {
  return endpoint.address.includes(':') ? '::' : '0.0.0.0';
}

/** Where answers may come from: where the inventory expects that address, or anywhere when it does not know it. */
function arrivals(plan: FirewallPlan, address: string, local: boolean): readonly Arrival[] {
  return local ? [{ inInterface: 'lo' }] : [{ inInterface: 'any' }, ...arrivalsOf(plan, address)];
}

/** Interface, and MAC where the inventory names one. */
export interface Arrival {
  readonly inInterface: string;
  readonly mac?: string;
}

const expectedPlaces = new WeakMap<FirewallPlan['generation'], ReadonlyMap<string, readonly Arrival[]>>();

/** Where the plan believes a packet of this source; none for an address that it does not expect on its own networks. */
export function arrivalsOf({ generation }: FirewallPlan, address: string): readonly Arrival[] {
  const known = expectedPlaces.get(generation) ?? expectedOf(generation);
  expectedPlaces.set(generation, known);
  return known.get(address) ?? [];
}

function expectedOf({ sets }: Ruleset): Map<string, Arrival[]> {
  const places = new Map<string, Arrival[]>();
  for (const { type, elements } of sets.filter((set) => set.type[0] === 'ifname')) {
    for (const { key } of elements) {
      const [inInterface = '', mac = ''] = key;
      const address = key.at(-1) ?? '';
      const place = { inInterface, ...(type.length === 3 ? { mac } : {}) };
      places.set(address, [...(places.get(address) ?? []), place]);
    }
  }
  return places;
}
