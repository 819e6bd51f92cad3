// The compiled firewall as data: typed rules over named sets. One form for all that read it: render.ts writes it as
// nftables text, netlink/ as messages to the kernel, judge.ts answers packets from it, and it is saved as JSON for the
// next start. What the kernel holds is made of one or two plans by table.ts.
import { z } from 'zod';

/** NFLOG group of every logging rule. */
export const LOG_GROUP = 5;
/** Packet mark of what TPROXY handed to a proxy; also the routing rule that keeps it on this host. */
export const PROXY_MARK = 1;
/** Routing table that delivers marked packets locally. */
export const PROXY_ROUTING_TABLE = 100;
/** Bit of the connection mark that says: this flow belongs to a proxy. The other 31 bits are the epoch. */
export const PROXIED_BIT = 0x80000000;
/** Mark of flows to the control plane, which no plan ends; epochs stay below. */
export const CONTROL_MARK = 0x7fffffff;
/** Mark of flows of workloads, which are judged by every packet and belong to no epoch. */
export const WORKLOAD_MARK = CONTROL_MARK - 1;
/** Marks of flows past a dead proxy, by epoch: they end with the plan that they began under. */
const OPENED_MARKS = 65_536;
export const openedMark = (epoch: number): number => WORKLOAD_MARK - OPENED_MARKS + (epoch % OPENED_MARKS);
export const MAX_EPOCH = WORKLOAD_MARK - OPENED_MARKS - 1;

const name = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/);
/** What Linux and every tool print as it is; rules quote it. */
const interfaceName = z.string().regex(/^[A-Za-z0-9._-]{1,15}$/);
const port = z.int().min(1).max(65535);
const range = z.tuple([z.int().min(0).max(65535), z.int().min(0).max(65535)]);
/** Rule ids become log prefixes inside quotes: no quote, no control character. */
const ruleId = z.string().regex(/^[a-z0-9][a-z0-9._:-]{0,119}$/);

/** Values of one nftables type each; joined they make the key of a set (`ipv4_addr . inet_proto . inet_service`). */
export const keyTypeSchema = z.enum([
  'ipv4_addr',
  'ipv6_addr',
  'inet_proto',
  'inet_service',
  'ifname',
  'ether_addr',
  'nf_proto',
  'mark',
  'uid',
  /** Control group, `path:inode` (keys.ts); the kernel keeps its inode. */
  'cgroupsv2',
]);

const chainVerdict = z.strictObject({ kind: z.enum(['goto', 'jump']), chain: name });

export const elementSchema = z.strictObject({
  /** One value per type of the set; ranges `a-b` where the set is an interval set. Protocols by name where one exists. */
  key: z.array(z.string().regex(/^[A-Za-z0-9.:_@/-]{1,200}$/)).min(1),
  /** Why it is there: ids of the grants; for the reader of `nft list`, never compared. */
  comment: z
    .string()
    .regex(/^[a-z0-9 .,_:-]*$/)
    .max(128)
    .optional(),
  /** The kernel drops it by itself at this time, milliseconds since the epoch. */
  until: z.int().optional(),
  /** What a map answers: the verdict, or the mark. */
  verdict: chainVerdict.optional(),
  mark: z.int().min(0).max(0xffffffff).optional(),
});

export const setSchema = z.strictObject({
  name,
  type: z.array(keyTypeSchema).min(1),
  /** What its elements answer; absent for a set, whose elements are only there or not. */
  data: z.enum(['verdict', 'mark']).optional(),
  /** Elements are ranges `a-b`, disjoint; of one field, or of several (the kernel's pipapo). */
  interval: z.boolean(),
  /** Elements may end by themselves. */
  timeout: z.boolean(),
  /** Every element counts the packets that were looked up. */
  counted: z.boolean().optional(),
  /** Packets add elements, at most so many; each leaves after the time given, unless its rule says another. */
  learned: z.strictObject({ size: z.int().min(1).max(1_000_000), timeoutMs: z.int().min(1).optional() }).optional(),
  /** What it is looked up for, for the reader of `nft list`. */
  purpose: z.string().regex(/^[a-z0-9 ,]{0,120}$/),
  elements: z.array(elementSchema),
});

/** What a lookup takes from the packet; the family chooses `ip` or `ip6`. */
export const fieldSchema = z.enum([
  'source',
  'destination',
  'protocol',
  'sport',
  'dport',
  'in',
  'out',
  'ether',
  /** IPv4 or IPv6 (`meta nfproto`). */
  'family',
  'connection-mark',
  /** Owner of the local socket; only packets that this host sends have one. */
  'uid',
]);

const rate = { amount: z.int().min(1), per: z.enum(['second', 'minute', 'hour', 'day']), burst: z.int().min(1) };
const transportSchema = z.enum(['tcp', 'udp', 'icmp', 'icmpv6', 'sctp', 'udplite']);
/** Types that rules speak of, with the names that ICMP and ICMPv6 share; `packet-too-big` is ICMPv6's alone. */
const icmpTypes = [
  'echo-request',
  'echo-reply',
  'destination-unreachable',
  'packet-too-big',
  'time-exceeded',
  'parameter-problem',
] as const;

export const matchSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('interface'), direction: z.enum(['in', 'out']), name: interfaceName }),
  z.strictObject({ kind: z.literal('lookup'), fields: z.array(fieldSchema).min(1), set: name, not: z.boolean() }),
  z.strictObject({
    kind: z.literal('state'),
    states: z.array(z.enum(['new', 'established', 'related', 'invalid'])).min(1),
  }),
  z.strictObject({ kind: z.literal('direction'), direction: z.enum(['original', 'reply']) }),
  /** The flow is a proxy's, of any epoch. */
  z.strictObject({ kind: z.literal('proxied-flow') }),
  z.strictObject({ kind: z.literal('packet-mark'), value: z.int() }),
  z.strictObject({ kind: z.literal('protocol'), protocols: z.array(transportSchema).min(1), not: z.boolean() }),
  z.strictObject({ kind: z.literal('port'), field: z.enum(['sport', 'dport']), range }),
  z.strictObject({ kind: z.literal('icmp'), types: z.array(z.enum(icmpTypes)).min(1) }),
  /** Neighbour discovery that has not crossed a router (RFC 4861 section 7.1), and multicast listener messages. */
  z.strictObject({ kind: z.literal('neighbour'), direction: z.enum(['in', 'out']) }),
  z.strictObject({ kind: z.literal('tcp-reset') }),
  z.strictObject({ kind: z.literal('transparent-socket') }),
  z.strictObject({ kind: z.literal('local-destination') }),
  /** More packets than the rate since the rule was loaded (`limit rate over`). */
  z.strictObject({ kind: z.literal('rate-over'), ...rate }),
  /** The same for each value of the field, remembered in a learned set. */
  z.strictObject({ kind: z.literal('meter-over'), set: name, field: fieldSchema, ...rate }),
  /** The field's value has more than so many open flows (`ct count over`), counted in a learned set. */
  z.strictObject({ kind: z.literal('connections-over'), set: name, field: fieldSchema, count: z.int().min(1) }),
  /** The field's value is not in that set, which was full when `connections-over` stood before: its flows are not counted. */
  z.strictObject({ kind: z.literal('uncounted'), set: name, field: fieldSchema }),
  /** The local socket's control group, cut to so many levels, is in the set. */
  z.strictObject({ kind: z.literal('cgroup'), level: z.int().min(1).max(16), set: name, not: z.boolean() }),
]);

export const verdictSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('accept') }),
  z.strictObject({ kind: z.literal('drop') }),
  /** `reject with tcp reset`. */
  z.strictObject({ kind: z.literal('reset') }),
  z.strictObject({ kind: z.literal('return') }),
  z.strictObject({ kind: z.literal('goto'), chain: name }),
  z.strictObject({ kind: z.literal('jump'), chain: name }),
  /** Marks the packet as a proxy's and accepts it, e.g. because its socket is transparent. */
  z.strictObject({ kind: z.literal('to-proxy') }),
  /** TPROXY to the listener on the loopback address, then as above; without a listener the rule does not match. */
  z.strictObject({ kind: z.literal('divert'), port }),
  /** Marks the flow with what the map says for the packet's family, and accepts it. */
  z.strictObject({ kind: z.literal('admit'), map: name }),
  /** Goes where the map sends the packet; on to the next rule when it has no answer. */
  z.strictObject({ kind: z.literal('dispatch'), fields: z.array(fieldSchema).min(1), map: name }),
  /** Adds the field's value to a learned set for that time, and drops the packet. */
  z.strictObject({ kind: z.literal('block'), set: name, field: fieldSchema, timeoutMs: z.int().min(1) }),
  /** Adds the field's value to a learned set, or renews the time it has there and counts it, and goes on. */
  z.strictObject({ kind: z.literal('remember'), set: name, field: fieldSchema }),
  /** Counts and logs, and goes on to the next rule. */
  z.strictObject({ kind: z.literal('continue') }),
]);

export const ruleSchema = z.strictObject({
  family: z.union([z.literal(4), z.literal(6)]).optional(),
  match: z.array(matchSchema),
  /** Logged as `ew:<log>`. */
  log: ruleId.optional(),
  verdict: verdictSchema,
});

export const chainSchema = z.strictObject({
  name,
  /** Absent for chains that only rules lead to. */
  hook: z.enum(['prerouting', 'input', 'forward', 'output']).optional(),
  /** Behind every filter of that hook, ours and others': sees what all of them accepted, and decides nothing. */
  after: z.literal(true).optional(),
  policy: z.enum(['accept', 'drop']).optional(),
  rules: z.array(ruleSchema),
});

const address = z.union([z.ipv4(), z.ipv6()]);
export const controlEndpointSchema = z.strictObject({ address, port, transport: z.enum(['tcp', 'udp']) });

/** Sets and chains that belong together; chains refer to sets of their own ruleset, or to those of every table. */
export const rulesetSchema = z.strictObject({ sets: z.array(setSchema), chains: z.array(chainSchema) });

/** What a rule's line can be looked up with: which commit, who wrote it, which key published it. */
export const releaseSchema = z.strictObject({
  commit: z.string(),
  /** As git says; empty in bundles that do not name it. */
  author: z.string(),
  /** Key id of the publisher, who signed and so approved it. */
  publisher: z.string(),
});

export const planSchema = z.strictObject({
  format: z.literal(2),
  device: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/),
  epoch: z.int().min(1).max(MAX_EPOCH),
  /** Milliseconds since the epoch. */
  compiledAt: z.int(),
  /** Elements of the sets that every table has: who is contained, what is spared, the control plane. */
  base: z.array(setSchema),
  /** What it closes whatever else is open; once loaded it stays until a later plan is confirmed. */
  denies: rulesetSchema,
  /** What it opens; falls back to the generation before when nobody confirms it. */
  generation: rulesetSchema,
  /** Where the edge finds its control plane; always reachable, and never in a revoked set. */
  control: z.array(controlEndpointSchema),
  /** Families that TPROXY rules exist for; they need the routing rule. */
  divertedFamilies: z.array(z.union([z.literal(4), z.literal(6)])),
  /** This device's own addresses by inventory. */
  own: z.array(address),
  /** Version of the bundle it was compiled from; 0 without one. */
  bundle: z.int().min(0),
  /** Of which commit that bundle is, and whose; absent without one. */
  release: releaseSchema.optional(),
  /** Number of the last order that the states it was compiled from contain; later orders are added on top of it. */
  ordersSequence: z.int().min(0),
  /** Device id to the addresses and link-layer addresses of its peers, for orders that arrive between two plans. */
  peers: z.record(
    z.string(),
    z.strictObject({
      addresses: z.array(address),
      macs: z.array(z.string()),
      /** Service ports of its island operations, here or there. */
      islandPorts: z.array(port),
    }),
  ),
  /** `firewall:<id>`, `deny:<id>`, `grant:<id>`, `interface:<name>`, `trap:<id>`, `meter:<id>` to file:line in the policy repository. */
  places: z.record(z.string(), z.string()),
  /** Ids of packet rules in observe mode, and what they would do. */
  staged: z.record(z.string(), z.enum(['deny', 'allow', 'pass'])).default({}),
  /** What the slice asks for and this host does not open, and why. */
  warnings: z.array(z.string()),
  /** Time at which compiling again gives something else (an end date, a daily window); absent for never. */
  nextChange: z.int().optional(),
});

export type KeyType = z.infer<typeof keyTypeSchema>;
export type Field = z.infer<typeof fieldSchema>;
export type SetElement = z.infer<typeof elementSchema>;
export type SetDefinition = z.infer<typeof setSchema>;
export type Match = z.infer<typeof matchSchema>;
export type IcmpType = (typeof icmpTypes)[number];
export type Verdict = z.infer<typeof verdictSchema>;
export type Rule = z.infer<typeof ruleSchema>;
export type Chain = z.infer<typeof chainSchema>;
export type Ruleset = z.infer<typeof rulesetSchema>;
export type Transport = z.infer<typeof transportSchema>;
export type ControlEndpoint = z.infer<typeof controlEndpointSchema>;
export type PlanRelease = z.infer<typeof releaseSchema>;
export type FirewallPlan = z.infer<typeof planSchema>;
export type Family = 4 | 6;

/** Sets that orders change between two plans. `revoked` cuts everything, `quarantined` spares island operations. */
export const containmentSets = {
  revoked: { 4: 'revoked4', 6: 'revoked6', mac: 'revoked_mac' },
  quarantined: { 4: 'quarantined4', 6: 'quarantined6', mac: 'quarantined_mac' },
} as const;
export type Containment = keyof typeof containmentSets;

/** Sources that this host has seen doing what a trap or a meter forbids; packets add them, orders may too. */
export const blockedSets = { 4: 'blocked4', 6: 'blocked6' } as const;

/** Addresses that a packet was accepted from, and to; packets add them, renew them and count (flows/seen.ts). */
export const seenSets = {
  from: { 4: 'seen_from4', 6: 'seen_from6' },
  to: { 4: 'seen_to4', 6: 'seen_to6' },
} as const;

/** Priority of the chains that stand behind every filter; iptables' last table, security, is at 50. */
export const AFTER_PRIORITY = 250;

/** The other sets of every table, by family: names are fixed, because its first chains never change. */
export const baseSets = {
  control: { 4: 'control4', 6: 'control6' },
  /** Every address that says whose it is, also behind a router; a contained device's MAC may carry these for others. */
  identified: { 4: 'identified4', 6: 'identified6' },
  /** address . transport . port of island operations here and there: what quarantine spares. */
  islandServed: { 4: 'island_served4', 6: 'island_served6' },
  islandReached: { 4: 'island_reached4', 6: 'island_reached6' },
  /** Those of island mode: safety operations too. */
  safetyServed: { 4: 'safety_served4', 6: 'safety_served6' },
  safetyReached: { 4: 'safety_reached4', 6: 'safety_reached6' },
} as const;

/** Makes the newest generation live, by family, for as long as the kernel keeps the element. */
export const CANDIDATE_SET = 'candidate';
/** Island mode is on, by family. */
export const ISLAND_SET = 'island';
