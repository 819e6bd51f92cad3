// Edges whose kernel takes no rules from them: they end with the reason, or say loudly that they run without.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { filteringText } from '../../cli/edge.ts';
import { createConnectionGuard } from '../../bin/edge/connection-guard.ts';
import { edgeConfigSchema } from '../../bin/edge/config.ts';
import { type FirewallMode, raiseFirstRules } from '../../bin/edge/first-rules.ts';
import { stateOf, type RunCommand } from '../../enforcer/firewall/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';
import { requires } from '../support/capabilities.ts';
import { addresses, grant, planWith, sliceWith } from './cell.ts';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'without-kernel-'));
after(() => rmSync(folder, { recursive: true, force: true }));
// What says that this host has been in force before.
mkdirSync(join(folder, 'firewall'));
writeFileSync(join(folder, 'firewall/firewall.json'), '{}');

const configOf = (firewall: object) =>
  edgeConfigSchema.parse({ state: folder, control: { address: '10.20.0.1:8443' }, firewall });
const noNft: RunCommand = () => Promise.resolve({ code: 127, stdout: '', stderr: 'spawn nft ENOENT' });
const raise = (firewall: object, run: RunCommand = noNft) =>
  raiseFirstRules({
    config: configOf({ backend: 'nft', ...firewall }),
    control: {
      endpoints: () => [{ address: '10.20.0.1', port: 8443, transport: 'tcp' }],
      resolvers: () => [],
    } as unknown as Parameters<typeof raiseFirstRules>[0]['control'],
    fs: nodeFiles,
    clock: systemClock,
    log: createLogger({ name: 'test', level: 'silent' }),
    run,
  });

async function eventsOf(rules: Awaited<ReturnType<typeof raise>>): Promise<NewEvent[]> {
  const events: NewEvent[] = [];
  await rules.attach({ emit: async (event) => void events.push(event), closeStreams: () => 0, now: () => 0 });
  return events.filter(({ activity }) => activity === 'degrade' || activity === 'mode');
}

test('without nft the edge does not start, unless the configuration allows less', async () => {
  await assert.rejects(raise({}), { code: 'FIREWALL_NO_NFT' });
  const rules = await raise({ fallback: 'proxies' });
  assert.deepEqual([rules.mode, rules.raised], ['proxies', 'none']);
  assert.match(rules.degraded ?? '', /nft is not installed/);
  const [event] = await eventsOf(rules);
  assert.deepEqual([event?.activity, event?.severity, event?.data.code], ['degrade', 'critical', 'FIREWALL_NO_NFT']);
});

for (const mode of ['simulate', 'proxies', 'off'] as const) {
  test(`mode ${mode} starts no program, and the control plane hears of it`, async () => {
    const rules = await raise({ mode }, () => assert.fail('a program was started'));
    assert.deepEqual([rules.mode, rules.degraded], [mode, undefined]);
    assert.deepEqual(
      (await eventsOf(rules)).map(({ activity, severity, data }) => [activity, severity, data.state]),
      [['mode', 'high', mode]],
    );
  });
}

test('edge status says so before anything else', () => {
  const connections = { judged: 6, denied: { 'default-in': 2, spoofed: 1 } };
  const [first, second] = filteringText({ mode: 'proxies', degraded: 'no CAP_NET_ADMIN', connections });
  assert.match(first ?? '', /^NOT ENFORCED .* mode proxies: our own proxies alone refuse \(3 of 6 connections\)$/);
  assert.match(second ?? '', /^DEGRADED .*no CAP_NET_ADMIN/);
  assert.match(filteringText({ mode: 'simulate', connections })[0] ?? '', /3 of 6 .* would have been refused/);
  assert.deepEqual(filteringText({ mode: 'enforce', connections }), []);
});

test('plans are applied and followed in no kernel as in one', async () => {
  const { firewall } = await raise({ mode: 'simulate' });
  assert.ok(firewall);
  const plan = planWith(sliceWith([grant('gateway', 'status')]), { epoch: 10 });
  await firewall.apply(plan);
  await firewall.apply(planWith(sliceWith([]), { epoch: 11 }));
  const { backend, epoch, drift } = await firewall.status();
  assert.deepEqual([backend, epoch, drift], ['none', 11, undefined]);
});

function guardIn(mode: FirewallMode) {
  const slice = sliceWith([grant('gateway', 'modbus')]);
  const state = stateOf(planWith(slice));
  return createConnectionGuard({ mode, state: () => state, slice: () => slice, now: () => Date.now() });
}

test('our own listeners refuse who has no grant in mode proxies, and count them in mode simulate', () => {
  const { gateway, camera } = addresses;
  const asked = [gateway.cell, gateway.cell6, `::ffff:${gateway.cell}`, camera.cell, camera.cell6, '203.0.113.9'];
  const refusing = guardIn('proxies');
  assert.deepEqual(
    asked.map((address) => refusing.admits('modbus', address)),
    [true, true, true, false, false, false],
  );
  const counting = guardIn('simulate');
  assert.ok(asked.every((address) => counting.admits('modbus', address)));
  assert.deepEqual(counting.counts(), { judged: 6, denied: { 'default-in': 3 } });
  assert.equal(refusing.admits('no-such-interface', gateway.cell), false);
});

for (const backend of ['nft', 'netlink']) {
  test(`a process without CAP_NET_ADMIN, ${backend}: refused with a code, or no rules and said so`, (t) => {
    if (!requires(t, 'root', 'netns', 'nft')) return;
    const rules = (fallback: string): { status: number | null; stdout: string } => {
      const file = join(folder, 'edge.yaml');
      const firewall = `{backend: ${backend}, fallback: ${fallback}}`;
      writeFileSync(
        file,
        `state: ${folder}\nrun: ${folder}/run\ncontrol: {address: "10.20.0.1:8443"}\nfirewall: ${firewall}\n`,
      );
      const without = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'];
      const edge = [process.execPath, join(root, 'bin/edgeward.ts'), 'edge', 'rules', '--config', file, '--json'];
      return spawnSync('unshare', ['--net', ...without, ...edge], { encoding: 'utf8' });
    };
    const refused = rules('refuse');
    assert.equal(refused.status, 1);
    assert.match(refused.stdout, /"code":"(FIREWALL|LINUX)_PERMISSION"/);
    const degraded = rules('proxies');
    assert.equal(degraded.status, 0, degraded.stdout);
    assert.match(degraded.stdout, /"rules":"none"/);
  });
}
