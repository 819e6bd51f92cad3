// What a plan adds to the table: its denies, which stay closed whatever happens to it, and its generation, which opens
// paths and falls back when nobody confirms it. The first chains, which both hang from, are base-chains.ts.
import { baseSets, seenSets } from './plan.ts';
import type { Chain, Family, Field, Match, Rule, Verdict } from './plan.ts';
import {
  accept,
  back,
  cut,
  direction,
  drop,
  flowErrors,
  goto,
  jump,
  lookup,
  notIn,
  notProtocol,
  protocol,
  state,
} from './rule-parts.ts';

/** Maps of one tier: address . protocol . port, and address . protocol for protocols without ports; absent when empty. */
export interface TierMaps {
  readonly ported?: string;
  readonly plain?: string;
}

/** The two ways in which this host is an end of a flow: somebody uses its services, or it uses somebody's. */
export type FlowKind = 'in' | 'out';

/** Names of the sets and maps each rule looks into. */
export interface FamilySets {
  readonly inventory: string;
  /** in . ether . source, and in . source where the inventory names no MAC. */
  readonly expectedMac: string;
  readonly expectedAddress: string;
  /** address . transport . port of paths to services here, without a proxy. */
  readonly served: string;
  /** The same for services behind a proxy, by the proxy's listening port. */
  readonly proxied: readonly { readonly listenPort: number; readonly set: string }[];
  readonly reached: string;
  /** Addresses of peers that a grant links with this device; they may ping each other. */
  readonly linked: string;
  readonly dns: string;
  /** Peers that observe mode does not open anything for: an order holds them back. */
  readonly contained: string;
  /** Denies of the admin tier and of grants' own denies; in this order. */
  readonly denies: Readonly<Record<FlowKind, readonly TierMaps[]>>;
  /** Denies of the baseline tier: they close nothing that a grant opens. */
  readonly lateDenies: Readonly<Record<FlowKind, TierMaps>>;
  readonly admin: Readonly<Record<FlowKind, TierMaps>>;
  readonly baseline: Readonly<Record<FlowKind, TierMaps>>;
  /** What staged rules would have done, by tier. */
  readonly observedAdmin: Readonly<Record<FlowKind, TierMaps>>;
  readonly observedBaseline: Readonly<Record<FlowKind, TierMaps>>;
  /** Rules about packets that this host forwards, in their order of judgement. */
  readonly through: readonly ThroughRule[];
}

export interface ThroughRule {
  readonly id: string;
  readonly tier: 'admin' | 'baseline';
  readonly verdict: 'deny' | 'allow' | 'pass';
  readonly transport: readonly Match[];
  readonly ports?: readonly [number, number];
  readonly from: string;
  readonly to: string | undefined;
  readonly observe: boolean;
  /** This host's end of the workload's veth pair: its packets arrive there, and answers leave there. */
  readonly via: string | undefined;
  /** What drops in front of an allow: its end, its rate, its number of connections. */
  readonly guards: readonly Rule[];
}

export interface GenerationInput {
  readonly families: Readonly<Record<Family, FamilySets>>;
  /** transport . port of services in observe mode, open to everyone and logged; without and behind a proxy. */
  readonly observed: string | undefined;
  readonly observedProxied: readonly { readonly listenPort: number; readonly set: string }[];
  /** Traps and meters, for requests to this host. */
  readonly reflex: readonly Rule[];
  /** Chains that tier maps lead to. */
  readonly ruleChains: readonly Chain[];
  /** Users whose packets are judged by maps of their own; see workloads.ts. */
  readonly users: readonly UserMaps[];
}

export interface UserMaps {
  readonly key: string;
  /** Of a control group: the set with it, and its level. */
  readonly group?: { readonly set: string; readonly level: number };
  readonly families: Readonly<Record<Family, UserSets>>;
}

/** Of outgoing packets of one user: all rules that are about them, and what grants open to its workloads alone. */
export interface UserSets {
  readonly denies: readonly TierMaps[];
  readonly lateDenies: TierMaps;
  readonly admin: TierMaps;
  readonly baseline: TierMaps;
  readonly observedAdmin: TierMaps;
  readonly observedBaseline: TierMaps;
  readonly reached: string;
}

const families: readonly Family[] = [4, 6];

/** Sets and maps that every generation has: what its epoch is. */
export const epochSets = {
  /** Marks of its flows: its own, those of a proxy, and both. */
  plain: 'epoch_plain',
  proxied: 'epoch_proxied',
  all: 'epoch_all',
  /** family : mark, for flows that it admits. */
  admit: 'epoch_mark',
  admitProxied: 'epoch_mark_proxied',
} as const;

/** Sets and maps of a plan that tells users apart. */
export const userSets = {
  /** The users. */
  all: 'users',
  /** uid : chain, for each place where their packets are judged by themselves. */
  chains: 'user_chains',
  denies: 'user_denies',
  lateDenies: 'user_late_denies',
  /** Mark of their flows, and family : mark. */
  mark: 'workload_mark',
  markOf: 'workload_mark_of',
} as const;

type UserChain = 'to' | 'back' | 'deny' | 'late';

/** Chains that lead on for one user or control group. */
export const userChain = (what: UserChain, key: string): string => `${what}_${key}`;
/** The set of one control group, and that of all of a level. */
export const groupSet = (key: string): string => `cgroup_${key}`;
export const groupsOfLevel = (level: number): string => `cgroups_${level}`;

const ofWorkload: Match = lookup(userSets.mark, 'connection-mark');
const inGroup = (set: string, level: number): Match => ({ kind: 'cgroup', level, set, not: false });

/** A user with rules of its own is judged by these, whatever group it is in: nobody leaves a deny by being moved. */
function byUser(input: GenerationInput, map: string, what: UserChain, match: Match[] = []): Rule[] {
  if (input.users.length === 0) return [];
  return [
    { match, verdict: { kind: 'dispatch', fields: ['uid'], map } },
    ...input.users.flatMap(({ key, group }): Rule[] =>
      group === undefined
        ? []
        : [{ match: [...match, inGroup(group.set, group.level)], verdict: goto(userChain(what, key)) }],
    ),
  ];
}
/** Where outgoing packets of a workload are accepted, and answers to them. */
export const toWorkload: Verdict = goto('workload_out');
/** One of these matches what any of them sends. */
export const ofUsers = (groupLevels: readonly number[]): Match[] => [
  lookup(userSets.all, 'uid'),
  ...groupLevels.map((level) => inGroup(groupsOfLevel(level), level)),
];
export const backToWorkload: Verdict = goto('workload_back');

const ofEpoch = (set: string): Match => lookup(set, 'connection-mark');
export const admit: Verdict = { kind: 'admit', map: epochSets.admit };
const admitProxied: Verdict = { kind: 'admit', map: epochSets.admitProxied };

/** Which fields of a packet name the other side and the service, for one direction of one kind of flow. */
interface View {
  readonly chain: string;
  readonly flow: FlowKind;
  readonly peer: 'source' | 'destination';
  readonly service: 'dport' | 'sport';
}

const outgoing: View = { chain: 'outbound_to', flow: 'out', peer: 'destination', service: 'dport' };
const answers: View = { chain: 'outbound_back', flow: 'out', peer: 'source', service: 'sport' };
export const views: readonly View[] = [
  { chain: 'inbound_from', flow: 'in', peer: 'source', service: 'dport' },
  { chain: 'inbound_back', flow: 'in', peer: 'destination', service: 'sport' },
  outgoing,
  answers,
];

const isRequest = (view: View): boolean => view.service === 'dport';

/** The chains of a plan's denies; one that would be empty is not there. */
export function denyChains(input: GenerationInput): Chain[] {
  const early = views.map((view) => ({
    name: `deny_${view.chain}`,
    rules: [
      ...userDenies(input, view, 'deny'),
      ...(view.chain === 'inbound_from' ? input.reflex : []),
      ...families.flatMap((family) =>
        input.families[family].denies[view.flow].flatMap((maps) => dispatch(family, maps, view)),
      ),
    ],
  }));
  const late = views.map((view) => ({
    name: `late_${view.chain}`,
    rules: [
      ...userDenies(input, view, 'late'),
      ...families.flatMap((family) => dispatch(family, input.families[family].lateDenies[view.flow], view)),
    ],
  }));
  const users = input.users.flatMap(({ key, families: sets }) => [
    {
      name: userChain('deny', key),
      rules: families.flatMap((family) => sets[family].denies.flatMap((maps) => dispatch(family, maps, outgoing))),
    },
    {
      name: userChain('late', key),
      rules: families.flatMap((family) => dispatch(family, sets[family].lateDenies, outgoing)),
    },
  ]);
  // An allow keeps every deny behind it off, a pass those of its own tier.
  const baseline = throughTier(input, 'baseline', (rule) => !rule.observe, { allow: back, pass: back });
  const next = baseline.rules.length === 0 ? [] : [{ match: [], verdict: goto(`deny_${baseline.name}`) }];
  const pass = next[0]?.verdict ?? back;
  const admin = throughTier(input, 'admin', (rule) => !rule.observe, { allow: back, pass });
  const through = [
    { name: `deny_${baseline.name}`, rules: baseline.rules },
    { name: 'deny_through', rules: [...admin.rules, ...next] },
  ];
  return [...users, ...[...early, ...late, ...through].filter((chain) => chain.rules.length > 0)];
}

/** Packets of users are judged by their own denies; answers to them by what they send next. */
function userDenies(input: GenerationInput, view: View, what: 'deny' | 'late'): Rule[] {
  if (input.users.length === 0 || view.flow === 'in') return [];
  if (isRequest(view)) return byUser(input, what === 'deny' ? userSets.denies : userSets.lateDenies, what);
  return [{ match: [ofWorkload], verdict: back }];
}

/** The chains of a generation; those named as a hook or `antispoof` are where the first chains lead. */
export function generationChains(input: GenerationInput): Chain[] {
  return [
    { name: 'antispoof', rules: families.flatMap((family) => antispoof(family, input.families[family])) },
    ...input.ruleChains,
    ...openingThrough(input),
    ...views.map((view) => flowChain(input, view)),
    ...workloadChains(input),
    ...(['in', 'out'] as const).flatMap((way) => [
      { name: `accept_${way}`, rules: accepting(way) },
      { name: `known_${way}`, rules: [...(way === 'out' ? judgedAlways(input) : []), ...knownFlows(way)] },
    ]),
    { name: 'prerouting', rules: prerouting(input) },
    { name: 'input', rules: inputRules(input) },
    { name: 'forward', rules: forwardRules(input) },
    { name: 'output', rules: outputRules(input) },
  ];
}

/**
 * An inventoried source is believed only on the interface, and with the MAC, that the inventory expects. That is asked
 * first: most packets come from where they should.
 */
function antispoof(family: Family, sets: FamilySets): Rule[] {
  return [
    { family, match: [lookup(sets.expectedMac, 'in', 'ether', 'source')], verdict: back },
    { family, match: [lookup(sets.expectedAddress, 'in', 'source')], verdict: back },
    { family, match: [lookup(sets.inventory, 'source')], log: 'spoofed', verdict: drop },
  ];
}

/** One lookup for all rules of a tier, however many they are. */
function dispatch(family: Family, maps: TierMaps, view: View, match: Match[] = []): Rule[] {
  const { ported, plain } = maps;
  return [
    ...(ported === undefined
      ? []
      : [
          {
            family,
            match: [...match, protocol('tcp', 'udp', 'sctp', 'udplite')],
            verdict: {
              kind: 'dispatch' as const,
              fields: [view.peer, 'protocol', view.service] as Field[],
              map: ported,
            },
          },
        ]),
    ...(plain === undefined
      ? []
      : [
          {
            family,
            match: [...match, notProtocol('tcp', 'udp', 'sctp', 'udplite')],
            verdict: { kind: 'dispatch' as const, fields: [view.peer, 'protocol'] as Field[], map: plain },
          },
        ]),
  ];
}

/** Admin tier, grants, baseline tier: what each admits, for one direction of one kind of flow. */
function flowChain(input: GenerationInput, view: View): Chain {
  const each = (rules: (family: Family, sets: FamilySets) => Rule[]): Rule[] =>
    families.flatMap((family) => rules(family, input.families[family]));
  const staged = (family: Family, maps: TierMaps): Rule[] =>
    isRequest(view) ? dispatch(family, maps, view, [state('new')]) : [];
  return {
    name: view.chain,
    rules: [
      ...each((family, sets) => staged(family, sets.observedAdmin[view.flow])),
      ...each((family, sets) => dispatch(family, sets.admin[view.flow], view)),
      ...each((family, sets) => grantRules(family, sets, view)),
      ...each((family, sets) => staged(family, sets.observedBaseline[view.flow])),
      { match: [], verdict: jump(`late_${view.chain}`) },
      ...each((family, sets) => dispatch(family, sets.baseline[view.flow], view)),
      ...each((family) => (view.flow === 'in' ? observeRules(family, input, view) : [])),
      ...(view === answers ? input.users : []).map(({ key }): Rule => ({
        match: [],
        verdict: jump(userChain('back', key)),
      })),
    ],
  };
}

/** Each packet that a user sends, however well its flow is known: another one may send from the same port now. */
const judgedAlways = ({ users }: GenerationInput): Rule[] =>
  users.length === 0
    ? []
    : ofUsers([...new Set(users.flatMap(({ group }) => group?.level ?? []))]).map((one) => ({
        match: [direction('original'), one],
        verdict: back,
      }));

function workloadChains(input: GenerationInput): Chain[] {
  if (input.users.length === 0) return [];
  const seen = (side: 'from' | 'to', field: Field): Rule[] =>
    families.map((family) => ({
      family,
      match: [lookup(baseSets.identified[family], field)],
      verdict: { kind: 'remember', set: seenSets[side][family], field },
    }));
  return [
    {
      name: 'workload_out',
      rules: [...seen('to', 'destination'), { match: [], verdict: { kind: 'admit', map: userSets.markOf } }],
    },
    {
      name: 'workload_back',
      rules: [
        // TCP acknowledges what it gets, and that packet is judged; of others only the mark says whose they are.
        { match: [notProtocol('tcp'), notIn(userSets.mark, 'connection-mark')], verdict: back },
        ...seen('from', 'source'),
        { match: [], verdict: accept },
      ],
    },
    ...input.users.flatMap((user) => [outgoingOf(input, user), answersTo(user)]),
  ];
}

/** Everything that decides about an outgoing packet of this user, in the order of outbound_to. */
function outgoingOf(input: GenerationInput, { key, families: sets }: UserMaps): Chain {
  const each = (rules: (family: Family) => Rule[]): Rule[] => families.flatMap(rules);
  return {
    name: userChain('to', key),
    rules: [
      ...each((family) => dispatch(family, sets[family].observedAdmin, outgoing, [state('new')])),
      ...each((family) => dispatch(family, sets[family].admin, outgoing)),
      ...each((family) => [
        ...grantRules(family, input.families[family], outgoing, toWorkload),
        { family, match: [lookup(sets[family].reached, ...pathOf(outgoing))], verdict: toWorkload },
      ]),
      ...each((family) => dispatch(family, sets[family].observedBaseline, outgoing, [state('new')])),
      { match: [], verdict: jump('late_outbound_to') },
      ...each((family) => dispatch(family, sets[family].baseline, outgoing)),
      ...ending('default-out'),
    ],
  };
}

function answersTo({ key, families: sets }: UserMaps): Chain {
  return {
    name: userChain('back', key),
    rules: families.flatMap((family) => [
      ...dispatch(family, sets[family].admin, answers),
      { family, match: [lookup(sets[family].reached, ...pathOf(answers))], verdict: jump('workload_back') },
      ...dispatch(family, sets[family].baseline, answers),
    ]),
  };
}

const pathOf = (view: View): Field[] => [view.peer, 'protocol', view.service];

function grantRules(family: Family, sets: FamilySets, view: View, admitted: Verdict = admit): Rule[] {
  const key = pathOf(view);
  const echo: Match = { kind: 'icmp', types: ['echo-request', 'echo-reply'] };
  const linked: Rule = { family, match: [echo, lookup(sets.linked, view.peer)], verdict: admitted };
  if (view.flow === 'out') {
    return [
      { family, match: [lookup(sets.reached, ...key)], verdict: admitted },
      { family, match: [lookup(sets.dns, ...key)], verdict: admitted },
      linked,
    ];
  }
  return [
    { family, match: [lookup(sets.served, ...key)], verdict: admit },
    ...sets.proxied.map(({ set }): Rule => ({
      family,
      match: [throughProxy(view), lookup(set, ...key)],
      verdict: admitProxied,
    })),
    linked,
  ];
}

/**
 * Requests belong to the proxy's socket, which is transparent; their packet mark would prove nothing, because any table may set
 * it. Answers have no such socket, so the flow itself has to be known as a proxy's.
 */
function throughProxy(view: View): Match {
  return isRequest(view) ? { kind: 'transparent-socket' } : { kind: 'proxied-flow' };
}

function observeRules(family: Family, input: GenerationInput, view: View): Rule[] {
  const log = isRequest(view) ? { log: 'observe' } : {};
  const free = notIn(input.families[family].contained, view.peer);
  return [
    ...(input.observed === undefined
      ? []
      : [{ family, match: [free, lookup(input.observed, 'protocol', view.service)], ...log, verdict: admit }]),
    ...input.observedProxied.map(({ set }): Rule => ({
      family,
      match: [throughProxy(view), free, lookup(set, 'protocol', view.service)],
      ...log,
      verdict: admitProxied,
    })),
  ];
}

function prerouting(input: GenerationInput): Rule[] {
  const divert = (family: Family, set: string, fields: Field[], port: number): Rule => ({
    family,
    match: [{ kind: 'local-destination' }, protocol('tcp'), lookup(set, ...fields)],
    verdict: { kind: 'divert', port },
  });
  return [
    { match: [state('established'), ofEpoch(epochSets.plain)], verdict: accept },
    ...families.flatMap((family) => [
      ...input.families[family].proxied.map(({ set, listenPort }) =>
        divert(family, set, ['source', 'protocol', 'dport'], listenPort),
      ),
      ...input.observedProxied.map(({ set, listenPort }) => divert(family, set, ['protocol', 'dport'], listenPort)),
    ]),
    // What no proxy takes is for the next hook to judge.
    { match: [], verdict: accept },
  ];
}

const relatedErrors = flowErrors(ofEpoch(epochSets.all));
/** Flows of this epoch, but for those that a proxy has to take part in. */
const knownFlows = (way: FlowKind): Rule[] => [
  {
    match: [state('established'), ofEpoch(way === 'in' ? epochSets.plain : epochSets.all)],
    verdict: goto(`accept_${way}`),
  },
];

/** Receipts of containments say when the last packet of a peer was accepted, and when the last one to it. */
function accepting(way: FlowKind): Rule[] {
  const [side, field] = way === 'in' ? (['from', 'source'] as const) : (['to', 'destination'] as const);
  return [
    ...families.map((family): Rule => ({
      family,
      match: [],
      verdict: { kind: 'remember', set: seenSets[side][family], field },
    })),
    { match: [], verdict: accept },
  ];
}

/** Flows of an older epoch that no rule admits again. */
const staleFlow: Rule = {
  match: [state('established'), protocol('tcp')],
  log: 'stale-flow',
  verdict: { kind: 'reset' },
};

const ending = (log: string): Rule[] => [staleFlow, { match: [], log, verdict: drop }];

function inputRules({ users }: GenerationInput): Rule[] {
  return [
    ...knownFlows('in'),
    // Only through the proxy: without its socket a reused port pair would reach the server behind it.
    {
      match: [state('established'), ofEpoch(epochSets.proxied), { kind: 'transparent-socket' }],
      verdict: goto('accept_in'),
    },
    ...relatedErrors,
    ...(users.length === 0 ? [] : flowErrors(ofWorkload)),
    { match: [direction('original')], verdict: jump('inbound_from') },
    { match: [direction('reply')], verdict: jump('outbound_back') },
    ...ending('default-in'),
  ];
}

function outputRules(input: GenerationInput): Rule[] {
  return [
    ...byUser(input, userSets.chains, 'to', [direction('original')]),
    ...knownFlows('out'),
    ...relatedErrors,
    { match: [direction('original')], verdict: jump('outbound_to') },
    { match: [direction('reply')], verdict: jump('inbound_back') },
    ...ending('default-out'),
  ];
}

function forwardRules(input: GenerationInput): Rule[] {
  const rules = openingThrough(input).map((chain): Rule => ({ match: [], verdict: jump(chain.name) }));
  return [
    { match: [state('established'), ofEpoch(epochSets.plain)], verdict: accept },
    ...relatedErrors,
    ...rules,
    ...ending('default-forward'),
  ];
}

/** What passes and what is only noted, tier by tier; denies have been asked before. */
function openingThrough(input: GenerationInput): Chain[] {
  return (['admin', 'baseline'] as const)
    .map((tier) =>
      throughTier(input, tier, (rule) => rule.verdict !== 'deny' || rule.observe, { allow: admit, pass: back }),
    )
    .filter((chain) => chain.rules.length > 0);
}

interface Without {
  /** What the two verdicts that do not drop do with a packet here. */
  readonly allow: Verdict;
  readonly pass: Verdict;
}

function throughTier(
  input: GenerationInput,
  tier: ThroughRule['tier'],
  which: (rule: ThroughRule) => boolean,
  verdicts: Without,
): Chain {
  const rules = families.flatMap((family) =>
    input.families[family].through
      .filter((rule) => rule.tier === tier && which(rule))
      .flatMap((rule) => throughRules(family, rule, verdicts)),
  );
  return { name: `through_${tier}`, rules };
}

/** A rule about forwarded packets, for both directions of its flows. */
function throughRules(family: Family, rule: ThroughRule, verdicts: Without): Rule[] {
  const ways = [
    { flow: 'original', from: 'source', to: 'destination', service: 'dport' },
    { flow: 'reply', from: 'destination', to: 'source', service: 'sport' },
  ] as const;
  return ways.flatMap(({ flow, from, to, service }): Rule[] => {
    const match: Match[] = [
      direction(flow),
      ...rule.transport,
      ...(rule.ports === undefined
        ? []
        : [{ kind: 'port' as const, field: service, range: [...rule.ports] as [number, number] }]),
      ...(rule.via === undefined
        ? []
        : [
            {
              kind: 'interface' as const,
              direction: flow === 'original' ? ('in' as const) : ('out' as const),
              name: rule.via,
            },
          ]),
      lookup(rule.from, from),
      ...(rule.to === undefined ? [] : [lookup(rule.to, to)]),
    ];
    if (rule.observe) {
      return flow === 'reply'
        ? []
        : [{ family, match: [state('new'), ...match], log: `observe:${rule.id}`, verdict: { kind: 'continue' } }];
    }
    // Denies have been asked before; there an allow only keeps those behind it off.
    const asksNew = (guard: Rule): boolean => guard.match.some(({ kind }) => kind === 'state');
    const guards =
      verdicts.allow.kind === 'admit' ? rule.guards.filter((guard) => flow === 'original' || !asksNew(guard)) : [];
    if (rule.verdict !== 'deny') {
      return [
        ...guards.map((guard): Rule => ({ ...guard, family, match: [...match, ...guard.match] })),
        { family, match, verdict: verdicts[rule.verdict] },
      ];
    }
    return cut(`firewall:${rule.id}`).map((end) => ({ ...end, family, match: [...match, ...end.match] }));
  });
}
