// What else must not block an emergency stop, on real processes: a full disk with durable audit, a flood of connections; and what
// may: a denial of the policy, which the stand-in follows while the enforcer is dead.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { mountSmallDisk, type SmallDisk } from '../faults/disk.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { historian, openPlant, panel, registers } from './plant.ts';

const canRun = (t: TestContext): boolean => requires(t, 'root', 'netns', 'nft', 'pymodbus', 'mbpoll');

test('a full disk: the stop passes, with the enforcer alive and dead; what needs its record does not', async (t) => {
  if (!canRun(t) || !requires(t, 'tmpfs')) return;
  let disk: SmallDisk | undefined;
  await using plant = await openPlant({ onEnforcerDeath: 'hold' }, { auditDurable: true }, async (state) => {
    disk = await mountSmallDisk(state, '6m');
  });
  await using small = disk;
  await plant.startStandby();
  const edge = await plant.startEdge();
  const poller = await plant.poll(panel, 50);
  await poller.settles(/^ok/, 30);
  await until('records are kept', async () => /Written 1/.test(await plant.write(panel, registers.setPoint, 1)));
  small?.fill();
  await until('the disk is full', async () => /failed/.test(await plant.write(panel, registers.setPoint, 2)));
  await plant.stops(2);
  assert.match(await plant.write(historian, registers.stop, 2), /failed/);
  edge.child.kill('SIGKILL');
  await edge.exited;
  // What it held open and had removed is free now.
  small?.fill();
  await plant.stops(3);
  assert.match(await plant.write(panel, registers.setPoint, 3), /failed/, 'held, and its record cannot be kept');
  await plant.stops(4);
  const written = plant.witnessed().filter((line) => line.startsWith('write'));
  assert.ok(written.includes('write 20 4') && !written.includes('write 10 3'), String(written));
  small?.empty();
  await until('records are kept again', async () => /Written 1/.test(await plant.write(panel, registers.setPoint, 5)));
});

/** `again`: dials again whenever it is refused, else holds what it got. */
const flood = (again: boolean): string => `
import { connect } from 'node:net';
const held = [];
const open = () => {
  const socket = connect(502, '10.20.0.2', () => held.push(socket));
  socket.on('error', () => {});
  ${again ? "socket.on('close', () => setTimeout(open, 5));" : ''}
};
for (let at = 0; at < 400; at++) open();
setTimeout(() => console.log('floods'), 500);
setInterval(() => {}, 1000);
`;

test('a flood of connections by others, and a panel with all of its own places taken: the stop passes', async (t) => {
  if (!canRun(t)) return;
  await using plant = await openPlant({ onEnforcerDeath: 'closed' });
  await plant.startStandby();
  const edge = await plant.startEdge();
  for (const [host, again] of [
    [historian, true],
    [panel, false],
  ] as const) {
    const flooding = plant.cell.spawn(host, [process.execPath, '--input-type=module', '-e', flood(again)]);
    await flooding.waitFor(/floods/);
  }
  for (const value of [1, 2, 3]) assert.ok((await plant.stops(value)) < 2_000);
  edge.child.kill('SIGKILL');
  for (const value of [4, 5, 6]) assert.ok((await plant.stops(value)) < 3_000);
});

test('a denial of the policy counts for the stop too, and the stand-in hears of it', async (t) => {
  if (!canRun(t)) return;
  await using plant = await openPlant({ onEnforcerDeath: 'hold' });
  await plant.startStandby();
  const edge = await plant.startEdge();
  const poller = await plant.poll(panel);
  await poller.settles(/^ok/, 100);
  edge.child.kill('SIGKILL');
  await plant.stops(1);
  await poller.settles(/^ok/);
  await plant.restate(2n, { plc: 'trusted', [panel]: 'decommissioned', [historian]: 'trusted' });
  await poller.settles(/^(exception 1|lost)/);
  const since = plant.witnessed().length;
  assert.doesNotMatch(await plant.write(panel, registers.stop, 2), /Written/);
  assert.deepEqual(plant.witnessed().slice(since), []);
});
