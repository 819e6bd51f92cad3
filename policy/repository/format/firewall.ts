// firewall/*.yaml: packet rules that no grant expresses, in two tiers around the grants; traps and meters that block
// their source in the kernel; how a site comes back from island mode.
import { z } from 'zod';
import {
  firewallTransports,
  hostNamePattern,
  MAX_BLOCK_SECONDS,
  MAX_CONNECTIONS,
  MAX_FLOWS,
  MAX_ISLAND_LEASE_SECONDS,
  MAX_PRIORITY,
  MAX_RULE_NAMES,
  portTransports,
} from '../../bundle/firewall.ts';
import { weekdayNames } from '../../bundle/conditions.ts';
import { cidr, duration, id, notBefore, range16, selectorOrAll, timeWindow, until, worded } from './scalars.ts';

/** Where a rule without one stands. */
export const DEFAULT_PRIORITY = 500;
const tiers = ['admin', 'baseline'] as const;
type Tier = (typeof tiers)[number];

const instead: Readonly<Record<string, string>> = {
  deny: 'expected tier: admin with action: deny, instead of tier: deny',
  allow: 'expected tier: baseline with action: allow, instead of tier: allow',
};
const tier = z.string().transform((text, context): Tier => {
  const found = tiers.find((name) => name === text);
  if (found !== undefined) return found;
  context.addIssue({ code: 'custom', message: instead[text] ?? 'expected admin (before the grants) or baseline' });
  return z.NEVER;
});

const hostName = worded(hostNamePattern, 'a full host name in lower case such as updates.example.com, no wildcard');
const servicePorts = range16.refine(([from]) => from > 0, 'expected ports from 1 to 65535');
const flows = z.int().min(1).max(MAX_FLOWS);
const seconds = (most: number): z.ZodType<number> =>
  duration
    .refine((ms) => ms <= most * 1_000, `expected a duration of at most ${most / 86_400}d`)
    .transform((ms) => ms / 1_000);

/** Exactly one of them says whom a rule is about. */
export const peerKeys = ['peer', 'peers', 'names', 'feed'] as const;

const rule = z
  .strictObject({
    id,
    tier,
    action: z.enum(['deny', 'allow', 'pass']),
    priority: z.int().min(0).max(MAX_PRIORITY).default(DEFAULT_PRIORITY),
    devices: selectorOrAll,
    direction: z.enum(['in', 'out', 'through']),
    transport: z.enum(firewallTransports),
    peer: cidr.optional(),
    peers: z.array(cidr).min(1).max(1_000).optional(),
    names: z.array(hostName).min(1).max(MAX_RULE_NAMES).optional(),
    feed: id.optional(),
    expires: until.optional(),
    to: z.array(cidr).min(1).max(1_000).optional(),
    ports: servicePorts.optional(),
    observe: z.boolean().default(false),
    workload: id.optional(),
    rate: z.strictObject({ flows, per: z.enum(['second', 'minute', 'hour']), burst: flows.optional() }).optional(),
    connections: z.int().min(1).max(MAX_CONNECTIONS).optional(),
    conditions: z
      .strictObject({ timeWindow: timeWindow.optional(), weekdays: z.array(z.enum(weekdayNames)).min(1).optional() })
      .optional(),
    notBefore: notBefore.optional(),
    until: until.optional(),
  })
  .superRefine((entry, context) => {
    const wrong = (key: keyof typeof entry, message: string): void =>
      context.addIssue({ code: 'custom', path: [key], message });
    const named = peerKeys.filter((key) => entry[key] !== undefined);
    if (named.length !== 1) wrong(named[1] ?? 'peer', `expected exactly one of ${peerKeys.join(', ')}`);
    if (entry.action === 'pass' && entry.tier === 'baseline') {
      wrong('action', 'expected pass only in tier admin: after baseline there is nothing to pass on to');
    }
    if (entry.action !== 'allow') {
      if (entry.rate !== undefined) wrong('rate', 'expected rate only beside action: allow');
      if (entry.connections !== undefined) wrong('connections', 'expected connections only beside action: allow');
    }
    if (entry.names !== undefined && entry.direction !== 'out') wrong('names', 'expected names only in direction out');
    if (entry.to !== undefined && entry.direction !== 'through') wrong('to', 'expected to only in direction through');
    if (entry.expires !== undefined && entry.feed === undefined) wrong('expires', 'expected expires only beside feed');
    if (entry.ports !== undefined && entry.transport === 'icmp')
      wrong('ports', 'expected no ports with transport icmp');
    if (entry.notBefore !== undefined && entry.until !== undefined && entry.notBefore >= entry.until) {
      wrong('notBefore', 'expected a start before the end');
    }
  });

const block = { block: seconds(MAX_BLOCK_SECONDS) };
const trap = z.strictObject({
  id,
  devices: selectorOrAll,
  transport: z.enum(portTransports),
  ports: servicePorts,
  ...block,
});
const meter = z.strictObject({
  id,
  devices: selectorOrAll,
  transport: z.enum(firewallTransports),
  flowsPerSecond: flows,
  burst: flows.optional(),
  ...block,
});
const island = z.strictObject({ devices: selectorOrAll, lease: seconds(MAX_ISLAND_LEASE_SECONDS).optional() });
const tierSettings = z.strictObject({ observe: z.boolean().default(false) });

export const firewallSchema = z.strictObject({
  /** Of the whole repository, whichever file says it. */
  tiers: z.strictObject({ admin: tierSettings.optional(), baseline: tierSettings.optional() }).default({}),
  rules: z.array(rule).default([]),
  traps: z.array(trap).default([]),
  meters: z.array(meter).default([]),
  island: z.array(island).default([]),
});

export type FirewallEntry = z.infer<typeof rule>;
