// Rules and grants of workloads told apart by control group: real programs that are moved between real groups of the PLC.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { openEdgeFirewall, type EdgeFirewallParts } from '../../bin/edge/firewall.ts';
import { compileFirewall, judgePacket, tableChange, tableOfPlan } from '../../enforcer/firewall/index.ts';
import type { FirewallPlan } from '../../enforcer/firewall/index.ts';
import { groupsOf, withGroupsOfNow } from '../../enforcer/firewall/control-groups.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { requires } from '../support/capabilities.ts';
import { controlGroups } from '../support/control-groups.ts';
import { addresses, firewallOn, grant, host, openCell, service, sliceWith, trusted } from './cell.ts';
import type { Cell } from './cell.ts';

const { gateway, plc } = addresses;
/** Services of the gateway: for the group by a rule, for it by a grant, for the group inside by a rule, for all. */
const port = { update: 8080, collect: 9000, inner: 7000, common: 7001 } as const;
const group = `edgeward-test-${process.pid}`;
const child = `${group}/inside`;
const guest = 61_003;

type Entry = Slice['firewall'][number];
function rule(id: string, more: Partial<Entry>): Entry {
  const common = { tier: 'admin', priority: 10, verdict: 'allow', direction: 'out', transport: 'tcp' } as const;
  return {
    id,
    ...common,
    peers: [`${gateway.cell}/32`, `${gateway.cell6}/128`],
    place: 'firewall/plc.yaml:2',
    ...more,
  };
}
const only = (each: number): Partial<Entry> => ({ ports: [each, each] });

const place = 'inventory/plc.yaml:9';
const workloads: Slice['workloads'] = [
  { name: 'updater', cgroup: group, place },
  { name: 'inner', cgroup: child, place },
  { name: 'guest', uid: guest, place },
];
const told = sliceWith([{ ...grant('plc', 'collect'), device: 'gateway', binding: 'ip', workload: 'updater' }], {
  workloads,
  interfaces: [{ ...service('collect', port.collect, 'tcp'), device: 'gateway' }],
  firewall: [
    rule('updates', { workload: 'updater', ...only(port.update) }),
    rule('inner', { workload: 'inner', ...only(port.inner) }),
    rule('no-guest', { verdict: 'deny', priority: 5, workload: 'guest', ...only(port.update) }),
    rule('common', only(port.common)),
  ],
});

const planOf = (slice: Slice, cgroups: Readonly<Record<string, string>>, epoch = 1): FirewallPlan =>
  compileFirewall(slice, { epoch, now: Date.now(), ordersSequence: 0, states: trusted }, { ...host, cgroups });

function programOn(cell: Cell, uid = 0) {
  const running = cell.spawn('plc', [process.execPath, join(import.meta.dirname, 'user-probe.ts'), String(uid)]);
  let answers = 0;
  const ask = async (question: string): Promise<string> => {
    running.child.stdin?.write(`${question}\n`);
    answers += 1;
    return (await running.waitFor(new RegExp(`^(?:= .*\\n){${answers - 1}}= (.*)\\n`)))[1] ?? '';
  };
  const reaches = async (address: string = gateway.cell): Promise<number[]> => {
    const open: number[] = [];
    for (const each of Object.values(port)) {
      if ((await ask(`connect ${address} ${each}`)) === 'open') open.push(each);
    }
    return open;
  };
  return { pid: running.child.pid, ask, reaches };
}

const serve = async (cell: Cell) =>
  await Promise.all(Object.values(port).map((each) => cell.echo('gateway', 'tcp', each)));

function judged(plan: FirewallPlan, cgroup: string): number[] {
  const from = { source: plc.cell, destination: gateway.cell, protocol: 'tcp', sport: 40_000, cgroup, uid: 0 } as const;
  const path = { way: 'out', outInterface: 'eth0', state: 'new', direction: 'original' } as const;
  return Object.values(port).filter((dport) => judgePacket(plan, { ...from, ...path, dport }).verdict === 'accept');
}

const ofGroup = [port.update, port.collect, port.common];
const ofChild = [port.update, port.collect, port.inner, port.common];

test('a program reaches what is open to its group and to those around it, another program does not', async (t) => {
  if (!requires(t, 'root', 'netns', 'cgroup2')) return;
  await using cell = await openCell();
  using groups = controlGroups();
  for (const path of [group, child, `${child}/deeper`]) groups.make(path);
  await using firewall = await firewallOn(cell, 'plc');
  await serve(cell);
  const plan = planOf(told, groupsOf(told, groups.root));
  assert.deepEqual(plan.warnings, []);
  await firewall.apply(plan);
  const program = programOn(cell);
  assert.deepEqual(await program.reaches(), [port.common]);
  for (const [path, expected] of [
    [group, ofGroup],
    [child, ofChild],
    [`${child}/deeper`, ofChild],
    ['', [port.common]],
  ] as const) {
    groups.move(program.pid, path);
    assert.deepEqual(await program.reaches(), expected, path);
    assert.deepEqual(await program.reaches(gateway.cell6), expected, `${path}, IPv6`);
    assert.deepEqual(judged(plan, path), expected, `judge: ${path}`);
  }
  assert.equal((await firewall.status()).drift, undefined);
  // A user's own denies follow it into every group.
  const other = programOn(cell, guest);
  await other.ask('exchange');
  groups.move(other.pid, child);
  assert.deepEqual(await other.reaches(), [port.common]);
});

test('a group that is made anew is another one until it is bound again, by elements alone', async (t) => {
  if (!requires(t, 'root', 'netns', 'cgroup2')) return;
  await using cell = await openCell();
  using groups = controlGroups();
  await using firewall = await firewallOn(cell, 'plc');
  await serve(cell);
  const missing = planOf(told, groupsOf(told, groups.root));
  assert.equal(missing.warnings.filter((warning) => warning.includes('is not there')).length, 2);
  await firewall.apply(missing);
  groups.make(group);
  const program = programOn(cell);
  await program.ask('exchange');
  groups.move(program.pid, group);
  assert.deepEqual(await program.reaches(), [port.common], 'made after the rules');
  const first = planOf(told, groupsOf(told, groups.root), 2);
  await firewall.apply(first);
  assert.deepEqual(await program.reaches(), ofGroup);
  assert.equal(await program.ask(`hold ${gateway.cell} ${port.update}`), 'answered');

  groups.move(program.pid, '');
  groups.remove(group);
  groups.make(group);
  groups.move(program.pid, group);
  assert.deepEqual(await program.reaches(), [port.common], 'made anew');
  assert.deepEqual(judged(withGroupsOfNow(first, groups.root), group), [port.common], 'saved, and made anew since');
  const again = planOf(told, groupsOf(told, groups.root), 3);
  const { addChains, fillChains, addSets, removeElements } = tableChange(tableOfPlan(first), tableOfPlan(again));
  assert.deepEqual([addChains, fillChains, addSets], [[], [], []]);
  assert.ok(removeElements.some(({ set }) => set.type.includes('cgroupsv2')));
  await firewall.apply(again);
  assert.deepEqual(await program.reaches(), ofGroup);
  assert.equal(await program.ask('exchange'), 'reset', 'a socket stays with the group that it was made in');
  assert.equal((await firewall.status()).drift, undefined);
  assert.deepEqual(withGroupsOfNow(again, groups.root), again);
});

test('the edge binds a group again by itself', async (t) => {
  if (!requires(t, 'root', 'netns', 'cgroup2')) return;
  await using cell = await openCell();
  using groups = controlGroups();
  groups.make(group);
  await using firewall = await firewallOn(cell, 'plc');
  await serve(cell);
  const edge = openEdgeFirewall({
    rules: { firewall, hostNow: () => host } as unknown as EdgeFirewallParts['rules'],
    deviceId: 'plc',
    clock: systemClock,
    trusted: {
      now: Date.now,
      time: () => ({ now: Date.now(), trusted: true }),
    } as EdgeFirewallParts['trusted'],
    log: createLogger({ name: 'workloads-test', level: 'silent' }),
    orders: () =>
      ({
        subjectState: () => ({ state: 'trusted' }),
        handlers: { orders: { version: () => 0n } },
      }) as unknown as ReturnType<EdgeFirewallParts['orders']>,
    closeStreams: () => 0,
    groupsNow: (slice) => groupsOf(slice, groups.root),
  });
  await edge.applySlice(told, { version: 1, commit: 'c', author: 'a', publisher: 'p' }, () => true);
  const stop = new AbortController();
  const task = edge.task(stop.signal);
  const program = programOn(cell);
  await program.ask('exchange');
  groups.move(program.pid, group);
  const before = firewall.current()?.epoch ?? 0;
  assert.deepEqual(await program.reaches(), ofGroup);
  groups.move(program.pid, '');
  groups.remove(group);
  groups.make(group);
  groups.move(program.pid, group);
  let answer = '';
  for (let tries = 0; tries < 20 && answer !== 'open'; tries += 1) {
    answer = await program.ask(`connect ${gateway.cell} ${port.update}`);
  }
  stop.abort();
  await task;
  assert.equal(answer, 'open');
  assert.ok((firewall.current()?.epoch ?? 0) > before);
});

test('a deny about a group closes for everybody', () => {
  const slice = sliceWith([], {
    workloads,
    firewall: [
      rule('no-updates', { workload: 'updater', verdict: 'deny', priority: 5, ...only(port.common) }),
      rule('common', only(port.common)),
    ],
  });
  const plan = planOf(slice, { [group]: '4711' });
  assert.deepEqual(judged(plan, ''), []);
  assert.match(plan.warnings.join('\n'), /no-updates: workload updater: .*denies to every program/);
});

test('the nft program binds groups, binds one again, and both ways read the same', (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'cgroup2')) return;
  const mounted = 'umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && exec "$@"';
  const program = [process.execPath, join(import.meta.dirname, 'nft-groups.ts'), group];
  const found = spawnSync('unshare', ['--mount', '--net', 'sh', '-c', mounted, 'sh', ...program], { encoding: 'utf8' });
  const [first, second, ...others] = found.stdout.trim().split('\n');
  assert.deepEqual([first, second], ['nft: same', 'netlink: same'], found.stderr);
  assert.match(others.slice(0, 2).join('\n'), /^nft: set groups .*\nnetlink: set groups /, 'made anew');
  assert.deepEqual(others.slice(2), ['nft: same', 'netlink: same'], found.stderr);
});
