// Programs of this host that the kernel tells apart: by the veth that a network namespace is reached by, by the owner of
// the socket (`meta skuid`), or by the control group of the program that opened it; the latter two only of packets that are sent.
//
// A user with workloads has tier maps of its own, made of the rules for everybody and those for its workloads, because a
// tier's first matching rule decides, whoever it is about. Every outgoing packet of its flows is judged: a connection mark
// would go on speaking for the flow when another user sends from the same port. Answers show no user. They are accepted
// where some user of this plan may go, without the mark of the epoch, so that the next outgoing packet decides; and where TCP
// does not make sure that there is one, only for flows whose last packet was such a user's (WORKLOAD_MARK).
import type { Slice, SliceFirewallRule, SliceGrant, SliceWorkload } from '../../policy/bundle/index.ts';
import { firewallErrors } from './errors.ts';
import { short } from './keys.ts';
import { MAX_GROUP_LEVEL, MAX_GROUP_PATH, MAX_WORKLOAD_USERS } from './limits.ts';

/** A user or control group with at least one rule or grant of its own here. */
export interface WorkloadUser {
  /** What names of chains and sets tell it by. */
  readonly key: string;
  readonly uid?: number;
  readonly cgroup?: string;
  /** Names of its workloads. */
  readonly workloads: ReadonlySet<string>;
}

const named = (slice: Slice, name: string): SliceWorkload | undefined =>
  (slice.workloads ?? []).find((workload) => workload.name === name);

/** This host's end of the workload's veth pair. */
export const interfaceOf = (slice: Slice, name: string): string | undefined => named(slice, name)?.interface;

/** Why packets that a workload of this host sends are not told apart; undefined when they are. */
export function unbound(slice: Slice, name: string): string | undefined {
  const workload = named(slice, name);
  if (workload === undefined) return 'this device has no such workload';
  if (workload.uid !== undefined) return undefined;
  if (workload.cgroup === undefined) {
    return 'only what workloads with a uid or a control group send from this host is told apart';
  }
  return levelOf(workload.cgroup) > MAX_GROUP_LEVEL || workload.cgroup.length > MAX_GROUP_PATH
    ? `control groups are told apart down to level ${MAX_GROUP_LEVEL} and in ${MAX_GROUP_PATH} characters`
    : undefined;
}

/** Levels of a control group below the root. */
export const levelOf = (path: string): number => path.split('/').length;
const keyOfGroup = (path: string): string => `c${short(path)}`;

/** Users first, then control groups, those inside others before these. Throws FIREWALL_TOO_LARGE. */
export function workloadUsers(slice: Slice): WorkloadUser[] {
  const used = new Set([
    ...slice.firewall.filter((rule) => rule.direction === 'out').flatMap((rule) => rule.workload ?? []),
    ...slice.grants.filter((grant) => isUsedHere(slice, grant)).flatMap((grant) => grant.workload ?? []),
  ]);
  const byUid = new Map<number, Set<string>>();
  const byGroup = new Map<string, Set<string>>();
  for (const name of [...used].sort()) {
    if (unbound(slice, name) !== undefined) continue;
    const { uid, cgroup } = named(slice, name) ?? {};
    if (uid !== undefined) byUid.set(uid, (byUid.get(uid) ?? new Set()).add(name));
    if (cgroup !== undefined) byGroup.set(cgroup, (byGroup.get(cgroup) ?? new Set()).add(name));
  }
  if (byUid.size + byGroup.size > MAX_WORKLOAD_USERS) {
    throw firewallErrors.error(
      'FIREWALL_TOO_LARGE',
      `workloads of ${byUid.size + byGroup.size} users and control groups have rules; at most ${MAX_WORKLOAD_USERS} are told apart`,
    );
  }
  const users = [...byUid].sort(([a], [b]) => a - b);
  const groups = [...byGroup].sort(([a], [b]) => levelOf(b) - levelOf(a) || (a < b ? -1 : 1));
  return [
    ...users.map(([uid, workloads]) => ({ key: `u${uid}`, uid, workloads })),
    ...groups.map(([cgroup]) => ({
      key: keyOfGroup(cgroup),
      cgroup,
      // What is in a group is in those around it.
      workloads: new Set(groups.flatMap(([other, names]) => (`${cgroup}/`.startsWith(`${other}/`) ? [...names] : []))),
    })),
  ];
}

/** A grant whose workload counts here; whoever serves it cannot see which program of the subject speaks. */
export const isUsedHere = (slice: Slice, grant: SliceGrant): boolean =>
  grant.device !== slice.device && grant.subjects.includes(slice.device);

/** Packets of a network namespace of this host are forwarded, and come from its veth. */
function unjudgeable(slice: Slice, direction: SliceFirewallRule['direction'], name: string): string | undefined {
  if (direction === 'out') return unbound(slice, name);
  if (direction === 'through' && interfaceOf(slice, name) !== undefined) return undefined;
  return `packets of direction ${direction} do not show it`;
}

/**
 * The rule as far as this host can judge it. What is about packets that it cannot tell apart opens nothing, and what closes
 * or keeps rules off closes for everybody.
 */
export function judgeable(slice: Slice, rule: SliceFirewallRule): { rule?: SliceFirewallRule; warning?: string } {
  const { workload: name, ...others } = rule;
  if (name === undefined) return { rule };
  const closes = rule.verdict !== 'allow' && rule.observe !== true;
  const why =
    unjudgeable(slice, rule.direction, name) ??
    (closes && named(slice, name)?.cgroup !== undefined
      ? 'a control group that is made anew would escape it until it is bound again'
      : undefined);
  if (why === undefined) return { rule };
  const about = `rule ${rule.id}: workload ${name}: ${why}`;
  if (!closes) {
    return { warning: `${about}, so the rule does nothing (${rule.place})` };
  }
  return {
    rule: { ...others, verdict: 'deny' },
    warning: `${about}, so the rule denies to every program (${rule.place})`,
  };
}
