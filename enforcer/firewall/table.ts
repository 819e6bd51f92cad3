// What the kernel's table holds: the first chains, the denies of every plan that was loaded since the last confirmed one,
// and one or two generations. While there are two, a timed element makes the newer one live; the kernel itself falls
// back to the older one when nobody confirms in time, with this process dead or alive. Denies, containment and the
// control plane are in the first chains and fall back to nothing.
import {
  antispoofStage,
  baseChains,
  blockedSet,
  constantSets,
  denyStages,
  hookStages,
  knownStages,
  stageOf,
  stageRules,
} from './base-chains.ts';
import { CANDIDATE_SET, containmentSets, ISLAND_SET } from './plan.ts';
import type { Chain, Family, FirewallPlan, Match, Rule, Ruleset, SetDefinition, SetElement, Verdict } from './plan.ts';
import type { TableChange } from './change.ts';
import type { IslandMode } from './firewall.ts';
import { goto, jump } from './rule-parts.ts';

/** A plan and the number its chains and sets carry in the kernel (`g7_input`). */
export interface Layer {
  readonly plan: FirewallPlan;
  readonly slot: number;
}

export interface TableState {
  readonly live: Layer;
  /** Loaded and not confirmed; `until` is when the kernel falls back, milliseconds since the epoch. */
  readonly candidate?: Layer & { readonly until: number };
  /** Plans that were never confirmed: what they deny stays denied. */
  readonly closing: readonly Layer[];
  /** Island mode, until a time or an order. */
  readonly island?: { readonly until?: number };
  /** Addresses that orders block, and until when; those that packets add are the kernel's alone. */
  readonly blocked?: ReadonlyMap<string, number>;
}

/** The plans of a table, the newest first; those that only close come last. */
export function plansOf(state: TableState | undefined): FirewallPlan[] {
  if (state === undefined) return [];
  const { live, candidate, closing } = state;
  return [...(candidate === undefined ? [] : [candidate]), live, ...closing].map((layer) => layer.plan);
}

/** A table with this plan alone. */
export function tableOfPlan(plan: FirewallPlan): Ruleset {
  return tableOf(stateOf(plan));
}

const alone = new WeakMap<FirewallPlan, TableState>();

/** The state of a table with this plan alone. */
export function stateOf(plan: FirewallPlan): TableState {
  const known = alone.get(plan) ?? { live: { plan, slot: 1 }, closing: [] };
  alone.set(plan, known);
  return known;
}

const tables = new WeakMap<TableState, Ruleset>();

/** The whole table, in the kernel's names. Sets of a plan that two states share are the same objects. */
export function tableOf(state: TableState): Ruleset {
  const known = tables.get(state);
  if (known !== undefined) return known;
  const { live, candidate, closing } = state;
  const layers = [live, ...(candidate === undefined ? [] : [candidate])];
  const named = layers.map(inKernel);
  const denying = [...closing.map(inKernel), ...named];
  const stages = [
    stageRules(antispoofStage, 'goto', chainIn(live, 'antispoof'), candidate && chainIn(candidate, 'antispoof')),
    ...hookStages.map((hook) =>
      stageRules(stageOf(hook), 'goto', chainIn(live, hook), candidate && chainIn(candidate, hook)),
    ),
    ...Object.entries(knownStages).map(([hook, stage]) => ({
      name: stage,
      rules:
        denying.length === 1
          ? [{ match: [], verdict: goto(chainIn(live, hook === 'input' ? 'known_in' : 'known_out')) }]
          : [],
    })),
    ...denyStages.map((stage) => ({
      name: stage,
      rules: denying.flatMap((layer) => {
        const chain = layer.denyChains.get(stage);
        return chain === undefined ? [] : [{ match: [], verdict: jump(chain) }];
      }),
    })),
  ];
  const table: Ruleset = {
    sets: [
      ...baseSetsOf(state),
      ...denying.flatMap((layer) => layer.denies.sets),
      // A set that its denies look into as well is one set of the kernel.
      ...named.flatMap(({ denies, generation }) => {
        const shared = new Set(denies.sets.map((set) => set.name));
        return generation.sets.filter((set) => !shared.has(set.name));
      }),
    ].sort((a, b) => (a.name < b.name ? -1 : 1)),
    chains: [
      ...denying.flatMap((layer) => layer.denies.chains),
      ...named.flatMap((layer) => layer.generation.chains),
      ...stages,
      ...baseChains(),
    ],
  };
  tables.set(state, table);
  return table;
}

const chainIn = (layer: Layer, chain: string): string => `g${layer.slot}_${chain}`;

interface NamedLayer {
  readonly denies: Ruleset;
  readonly generation: Ruleset;
  /** Deny stage to the chain of this layer that it leads to. */
  readonly denyChains: ReadonlyMap<string, string>;
}

const namedLayers = new WeakMap<object, Map<number, Ruleset>>();

function inKernel(layer: Layer): NamedLayer {
  const { plan, slot } = layer;
  const stages = new Set(denyStages);
  return {
    denies: renamed(plan.denies, slot),
    generation: renamed(plan.generation, slot),
    denyChains: new Map(
      plan.denies.chains
        .filter((chain) => stages.has(chain.name))
        .map((chain) => [chain.name, chainIn(layer, chain.name)]),
    ),
  };
}

/** A plan's own names with its slot before them; names of the first chains and sets stay. */
function renamed(ruleset: Ruleset, slot: number): Ruleset {
  const bySlot = namedLayers.get(ruleset) ?? new Map<number, Ruleset>();
  namedLayers.set(ruleset, bySlot);
  const known = bySlot.get(slot);
  if (known !== undefined) return known;
  const own = new Set([...ruleset.sets, ...ruleset.chains].map((entry) => entry.name));
  const name = (text: string): string => (own.has(text) ? `g${slot}_${text}` : text);
  const fresh: Ruleset = {
    sets: ruleset.sets.map((set) => renamedSet(set, name)),
    chains: ruleset.chains.map((chain) => ({
      ...chain,
      name: name(chain.name),
      rules: chain.rules.map((rule) => renamedRule(rule, name)),
    })),
  };
  bySlot.set(slot, fresh);
  return fresh;
}

type Rename = (text: string) => string;

function renamedSet(set: SetDefinition, name: Rename): SetDefinition {
  const elements =
    set.data === 'verdict'
      ? set.elements.map((element) =>
          element.verdict === undefined
            ? element
            : { ...element, verdict: { ...element.verdict, chain: name(element.verdict.chain) } },
        )
      : set.elements;
  return { ...set, name: name(set.name), elements };
}

function renamedRule(rule: Rule, name: Rename): Rule {
  return {
    ...rule,
    match: rule.match.map((match) => renamedMatch(match, name)),
    verdict: renamedVerdict(rule.verdict, name),
  };
}

const renamedMatch = (match: Match, name: Rename): Match =>
  'set' in match ? { ...match, set: name(match.set) } : match;

function renamedVerdict(verdict: Verdict, name: Rename): Verdict {
  if ('chain' in verdict) return { ...verdict, chain: name(verdict.chain) };
  if ('map' in verdict) return { ...verdict, map: name(verdict.map) };
  if ('set' in verdict) return { ...verdict, set: name(verdict.set) };
  return verdict;
}

const containmentNames = new Set<string>(Object.values(containmentSets).flatMap((sets) => Object.values(sets)));

/**
 * Sets of the first chains. Who is contained, what is spared and who is known are those of both plans, because both may
 * answer and each judges again; a peer that the newer one names no more is no less revoked when the kernel falls back.
 */
function baseSetsOf({ live, candidate, island, blocked }: TableState): SetDefinition[] {
  const newest = candidate ?? live;
  const reached = new Set(newest.plan.control.map(({ address }) => address));
  const sets = newest.plan.base.map((set) => {
    const other = candidate === undefined ? undefined : live.plan.base.find((entry) => entry.name === set.name);
    if (other === undefined) return set;
    if (!containmentNames.has(set.name)) return joined(set, other);
    return joined(set, { ...other, elements: other.elements.filter(({ key }) => !reached.has(key[0] ?? '')) });
  });
  return [
    ...constantSets(),
    ...sets,
    ...([4, 6] as const).map((family) => blockedSet(family, blockedElements(family, blocked))),
    switchSet(CANDIDATE_SET, 'the newest rules are live', candidate),
    islandSet(island),
  ];
}

function joined(set: SetDefinition, other: SetDefinition): SetDefinition {
  const known = new Set(set.elements.map((element) => element.key.join(' . ')));
  const more = other.elements.filter((element) => !known.has(element.key.join(' . ')));
  return more.length === 0 ? set : { ...set, elements: [...set.elements, ...more] };
}

/** Blocked addresses as elements of their family's set. */
export function blockedElements(family: Family, blocked: ReadonlyMap<string, number> = new Map()): SetElement[] {
  return [...blocked]
    .filter(([address]) => address.includes(':') === (family === 6))
    .map(([address, until]) => ({ key: [address], until }))
    .sort((a, b) => ((a.key[0] ?? '') < (b.key[0] ?? '') ? -1 : 1));
}

/** The set that turns island mode on. */
export const islandSet = (on: TableState['island']): SetDefinition => switchSet(ISLAND_SET, 'island mode', on);

function switchSet(name: string, purpose: string, on: { readonly until?: number } | undefined): SetDefinition {
  const elements: SetElement[] =
    on === undefined
      ? []
      : ['ipv4', 'ipv6'].map((family) => ({ key: [family], ...(on.until === undefined ? {} : { until: on.until }) }));
  return { name, type: ['nf_proto'], interval: false, timeout: true, purpose, elements };
}

/** Island mode in a table of which nothing else is known: for whoever acts while no enforcer runs. */
export function islandChange({ on, leaseMs }: IslandMode, now: number): TableChange {
  const set = islandSet(undefined);
  const elements = (until: { until?: number }): SetElement[] => [
    { key: ['ipv4'], ...until },
    { key: ['ipv6'], ...until },
  ];
  return {
    addSets: [],
    addChains: [],
    fillChains: [],
    // With an end, so that an element that is not there can be removed too.
    removeElements: [{ set, elements: elements({ until: now }) }],
    addElements: on ? [{ set, elements: elements(leaseMs === undefined ? {} : { until: now + leaseMs }) }] : [],
    removeChains: [],
    removeSets: [],
  };
}

/** Chains of a table by name, for whoever walks it. */
export function chainsByName(table: Ruleset): ReadonlyMap<string, Chain> {
  return new Map(table.chains.map((chain) => [chain.name, chain]));
}
