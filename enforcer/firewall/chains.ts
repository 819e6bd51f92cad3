// What a plan adds to the table: its denies, which stay closed whatever happens to it, and its generation, which opens
// paths and falls back when nobody confirms it. The first chains, which both hang from, are base-chains.ts.
import type { ProxyPorts } from './build.ts';
import {
  admit,
  admitProxied,
  answers,
  dispatch,
  ending,
  grantRules,
  isRequest,
  ofEpoch,
  outgoing,
  throughProxy,
  views,
} from './flow-rules.ts';
import type { View } from './flow-rules.ts';
import { epochSets, families, userSets } from './generation-input.ts';
import type { FamilySets, FlowKind, GenerationInput, TierMaps } from './generation-input.ts';
import { seenSets } from './plan.ts';
import type { Chain, Family, Field, Rule } from './plan.ts';
import { accept, back, direction, drop, flowErrors, goto, jump, lookup, notIn, protocol, state } from './rule-parts.ts';
import { openedErrors } from './opened.ts';
import { openingThrough, throughTier } from './through-chains.ts';
import { byUser, judgedAlways, ofWorkload, userChain, userDenies, workloadChains } from './workload-chains.ts';

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
  // A proxy that does not listen does not match: its stand-in comes behind it.
  const diverts = (family: Family, fields: Field[]) => (to: ProxyPorts & { readonly set: string }) =>
    [to.listenPort, ...(to.standbyPort === undefined ? [] : [to.standbyPort])].map((port): Rule => ({
      family,
      match: [{ kind: 'local-destination' }, protocol('tcp'), lookup(to.set, ...fields)],
      verdict: { kind: 'divert', port },
    }));
  return [
    { match: [state('established'), ofEpoch(epochSets.plain)], verdict: accept },
    ...families.flatMap((family) => [
      ...input.families[family].proxied.flatMap(diverts(family, ['source', 'protocol', 'dport'])),
      ...input.observedProxied.flatMap(diverts(family, ['protocol', 'dport'])),
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

function inputRules({ users, families: sets }: GenerationInput): Rule[] {
  return [
    ...knownFlows('in'),
    // Only through the proxy: without its socket a reused port pair would reach the server behind it.
    {
      match: [state('established'), ofEpoch(epochSets.proxied), { kind: 'transparent-socket' }],
      verdict: goto('accept_in'),
    },
    ...relatedErrors,
    ...(users.length === 0 ? [] : flowErrors(ofWorkload)),
    ...openedErrors(families.some((family) => sets[family].opened !== undefined)),
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
