// Golden files: a slice, states and a host above the line, the nftables text below. `UPDATE_GOLDEN=1 node --test` writes
// them anew; read the difference before you commit it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test, type TestContext } from 'node:test';
import { MAX_METERS, MAX_THROUGH_STEPS, sliceSchema, type SliceFirewallRule } from '../../policy/bundle/index.ts';
import { requires } from '../../test/support/capabilities.ts';
import { compileFirewall } from './compile.ts';
import { goldenNames, readGolden, writeGolden } from '../../test/firewall/golden.ts';
import { judgePacket, type Packet } from './judge.ts';
import { planSchema } from './plan.ts';
import type { FirewallPlan } from './plan.ts';
import { renderNft } from './render.ts';
import { tableOfPlan } from './table.ts';

for (const name of goldenNames) {
  test(`${name} compiles to the text below its line`, () => {
    const { plan, text } = readGolden(name);
    const warnings = plan.warnings.map((warning) => `# warning: ${warning}\n`).join('');
    const actual = `${warnings}# next change: ${plan.nextChange ?? 'never'}\n${renderNft(tableOfPlan(plan), plan.compiledAt)}`;
    if (process.env['UPDATE_GOLDEN'] === '1') {
      writeGolden(name, actual);
      return;
    }
    assert.equal(actual, text);
    // What is saved on disk is read back through the schema.
    assert.deepEqual(planSchema.parse(JSON.parse(JSON.stringify(plan))), plan);
  });

  test(`${name} is what nft accepts`, (t) => {
    if (!requires(t, 'root', 'nft')) return;
    const { plan } = readGolden(name);
    const input = renderNft(tableOfPlan(plan), plan.compiledAt);
    const { status, stderr } = spawnSync('unshare', ['--net', 'nft', '-c', '-f', '-'], { input, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  });
}

test('a plan with an element that ends says when to compile again', () => {
  const plans = goldenNames.map((name) => readGolden(name).plan);
  const ending = plans.filter(({ base, denies, generation }) =>
    [...base, ...denies.sets, ...generation.sets].some(({ elements }) =>
      elements.some(({ until }) => until !== undefined),
    ),
  );
  assert.ok(ending.length > 0);
  for (const plan of ending) assert.ok(plan.nextChange !== undefined);
});

test('a rule of one family looks at something that only this family has: no text says the family by itself', () => {
  const told = /"source"|"destination"|"icmp"|"neighbour"|"divert"/;
  for (const name of goldenNames) {
    const rules = tableOfPlan(readGolden(name).plan).chains.flatMap((chain) => chain.rules);
    for (const rule of rules.filter((each) => each.family !== undefined)) assert.match(JSON.stringify(rule), told);
  }
});

const { input } = readGolden('plc-cell.txt');
const slice = sliceSchema.parse(input.slice);

test('rules of firewall/ make larger maps, not longer chains', () => {
  const rule = {
    tier: 'admin' as const,
    priority: 500,
    verdict: 'deny' as const,
    direction: 'in' as const,
    transport: 'tcp' as const,
    place: 'firewall/f.yaml:1',
  };
  const many = Array.from({ length: 2_000 }, (_, index) => ({
    ...rule,
    id: `rule-${index}`,
    peers: [`10.${index >> 8}.${index & 255}.0/25`],
    ports: [index + 1, index + 1] as [number, number],
  }));
  const plan = compileFirewall({ ...slice, firewall: many }, input.state, input.host);
  assert.equal(plan.denies.sets.find((set) => set.name === 'admin_deny_in4_ported')?.elements.length, 2_000);
  assert.ok([...plan.denies.chains, ...plan.generation.chains].every((chain) => chain.rules.length < 40));
  const peers = Array.from({ length: 5_000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/25`);
  const feed = compileFirewall({ ...slice, firewall: [{ ...rule, id: 'feed', peers }] }, input.state, input.host);
  assert.equal(feed.denies.sets.find((set) => set.interval)?.elements.length, 5_000);
});

test('grants of 10,000 peers make larger sets, not more rules', () => {
  const rules = (plan: FirewallPlan): number =>
    [...plan.denies.chains, ...plan.generation.chains].reduce((sum, chain) => sum + chain.rules.length, 0);
  const ids = Array.from({ length: 10_000 }, (_, index) => `peer-${index}`);
  const many = {
    ...slice,
    devices: [
      ...slice.devices,
      ...ids.map((id, index) => ({
        id,
        labels: {},
        interfaces: [
          { name: 'eth0', network: 'cell', address: `10.21.${index >> 8}.${index & 255}`, mac: '02:00:00:00:99:99' },
        ],
      })),
    ],
    grants: slice.grants.map((grant) => ({ ...grant, subjects: [...grant.subjects, ...ids] })),
  };
  const states = { ...input.state.states, ...Object.fromEntries(ids.map((id) => [id, 'trusted' as const])) };
  const small = compileFirewall(slice, input.state, input.host);
  const large = compileFirewall(many, { ...input.state, states }, input.host);
  assert.equal(rules(large), rules(small));
});

test("the control plane's address enters no containment set, whoever claims it", () => {
  const devices = slice.devices.map((device) =>
    device.id === 'camera-1' ? { ...device, interfaces: [{ ...device.interfaces[0]!, address: '10.20.0.1' }] } : device,
  );
  const plan = compileFirewall({ ...slice, devices }, input.state, input.host);
  assert.deepEqual(plan.base.find((set) => set.name === 'quarantined4')?.elements, []);
});

test('an IPv4-mapped address is refused: it would be compared with another address than it stands for', () => {
  const host = {
    ...input.host,
    controlEndpoints: [{ address: '::ffff:10.20.0.1', port: 1, transport: 'tcp' as const }],
  };
  assert.throws(() => compileFirewall(slice, input.state, host), { code: 'FIREWALL_ADDRESS' });
});

test('an interface name that would end a quote is refused', () => {
  const devices = slice.devices.map((device) => ({
    ...device,
    interfaces: device.interfaces.map((entry) => ({ ...entry, name: 'x" accept' })),
  }));
  assert.throws(() => compileFirewall({ ...slice, devices }, input.state, input.host), { code: 'FIREWALL_ADDRESS' });
});

const allowOf = (entry: Partial<SliceFirewallRule>): SliceFirewallRule => ({
  id: 'maintenance',
  tier: 'admin',
  priority: 500,
  verdict: 'allow',
  direction: 'in',
  transport: 'tcp',
  peers: ['192.0.2.0/24', '2001:db8::/32'],
  place: 'firewall/f.yaml:1',
  ...entry,
});

test('a rule with a number of connections asks once whether they are too many and counted, however many peers it names', (t) => {
  const peers = Array.from({ length: 100 }, (_, index) => `192.0.2.${index * 2}/32`);
  const rule = allowOf({ peers: [...peers, '2001:db8::1/128', '2001:db8::9/128'], maxConnections: 3 });
  const plan = compileFirewall({ ...slice, firewall: [rule] }, input.state, input.host);
  const chain = plan.generation.chains.find(({ name }) => name.startsWith('yes_'));
  assert.deepEqual(
    chain?.rules.map(({ family, match, verdict }) => [family, match.at(-1)?.kind, verdict.kind]),
    [
      [4, 'connections-over', 'drop'],
      [4, 'uncounted', 'drop'],
      [6, 'connections-over', 'drop'],
      [6, 'uncounted', 'drop'],
      [undefined, undefined, 'admit'],
    ],
  );
  loads(t, plan);
});

test('what is forwarded has an end, a rate and a number of connections too, also with the enforcer dead', (t) => {
  const { now } = input.state;
  const packet = {
    way: 'through',
    protocol: 'tcp',
    sport: 40_000,
    dport: 80,
    inInterface: 'a',
    outInterface: 'b',
  } as const;
  const verdicts = (entry: Partial<SliceFirewallRule>, overLimits: boolean, at: number): string[] => {
    const plan = compileFirewall(
      { ...slice, firewall: [allowOf({ direction: 'through', ...entry })] },
      input.state,
      input.host,
    );
    loads(t, plan);
    return [
      ['192.0.2.1', '198.51.100.1'],
      ['2001:db8::1', '2001:db8:1::1'],
    ].map(([source = '', destination = '']) => {
      const own: Packet = { ...packet, source, destination, state: 'new', direction: 'original', overLimits };
      const { verdict, rule } = judgePacket(plan, own, at);
      return `${verdict} ${rule}`;
    });
  };
  const both = (text: string): string[] => [text, text];
  const rate = { flows: 1, per: 'hour', burst: 1 } as const;
  assert.deepEqual(verdicts({ until: now + 1_000 }, false, now), both('accept '));
  assert.deepEqual(verdicts({ until: now + 1_000 }, false, now + 1_000), both('drop ended:maintenance'));
  assert.deepEqual(verdicts({ rate }, false, now), both('accept '));
  assert.deepEqual(verdicts({ rate }, true, now), both('drop limit:maintenance'));
  assert.deepEqual(verdicts({ maxConnections: 2 }, true, now), both('drop limit:maintenance'));
});

function loads(t: TestContext, plan: FirewallPlan): void {
  if (!requires(t, 'root', 'nft')) return;
  const text = renderNft(tableOfPlan(plan), plan.compiledAt);
  const { status, stderr } = spawnSync('unshare', ['--net', 'nft', '-f', '-'], { input: text, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

test('as many meters, traps and forwarding rules as lint lets through compile', () => {
  const { place } = allowOf({});
  const meters = Array.from({ length: MAX_METERS }, (_, index) => ({
    id: `m${index}`,
    transport: 'tcp' as const,
    flowsPerSecond: 1,
    burst: 1,
    blockSeconds: 1,
    place,
  }));
  const traps = [{ id: 't', transport: 'tcp' as const, ports: [1, 1] as [number, number], blockSeconds: 1, place }];
  const denies = (['tcp', 'icmp'] as const).map((transport) => allowOf({ id: transport, verdict: 'deny', transport }));
  // Four rules of the kernel for each family: 7 x 8 + 4 + 2 = 62, and 63 is the bound.
  const forwarding = Array.from({ length: 7 }, (_, index) =>
    allowOf({ id: `f${index}`, direction: 'through', verdict: 'deny' }),
  );
  const last = allowOf({ id: 'l', direction: 'through', verdict: 'deny', peers: ['192.0.2.0/24'] });
  const pass = allowOf({ id: 'p', direction: 'through', verdict: 'pass', peers: ['192.0.2.0/24'] });
  const behind = allowOf({ id: 'b', direction: 'through', tier: 'baseline', verdict: 'deny' });
  const firewall = [...denies, ...forwarding, last, pass, behind];
  const plan = compileFirewall({ ...slice, meters, traps, firewall }, input.state, input.host);
  assert.equal(plan.denies.chains.find(({ name }) => name === 'deny_through')?.rules.length, MAX_THROUGH_STEPS);
});

test('a limited allow of what is forwarded becomes as many rules as lint counts', () => {
  const until = input.state.now + 60_000;
  const rate = { flows: 1, per: 'hour', burst: 1 } as const;
  // Seven rules of the kernel for each family: 4 x 14 + 7 = 63.
  const firewall = Array.from({ length: 5 }, (_, index) =>
    allowOf({
      id: `f${index}`,
      direction: 'through',
      maxConnections: 3,
      rate,
      until,
      ...(index === 4 ? { peers: ['192.0.2.0/24'] } : {}),
    }),
  );
  const plan = compileFirewall({ ...slice, firewall }, input.state, input.host);
  const chain = plan.generation.chains.find(({ name }) => name === 'through_admin');
  assert.equal(chain?.rules.length, MAX_THROUGH_STEPS);
});
