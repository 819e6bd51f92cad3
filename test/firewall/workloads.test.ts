// Rules and grants of workloads, told apart by the user of the socket: real programs of several users on the PLC, and what
// the judge says of the same packets.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { judgePacket } from '../../enforcer/firewall/index.ts';
import type { FirewallPlan } from '../../enforcer/firewall/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { requires } from '../support/capabilities.ts';
import { createNetwork } from '../support/netns.ts';
import { addresses, firewallOn, grant, openCell, planWith, service, sliceWith } from './cell.ts';
import type { Cell } from './cell.ts';

const { gateway, plc } = addresses;
/** Services of the gateway: for the updater alone, by a grant for the collector, for all but the guest, UDP for the updater. */
const port = { update: 8080, collect: 9000, common: 7000, telemetry: 5000 } as const;
const users = { updater: 61_001, collector: 61_002, guest: 61_003, nobodys: 61_004, root: 0 } as const;
type User = keyof typeof users;

const workloads: Slice['workloads'] = (['updater', 'collector', 'guest'] as const).map((name) => ({
  name,
  uid: users[name],
  place: 'inventory/plc.yaml:9',
}));

const peers = [`${gateway.cell}/32`, `${gateway.cell6}/128`];
type Entry = Slice['firewall'][number];
function rule(id: string, more: Partial<Entry>): Entry {
  const common = { tier: 'admin', priority: 10, verdict: 'allow', direction: 'out', transport: 'tcp' } as const;
  return { id, ...common, peers, place: 'firewall/plc.yaml:2', ...more };
}

const own = rule('updates', { workload: 'updater', ports: [port.update, port.update] });
const ownDatagrams = rule('reports', {
  workload: 'updater',
  transport: 'udp',
  ports: [port.telemetry, port.telemetry],
});

const told = sliceWith([{ ...grant('plc', 'collect'), device: 'gateway', binding: 'ip', workload: 'collector' }], {
  workloads,
  interfaces: [{ ...service('collect', port.collect, 'tcp'), device: 'gateway' }],
  firewall: [
    own,
    ownDatagrams,
    rule('no-guest', { priority: 5, verdict: 'deny', workload: 'guest', ports: [port.common, port.common] }),
    rule('common', { ports: [port.common, port.common] }),
  ],
});

const expected: Readonly<Record<number, readonly User[]>> = {
  [port.update]: ['updater'],
  [port.collect]: ['collector'],
  [port.common]: ['updater', 'collector', 'nobodys', 'root'],
};

interface Program {
  ask(question: string): Promise<string>;
}

function programOf(cell: Cell, user: User): Program {
  const process_ = cell.spawn('plc', [process.execPath, join(import.meta.dirname, 'user-probe.ts'), `${users[user]}`]);
  let answers = 0;
  return {
    ask: async (question) => {
      process_.child.stdin?.write(`${question}\n`);
      answers += 1;
      const [, answer = ''] = await process_.waitFor(new RegExp(`(?:= .*\\n[^]*?){${answers - 1}}= (.*)\\n`));
      return answer;
    },
  };
}

async function serve(cell: Cell) {
  const tcp = [port.update, port.collect, port.common].map((each) => cell.echo('gateway', 'tcp', each));
  const [telemetry] = await Promise.all([cell.echo('gateway', 'udp', port.telemetry), ...tcp]);
  return telemetry;
}

function judged(plan: FirewallPlan, user: User, destination: string, dport: number): string {
  const source = destination.includes(':') ? plc.cell6 : plc.cell;
  const flow = { source, destination, protocol: 'tcp', sport: 40_000, dport, uid: users[user] } as const;
  return judgePacket(plan, { ...flow, way: 'out', outInterface: 'eth0', state: 'new', direction: 'original' }).verdict;
}

test('a program reaches what rules and grants open to its user, in both families, and the judge says the same', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serve(cell);
  const plan = planWith(told);
  assert.deepEqual(plan.warnings, []);
  await firewall.apply(plan);
  let probes = 0;
  await Promise.all(
    (Object.keys(users) as User[]).map(async (user) => {
      const program = programOf(cell, user);
      for (const [each, allowed] of Object.entries(expected)) {
        for (const address of [gateway.cell, gateway.cell6]) {
          const answer = await program.ask(`connect ${address} ${each}`);
          const open = allowed.includes(user);
          assert.equal(answer === 'open', open, `${user} to ${address} port ${each}: ${answer}`);
          assert.equal(
            judged(plan, user, address, Number(each)) === 'accept',
            open,
            `judge: ${user} to ${address} ${each}`,
          );
          probes += 1;
        }
      }
    }),
  );
  assert.equal(probes, 30);
  assert.equal((await firewall.status()).drift, undefined);
});

test('no other user goes on with a flow from the same port', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serve(cell);
  const [updater, other, guest] = [programOf(cell, 'updater'), programOf(cell, 'nobodys'), programOf(cell, 'guest')];
  const question = `udp ${gateway.cell} ${port.telemetry} 40000`;
  await firewall.apply(planWith(told));
  assert.equal(await updater.ask(question), 'answered');
  assert.equal(await other.ask(question), 'silent');
  assert.equal(await guest.ask(question), 'silent');
  assert.equal(await updater.ask(question), 'answered');
  // The control: what the rule opens to everybody is open from that port to everybody.
  const { workload: _, ...everybody } = ownDatagrams;
  await firewall.apply(planWith(sliceWith([], { firewall: [everybody] }), { epoch: 2 }));
  assert.equal(await other.ask(question), 'answered');
});

test('a new plan ends the flows of users that may no longer, and only those', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serve(cell);
  const { workload: _, ...everybody } = own;
  await firewall.apply(planWith(sliceWith([], { workloads, firewall: [everybody] })));
  const [updater, other] = [programOf(cell, 'updater'), programOf(cell, 'nobodys')];
  const hold = `hold ${gateway.cell} ${port.update}`;
  assert.deepEqual([await updater.ask(hold), await other.ask(hold)], ['answered', 'answered']);
  await firewall.apply(planWith(told, { epoch: 2 }));
  assert.deepEqual([await updater.ask('exchange'), await other.ask('exchange')], ['answered', 'reset']);
  // And the workload's own, when its rule goes; a later plan with the rule does not wake it.
  await firewall.apply(planWith(sliceWith([], { workloads, firewall: [ownDatagrams] }), { epoch: 3 }));
  await delay(50);
  assert.equal(await updater.ask('exchange'), 'reset');
});

const veths = {
  plc: {
    interfaces: {
      eth0: { network: 'cell', addresses: ['10.20.0.2/24', 'fd20::2/64'], mac: '02:00:00:00:00:02' },
      veth1: { network: 'one', addresses: ['10.77.1.1/24'] },
      veth2: { network: 'two', addresses: ['10.77.2.1/24'] },
    },
    forwarding: true,
  },
  gateway: {
    interfaces: { eth0: { network: 'cell', addresses: ['10.20.0.3/24'], mac: '02:00:00:00:00:03' } },
    gateways: ['10.20.0.2'],
  },
  one: { interfaces: { eth0: { network: 'one', addresses: ['10.77.1.2/24'] } }, gateways: ['10.77.1.1'] },
  two: { interfaces: { eth0: { network: 'two', addresses: ['10.77.2.2/24'] } }, gateways: ['10.77.2.1'] },
} as const;

test('a namespace behind a veth passes by its rule, from its address and its veth alone', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using site = await createNetwork({ hosts: veths });
  await using firewall = await firewallOn(site as unknown as Cell, 'plc');
  await site.echo('gateway', 'tcp', port.update);
  const through = rule('boxed', {
    direction: 'through',
    workload: 'boxed',
    peers: ['10.77.0.0/16'],
    to: [`${gateway.cell}/32`],
    ports: [port.update, port.update],
  });
  const boxed: Slice['workloads'] = [{ name: 'boxed', interface: 'veth1', place: 'inventory/plc.yaml:9' }];
  // The control: a rule for everybody lets both through.
  const { workload: _, ...everybody } = through;
  await firewall.apply(planWith(sliceWith([], { firewall: [everybody] })));
  assert.equal(await site.probeTcp('one', gateway.cell, port.update), 'open');
  assert.equal(await site.probeTcp('two', gateway.cell, port.update), 'open');
  const plan = planWith(sliceWith([], { workloads: boxed, firewall: [through] }), { epoch: 2 });
  assert.deepEqual(plan.warnings, []);
  await firewall.apply(plan);
  assert.equal(await site.probeTcp('one', gateway.cell, port.update), 'open');
  assert.equal(await site.probeTcp('two', gateway.cell, port.update), 'silent', 'another veth');
  const elsewhere = { ...through, peers: ['10.77.1.9/32'] };
  await firewall.apply(planWith(sliceWith([], { workloads: boxed, firewall: [elsewhere] }), { epoch: 3 }));
  assert.equal(await site.probeTcp('one', gateway.cell, port.update), 'silent', 'another address');
});

test('what is about packets that cannot be told apart opens nothing and closes for everybody, and the plan says so', () => {
  const strange: Slice['workloads'] = [
    { name: 'boxed', interface: 'veth8', place: 'inventory/plc.yaml:9' },
    { name: 'veth', interface: 'veth7', place: 'inventory/plc.yaml:10' },
  ];
  const plan = planWith(
    sliceWith([{ ...grant('plc', 'collect'), device: 'gateway', binding: 'ip', workload: 'boxed' }], {
      workloads: strange,
      interfaces: [{ ...service('collect', port.collect, 'tcp'), device: 'gateway' }],
      firewall: [
        rule('boxed', { workload: 'boxed', ports: [port.update, port.update] }),
        rule('no-boxed', { priority: 5, verdict: 'deny', workload: 'boxed', ports: [port.common, port.common] }),
        rule('common', { ports: [port.common, port.common] }),
        rule('veth', { direction: 'in', workload: 'veth', ports: [port.update, port.update] }),
      ],
    }),
  );
  for (const each of [port.update, port.collect, port.common]) {
    assert.equal(judged(plan, 'updater', gateway.cell, each), 'drop', `port ${each}`);
  }
  assert.equal(plan.warnings.length, 4, plan.warnings.join('\n'));
  for (const warning of plan.warnings) assert.match(warning, /workload (boxed|veth)/);
});
