// The packet rules of a slice (repository `firewall/`): what no grant expresses. Tiers as in Kubernetes' ClusterNetworkPolicy
// (policy.networking.k8s.io/v1alpha2): admin rules by priority, then the grants, then baseline rules by priority, then deny.
import { z } from 'zod';
import { timeConditions } from './conditions.ts';
import { id, place, range } from './scalars.ts';

/** Priorities of a tier are 0 to this; the lower number is judged first. */
export const MAX_PRIORITY = 1_000;
/** Address blocks of one rule, a threat feed among them: what one set of the kernel holds. */
export const MAX_RULE_PEERS = 100_000;
/** Names of one rule; each is resolved on the device. */
export const MAX_RULE_NAMES = 256;
/** New flows in a unit of time, and in a burst. */
export const MAX_FLOWS = 1_000_000;
/** Flows of one peer address at the same time. */
export const MAX_CONNECTIONS = 1_000_000;
/** Seconds that a trap or a meter blocks its source: a week, because the source may get another owner. */
export const MAX_BLOCK_SECONDS = 7 * 86_400;
/** Seconds after which a site leaves island mode by itself. */
export const MAX_ISLAND_LEASE_SECONDS = 31 * 86_400;
export const MAX_WORKLOADS = 256;
export const MAX_TRAPS = 64;
/** Each costs every new flow two rules of the chain that it shares with the denies. */
export const MAX_METERS = 24;
/** Rules with direction through. They are asked one after the other, in both directions of a flow. */
export const MAX_THROUGH_RULES = 24;
/** Rules of the kernel that those of one tier with direction through become; one more leads on. */
export const MAX_THROUGH_STEPS = 63;

export const firewallTransports = ['tcp', 'udp', 'sctp', 'udplite', 'icmp', 'any'] as const;
/** Those with ports. */
export const portTransports = ['tcp', 'udp', 'sctp', 'udplite'] as const;
/** RFC 1123 section 2.1, in lower case, at least two labels, no dot at the end; not an address. */
export const hostNamePattern: RegExp =
  /^(?=.{4,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** A path below /sys/fs/cgroup: segments without `.`, `..` and what an nft string could not hold. */
export const cgroupPattern: RegExp = /^(?!\.{1,2}(\/|$))[A-Za-z0-9_.@:-]+(\/(?!\.{1,2}(\/|$))[A-Za-z0-9_.@:-]+)*$/;

const cidr = z.union([z.cidrv4(), z.cidrv6()]);
const blockSeconds = z.int().min(1).max(MAX_BLOCK_SECONDS);

/** New flows that a rule admits; what exceeds them is denied. */
export const flowRateSchema = z.strictObject({
  flows: z.int().min(1).max(MAX_FLOWS),
  per: z.enum(['second', 'minute', 'hour']),
  burst: z.int().min(1).max(MAX_FLOWS),
});

export const sliceFirewallRuleSchema = z
  .strictObject({
    id,
    /** `admin` is judged before the grants, `baseline` after them. */
    tier: z.enum(['admin', 'baseline']),
    /** Lower is judged first; of equal ones deny beats pass, and pass beats allow. */
    priority: z.int().min(0).max(MAX_PRIORITY),
    /** `pass`, in admin only, leaves the rest of the tier out: the grants decide. */
    verdict: z.enum(['deny', 'allow', 'pass']),
    /** `through`: forwarded by this device; `peers` are then the source and `to` the destination. */
    direction: z.enum(['in', 'out', 'through']),
    transport: z.enum(firewallTransports),
    /** CIDRs of the other side; empty only beside names. */
    peers: z.array(cidr).max(MAX_RULE_PEERS),
    /** Of `through`: the destination side; absent for every destination. */
    to: z.array(cidr).min(1).max(MAX_RULE_PEERS).optional(),
    /** Of `out`: the addresses behind these names are peers too, as this device resolves them. */
    names: z.array(z.string().regex(hostNamePattern)).min(1).max(MAX_RULE_NAMES).optional(),
    /** Inclusive port range of the service; absent for every port (and for icmp). */
    ports: range.optional(),
    /** Counts and logs what it would have done, and decides nothing. */
    observe: z.literal(true).optional(),
    /** Name of a workload of this slice; the rule is about its packets only. */
    workload: id.optional(),
    rate: flowRateSchema.optional(),
    /** Flows at the same time that it admits of one peer address. */
    maxConnections: z.int().min(1).max(MAX_CONNECTIONS).optional(),
    conditions: z.strictObject(timeConditions).optional(),
    /** From and to when it is judged, milliseconds since the epoch, end exclusive. */
    notBefore: z.int().optional(),
    until: z.int().optional(),
    place,
  })
  .refine((rule) => rule.peers.length > 0 || rule.names !== undefined, 'a rule without peers and names')
  .refine((rule) => rule.verdict !== 'pass' || rule.tier === 'admin', 'pass only in the admin tier')
  .refine((rule) => rule.names === undefined || rule.direction === 'out', 'names only with direction out')
  .refine((rule) => rule.to === undefined || rule.direction === 'through', 'to only with direction through')
  .refine((rule) => rule.ports === undefined || rule.transport !== 'icmp', 'icmp has no ports')
  .refine(({ ports }) => ports === undefined || (ports[0] > 0 && ports[0] <= ports[1]), 'a port range from 1 upwards')
  .refine(
    (rule) => rule.verdict === 'allow' || (rule.rate === undefined && rule.maxConnections === undefined),
    'a rate or a number of connections only with allow',
  );

/** A program of this device, told by exactly one of what the kernel sees of it. */
export const sliceWorkloadSchema = z
  .strictObject({
    name: id,
    uid: z
      .int()
      .min(0)
      .max(2 ** 32 - 2)
      .optional(),
    /** Path below /sys/fs/cgroup. */
    cgroup: z.string().max(512).regex(cgroupPattern).optional(),
    /** This host's end of the veth pair of its network namespace. */
    interface: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{1,15}$/)
      .optional(),
    place,
  })
  .refine(
    ({ uid, cgroup, interface: veth }) => [uid, cgroup, veth].filter((key) => key !== undefined).length === 1,
    'exactly one of uid, cgroup, interface',
  );

/** Ports that nobody has a reason to open: who tries is blocked in the same packet. */
export const sliceTrapSchema = z.strictObject({
  id,
  transport: z.enum(portTransports),
  ports: range,
  blockSeconds,
  place,
});

/** A source with more new flows than this is blocked in the same packet. */
export const sliceMeterSchema = z.strictObject({
  id,
  transport: z.enum(firewallTransports),
  flowsPerSecond: z.int().min(1).max(MAX_FLOWS),
  burst: z.int().min(1).max(MAX_FLOWS),
  blockSeconds,
  place,
});

export const sliceIslandSchema = z.strictObject({
  /** Absent: a site comes back by an order alone. */
  leaseSeconds: z.int().min(1).max(MAX_ISLAND_LEASE_SECONDS).optional(),
  place,
});

export type SliceFirewallRule = z.infer<typeof sliceFirewallRuleSchema>;
export type SliceWorkload = z.infer<typeof sliceWorkloadSchema>;
export type SliceTrap = z.infer<typeof sliceTrapSchema>;
export type SliceMeter = z.infer<typeof sliceMeterSchema>;
export type SliceIsland = z.infer<typeof sliceIslandSchema>;
export type FlowRate = z.infer<typeof flowRateSchema>;
