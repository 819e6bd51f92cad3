// A new plan judges established flows again: what is still granted goes on, what is not ends, without `conntrack -D`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { requires } from '../support/capabilities.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';

const { plc, camera } = addresses;

test('a flow whose grant is gone ends with the next plan, whoever speaks first; the others do not lose a message', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  const status = await cell.echo('plc', 'tcp', ports.status);
  const telemetry = await cell.echo('plc', 'udp', ports.telemetry);
  const both = [
    grant('gateway', 'status'),
    grant('gateway', 'telemetry'),
    grant('camera', 'status'),
    grant('camera', 'telemetry'),
  ];
  await firewall.apply(planWith(sliceWith(both)));
  const lost = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  const lostDatagrams = await cell.flow('gateway', 'udp', plc.cell, ports.telemetry);
  const kept = await cell.flow('camera', 'tcp', plc.cell, ports.status);
  const keptDatagrams = await cell.flow('camera', 'udp', plc.cell6, ports.telemetry);
  for (const flow of [lost, lostDatagrams, kept, keptDatagrams]) assert.equal(await flow.exchange(), 'answered');
  await Promise.all([kept.stream(5), keptDatagrams.stream(5)]);

  assert.ok(firewall.nextEpoch() >= 2);
  await firewall.apply(planWith(sliceWith([grant('camera', 'status'), grant('camera', 'telemetry')]), { epoch: 2 }));
  // The server's own packets must not carry a lost flow into the new epoch.
  await Promise.all([status.push(), telemetry.push()]);
  await delay(100);
  assert.equal(await lost.exchange(), 'reset');
  assert.equal(await lostDatagrams.exchange(400), 'silent');
  const { denied } = await firewall.status();
  assert.ok((denied['stale-flow'] ?? 0) >= 1 && (denied['default-in'] ?? 0) >= 1, JSON.stringify(denied));
  await firewall.apply(planWith(sliceWith([grant('camera', 'status'), grant('camera', 'telemetry')]), { epoch: 3 }));
  await Promise.all([kept.stream(0), keptDatagrams.stream(0)]);
  await delay(100);
  for (const flow of [kept, keptDatagrams]) {
    const report = await flow.report();
    assert.deepEqual([report.state, report.answered], ['open', report.sent]);
  }
});

test('a flow from before the firewall is judged like a new one', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const granted = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  const stranger = await cell.flow('camera', 'tcp', plc.cell, ports.status);
  const pastTheProxy = await cell.flow('gateway', 'tcp', plc.cell, ports.modbus);
  const outwards = await cell.flow('plc', 'tcp', camera.cell, ports.status);
  for (const flow of [granted, stranger, pastTheProxy, outwards]) assert.equal(await flow.exchange(), 'answered');
  await firewall.apply(planWith(sliceWith([grant('gateway', 'status'), grant('gateway', 'modbus')])));
  assert.equal(await granted.exchange(), 'answered');
  assert.notEqual(await stranger.exchange(500), 'answered');
  assert.notEqual(await pastTheProxy.exchange(500), 'answered');
  assert.notEqual(await outwards.exchange(500), 'answered');
});

test("a grant with an end date closes by the kernel's own timer", async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const until = Date.now() + 2_500;
  const plan = planWith(sliceWith([{ ...grant('gateway', 'status'), until }]));
  assert.equal(plan.nextChange, until);
  await firewall.apply(plan);
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  await delay(until + 1_500 - Date.now());
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'silent');
  assert.equal((await firewall.status()).drift, undefined);
});
