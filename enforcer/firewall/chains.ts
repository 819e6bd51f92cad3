// The chains of the table. Their order is the contract: loopback, neighbour discovery, who may not speak at all
// (spoofed, revoked, quarantined), what the connection tracker calls invalid, the control plane, established flows of
// the current epoch, then denies before grants before allows, and a logged drop.
import { containmentSets, PROXIED_BIT, PROXY_MARK } from './plan.ts';
import type { Chain, Family, Field, Match, Rule, Verdict } from './plan.ts';

/** Names of the sets each rule looks into; a rule without a set is left out. */
export interface FamilySets {
  readonly inventory: string | undefined;
  /** Every address that says whose it is, also behind a router; a contained device's MAC may carry these for others. */
  readonly identified: string | undefined;
  /** in . ether . source, and in . source where the inventory names no MAC. */
  readonly expectedMac: string | undefined;
  readonly expectedAddress: string | undefined;
  readonly control: string | undefined;
  /** address . transport . port of paths to services here, without a proxy. */
  readonly served: string | undefined;
  /** The same for services behind a proxy, by the proxy's listening port. */
  readonly proxied: readonly { readonly listenPort: number; readonly set: string }[];
  readonly reached: string | undefined;
  readonly islandServed: string | undefined;
  readonly islandReached: string | undefined;
  /** Addresses of peers that a grant links with this device; they may ping each other. */
  readonly linked: string | undefined;
  readonly dns: string | undefined;
  /** Peers that observe mode does not open anything for: an order holds them back. */
  readonly contained: string | undefined;
  /** Packet rules of the repository, in their order. */
  readonly rules: readonly PacketRule[];
}

export interface PacketRule {
  readonly id: string;
  readonly verdict: 'deny' | 'allow';
  readonly direction: 'in' | 'out';
  readonly transport: 'tcp' | 'udp' | 'icmp' | 'any';
  readonly peers: string;
  readonly ports?: readonly [number, number];
}

export interface ChainInput {
  readonly epoch: number;
  readonly families: Readonly<Record<Family, FamilySets>>;
  /** transport . port of services in observe mode, open to everyone and logged; without and behind a proxy. */
  readonly observed: string | undefined;
  readonly observedProxied: readonly { readonly listenPort: number; readonly set: string }[];
}

const families: readonly Family[] = [4, 6];

const lookup = (set: string, ...fields: Field[]): Match => ({ kind: 'lookup', fields, set, not: false });
const notIn = (set: string, field: Field): Match => ({ kind: 'lookup', fields: [field], set, not: true });
const state = (...states: ('established' | 'related' | 'invalid')[]): Match => ({ kind: 'state', states });
const protocol = (...protocols: ('tcp' | 'udp' | 'icmp' | 'icmpv6')[]): Match => ({ kind: 'protocol', protocols });
const direction = (value: 'original' | 'reply'): Match => ({ kind: 'direction', direction: value });
const accept: Verdict = { kind: 'accept' };
const drop: Verdict = { kind: 'drop' };
const back: Verdict = { kind: 'return' };
const jump = (chain: string): Verdict => ({ kind: 'jump', chain });
const goto = (chain: string): Verdict => ({ kind: 'goto', chain });

/** A rule with a lookup, or none when its set has no element. */
const over = (set: string | undefined, rule: (set: string) => Rule): Rule[] => (set === undefined ? [] : [rule(set)]);

/** A TCP peer learns at once that the flow is over; everything else ends in silence. */
const cut = (log: string): Rule[] => [
  { match: [protocol('tcp')], log, verdict: { kind: 'reset' } },
  { match: [], log, verdict: drop },
];

export function chainsOf(input: ChainInput): Chain[] {
  return [
    ...families.flatMap((family) => antispoof(family, input.families[family])),
    ...families.flatMap((family) => quarantined(family, input.families[family])),
    { name: 'revoked', rules: cut('revoked') },
    { name: 'quarantined', rules: cut('quarantined') },
    ...flowChains(input),
    { name: 'prerouting', hook: 'prerouting', policy: 'accept', rules: prerouting(input) },
    { name: 'input', hook: 'input', policy: 'drop', rules: inputRules(input) },
    { name: 'forward', hook: 'forward', policy: 'drop', rules: forwardRules() },
    { name: 'output', hook: 'output', policy: 'drop', rules: outputRules(input) },
  ];
}

/** An inventoried source is believed only on the interface, and with the MAC, that the inventory expects. */
function antispoof(family: Family, sets: FamilySets): Chain[] {
  if (sets.inventory === undefined) return [];
  return [
    {
      name: `antispoof${family}`,
      rules: [
        ...over(sets.expectedMac, (set) => ({ family, match: [lookup(set, 'in', 'ether', 'source')], verdict: back })),
        ...over(sets.expectedAddress, (set) => ({ family, match: [lookup(set, 'in', 'source')], verdict: back })),
        { match: [], log: 'spoofed', verdict: drop },
      ],
    },
  ];
}

/** A quarantined peer keeps the island operations of its grants; what comes back here is judged like any other packet. */
function quarantined(family: Family, sets: FamilySets): Chain[] {
  const spared = (served: Field[], reached: Field[], from: boolean): Rule[] => [
    ...over(sets.islandServed, (set) => ({
      family,
      match: [direction(from ? 'original' : 'reply'), lookup(set, ...served)],
      verdict: back,
    })),
    ...over(sets.islandReached, (set) => ({
      family,
      match: [direction(from ? 'reply' : 'original'), lookup(set, ...reached)],
      verdict: back,
    })),
    { match: [], verdict: goto('quarantined') },
  ];
  return [
    {
      name: `quarantined_from${family}`,
      rules: spared(['source', 'protocol', 'dport'], ['source', 'protocol', 'sport'], true),
    },
    {
      name: `quarantined_to${family}`,
      rules: spared(['destination', 'protocol', 'sport'], ['destination', 'protocol', 'dport'], false),
    },
  ];
}

function containment(input: ChainInput, field: 'source' | 'destination'): Rule[] {
  return [
    ...families.map((family): Rule => ({
      family,
      match: [lookup(containmentSets.revoked[family], field)],
      verdict: goto('revoked'),
    })),
    // A contained device that invents an address is still the machine with that MAC.
    ...(field === 'destination'
      ? []
      : families.flatMap((family) =>
          (['revoked', 'quarantined'] as const).map((kind): Rule => {
            const { identified } = input.families[family];
            const stranger = identified === undefined ? [] : [notIn(identified, 'source')];
            return { family, match: [lookup(containmentSets[kind].mac, 'ether'), ...stranger], verdict: goto(kind) };
          }),
        )),
    ...families.map((family): Rule => ({
      family,
      match: [lookup(containmentSets.quarantined[family], field)],
      verdict: jump(field === 'source' ? `quarantined_from${family}` : `quarantined_to${family}`),
    })),
  ];
}

const loopback = (side: 'in' | 'out'): Rule => ({
  match: [{ kind: 'interface', direction: side, name: 'lo' }],
  verdict: accept,
});
const neighbours = (side: 'in' | 'out'): Rule => ({
  family: 6,
  match: [{ kind: 'neighbour', direction: side }],
  verdict: accept,
});
const invalid: Rule = { match: [state('invalid')], log: 'invalid', verdict: drop };

function prerouting(input: ChainInput): Rule[] {
  const divert = (family: Family, set: string, fields: Field[], port: number): Rule => ({
    family,
    match: [{ kind: 'local-destination' }, protocol('tcp'), lookup(set, ...fields)],
    verdict: { kind: 'divert', port },
  });
  return [
    loopback('in'),
    neighbours('in'),
    ...families.flatMap((family) =>
      over(input.families[family].inventory, (set) => ({
        family,
        match: [lookup(set, 'source')],
        verdict: jump(`antispoof${family}`),
      })),
    ),
    ...containment(input, 'source'),
    invalid,
    // Before the established rule: a proxied flow without its mark would hang behind the SYN.
    { match: [protocol('tcp'), { kind: 'transparent-socket' }], verdict: { kind: 'to-proxy' } },
    { match: [state('established'), { kind: 'connection-mark', values: [input.epoch] }], verdict: accept },
    ...families.flatMap((family) => [
      ...input.families[family].proxied.map(({ set, listenPort }) =>
        divert(family, set, ['source', 'protocol', 'dport'], listenPort),
      ),
      ...input.observedProxied.map(({ set, listenPort }) => divert(family, set, ['protocol', 'dport'], listenPort)),
    ]),
  ];
}

/** ICMP errors that belong to a flow of this epoch, among them path MTU discovery (RFC 1191, RFC 8201). */
const relatedErrors = (input: ChainInput): Rule => ({
  match: [
    state('related'),
    protocol('icmp', 'icmpv6'),
    { kind: 'connection-mark', values: [input.epoch, PROXIED_BIT + input.epoch] },
  ],
  verdict: accept,
});
/** Flows of an older epoch that no rule admits again. */
const staleFlow: Rule = {
  match: [state('established'), protocol('tcp')],
  log: 'stale-flow',
  verdict: { kind: 'reset' },
};

function inputRules(input: ChainInput): Rule[] {
  return [
    loopback('in'),
    neighbours('in'),
    ...containment(input, 'source'),
    invalid,
    ...families.flatMap((family) =>
      over(input.families[family].control, (set) => ({
        family,
        match: [direction('reply'), state('established'), lookup(set, 'source', 'protocol', 'sport')],
        verdict: accept,
      })),
    ),
    { match: [state('established'), { kind: 'connection-mark', values: [input.epoch] }], verdict: accept },
    // Only through the proxy: without the packet mark a reused port pair would reach the server behind it.
    {
      match: [
        { kind: 'packet-mark', value: PROXY_MARK },
        state('established'),
        { kind: 'connection-mark', values: [PROXIED_BIT + input.epoch] },
      ],
      verdict: accept,
    },
    relatedErrors(input),
    { match: [direction('original')], verdict: jump('inbound_from') },
    { match: [direction('reply')], verdict: jump('outbound_back') },
    staleFlow,
    { match: [], log: 'default-in', verdict: drop },
  ];
}

function forwardRules(): Rule[] {
  const revoked = (field: Field): Rule[] =>
    families.flatMap((family) =>
      (['revoked', 'quarantined'] as const).map((kind): Rule => ({
        family,
        match: [lookup(containmentSets[kind][family], field)],
        verdict: goto(kind),
      })),
    );
  return [...revoked('source'), ...revoked('destination'), { match: [], log: 'default-forward', verdict: drop }];
}

function outputRules(input: ChainInput): Rule[] {
  return [
    loopback('out'),
    neighbours('out'),
    // The resets that the rules here send pass this hook themselves; they carry nothing and only end flows.
    { match: [protocol('tcp'), { kind: 'tcp-reset' }], verdict: accept },
    ...containment(input, 'destination'),
    invalid,
    ...families.flatMap((family) =>
      over(input.families[family].control, (set) => ({
        family,
        match: [lookup(set, 'destination', 'protocol', 'dport')],
        verdict: { kind: 'admit', mark: input.epoch },
      })),
    ),
    {
      match: [state('established'), { kind: 'connection-mark', values: [input.epoch, PROXIED_BIT + input.epoch] }],
      verdict: accept,
    },
    relatedErrors(input),
    { match: [direction('original')], verdict: jump('outbound_to') },
    { match: [direction('reply')], verdict: jump('inbound_back') },
    staleFlow,
    { match: [], log: 'default-out', verdict: drop },
  ];
}

/** Which fields of a packet name the other side and the service, for one direction of one kind of flow. */
interface View {
  readonly name: string;
  readonly flow: 'in' | 'out';
  readonly peer: 'source' | 'destination';
  readonly service: 'sport' | 'dport';
}

/**
 * Both directions of a flow are judged by the same sets: otherwise the answers of a flow that is denied now would
 * mark it with the new epoch, and its requests would pass again.
 */
const views: readonly View[] = [
  { name: 'inbound_from', flow: 'in', peer: 'source', service: 'dport' },
  { name: 'inbound_back', flow: 'in', peer: 'destination', service: 'sport' },
  { name: 'outbound_to', flow: 'out', peer: 'destination', service: 'dport' },
  { name: 'outbound_back', flow: 'out', peer: 'source', service: 'sport' },
];

function flowChains(input: ChainInput): Chain[] {
  return views.map((view) => ({
    name: view.name,
    rules: [
      ...families.flatMap((family) => packetRules(family, input, view, 'deny')),
      ...families.flatMap((family) => grantRules(family, input, view)),
      ...families.flatMap((family) => packetRules(family, input, view, 'allow')),
      ...families.flatMap((family) => (view.flow === 'in' ? observeRules(family, input, view) : [])),
    ],
  }));
}

function grantRules(family: Family, input: ChainInput, view: View): Rule[] {
  const sets = input.families[family];
  const key: Field[] = [view.peer, 'protocol', view.service];
  const admit: Verdict = { kind: 'admit', mark: input.epoch };
  const echo: Match = { kind: 'icmp', types: ['echo-request', 'echo-reply'] };
  const linked = over(sets.linked, (set) => ({ family, match: [echo, lookup(set, view.peer)], verdict: admit }));
  if (view.flow === 'out') {
    return [
      ...over(sets.reached, (set) => ({ family, match: [lookup(set, ...key)], verdict: admit })),
      ...over(sets.dns, (set) => ({ family, match: [lookup(set, ...key)], verdict: admit })),
      ...linked,
    ];
  }
  return [
    ...over(sets.served, (set) => ({ family, match: [lookup(set, ...key)], verdict: admit })),
    ...sets.proxied.map(({ set }) => ({
      family,
      match: [throughProxy(view), lookup(set, ...key)],
      verdict: { kind: 'admit' as const, mark: PROXIED_BIT + input.epoch },
    })),
    ...linked,
  ];
}

/** Requests carry the mark that TPROXY gave them; answers carry none, so the flow itself has to be known as a proxy's. */
function throughProxy(view: View): Match {
  return view.service === 'dport' ? { kind: 'packet-mark', value: PROXY_MARK } : { kind: 'proxied-flow' };
}

function observeRules(family: Family, input: ChainInput, view: View): Rule[] {
  const log = view.service === 'dport' ? { log: 'observe' } : {};
  const { contained } = input.families[family];
  const free = contained === undefined ? [] : [notIn(contained, view.peer)];
  return [
    ...over(input.observed, (set) => ({
      family,
      match: [...free, lookup(set, 'protocol', view.service)],
      ...log,
      verdict: { kind: 'admit', mark: input.epoch },
    })),
    ...input.observedProxied.map(({ set }) => ({
      family,
      match: [throughProxy(view), ...free, lookup(set, 'protocol', view.service)],
      ...log,
      verdict: { kind: 'admit' as const, mark: PROXIED_BIT + input.epoch },
    })),
  ];
}

function packetRules(family: Family, input: ChainInput, view: View, verdict: 'deny' | 'allow'): Rule[] {
  return input.families[family].rules
    .filter((rule) => rule.direction === view.flow && rule.verdict === verdict)
    .map((rule) => {
      const transport = transportMatch(family, rule);
      return {
        family,
        match: [
          ...transport,
          ...(rule.ports === undefined
            ? []
            : [
                {
                  kind: 'port' as const,
                  field: view.service,
                  range: [rule.ports[0], rule.ports[1]] as [number, number],
                },
              ]),
          lookup(rule.peers, view.peer),
        ],
        ...(verdict === 'deny' ? { log: rule.id } : {}),
        verdict: verdict === 'deny' ? drop : { kind: 'admit' as const, mark: input.epoch },
      };
    });
}

function transportMatch(family: Family, rule: PacketRule): Match[] {
  if (rule.transport === 'icmp') return [protocol(family === 4 ? 'icmp' : 'icmpv6')];
  if (rule.transport !== 'any') return [protocol(rule.transport)];
  return rule.ports === undefined ? [] : [protocol('tcp', 'udp')];
}
