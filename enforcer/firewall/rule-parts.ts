// The words that rules are written with.
import type { Family, Field, IcmpType, Match, Rule, Transport, Verdict } from './plan.ts';

export const lookup = (set: string, ...fields: Field[]): Match => ({ kind: 'lookup', fields, set, not: false });
export const notIn = (set: string, field: Field): Match => ({ kind: 'lookup', fields: [field], set, not: true });
export const state = (...states: ('new' | 'established' | 'related' | 'invalid')[]): Match => ({
  kind: 'state',
  states,
});
export const protocol = (...protocols: Transport[]): Match => ({ kind: 'protocol', protocols, not: false });
export const notProtocol = (...protocols: Transport[]): Match => ({ kind: 'protocol', protocols, not: true });
export const direction = (value: 'original' | 'reply'): Match => ({ kind: 'direction', direction: value });
export const accept: Verdict = { kind: 'accept' };
export const drop: Verdict = { kind: 'drop' };
export const back: Verdict = { kind: 'return' };
export const jump = (chain: string): Verdict => ({ kind: 'jump', chain });
export const goto = (chain: string): Verdict => ({ kind: 'goto', chain });

/** A TCP peer learns at once that the flow is over; everything else ends in silence. */
export const cut = (log: string): Rule[] => [
  { match: [protocol('tcp')], log, verdict: { kind: 'reset' } },
  { match: [], log, verdict: drop },
];

const errorTypes: readonly (readonly [Family, IcmpType[]])[] = [
  [4, ['destination-unreachable', 'time-exceeded', 'parameter-problem']],
  [6, ['destination-unreachable', 'packet-too-big', 'time-exceeded', 'parameter-problem']],
];

/**
 * Accepts ICMP errors about these flows, among them path MTU discovery (RFC 1191, RFC 8201). The connection tracker also calls
 * redirects and source quench related: anybody on the link could send a flow elsewhere.
 */
export const flowErrors = (flows: Match): Rule[] =>
  errorTypes.map(([family, types]) => ({
    family,
    match: [state('related'), { kind: 'icmp', types }, flows],
    verdict: accept,
  }));
