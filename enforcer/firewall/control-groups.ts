// Which control groups there are now. The kernel compares inodes: after a new boot, or when a group is made anew, the same
// path is another group, and the same inode may be a foreign one's.
import { statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Slice } from '../../policy/bundle/index.ts';
import { groupOfKey } from './keys.ts';
import type { FirewallPlan, SetDefinition } from './plan.ts';

/** Where control groups of version 2 are, as for nft. */
const GROUP_ROOT = '/sys/fs/cgroup';
/** CGROUP2_SUPER_MAGIC of linux/magic.h. */
const CGROUP2_MAGIC = 0x63677270;

/** Undefined also where something else than control groups of version 2 is mounted. */
export function groupInode(path: string, root: string = GROUP_ROOT): string | undefined {
  const place = join(root, path);
  try {
    if (statfsSync(place).type !== CGROUP2_MAGIC) return undefined;
    const found = statSync(place, { bigint: true });
    return found.isDirectory() ? String(found.ino) : undefined;
  } catch {
    // Gone, or never there: nobody's.
    return undefined;
  }
}

/** Inodes of the slice's control groups, by path; those that are not there are left out. */
export function groupsOf(slice: Slice | undefined, root?: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    (slice?.workloads ?? []).flatMap(({ cgroup }) => {
      const inode = cgroup === undefined ? undefined : groupInode(cgroup, root);
      return cgroup === undefined || inode === undefined ? [] : [[cgroup, inode]];
    }),
  );
}

/** A plan of an earlier time without the groups that are no longer what they were. */
export function withGroupsOfNow(plan: FirewallPlan, root?: string): FirewallPlan {
  const isThere = (key: string): boolean => {
    const { path, inode } = groupOfKey(key);
    return groupInode(path, root) === inode;
  };
  const current = (set: SetDefinition): SetDefinition =>
    set.type.includes('cgroupsv2')
      ? { ...set, elements: set.elements.filter(({ key: [key = ''] }) => isThere(key)) }
      : set;
  const { denies, generation } = plan;
  return {
    ...plan,
    denies: { ...denies, sets: denies.sets.map(current) },
    generation: { ...generation, sets: generation.sets.map(current) },
  };
}
