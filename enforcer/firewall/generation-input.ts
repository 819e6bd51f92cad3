// What the chains of a plan are made of: names of its sets and maps, by family, kind of flow and tier.
import type { ProxyPorts } from './build.ts';
import type { Chain, Family, Match, Rule } from './plan.ts';

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
  readonly proxied: readonly (ProxyPorts & { readonly set: string })[];
  /** Paths to services that a waiver opens while neither proxy nor stand-in listens; absent for none. */
  readonly opened?: string | undefined;
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
  readonly observedProxied: readonly (ProxyPorts & { readonly set: string })[];
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

export const families: readonly Family[] = [4, 6];

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
