// Whether one device reaches a service of another, and why: the first packet and its answer are judged by the rules of both
// ends, by the same plans and the same judge as everything else here. Says what the smallest missing thing is.
import type { Slice, SliceGrant, SliceInterface } from '../../policy/bundle/index.ts';
import type { SubjectState } from '../../policy/engine/index.ts';
import { arrivalsOf, judgeTable } from './judge.ts';
import type { Arrival, Packet, PacketVerdict } from './judge.ts';
import { validity } from './openings.ts';
import type { FirewallPlan, Ruleset, Transport } from './plan.ts';
import { originOf } from './provenance.ts';
import { plansOf, stateOf, tableOf } from './table.ts';
import type { TableState } from './table.ts';

export interface ReachQuestion {
  /** Device ids. */
  readonly from: string;
  readonly to: string;
  readonly protocol: Transport;
  /** Absent for protocols without ports. */
  readonly port?: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What is known about one end. */
export interface ReachEnd {
  readonly state: TableState;
  readonly slice?: Slice | undefined;
  readonly states: Readonly<Record<string, SubjectState>>;
}

export interface EndAnswer {
  readonly device: string;
  readonly way: 'out' | 'in';
  readonly verdict: PacketVerdict['verdict'];
  readonly source: string;
  readonly destination: string;
  /** `grant:<id>`, `firewall:<id>` …: what admitted or dropped it; empty for what every host lets through. */
  readonly rule: string;
  readonly place: string;
  /** What happened, for people. */
  readonly words: string;
  /** Stages that it passed, in words. */
  readonly path: readonly string[];
  readonly binding?: SliceGrant['binding'];
  /** Of the device at the other end, as this end knows it. */
  readonly peerState: SubjectState;
  /** Through a proxy, which judges each request. */
  readonly proxied: boolean;
}

export interface ReachAnswer {
  readonly reaches: boolean;
  /** The end that sends first, then the end that serves; one is absent when nothing is known about it. */
  readonly ends: readonly EndAnswer[];
  /** What would have to change; empty when it reaches. */
  readonly missing: string;
}

/** At least one end has to be given. */
export function canReach(
  question: ReachQuestion,
  ends: { readonly from?: ReachEnd; readonly to?: ReachEnd },
): ReachAnswer {
  const { from, to } = ends;
  if (question.from === question.to) {
    return { reaches: true, ends: [], missing: '' };
  }
  let first: ReachAnswer | undefined;
  for (const [source, destination] of addressPairs(question, from, to)) {
    const answers = [
      ...(from === undefined ? [] : [endAnswer(question, from, 'out', source, destination)]),
      ...(to === undefined ? [] : [endAnswer(question, to, 'in', source, destination)]),
    ];
    const shut = answers.find((answer) => answer.verdict !== 'accept');
    const end = shut?.way === 'out' ? from : to;
    if (shut === undefined || end === undefined) return { reaches: true, ends: answers, missing: '' };
    first ??= { reaches: false, ends: answers, missing: missingFor(question, end, shut) };
  }
  return first ?? { reaches: false, ends: [], missing: noAddresses(question, from, to) };
}

const planOf = (end: ReachEnd): FirewallPlan => (end.state.candidate ?? end.state.live).plan;

/** Addresses of one family; those of a common network first, because that is the way packets take. */
function addressPairs(
  { from: sender, to: server }: ReachQuestion,
  from: ReachEnd | undefined,
  to: ReachEnd | undefined,
): (readonly [string, string])[] {
  const sources = from === undefined ? to && planOf(to).peers[sender]?.addresses : planOf(from).own;
  const destinations = to === undefined ? from && planOf(from).peers[server]?.addresses : planOf(to).own;
  const near = (source: string): number => (to === undefined || arrivalsOf(planOf(to), source).length > 0 ? 0 : 1);
  const reached = (destination: string): number =>
    from === undefined || arrivalsOf(planOf(from), destination).length > 0 ? 0 : 1;
  return (sources ?? [])
    .flatMap((source) => (destinations ?? []).map((destination) => [source, destination] as const))
    .filter(([source, destination]) => source.includes(':') === destination.includes(':'))
    .map((pair) => ({ pair, far: near(pair[0]) + reached(pair[1]) }))
    .sort((a, b) => a.far - b.far)
    .map(({ pair }) => pair);
}

function noAddresses({ from: sender, to: server }: ReachQuestion, from?: ReachEnd, to?: ReachEnd): string {
  const known = to?.slice ?? from?.slice;
  const nameless = [sender, server].find((id) => known?.devices.every((device) => device.id !== id) ?? false);
  if (nameless !== undefined)
    return `no rule names ${nameless} here, so its addresses are not even known: a grant is missing`;
  return `${sender} and ${server} have no addresses of one family in the inventory`;
}

function endAnswer(
  { protocol, port, now, from, to }: ReachQuestion,
  end: ReachEnd,
  way: 'out' | 'in',
  source: string,
  destination: string,
): EndAnswer {
  const table = tableOf(end.state);
  const plan = planOf(end);
  const flow = {
    protocol,
    ...(port === undefined ? {} : { sport: 40_000, dport: port }),
    ...echoOf(protocol, 'request'),
  };
  const back = {
    protocol,
    ...(port === undefined ? {} : { sport: port, dport: 40_000 }),
    ...echoOf(protocol, 'reply'),
  };
  const turned = { source: destination, destination: source };
  const away = [{ outInterface: 'any' }];
  const request = best(
    table,
    now,
    (way === 'out' ? away : arrivals(plan, source)).map((where): Packet => ({
      way,
      source,
      destination,
      ...flow,
      ...where,
      state: 'new',
      direction: 'original',
      proxyListens: true,
    })),
  );
  const answered =
    request.verdict !== 'accept'
      ? request
      : best(
          table,
          now,
          (way === 'out' ? arrivals(plan, destination) : away).map((where): Packet => ({
            way: way === 'out' ? 'in' : 'out',
            ...turned,
            ...back,
            ...where,
            state: 'established',
            direction: 'reply',
            connectionMark: request.connectionMark,
          })),
        );
  const decided = answered.verdict === 'accept' ? request : answered;
  const rule = ruleOf(plan, decided);
  const { place, words } = rule.startsWith('grant:')
    ? { place: plan.places[rule] ?? '', words: `opened by grant ${rule.slice(6)}` }
    : originOf(plansOf(end.state), rule);
  const grant = end.slice?.grants.find(({ id }) => rule === `grant:${id}`);
  return {
    device: way === 'out' ? from : to,
    way,
    verdict: decided.verdict,
    source,
    destination,
    rule,
    place,
    words: words === '' && decided.verdict === 'accept' ? 'let through on every host' : words,
    path: stagesOf(decided),
    ...(grant === undefined ? {} : { binding: grant.binding }),
    peerState: end.states[way === 'out' ? to : from] ?? 'unknown',
    proxied: request.proxied,
  };
}

const echoOf = (protocol: Transport, kind: 'request' | 'reply'): Pick<Packet, 'icmpType'> =>
  protocol === 'icmp' || protocol === 'icmpv6' ? { icmpType: `echo-${kind}` } : {};

/** Where the inventory expects the address, else anywhere: behind a router. */
function arrivals(plan: FirewallPlan, address: string): readonly Arrival[] {
  const places = arrivalsOf(plan, address);
  return places.length === 0 ? [{ inInterface: 'any' }] : places;
}

function best(table: Ruleset, now: number, packets: readonly Packet[]): PacketVerdict {
  let worst: PacketVerdict | undefined;
  for (const packet of packets) {
    const verdict = judgeTable(table, packet, now);
    if (verdict.verdict === 'accept') return verdict;
    worst ??= verdict;
  }
  if (worst === undefined) throw new RangeError('no packet to judge');
  return worst;
}

/** What decided: the log id of a drop, or whose element admitted it. */
function ruleOf(plan: FirewallPlan, { verdict, rule, path }: PacketVerdict): string {
  if (verdict !== 'accept') return rule;
  const because = path.findLast(({ reason }) => reason !== undefined)?.reason?.split(', ')[0];
  if (because === undefined) return rule;
  const known = ['grant', 'firewall', 'interface'].map((kind) => `${kind}:${because}`);
  return known.find((id) => Object.hasOwn(plan.places, id)) ?? because;
}

const stageWords: readonly (readonly [RegExp, string])[] = [
  [/^(prerouting|input|output|forward)$/, 'first chains'],
  [/^at_antispoof$|antispoof/, 'whose address it is'],
  [/^(revoked|quarantined|blocked)/, 'containment'],
  [/^island_/, 'island mode'],
  [/^deny_|_deny_|_no_/, 'denies'],
  [/late_/, 'denies of the baseline tier'],
  [/_block_/, 'traps and meters'],
  [/_seen_/, 'staged rules'],
  [/_(workload_|(?:to|back)_(?:u\d|c[0-9a-f]{12}$))/, 'workloads'],
  [/_(yes_|admitted)/, 'packet rules'],
  [/_(inbound|outbound)_/, 'admin tier, grants, baseline tier'],
  [/_(prerouting|input|output|forward)$/, 'generation'],
];

/** Stages in order, each once. */
function stagesOf({ path }: PacketVerdict): string[] {
  return [...new Set(path.map(({ chain }) => stageWordsOf(chain)))];
}

/** The stage that a chain of the table belongs to, in words. */
export function stageWordsOf(chain: string): string {
  return stageWords.find(([pattern]) => pattern.test(chain))?.[1] ?? 'first chains';
}

function missingFor(question: ReachQuestion, end: ReachEnd, shut: EndAnswer): string {
  const here = shut.way === 'in' ? question.to : question.from;
  if (!shut.rule.startsWith('default-') && shut.rule !== 'stale-flow') {
    const place = shut.place === '' ? '' : ` (${shut.place})`;
    return `on ${here}: ${shut.rule}, ${shut.words}${place}; it would have to go, or to make an exception`;
  }
  return `on ${here}: ${end.slice === undefined ? 'a verified policy' : missingGrant(question, end, end.slice)}`;
}

/** Why no grant opens it on this end; the first thing that is not there. */
function missingGrant({ from, to, protocol, port, now }: ReachQuestion, end: ReachEnd, slice: Slice): string {
  const service = slice.interfaces.find(
    (entry) => entry.device === to && entry.transport === protocol && entry.port === port,
  );
  const what = `${protocol}${port === undefined ? '' : ` port ${port}`}`;
  if (service === undefined) {
    return slice.device === to
      ? `no interface of ${to} is on ${what}: an interface and a grant, or an allow rule in firewall/`
      : `no grant lets ${from} use ${what} of ${to}`;
  }
  const grant = slice.grants.find(
    ({ interface: name, device, subjects }) => name === service.name && device === to && subjects.includes(from),
  );
  if (grant === undefined) return `a grant of ${service.name} (${service.place}) to ${from}`;
  return whyClosed(grant, service, from, end, now);
}

function whyClosed(grant: SliceGrant, service: SliceInterface, from: string, end: ReachEnd, now: number): string {
  const named = `grant ${grant.id} (${grant.place})`;
  const when = validity(grant, now);
  if (!when.open) {
    const opens =
      when.changesAt === undefined ? 'is over' : `is closed until ${new Date(when.changesAt).toISOString()}`;
    return `${named} ${opens}`;
  }
  const warning = planOf(end).warnings.find(
    (text) => text.startsWith(`grant ${grant.id}: ${from} `) || text.startsWith(`interface ${service.name}: `),
  );
  if (warning !== undefined) return warning;
  const held = [from, grant.device].find((device) => (end.states[device] ?? 'unknown') !== 'trusted');
  if (held !== undefined) return `${named} opens nothing while ${held} is ${end.states[held] ?? 'unknown'}`;
  if (grant.workload !== undefined && end.slice?.device === from) {
    return `${named} opens the way for workload ${grant.workload} of ${from} alone, and no program was named here`;
  }
  const conditions = Object.keys(grant.conditions).filter((name) => name !== 'timeWindow' && name !== 'weekdays');
  if (conditions.length > 0) return `${named} has conditions that do not hold: ${conditions.join(', ')}`;
  return `${named} opens nothing here: every operation that it names is denied`;
}

/** One end from a plan alone, as loaded without a candidate. */
export const endOfPlan = (plan: FirewallPlan, slice: Slice | undefined, states: ReachEnd['states']): ReachEnd => ({
  state: stateOf(plan),
  slice,
  states,
});
