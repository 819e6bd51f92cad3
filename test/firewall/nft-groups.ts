// Run where control groups of version 2 are at /sys/fs/cgroup, in a network namespace of its own: the nft program binds a
// group, binds it again after it was made anew, and reads it back. node nft-groups.ts GROUP; prints every difference.
import { mkdirSync, rmdirSync } from 'node:fs';
import { groupInode } from '../../enforcer/firewall/control-groups.ts';
import { tableChange } from '../../enforcer/firewall/index.ts';
import { nftTable } from '../../enforcer/firewall/kernel.ts';
import { groupKey } from '../../enforcer/firewall/keys.ts';
import { differenceTo } from '../../enforcer/firewall/listing.ts';
import { netlinkTable } from '../../enforcer/firewall/netlink/index.ts';
import type { Ruleset } from '../../enforcer/firewall/plan.ts';
import { runCommand } from '../../enforcer/firewall/run.ts';

const group = process.argv[2] ?? '';
const folder = `/sys/fs/cgroup/${group}`;
const other = `${group}-other`;
const tableOfNow = (...paths: readonly string[]): Ruleset => {
  const elements = paths.flatMap((path) => {
    const inode = groupInode(path);
    return inode === undefined ? [] : [{ key: [groupKey(path, inode)] }];
  });
  const match = [{ kind: 'cgroup' as const, level: 1, set: 'groups', not: false }];
  const set = {
    name: 'groups',
    type: ['cgroupsv2' as const],
    interval: false,
    timeout: false,
    purpose: 'test',
    elements,
  };
  const rules = [{ match, verdict: { kind: 'drop' as const } }];
  return { sets: [set], chains: [{ name: 'output', hook: 'output', policy: 'accept', rules }] };
};

const kernel = nftTable(runCommand);
const netlink = netlinkTable(undefined);
async function differs(table: Ruleset): Promise<void> {
  for (const reader of [kernel, netlink]) {
    const listing = await reader.read();
    const difference = listing === undefined ? 'no table' : differenceTo(table, listing, Date.now());
    console.log(`${reader.backend}: ${difference ?? 'same'}`);
  }
}

mkdirSync(folder);
mkdirSync(`/sys/fs/cgroup/${other}`);
try {
  const first = tableOfNow(group, other);
  await kernel.replace(first, Date.now());
  await differs(first);
  rmdirSync(folder);
  mkdirSync(folder);
  const again = tableOfNow(group, other);
  await differs(again);
  await kernel.change(tableChange(first, again), Date.now());
  await differs(again);
} finally {
  rmdirSync(folder);
  rmdirSync(`/sys/fs/cgroup/${other}`);
  netlink.close();
}
