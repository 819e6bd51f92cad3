// The enforcer dies under load, and hangs: the emergency stop works within a second or so, what the mode forbids does not reach
// the server, and when it is back everything is as before. The server itself is the witness.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import type { NetProcess } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { historian, openPlant, panel, type Plant, registers } from './plant.ts';

/** Milliseconds from the death of the enforcer to the stop at the server; a start of mbpoll is in it. */
const atMostMs = 2_000;
/** A hung one is found out after three seconds. */
const atMostHungMs = 3_000 + atMostMs;

const canRun = (t: TestContext): boolean => requires(t, 'root', 'netns', 'nft', 'pymodbus', 'mbpoll');

/** What reached the server since, but for what is allowed; it looks itself at what it has just written. */
const others = (plant: Plant, since: number, allowed: RegExp, written: number): string[] =>
  plant
    .witnessed()
    .slice(since)
    .filter((line) => !allowed.test(line) && line !== `read ${written} 1`);

async function isAsBefore(plant: Plant): Promise<void> {
  assert.match(await plant.write(panel, registers.setPoint, 3), /Written 1/);
  assert.match(await plant.write(panel, registers.stop, 9), /Written 1/);
  assert.match(await plant.write(historian, registers.stop, 9), /Illegal function/);
}

for (const [what, end, within] of [
  ['dies', (edge: NetProcess) => void edge.child.kill('SIGKILL'), atMostMs],
  ['hangs', (edge: NetProcess) => void edge.child.kill('SIGSTOP'), atMostHungMs],
] as const) {
  test(`closed: when the enforcer ${what}, the emergency stop works and nothing else reaches the server`, async (t) => {
    if (!canRun(t)) return;
    await using plant = await openPlant({ onEnforcerDeath: 'closed' });
    await plant.startStandby();
    const edge = await plant.startEdge();
    const [a, b, c] = await Promise.all([plant.poll(panel), plant.poll(panel), plant.poll(historian)]);
    for (const poller of [a, b, c]) await poller.settles(/^ok/);
    await isAsBefore(plant);
    end(edge);
    const took = await plant.stops(1);
    assert.ok(took < within, `${took} ms`);
    await edge.exited;
    // What was on its way when it died has arrived by now.
    const since = plant.witnessed().length;
    await Promise.all([a.settles(/^exception 1/), b.settles(/^exception 1/), c.settles(/^exception 1/)]);
    assert.match(await plant.write(panel, registers.setPoint, 4), /Illegal function/);
    assert.match(await plant.write(historian, registers.stop, 4), /Illegal function/);
    assert.ok((await plant.stops(2)) < atMostMs);
    assert.deepEqual(others(plant, since, /^write 20 2$/, 20), []);
    assert.ok(plant.waitingEvents() > 0);

    await plant.startEdge();
    for (const poller of [a, b, c]) await poller.settles(/^ok/);
    await isAsBefore(plant);
    await until('the events are taken over', () => Promise.resolve(plant.waitingEvents() === 0));
  });
}

test('hold: who had an allowed flow goes on, who had none does not', async (t) => {
  if (!canRun(t)) return;
  await using plant = await openPlant({ onEnforcerDeath: 'hold' });
  await plant.startStandby();
  const edge = await plant.startEdge();
  const poller = await plant.poll(panel);
  await poller.settles(/^ok/, 100);
  edge.child.kill('SIGKILL');
  assert.ok((await plant.stops(1)) < atMostMs);
  await poller.settles(/^ok/);
  const since = plant.witnessed().length;
  assert.match(await plant.write(panel, registers.setPoint, 4), /Written 1/);
  const late = await plant.poll(historian);
  await late.settles(/^exception 1/);
  assert.match(await plant.write(historian, registers.setPoint, 5), /Illegal function/);
  assert.match(await plant.write(panel, 11, 5), /Illegal function/, 'held is what policy allows, and no more');
  assert.deepEqual(others(plant, since, /^(read 5 1|write 10 4)$/, 10), []);

  await plant.startEdge();
  await Promise.all([poller.settles(/^ok/), late.settles(/^ok/)]);
  await isAsBefore(plant);
});

test('open: packets reach the server itself while nobody listens, for who holds a grant, and not a moment longer', async (t) => {
  if (!canRun(t)) return;
  await using plant = await openPlant({ onEnforcerDeath: 'open', openUntil: Date.now() + 60_000 });
  await plant.startStandby();
  const edge = await plant.startEdge();
  const poller = await plant.poll(panel);
  await poller.settles(/^ok/);
  assert.match(await plant.write(historian, registers.setPoint, 4), /Illegal function/);
  edge.child.kill('SIGKILL');
  assert.ok((await plant.stops(1)) < atMostMs);
  await poller.settles(/^ok/);
  // Nobody looks into it now; packets of who has no grant are dropped as ever.
  assert.match(await plant.write(historian, registers.setPoint, 5), /Written 1/);
  assert.equal(await plant.cell.probeTcp('control', '10.20.0.2', 502), 'silent');
  // A connection of that time, on which nothing is denied, ends with the first packet that finds the proxy back.
  const unseen = await plant.poll(panel, 20, 11);
  await unseen.settles(/^ok/);
  await plant.startEdge();
  await unseen.settles(/^exception 1/);
  await poller.settles(/^ok/);
  assert.match(await plant.write(historian, registers.setPoint, 6), /Illegal function/);
  await isAsBefore(plant);
});

test('open: a waiver that ends leaves the interface to the stand-in', async (t) => {
  if (!canRun(t)) return;
  await using plant = await openPlant({ onEnforcerDeath: 'open', openUntil: Date.now() + 15_000 });
  await plant.startStandby();
  const edge = await plant.startEdge();
  const poller = await plant.poll(panel);
  await poller.settles(/^ok/);
  edge.child.kill('SIGKILL');
  await poller.settles(/^ok/);
  await poller.settles(/^exception 1/);
  const since = plant.witnessed().length;
  assert.match(await plant.write(historian, registers.setPoint, 5), /Illegal function/);
  assert.ok((await plant.stops(2)) < atMostMs);
  assert.deepEqual(others(plant, since, /^write 20 2$/, 20), []);
});

test('a clean restart: no answer is lost, and new connections find the stand-in meanwhile', async (t) => {
  if (!canRun(t)) return;
  await using plant = await openPlant({ onEnforcerDeath: 'hold' });
  await plant.startStandby();
  const edge = await plant.startEdge();
  const poller = await plant.poll(panel);
  await poller.settles(/^ok/, 100);
  assert.equal(await edge.stop('SIGTERM'), 0);
  await poller.settles(/^ok/);
  await plant.startEdge();
  await poller.settles(/^ok/, 100);
  // pymodbus loses the request that finds its connection ended, and dials again for the next: one for each change of hands.
  const lost = poller.answers().filter((answer) => answer === 'lost').length;
  assert.ok(lost <= 2, `${lost} lost`);
});
