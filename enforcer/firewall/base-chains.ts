// The first chains of every table. They are the same for every plan, so that no change of policy can take them away:
// loopback, neighbour discovery, who may not speak at all (spoofed, revoked, quarantined, blocked), what the connection
// tracker calls invalid, the control plane, island mode, denies. Then the generation that is live answers.
import { baseSets, blockedSets, CANDIDATE_SET, CONTROL_MARK, containmentSets, ISLAND_SET, seenSets } from './plan.ts';
import type { Chain, Family, Field, Rule, SetDefinition } from './plan.ts';
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
  protocol,
  state,
} from './rule-parts.ts';
import { views } from './flow-rules.ts';
import { SEEN_TIMEOUT_MS } from './flows/limits.ts';
import { MAX_SET_ELEMENTS } from './limits.ts';

const families: readonly Family[] = [4, 6];
const addressType = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;

/** Chains that lead on: to the generation that is live, and to the denies of all that were loaded. */
export const antispoofStage = 'at_antispoof';
export const hookStages = ['prerouting', 'input', 'forward', 'output'] as const;
export const stageOf = (hook: string): string => `at_${hook}`;
/** Leads to the flows of the live generation while no other one has a say; empty otherwise. */
export const knownStages = { input: 'known_input', output: 'known_output' } as const;
export const denyStages: readonly string[] = [
  ...views.map((view) => `deny_${view.chain}`),
  ...views.map((view) => `late_${view.chain}`),
  'deny_through',
];

/** family : chain that says who is held back. */
const heldMaps = { from: 'held_from', to: 'held_to' } as const;
const heldMap = (side: Side): SetDefinition => ({
  name: heldMaps[side],
  type: ['nf_proto'],
  data: 'verdict',
  interval: false,
  timeout: false,
  purpose: 'who is held back',
  elements: families.map((family) => ({
    key: [`ipv${family}`],
    verdict: { kind: 'jump', chain: `held_${side}${family}` },
  })),
});

const controlMarks = { set: 'control_mark', map: 'control_mark_of' } as const;
const controlMark: readonly SetDefinition[] = [
  {
    name: controlMarks.set,
    type: ['mark'],
    interval: false,
    timeout: false,
    purpose: 'flows to the control plane',
    elements: [{ key: [String(CONTROL_MARK)] }],
  },
  {
    name: controlMarks.map,
    type: ['nf_proto'],
    data: 'mark',
    interval: false,
    timeout: false,
    purpose: 'flows to the control plane',
    elements: ['ipv4', 'ipv6'].map((family) => ({ key: [family], mark: CONTROL_MARK })),
  },
];

/** Filled by packets alone; nobody is added who is not in the inventory, so that a flood of strangers cannot fill them. */
const seen: readonly SetDefinition[] = (['from', 'to'] as const).flatMap((side) =>
  families.map((family): SetDefinition => ({
    name: seenSets[side][family],
    type: [addressType[family]],
    interval: false,
    timeout: true,
    counted: true,
    learned: { size: MAX_SET_ELEMENTS, timeoutMs: SEEN_TIMEOUT_MS },
    purpose: `packets accepted ${side}`,
    elements: [],
  })),
);

/** Sets that no plan has anything to say about. */
export function constantSets(): readonly SetDefinition[] {
  return [...controlMark, heldMap('from'), heldMap('to'), ...seen];
}

/** Sources remembered when a trap or a meter blocked them. */
export const MAX_BLOCKED = 65_536;

export function blockedSet(family: Family, elements: SetDefinition['elements']): SetDefinition {
  return {
    name: blockedSets[family],
    type: [addressType[family]],
    interval: false,
    timeout: true,
    learned: { size: MAX_BLOCKED },
    purpose: 'blocked for a while',
    elements,
  };
}

type Side = 'from' | 'to';
const cuts = ['revoked', 'quarantined', 'blocked'] as const;

/** The same objects always, so that two tables are seen to share them. */
export function baseChains(): readonly Chain[] {
  made ??= makeBaseChains();
  return made;
}

let made: readonly Chain[] | undefined;

function makeBaseChains(): Chain[] {
  return [
    ...cuts.map((name) => ({ name, rules: cut(name) })),
    ...(['quarantined', 'blocked'] as const).flatMap((name) =>
      families.flatMap((family) => (['from', 'to'] as const).map((side) => spared(name, family, side))),
    ),
    ...(['from', 'to'] as const).flatMap((side) => families.map((family) => held(family, side))),
    ...(['from', 'to'] as const).map(islandChain),
    { name: 'prerouting', hook: 'prerouting', policy: 'accept', rules: prerouting() },
    { name: 'input', hook: 'input', policy: 'drop', rules: inputRules() },
    { name: 'forward', hook: 'forward', policy: 'drop', rules: forwardRules() },
    { name: 'output', hook: 'output', policy: 'drop', rules: outputRules() },
    {
      name: 'accepted_input',
      hook: 'input',
      after: true,
      policy: 'accept',
      rules: [loopback('in'), ...remember('from')],
    },
    {
      name: 'accepted_forward',
      hook: 'forward',
      after: true,
      policy: 'accept',
      rules: families.flatMap((family) => [rememberAny('from', family), rememberAny('to', family)]),
    },
    {
      name: 'accepted_output',
      hook: 'output',
      after: true,
      policy: 'accept',
      rules: [loopback('out'), resets, ...remember('to')],
    },
  ];
}

/** First packets of peers; those of flows that are established are remembered where they are accepted. */
function remember(side: Side): Rule[] {
  const field = side === 'from' ? 'source' : 'destination';
  return families.map((family) => ({
    family,
    match: [state('new', 'related'), lookup(baseSets.identified[family], field)],
    verdict: { kind: 'remember', set: seenSets[side][family], field },
  }));
}

function rememberAny(side: Side, family: Family): Rule {
  const field = side === 'from' ? 'source' : 'destination';
  return {
    family,
    match: [lookup(baseSets.identified[family], field)],
    verdict: { kind: 'remember', set: seenSets[side][family], field },
  };
}

/** What passes of a peer that is held back: operations of its grants, which are judged like any other packet then. */
function sparing(family: Family, side: Side, served: string, reached: string): Rule[] {
  const from = side === 'from';
  const peer: Field = from ? 'source' : 'destination';
  return [
    {
      family,
      match: [direction(from ? 'original' : 'reply'), lookup(served, peer, 'protocol', from ? 'dport' : 'sport')],
      verdict: back,
    },
    {
      family,
      match: [direction(from ? 'reply' : 'original'), lookup(reached, peer, 'protocol', from ? 'sport' : 'dport')],
      verdict: back,
    },
  ];
}

function spared(name: 'quarantined' | 'blocked', family: Family, side: Side): Chain {
  return {
    name: `${name}_${side}${family}`,
    rules: [
      ...sparing(family, side, baseSets.islandServed[family], baseSets.islandReached[family]),
      { match: [], verdict: goto(name) },
    ],
  };
}

/** Island mode: everything ends but safety and island operations; who tries a flow that was open is told. */
function islandChain(side: Side): Chain {
  return {
    name: `island_${side}`,
    rules: [
      ...families.flatMap((family) =>
        sparing(family, side, baseSets.safetyServed[family], baseSets.safetyReached[family]),
      ),
      { match: [state('established'), protocol('tcp')], log: 'island', verdict: { kind: 'reset' } },
      { match: [], log: 'island', verdict: drop },
    ],
  };
}

/** Who is held back, asked once for the family that the packet has. */
const containment = (side: Side): Rule => ({
  match: [],
  verdict: { kind: 'dispatch', fields: ['family'], map: heldMaps[side] },
});

function held(family: Family, side: Side): Chain {
  const field = side === 'from' ? 'source' : 'destination';
  return {
    name: `held_${side}${family}`,
    rules: [
      { family, match: [lookup(containmentSets.revoked[family], field)], verdict: goto('revoked') },
      ...(side === 'from' ? strangers(family) : []),
      {
        family,
        match: [lookup(containmentSets.quarantined[family], field)],
        verdict: jump(`quarantined_${side}${family}`),
      },
      { family, match: [lookup(blockedSets[family], field)], verdict: jump(`blocked_${side}${family}`) },
    ],
  };
}

/** A contained device that invents an address is still the machine with that MAC. The small sets are asked first. */
const strangers = (family: Family): Rule[] =>
  (['revoked', 'quarantined'] as const).map((kind) => ({
    family,
    match: [lookup(containmentSets[kind].mac, 'ether'), notIn(baseSets.identified[family], 'source')],
    verdict: goto(kind),
  }));

const loopback = (side: 'in' | 'out'): Rule => ({
  match: [{ kind: 'interface', direction: side, name: 'lo' }],
  verdict: accept,
});
const neighbours = (side: 'in' | 'out'): Rule => ({
  family: 6,
  match: [{ kind: 'neighbour', direction: side }],
  verdict: accept,
});
/** The resets that the rules here send pass the output hook themselves; they carry nothing and only end flows. */
const resets: Rule = { match: [protocol('tcp'), { kind: 'tcp-reset' }], verdict: accept };
const invalid: Rule = { match: [state('invalid')], log: 'invalid', verdict: drop };
const island = (side: Side): Rule => ({
  match: [lookup(ISLAND_SET, 'family')],
  verdict: jump(`island_${side}`),
});
const denies = (way: 'original' | 'reply', chain: string): Rule => ({
  match: [direction(way)],
  verdict: jump(`deny_${chain}`),
});

function prerouting(): Rule[] {
  return [
    loopback('in'),
    neighbours('in'),
    { match: [], verdict: jump(antispoofStage) },
    containment('from'),
    invalid,
    // Before established flows: a proxied one without its mark would hang behind the SYN.
    { match: [{ kind: 'proxied-flow' }, { kind: 'transparent-socket' }], verdict: { kind: 'to-proxy' } },
    { match: [], verdict: goto(stageOf('prerouting')) },
  ];
}

/** Flows that the live generation admitted itself met all that follows here when they began. */
const known = (hook: 'input' | 'output'): Rule => ({
  match: [notIn(ISLAND_SET, 'family')],
  verdict: jump(knownStages[hook]),
});

/** What has come this far was judged by prerouting: its source is neither forged nor held back. */
function inputRules(): Rule[] {
  return [
    loopback('in'),
    known('input'),
    neighbours('in'),
    ...families.map((family): Rule => ({
      family,
      match: [
        direction('reply'),
        state('established'),
        lookup(baseSets.control[family], 'source', 'protocol', 'sport'),
      ],
      verdict: accept,
    })),
    ...flowErrors(lookup(controlMarks.set, 'connection-mark')),
    island('from'),
    denies('original', 'inbound_from'),
    denies('reply', 'outbound_back'),
    { match: [], verdict: goto(stageOf('input')) },
  ];
}

function forwardRules(): Rule[] {
  const held = (field: Field): Rule[] =>
    families.flatMap((family) => [
      { family, match: [lookup(containmentSets.revoked[family], field)], verdict: goto('revoked') },
      { family, match: [lookup(containmentSets.quarantined[family], field)], verdict: goto('quarantined') },
      { family, match: [lookup(blockedSets[family], field)], verdict: goto('blocked') },
    ]);
  return [
    ...held('source'),
    ...held('destination'),
    invalid,
    // Nothing that is forwarded is an operation of this host.
    { match: [lookup(ISLAND_SET, 'family')], log: 'island', verdict: drop },
    { match: [], verdict: jump('deny_through') },
    { match: [], verdict: goto(stageOf('forward')) },
  ];
}

function outputRules(): Rule[] {
  return [
    loopback('out'),
    neighbours('out'),
    resets,
    containment('to'),
    known('output'),
    invalid,
    ...families.map((family): Rule => ({
      family,
      match: [lookup(baseSets.control[family], 'destination', 'protocol', 'dport')],
      verdict: { kind: 'admit', map: controlMarks.map },
    })),
    island('to'),
    denies('original', 'outbound_to'),
    denies('reply', 'inbound_back'),
    { match: [], verdict: goto(stageOf('output')) },
  ];
}

/** Rules of the chains that lead to the live generation: a candidate while the kernel keeps its element, else the one before. */
export function stageRules(
  stage: string,
  verdict: 'jump' | 'goto',
  live: string,
  candidate: string | undefined,
): Chain {
  const to = (chain: string) => (verdict === 'jump' ? jump(chain) : goto(chain));
  return {
    name: stage,
    rules: [
      ...(candidate === undefined
        ? []
        : [{ match: [lookup(CANDIDATE_SET, 'family')], verdict: goto(candidate) } satisfies Rule]),
      { match: [], verdict: to(live) },
    ],
  };
}
