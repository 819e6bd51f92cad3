// An order that no disk took is in the kernel: a restart reads it there before it loads anything.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { requires } from '../support/capabilities.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';

const { plc } = addresses;

test('a quarantine while the disk is full outlives the restart, and plans that know no newer orders', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await serveAll(cell);
  const slice = sliceWith([grant('gateway', 'status'), grant('camera', 'status')]);
  const files = new SimulatedFiles();
  await files.mkdir('/state');
  const parts = { fs: files, directory: '/state' };
  await using before = await firewallOn(cell, 'plc', parts);
  await before.apply(planWith(slice, { ordersSequence: 6 }));
  await before.contain({ device: 'camera', containment: 'revoked', sequence: 7 });
  await before.contain({ device: 'camera', containment: undefined, sequence: 8 });
  files.setFreeBytes(0);
  await before.contain({ device: 'gateway', containment: 'quarantined', sequence: 9 });
  assert.ok(before.events.some(({ activity }) => activity === 'unsaved'));
  const reaches = (from: 'gateway' | 'camera') => cell.probeTcp(from, plc.cell, ports.status);
  assert.notEqual(await reaches('gateway'), 'open');

  await using after = await firewallOn(cell, 'plc', { fs: files.restart(), directory: '/state' });
  const lockdown = planWith(sliceWith([]));
  assert.equal(await after.restore(lockdown), 'last-good');
  assert.equal(after.events.filter(({ activity }) => activity === 'keep').length, 1);
  assert.notEqual(await reaches('gateway'), 'open');
  assert.equal(await reaches('camera'), 'open');
  // The bundle is compiled again from orders that lack the lost one.
  await after.apply(planWith(slice, { epoch: after.nextEpoch(), ordersSequence: 8 }));
  assert.notEqual(await reaches('gateway'), 'open');
  assert.equal((await after.status()).drift, undefined);
  // Newer orders say what holds.
  await after.apply(planWith(slice, { epoch: after.nextEpoch(), ordersSequence: 10 }));
  assert.equal(await reaches('gateway'), 'open');
});

test('without a saved plan the lock-down keeps who was contained, and never the control plane', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await serveAll(cell);
  await using before = await firewallOn(cell, 'plc');
  await before.apply(planWith(sliceWith([grant('gateway', 'status')])));
  await before.contain({ device: 'gateway', containment: 'revoked', sequence: 3 });
  const { code } = await cell.exec('plc', ['nft', `add element inet edgeward revoked4 { ${addresses.control.cell} }`]);
  assert.equal(code, 0);
  await using after = await firewallOn(cell, 'plc');
  assert.equal(await after.restore(planWith(sliceWith([]))), 'lockdown');
  const { stdout } = await cell.exec('plc', ['nft', 'list', 'set', 'inet', 'edgeward', 'revoked4']);
  assert.match(stdout, /10\.20\.0\.3/);
  assert.doesNotMatch(stdout, /10\.20\.0\.1\b/);
  assert.equal(await cell.probeTcp('plc', addresses.control.cell, ports.control), 'open');
});
