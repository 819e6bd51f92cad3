// What a policy means for one packet, read straight from the slice, rule by rule, the slow and obvious way: no sets, no maps,
// no boxes, no plan. Written apart from the compiler and importing nothing of it; where both answer the same a million times,
// neither has the mistakes of the other.
import type {
  Slice,
  SliceDevice,
  SliceFirewallRule,
  SliceGrant,
  SliceInterface,
} from '../../../policy/bundle/index.ts';

export interface Cell {
  readonly way: 'in' | 'out' | 'through';
  readonly source: string;
  readonly destination: string;
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'icmpv6' | 'sctp' | 'udplite';
  readonly sport?: number;
  readonly dport?: number;
  readonly icmpType?: 'echo-request' | 'echo-reply';
  readonly inInterface?: string;
  readonly outInterface?: string;
  readonly mac?: string;
  readonly state: 'new' | 'established' | 'invalid';
  readonly direction: 'original' | 'reply';
  /** The flow was admitted by this very policy. */
  readonly admitted: boolean;
  /** Ports that somebody listens on, of proxies and of stand-ins. */
  readonly proxyListens: readonly number[];
  readonly overLimits: boolean;
}

export interface World {
  readonly slice: Slice;
  readonly states: Readonly<Record<string, string>>;
  readonly now: number;
  readonly control: readonly { readonly address: string; readonly port: number; readonly transport: string }[];
  readonly dns: readonly string[];
  readonly proxies: readonly string[];
}

/** Id of the rule that drops it, or `accept`. */
export type Answer = string;

const DAY = 86_400_000;
const held = new Set(['quarantined', 'revoked', 'decommissioned', 'recovering']);
const gone = new Set(['revoked', 'decommissioned']);
const ported = new Set(['tcp', 'udp', 'sctp', 'udplite']);

export function evaluate(world: World, cell: Cell): Answer {
  const { slice } = world;
  const self = slice.devices.find((device) => device.id === slice.device);
  const stateOf = (id: string): string => world.states[id] ?? 'unknown';
  const arriving = cell.way !== 'out';
  if ((arriving ? cell.inInterface : cell.outInterface) === 'lo') return 'accept';
  if (arriving && isForged(world, self, cell)) return 'spoofed';
  const isControl = (address: string): boolean => world.control.some((endpoint) => endpoint.address === address);
  const ownersOf = (address: string): SliceDevice[] =>
    slice.devices.filter(
      (device) => device !== self && device.interfaces.some((entry) => same(entry.address, address)),
    );
  const is = (address: string, states: ReadonlySet<string>): boolean =>
    !isControl(address) && ownersOf(address).some((device) => states.has(stateOf(device.id)));
  const revoked = (address: string): boolean => is(address, gone);
  const quarantined = (address: string): boolean => is(address, new Set(['quarantined']));

  const peer = arriving ? cell.source : cell.destination;
  const kind: 'in' | 'out' = (cell.way === 'in') === (cell.direction === 'original') ? 'in' : 'out';
  const service = cell.direction === 'original' ? cell.dport : cell.sport;
  const granted = openPaths(world, self, kind, peer, cell.protocol, service);

  if (revoked(peer)) return 'revoked';
  if (arriving) {
    const resolvers = held.has(stateOf(slice.device)) ? [] : world.dns;
    const known = [...resolvers, ...world.control.map(({ address }) => address), ...slice.devices.flatMap(addressesOf)];
    const stranger = !known.some((address) => same(address, cell.source));
    const machine = slice.devices.filter(
      (device) =>
        device !== self &&
        device.interfaces.some(
          (entry) => entry.mac !== undefined && entry.mac === cell.mac && !isControl(entry.address),
        ),
    );
    if (stranger && machine.some((device) => gone.has(stateOf(device.id)))) return 'revoked';
    if (stranger && machine.some((device) => stateOf(device.id) === 'quarantined')) return 'quarantined';
  }
  const spared = granted.some((path) => path.island);
  if (quarantined(peer) && !(spared && cell.way !== 'through')) return 'quarantined';
  // A forwarded packet is invalid before anybody knows where it goes.
  if (cell.state === 'invalid') return 'invalid';
  if (cell.way === 'through' && revoked(cell.destination)) return 'revoked';
  if (cell.way === 'through' && quarantined(cell.destination)) return 'quarantined';

  if (cell.way === 'through') return forwarded(world, cell);

  const toControl = world.control.some(
    (endpoint) => same(endpoint.address, peer) && endpoint.port === service && endpoint.transport === cell.protocol,
  );
  if (
    toControl &&
    kind === 'out' &&
    (cell.way === 'out' ? cell.direction === 'original' : cell.state === 'established')
  )
    return 'accept';

  // A policy that admitted a flow has asked its denies.
  if (cell.state === 'established' && cell.admitted) return 'accept';

  const contained = held.has(stateOf(slice.device));
  const admin = firstOf(world, 'admin', kind, peer, cell.protocol, service);
  if (admin?.verdict === 'deny') return `firewall:${admin.id}`;
  const closedBy = closingDeny(world, kind, peer, cell.protocol, service);
  if (closedBy !== undefined && granted.length === 0) return `deny:${closedBy}`;
  if (admin?.verdict === 'allow' && !contained) return exceeds(admin, cell) ? `limit:${admin.id}` : 'accept';

  if (granted.some((path) => !path.proxied)) return 'accept';
  const somebodyListens = cell.proxyListens.some((port) => port >= 15_000);
  const handedOver = cell.direction === 'original' && cell.protocol === 'tcp' && somebodyListens;
  const isFirst = cell.direction === 'original' && cell.state === 'new' && cell.protocol === 'tcp';
  if (isFirst && granted.some((path) => path.opened)) return 'accept';
  if (handedOver && granted.some((path) => path.running)) return 'accept';
  const isName = kind === 'out' && service === 53 && (cell.protocol === 'udp' || cell.protocol === 'tcp');
  if (isName && !contained && world.dns.some((address) => same(address, peer))) return 'accept';
  if (cell.icmpType !== undefined && isLinked(world, self, peer)) return 'accept';

  const baseline = firstOf(world, 'baseline', kind, peer, cell.protocol, service);
  if (baseline?.verdict === 'deny') return `firewall:${baseline.id}`;
  if (baseline?.verdict === 'allow' && !contained) return exceeds(baseline, cell) ? `limit:${baseline.id}` : 'accept';

  if (kind === 'in' && !contained && !ownersOf(peer).some((device) => held.has(stateOf(device.id)))) {
    const observed = slice.interfaces.find(
      (entry) =>
        entry.device === slice.device &&
        (entry.observeUntil ?? 0) > world.now &&
        entry.transport === cell.protocol &&
        entry.port === service,
    );
    const needsProxy = observed !== undefined && isProxied(world, observed);
    const has = observed !== undefined && world.proxies.includes(observed.name);
    if (observed !== undefined && (needsProxy ? has && handedOver : true)) return 'accept';
  }
  if (cell.state === 'established' && cell.protocol === 'tcp') return 'stale-flow';
  return cell.way === 'in' ? 'default-in' : 'default-out';
}

const addressesOf = (device: SliceDevice): string[] => device.interfaces.map((entry) => entry.address);

/** Addresses have several spellings; expand IPv6 by hand. */
function same(a: string, b: string): boolean {
  return bitsOf(a) === bitsOf(b) && a.includes(':') === b.includes(':');
}

const known = new Map<string, bigint>();

function bitsOf(address: string): bigint {
  const before = known.get(address);
  if (before !== undefined) return before;
  let value = 0n;
  if (address.includes(':')) {
    const [head = '', tail] = address.toLowerCase().split('::');
    const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
    const left = words(head);
    const right = words(tail ?? '');
    const zeros = Array.from({ length: tail === undefined ? 0 : 8 - left.length - right.length }, () => '0');
    for (const word of [...left, ...zeros, ...right]) value = (value << 16n) | BigInt(`0x${word}`);
  } else for (const part of address.split('.')) value = (value << 8n) | BigInt(part);
  known.set(address, value);
  return value;
}

function inside(cidr: string, address: string): boolean {
  const [base = '', length = ''] = cidr.split('/');
  if (base.includes(':') !== address.includes(':')) return false;
  const shift = BigInt((base.includes(':') ? 128 : 32) - Number(length));
  return bitsOf(base) >> shift === bitsOf(address) >> shift;
}

/** An address of the inventory of our own networks is believed on its interface, with its MAC where one is written. */
function isForged({ slice }: World, self: SliceDevice | undefined, { source, inInterface, mac }: Cell): boolean {
  const own = self?.interfaces ?? [];
  if (own.some((entry) => same(entry.address, source))) return true;
  const near = slice.devices
    .filter((device) => device !== self)
    .flatMap((device) => device.interfaces)
    .filter((entry) => same(entry.address, source) && own.some((mine) => mine.network === entry.network));
  if (near.length === 0) return false;
  return !near.some((entry) =>
    own.some(
      (mine) =>
        mine.network === entry.network && mine.name === inInterface && (entry.mac === undefined || entry.mac === mac),
    ),
  );
}

/** Start, end, days and hours, all UTC. */
function holds(
  rule: { readonly notBefore?: number | undefined; readonly until?: number | undefined },
  conditions: SliceGrant['conditions'] | SliceFirewallRule['conditions'],
  now: number,
): boolean {
  if (now < (rule.notBefore ?? -Infinity) || now >= (rule.until ?? Infinity)) return false;
  const { timeWindow, weekdays } = conditions ?? {};
  const minute = Math.floor((now % DAY) / 60_000);
  const { fromMinute = 0, toMinute = 1_440 } = timeWindow ?? {};
  const wraps = fromMinute > toMinute;
  if (wraps ? minute < fromMinute && minute >= toMinute : minute < fromMinute || minute >= toMinute) return false;
  const began = wraps && minute < toMinute ? now - DAY : now;
  const day = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'][new Date(began).getUTCDay()];
  return weekdays === undefined || weekdays.some((name) => name.slice(0, 3).toLowerCase() === day);
}

interface Path {
  readonly island: boolean;
  readonly proxied: boolean;
  /** Its proxy is there. */
  readonly running: boolean;
  /** A waiver opens it while nobody listens. */
  readonly opened: boolean;
}

const isProxied = ({ proxies }: World, service: SliceInterface): boolean =>
  service.protocol === 'modbus' || proxies.includes(service.name);

/** What grants open between this device and whoever is at `peer`. */
function openPaths(
  world: World,
  self: SliceDevice | undefined,
  kind: 'in' | 'out',
  peer: string,
  protocol?: string,
  port?: number,
): Path[] {
  const { slice, now } = world;
  const paths: Path[] = [];
  for (const service of slice.interfaces) {
    if (protocol !== undefined && (service.transport !== protocol || service.port !== port)) continue;
    if ((service.device === slice.device) !== (kind === 'in')) continue;
    for (const grant of slice.grants) {
      if (grant.interface !== service.name || grant.device !== service.device) continue;
      if (!holds(grant, grant.conditions, now)) continue;
      const others = kind === 'in' ? grant.subjects.filter((id) => id !== slice.device) : [service.device];
      if (kind === 'out' && !grant.subjects.includes(slice.device)) continue;
      for (const other of others) {
        const device = slice.devices.find((entry) => entry.id === other);
        const at = device?.interfaces.filter((entry) => same(entry.address, peer)) ?? [];
        if (at.length === 0) continue;
        if (kind === 'in' && !at.some((entry) => proves(self, grant, entry))) continue;
        const subject = kind === 'in' ? other : slice.device;
        if (kind === 'in' && service.protocol === 'port' && asksMore(slice, grant)) continue;
        const operations = service.operations.filter(
          (operation) =>
            grant.operations.includes(operation.name) &&
            !slice.denies.some((deny) => deniesAlways(deny, service, subject, operation.name)) &&
            peerMay(world.states[other] ?? 'unknown', operation) &&
            selfMay(world.states[slice.device], operation),
        );
        if (operations.length === 0) continue;
        paths.push({
          island: operations.some((operation) => operation.island),
          proxied: kind === 'in' && isProxied(world, service),
          running: world.proxies.includes(service.name),
          opened: kind === 'in' && world.proxies.includes(service.name) && (service.openUntil ?? 0) > now,
        });
      }
    }
  }
  return paths;
}

function proves(
  self: SliceDevice | undefined,
  { binding }: SliceGrant,
  entry: SliceDevice['interfaces'][number],
): boolean {
  if (binding === 'svid') return true;
  const near = self?.interfaces.some((mine) => mine.network === entry.network) ?? false;
  return near && (binding === 'ip' || entry.mac !== undefined);
}

function asksMore({ denies }: Slice, { conditions, interface: name, device }: SliceGrant): boolean {
  const others = Object.keys(conditions).filter((key) => key !== 'timeWindow' && key !== 'weekdays');
  return (
    others.length > 0 || denies.some((deny) => deny.interface === name && deny.device === device && !isFixed(deny))
  );
}

type Deny = Slice['denies'][number];
const isFixed = (deny: Deny): boolean =>
  deny.conditions === undefined && deny.notBefore === undefined && deny.until === undefined;

function deniesAlways(deny: Deny, service: SliceInterface, subject: string, operation: string): boolean {
  return (
    deny.interface === service.name &&
    deny.device === service.device &&
    isFixed(deny) &&
    (deny.subjects.length === 0 || deny.subjects.includes(subject)) &&
    (deny.operations.length === 0 || deny.operations.includes(operation))
  );
}

type Operation = SliceInterface['operations'][number];

/** Which classes a state leaves, beside island operations: design, decision order, step 2. */
const classes: Readonly<Record<string, readonly string[]>> = {
  trusted: ['safety', 'normal', 'sensitive'],
  stale: ['safety', 'normal'],
  suspect: ['safety', 'normal'],
  enrolled: ['safety', 'normal'],
  recovering: ['safety'],
  quarantined: [],
};

function mayIn(state: string, { class: its, island }: Operation): boolean {
  const left = classes[state];
  return left !== undefined && (left.includes(its) || island);
}

/** A quarantined peer keeps its paths and is held back by its address. */
const peerMay = (state: string, operation: Operation): boolean => state === 'quarantined' || mayIn(state, operation);

/** This device under its own containment; a state that no order sets takes nothing from it. */
function selfMay(state: string | undefined, operation: Operation): boolean {
  if (state === undefined || !held.has(state)) return true;
  return mayIn(state, operation) || (state === 'quarantined' && operation.class === 'safety');
}

/** The deny that takes back every operation of a grant that would open the path. */
function closingDeny(
  { slice, now }: World,
  kind: 'in' | 'out',
  peer: string,
  protocol: string,
  port: number | undefined,
): string | undefined {
  let found: string | undefined;
  for (const service of slice.interfaces) {
    if (service.transport !== protocol || service.port !== port) continue;
    if ((service.device === slice.device) !== (kind === 'in')) continue;
    for (const grant of slice.grants) {
      if (grant.interface !== service.name || grant.device !== service.device) continue;
      if (!holds(grant, grant.conditions, now)) continue;
      const subjects =
        kind === 'in'
          ? grant.subjects.filter((id) => id !== slice.device)
          : grant.subjects.filter((id) => id === slice.device);
      for (const subject of subjects) {
        const other = kind === 'in' ? subject : service.device;
        const device = slice.devices.find((entry) => entry.id === other);
        if (device === undefined || !device.interfaces.some((entry) => same(entry.address, peer))) continue;
        const named = service.operations.filter((operation) => grant.operations.includes(operation.name));
        const [first] = named;
        const all = named.every((operation) =>
          slice.denies.some((deny) => deniesAlways(deny, service, subject, operation.name)),
        );
        if (first === undefined || !all) continue;
        found ??= slice.denies.find((deny) => deniesAlways(deny, service, subject, first.name))?.id;
      }
    }
  }
  return found;
}

/** Who shares any open path may ping. */
function isLinked(world: World, self: SliceDevice | undefined, peer: string): boolean {
  return (['in', 'out'] as const).some((kind) => openPaths(world, self, kind, peer).length > 0);
}

const rank = { deny: 0, pass: 1, allow: 2 } as const;

function inOrder(rules: readonly SliceFirewallRule[]): SliceFirewallRule[] {
  return rules
    .map((rule, index) => ({ rule, index }))
    .sort(
      (a, b) => a.rule.priority - b.rule.priority || rank[a.rule.verdict] - rank[b.rule.verdict] || a.index - b.index,
    )
    .map(({ rule }) => rule);
}

/** The first rule of the tier that says anything about the path. */
function firstOf(
  { slice, now }: World,
  tier: 'admin' | 'baseline',
  kind: 'in' | 'out',
  peer: string,
  protocol: string,
  port: number | undefined,
): SliceFirewallRule | undefined {
  return inOrder(
    slice.firewall.filter(
      (rule) => rule.tier === tier && rule.direction === kind && rule.observe !== true && rule.workload === undefined,
    ),
  ).find(
    (rule) =>
      holds(rule, rule.conditions, now) &&
      speaksOf(rule, protocol, port) &&
      rule.peers.some((cidr) => inside(cidr, peer)),
  );
}

function speaksOf({ transport, ports }: SliceFirewallRule, protocol: string, port: number | undefined): boolean {
  if (transport === 'icmp') return protocol === 'icmp' || protocol === 'icmpv6';
  if (transport !== 'any' && transport !== protocol) return false;
  if (ports === undefined) return true;
  return ported.has(protocol) && port !== undefined && ports[0] <= port && port <= ports[1];
}

/** Limits hold new flows back; what is open and judged again keeps its place but for its number of connections. */
function exceeds({ rate, maxConnections }: SliceFirewallRule, { overLimits, state }: Cell): boolean {
  return overLimits && state === 'new' && (rate !== undefined || maxConnections !== undefined);
}

function forwarded({ slice, now, states }: World, cell: Cell): Answer {
  const contained = held.has(states[slice.device] ?? 'unknown');
  const original = cell.direction === 'original';
  const [from, to] = original ? [cell.source, cell.destination] : [cell.destination, cell.source];
  const port = original ? cell.dport : cell.sport;
  const matching = (tier: 'admin' | 'baseline'): SliceFirewallRule | undefined =>
    inOrder(
      slice.firewall.filter(
        (rule) =>
          rule.tier === tier && rule.direction === 'through' && rule.observe !== true && rule.workload === undefined,
      ),
    ).find(
      (rule) =>
        holds(rule, rule.conditions, now) &&
        speaksOf(rule, cell.protocol, port) &&
        rule.peers.some((cidr) => inside(cidr, from)) &&
        (rule.to === undefined || rule.to.some((cidr) => inside(cidr, to))) &&
        !(contained && rule.verdict === 'allow'),
    );
  const admin = matching('admin');
  const first = admin === undefined || admin.verdict === 'pass' ? matching('baseline') : admin;
  if (first?.verdict === 'deny') return `firewall:${first.id}`;
  if (cell.state === 'established' && cell.admitted) return 'accept';
  if (first?.verdict === 'allow') return exceeds(first, cell) ? `limit:${first.id}` : 'accept';
  return cell.state === 'established' && cell.protocol === 'tcp' ? 'stale-flow' : 'default-forward';
}
