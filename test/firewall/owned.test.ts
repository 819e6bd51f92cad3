// The table belongs to the edge's socket while it lives: nobody else can change it. Without an owner it still filters, and
// the next edge takes it over without a gap.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import { netlinkTable } from '../../enforcer/firewall/index.ts';
import type { FirewallPlan } from '../../enforcer/firewall/index.ts';
import { namespaceFolder } from '../support/netns-build.ts';
import { requires } from '../support/capabilities.ts';
import type { NetProcess } from '../support/netns.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';
import type { Cell } from './cell.ts';

const { plc } = addresses;

async function startOwner(cell: Cell, plan: FirewallPlan, directory: string): Promise<NetProcess> {
  const program = join(import.meta.dirname, 'edge-process.ts');
  const edge = cell.spawn('plc', [process.execPath, program, directory], {
    input: JSON.stringify(plan),
  });
  await edge.waitFor(/in force/);
  return edge;
}

const foreign = [
  'delete table inet edgeward',
  'add chain inet edgeward mine',
  'insert rule inet edgeward input accept',
  'flush set inet edgeward revoked4',
  'add table inet edgeward { flags dormant; }',
];

test('while the owner lives nobody else changes the table; killed, it filters on, and the next edge takes it over without a gap', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'tcpdump')) return;
  await using cell = await openCell();
  await serveAll(cell);
  const directory = await mkdtemp(join(tmpdir(), 'firewall-'));
  const plan = planWith(sliceWith([grant('gateway', 'status'), grant('gateway', 'telemetry')]));
  const nft = async (text: string): Promise<string> => {
    const { code, stderr } = await cell.exec('plc', ['nft', text]);
    return code === 0 ? 'done' : (/Operation not permitted|Operation not supported/.exec(stderr)?.[0] ?? stderr);
  };
  const first = await startOwner(cell, plan, directory);
  for (const text of foreign) assert.notEqual(await nft(text), 'done', text);
  assert.equal(await nft('delete table inet edgeward'), 'Operation not permitted');
  // What the kernel skips is not refused: the table is still there.
  assert.equal(await nft('flush ruleset'), 'done');
  assert.notEqual(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');

  const wanted = await cell.watch('plc', { match: `ip saddr ${addresses.gateway.cell} udp dport ${ports.telemetry}` });
  const unwanted = await cell.watch('plc', { match: `ip saddr ${addresses.camera.cell} udp dport ${ports.telemetry}` });
  const packets = 40_000;
  const bursts = Promise.all(
    (['gateway', 'camera'] as const).map((from) => cell.agent(from).burst(plc.cell, ports.telemetry, packets)),
  );
  await first.stop('SIGKILL');
  const second = await startOwner(cell, { ...plan, epoch: plan.epoch + 1 }, directory);
  assert.deepEqual(await bursts, [packets, packets]);
  assert.equal(await unwanted.count(), 0);
  assert.equal(await wanted.count(), packets);
  assert.equal(await nft('delete table inet edgeward'), 'Operation not permitted');

  // Without an owner the table filters, and others can change it; the next edge makes it what it was.
  await second.stop('SIGKILL');
  assert.notEqual(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
  assert.equal(await nft('insert rule inet edgeward input accept'), 'done');
  assert.equal(await nft('add chain inet edgeward mine'), 'done');
  const third = await startOwner(cell, plan, directory);
  assert.doesNotMatch((await cell.exec('plc', ['nft', 'list', 'table', 'inet', 'edgeward'])).stdout, /chain mine/);
  assert.notEqual(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
  await third.stop('SIGKILL');
  // The way out that the errors name.
  assert.equal(await nft('delete table inet edgeward'), 'done');
  await rm(directory, { recursive: true });
});

test('an unconfirmed plan falls back when the owner is gone; uninstalling removes an owned table', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await serveAll(cell);
  const kernel = netlinkTable(join(namespaceFolder, cell.namespaceOf('plc')), { own: true });
  const asked = Promise.withResolvers<void>();
  await using firewall = await firewallOn(cell, 'plc', {
    kernel,
    confirmMs: 3_000,
    confirm: () =>
      Promise.resolve(() => {
        asked.resolve();
        return new Promise<boolean>(() => {});
      }),
  });
  await firewall.apply(planWith(sliceWith([grant('gateway', 'status')])));
  assert.equal((await firewall.status()).owned, true);
  void firewall
    .apply(planWith(sliceWith([grant('camera', 'status'), grant('camera', 'modbus')]), { epoch: 2 }))
    .catch(() => undefined);
  await asked.promise;
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
  kernel.close();
  await delay(3_200);
  assert.notEqual(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  const again = netlinkTable(join(namespaceFolder, cell.namespaceOf('plc')), { own: true });
  await using next = await firewallOn(cell, 'plc', { kernel: again });
  await next.apply(planWith(sliceWith([])));
  assert.equal((await next.status()).owned, true);
  await next.remove();
  again.close();
  assert.doesNotMatch((await cell.exec('plc', ['nft', 'list', 'ruleset'])).stdout, /edgeward/);
});
