// Where a rule that the kernel logged comes from: which line of the policy repository, in which commit, whose, and what the
// rule does. The kernel knows an id of at most 120 characters; the plans that are loaded know the rest.
import type { FirewallPlan, PlanRelease } from './plan.ts';

export interface RuleOrigin {
  /** As logged, e.g. `firewall:no-telnet`, `observe:no-telnet`, `default-in`. */
  readonly rule: string;
  /** `limit`: a rule denied it because of its rate or number of connections. */
  readonly activity: 'deny' | 'observe' | 'limit';
  /** What took effect; absent where rules behind this one decide. */
  readonly decision?: 'deny' | 'allow';
  /** What it would have been, had the rule decided. */
  readonly observed?: 'deny' | 'allow' | 'pass';
  /** file:line in the policy repository; empty for what the firewall does by itself and for orders. */
  readonly place: string;
  /** Of the plan that has the rule; absent without a bundle. */
  readonly release?: PlanRelease;
  /** For people. */
  readonly words: string;
}

/** Rules that no policy writes. */
const builtIn: Readonly<Record<string, string>> = {
  spoofed: 'an inventoried address on another interface, or with another MAC, than the inventory says',
  revoked: 'an order revoked or decommissioned the device at the other end',
  quarantined: 'an order quarantined the device at the other end',
  blocked: 'the source is blocked for a while: a trap, a meter or an order',
  'blocked-full': 'a trap or a meter would have blocked the source, and no more sources can be remembered',
  invalid: 'the connection tracker calls the packet invalid',
  island: 'island mode is on, and this is no safety or island operation',
  'stale-flow': 'a flow of an older policy that no rule admits any more',
  'default-in': 'no rule admits it into this host',
  'default-out': 'no rule admits it out of this host',
  'default-forward': 'no rule lets this host forward it',
};

/** Kinds of ids `<kind>:<id>`, and the prefix that the place is kept under. */
const kinds: Readonly<Record<string, { readonly place: string; readonly words: string }>> = {
  firewall: { place: 'firewall', words: 'packet rule' },
  deny: { place: 'deny', words: 'deny of an interface' },
  observe: { place: 'firewall', words: 'staged packet rule' },
  limit: { place: 'firewall', words: 'more flows than this packet rule admits' },
  ended: { place: 'firewall', words: 'this packet rule has ended' },
  trap: { place: 'trap', words: 'trap port' },
  meter: { place: 'meter', words: 'more new flows than this meter allows' },
};

/** What is known of a logged rule; `plans` are those that are loaded, newest first. */
export function originOf(plans: readonly FirewallPlan[], rule: string): RuleOrigin {
  // A trap or a meter denies a source that nobody can prove, and blocks none.
  const [, kind = '', id = ''] = /^([a-z]+):(.+?)(?::unproven)?$/.exec(rule) ?? [];
  const known = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  const key = known === undefined ? rule : `${known.place}:${id}`;
  const plan = plans.find((candidate) => Object.hasOwn(candidate.places, key)) ?? plans[0];
  const staged = plan?.staged[id];
  return {
    rule,
    ...effect(rule, kind, staged),
    place: plan?.places[key] ?? '',
    ...(plan?.release === undefined ? {} : { release: plan.release }),
    words: known === undefined ? (builtIn[rule] ?? '') : `${known.words} ${id}`,
  };
}

function effect(
  rule: string,
  kind: string,
  staged: FirewallPlan['staged'][string] | undefined,
): Pick<RuleOrigin, 'activity' | 'decision' | 'observed'> {
  // An interface in observe mode lets through what no grant opens.
  if (rule === 'observe') return { activity: 'observe', decision: 'allow', observed: 'deny' };
  if (kind === 'observe') return { activity: 'observe', ...(staged === undefined ? {} : { observed: staged }) };
  if (kind === 'limit') return { activity: 'limit', decision: 'deny' };
  return { activity: 'deny', decision: 'deny' };
}

/** The interface in observe mode that a packet to this service was let through for; undefined when it was not. */
export function observedInterface(
  plan: FirewallPlan | undefined,
  protocol: string,
  port: number | undefined,
): string | undefined {
  if (plan === undefined || port === undefined) return undefined;
  const sets = plan.generation.sets.filter(({ name }) => name === 'observed' || name.startsWith('observed_'));
  return sets
    .flatMap((set) => set.elements)
    .find((element) => element.key[0] === protocol && element.key[1] === String(port))?.comment;
}
