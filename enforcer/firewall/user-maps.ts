// Maps of the users and control groups that have workloads; workloads.ts has the design.
import { ending, pathType, wantedOf } from './build.ts';
import type { Build } from './build.ts';
import { userSets } from './generation-input.ts';
import type { UserMaps } from './generation-input.ts';
import { groupKey } from './keys.ts';
import type { PacketRules } from './packet-rules.ts';
import { WORKLOAD_MARK } from './plan.ts';
import type { Family } from './plan.ts';
import { SetRegistry } from './sets.ts';
import type { Wanted } from './sets.ts';
import { groupSet, groupsOfLevel, userChain } from './workload-chains.ts';
import { levelOf } from './workloads.ts';

/** Maps of the users that have workloads, and where their packets are led to them. */
export function userMaps(build: Build, rules: PacketRules): UserMaps[] {
  const { users, generation, denies, openings } = build;
  if (users.length === 0) return [];
  const uids = users.flatMap(({ key, uid }) => (uid === undefined ? [] : [{ chain: key, key: [String(uid)] }]));
  const lead = (registry: SetRegistry, name: string, to: 'to' | 'deny' | 'late'): void => {
    const wanted = uids.map(({ chain, key }): Wanted => ({
      key,
      verdict: { kind: 'goto', chain: userChain(to, chain) },
    }));
    registry.add(name, 'judged by user', ['uid'], wanted, { data: 'verdict' });
  };
  generation.add(
    userSets.all,
    'users with workloads',
    ['uid'],
    uids.map(({ key }) => ({ key })),
  );
  groupSets(build);
  lead(generation, userSets.chains, 'to');
  lead(denies, userSets.denies, 'deny');
  lead(denies, userSets.lateDenies, 'late');
  const mark = [{ key: [String(WORKLOAD_MARK)] }];
  for (const registry of [generation, denies]) registry.add(userSets.mark, 'flows of workloads', ['mark'], mark);
  const marks = ['ipv4', 'ipv6'].map((family) => ({ key: [family], mark: WORKLOAD_MARK }));
  generation.add(userSets.markOf, 'flows of workloads', ['nf_proto'], marks, { data: 'mark' });
  return users.map((user) => {
    const setsOf = (family: Family) => ({
      ...rules.forUser(user, family),
      reached: generation.add(
        `reached${family}_${user.key}`,
        'reached by a workload',
        pathType(family),
        openings.reached
          .filter((path) => path.family === family && path.workload !== undefined && user.workloads.has(path.workload))
          .map(wantedOf),
        ending,
      ),
    });
    const { key, cgroup } = user;
    const group = cgroup === undefined ? {} : { group: { set: groupSet(key), level: levelOf(cgroup) } };
    return { key, ...group, families: { 4: setsOf(4), 6: setsOf(6) } };
  });
}

/** A group that is made anew is another element of the same sets. */
function groupSets({ users, host, generation, denies }: Build): void {
  const groups = users.flatMap(({ key, cgroup }) => {
    if (cgroup === undefined) return [];
    const inode = host.cgroups?.[cgroup];
    return [{ key, level: levelOf(cgroup), wanted: inode === undefined ? [] : [{ key: [groupKey(cgroup, inode)] }] }];
  });
  for (const registry of [generation, denies]) {
    for (const { key, wanted } of groups) registry.add(groupSet(key), 'control group', ['cgroupsv2'], wanted);
  }
  for (const [level, its] of Map.groupBy(groups, (group) => group.level)) {
    const all = its.flatMap(({ wanted }) => wanted);
    generation.add(groupsOfLevel(level), 'control groups with workloads', ['cgroupsv2'], all);
  }
}
