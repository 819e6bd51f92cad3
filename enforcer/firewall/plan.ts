// The compiled firewall as data: typed rules over named sets. One form for the three that read it: render.ts writes it
// as nftables text, judge.ts answers packets from it, and it is saved as JSON for the next start.
import { z } from 'zod';

/** NFLOG group of every logging rule. */
export const LOG_GROUP = 5;
/** Packet mark of what TPROXY handed to a proxy; also the routing rule that keeps it on this host. */
export const PROXY_MARK = 1;
/** Routing table that delivers marked packets locally. */
export const PROXY_ROUTING_TABLE = 100;
/** Bit of the connection mark that says: this flow belongs to a proxy. The other 31 bits are the epoch. */
export const PROXIED_BIT = 0x80000000;
export const MAX_EPOCH = 0x7fffffff;

const name = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/);
/** What Linux and every tool print as it is; rules quote it. */
const interfaceName = z.string().regex(/^[A-Za-z0-9._-]{1,15}$/);
const port = z.int().min(1).max(65535);
const range = z.tuple([z.int().min(0).max(65535), z.int().min(0).max(65535)]);
/** Rule ids become log prefixes inside quotes: no quote, no control character. */
const ruleId = z.string().regex(/^[a-z0-9][a-z0-9._:-]{0,119}$/);

/** Values of one nftables type each; joined they make the key of a set (`ipv4_addr . inet_proto . inet_service`). */
export const keyTypeSchema = z.enum(['ipv4_addr', 'ipv6_addr', 'inet_proto', 'inet_service', 'ifname', 'ether_addr']);

export const elementSchema = z.strictObject({
  key: z.array(z.string().regex(/^[A-Za-z0-9.:_@-]{1,100}$/)).min(1),
  /** Why it is there: ids of the grants; for the reader of `nft list`, never compared. */
  comment: z
    .string()
    .regex(/^[a-z0-9 .,_:-]*$/)
    .max(128)
    .optional(),
  /** The kernel drops it by itself at this time, milliseconds since the epoch. */
  until: z.int().optional(),
});

export const setSchema = z.strictObject({
  name,
  type: z.array(keyTypeSchema).min(1),
  /** Elements are ranges `a-b` of one field, disjoint and sorted. */
  interval: z.boolean(),
  /** Changes between two plans by single elements, so its name does not depend on its content. */
  dynamic: z.boolean(),
  /** What it is looked up for, for the reader of `nft list`. */
  purpose: z.string().regex(/^[a-z0-9 ,]{0,120}$/),
  elements: z.array(elementSchema),
});

/** What a lookup takes from the packet; the family chooses `ip` or `ip6`. */
export const fieldSchema = z.enum(['source', 'destination', 'protocol', 'sport', 'dport', 'in', 'ether']);

export const matchSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('interface'), direction: z.enum(['in', 'out']), name: interfaceName }),
  z.strictObject({ kind: z.literal('lookup'), fields: z.array(fieldSchema).min(1), set: name, not: z.boolean() }),
  z.strictObject({ kind: z.literal('state'), states: z.array(z.enum(['established', 'related', 'invalid'])).min(1) }),
  z.strictObject({ kind: z.literal('direction'), direction: z.enum(['original', 'reply']) }),
  z.strictObject({ kind: z.literal('connection-mark'), values: z.array(z.int().min(0).max(0xffffffff)).min(1) }),
  /** The flow is a proxy's, of any epoch. */
  z.strictObject({ kind: z.literal('proxied-flow') }),
  z.strictObject({ kind: z.literal('packet-mark'), value: z.int() }),
  z.strictObject({ kind: z.literal('protocol'), protocols: z.array(z.enum(['tcp', 'udp', 'icmp', 'icmpv6'])).min(1) }),
  z.strictObject({ kind: z.literal('port'), field: z.enum(['sport', 'dport']), range }),
  z.strictObject({ kind: z.literal('icmp'), types: z.array(z.enum(['echo-request', 'echo-reply'])).min(1) }),
  /** Neighbour discovery that has not crossed a router (RFC 4861 section 7.1), and multicast listener messages. */
  z.strictObject({ kind: z.literal('neighbour'), direction: z.enum(['in', 'out']) }),
  z.strictObject({ kind: z.literal('tcp-reset') }),
  z.strictObject({ kind: z.literal('transparent-socket') }),
  z.strictObject({ kind: z.literal('local-destination') }),
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
  /** Marks the flow with the epoch (and the proxied bit) and accepts it. */
  z.strictObject({ kind: z.literal('admit'), mark: z.int().min(0).max(0xffffffff) }),
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
  policy: z.enum(['accept', 'drop']).optional(),
  rules: z.array(ruleSchema),
});

const address = z.union([z.ipv4(), z.ipv6()]);
export const controlEndpointSchema = z.strictObject({ address, port, transport: z.enum(['tcp', 'udp']) });

export const planSchema = z.strictObject({
  format: z.literal(1),
  device: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/),
  epoch: z.int().min(1).max(MAX_EPOCH),
  /** Milliseconds since the epoch. */
  compiledAt: z.int(),
  sets: z.array(setSchema),
  chains: z.array(chainSchema),
  /** Where the edge finds its control plane; always reachable, and never in a revoked set. */
  control: z.array(controlEndpointSchema),
  /** Families that TPROXY rules exist for; they need the routing rule. */
  divertedFamilies: z.array(z.union([z.literal(4), z.literal(6)])),
  /** This device's own addresses by inventory. */
  own: z.array(address),
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
  /** Rule id to file:line in the policy repository, for the rules that come from there. */
  places: z.record(z.string(), z.string()),
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
export type Verdict = z.infer<typeof verdictSchema>;
export type Rule = z.infer<typeof ruleSchema>;
export type Chain = z.infer<typeof chainSchema>;
export type ControlEndpoint = z.infer<typeof controlEndpointSchema>;
export type FirewallPlan = z.infer<typeof planSchema>;
export type Family = 4 | 6;

/** Sets that orders change between two plans. `revoked` cuts everything, `quarantined` spares island operations. */
export const containmentSets = {
  revoked: { 4: 'revoked4', 6: 'revoked6', mac: 'revoked_mac' },
  quarantined: { 4: 'quarantined4', 6: 'quarantined6', mac: 'quarantined_mac' },
} as const;
export type Containment = keyof typeof containmentSets;
