// Rules that look at one direction of one kind of flow, and what they do with those that they admit.
import { epochSets } from './generation-input.ts';
import type { FamilySets, FlowKind, TierMaps } from './generation-input.ts';
import { openedRules } from './opened.ts';
import type { Family, Field, Match, Rule, Verdict } from './plan.ts';
import { drop, lookup, notProtocol, protocol, state } from './rule-parts.ts';

export const ofEpoch = (set: string): Match => lookup(set, 'connection-mark');
export const admit: Verdict = { kind: 'admit', map: epochSets.admit };
export const admitProxied: Verdict = { kind: 'admit', map: epochSets.admitProxied };

/** Which fields of a packet name the other side and the service, for one direction of one kind of flow. */
export interface View {
  readonly chain: string;
  readonly flow: FlowKind;
  readonly peer: 'source' | 'destination';
  readonly service: 'dport' | 'sport';
}

export const outgoing: View = { chain: 'outbound_to', flow: 'out', peer: 'destination', service: 'dport' };
export const answers: View = { chain: 'outbound_back', flow: 'out', peer: 'source', service: 'sport' };
export const views: readonly View[] = [
  { chain: 'inbound_from', flow: 'in', peer: 'source', service: 'dport' },
  { chain: 'inbound_back', flow: 'in', peer: 'destination', service: 'sport' },
  outgoing,
  answers,
];

export const isRequest = (view: View): boolean => view.service === 'dport';

/** One lookup for all rules of a tier, however many they are. */
export function dispatch(family: Family, maps: TierMaps, view: View, match: Match[] = []): Rule[] {
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

export const pathOf = (view: View): Field[] => [view.peer, 'protocol', view.service];

export function grantRules(family: Family, sets: FamilySets, view: View, admitted: Verdict = admit): Rule[] {
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
    ...openedRules(family, sets.opened, key, view.service),
    linked,
  ];
}

/**
 * Requests belong to the proxy's socket, which is transparent; their packet mark would prove nothing, because any table may set
 * it. Answers have no such socket, so the flow itself has to be known as a proxy's.
 */
export function throughProxy(view: View): Match {
  return isRequest(view) ? { kind: 'transparent-socket' } : { kind: 'proxied-flow' };
}

/** Flows of an older epoch that no rule admits again. */
const staleFlow: Rule = {
  match: [state('established'), protocol('tcp')],
  log: 'stale-flow',
  verdict: { kind: 'reset' },
};

export const ending = (log: string): Rule[] => [staleFlow, { match: [], log, verdict: drop }];
