// The receipt of a containment against a witness that is not ours: tcpdump behind every filter.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { addresses, firewallOn, flowWays, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';

const { plc, gateway } = addresses;
const grants = ['gateway', 'camera'].flatMap((subject) => [grant(subject, 'status'), grant(subject, 'telemetry')]);
const needs = (t: TestContext): boolean => requires(t, 'root', 'netns', 'nft', 'conntrack', 'tcpdump');
/** tcpdump stamps a logged packet when it comes to it, late on a busy machine, never early. */
const WITNESS_LATE_MS = 60;

const numbers = (data: object | undefined): Record<string, number> => (data ?? {}) as Record<string, number>;

for (const [way, flowsOn] of Object.entries(flowWays)) {
  test(`${way}: the last accepted packets of the receipt are those that tcpdump saw last`, async (t) => {
    if (!needs(t)) return;
    await using cell = await openCell();
    await using firewall = await firewallOn(cell, 'plc', { flows: flowsOn(cell, 'plc') });
    await serveAll(cell);
    const loaded = Date.now();
    await firewall.apply(planWith(sliceWith(grants)));
    const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
    const flow6 = await cell.flow('gateway', 'udp', plc.cell6, ports.telemetry);
    const from = await cell.watch('plc', { match: `ip saddr ${gateway.cell}` });
    const to = await cell.watch('plc', { hook: 'output', match: `ip daddr ${gateway.cell} tcp flags & rst != rst` });
    assert.equal(await flow6.exchange(), 'answered');
    await delay(400);
    // The last exchange of all; what the peer tries afterwards over a port that is not open to it is no accepted packet.
    assert.equal(await flow.exchange(), 'answered');
    await delay(300);
    assert.equal(await cell.probeTcp('gateway', plc.cell, 9), 'silent');
    const ordered = Date.now();
    await firewall.contain({ device: 'gateway', containment: 'revoked', sequence: 7 });
    const over = Date.now();

    const event = firewall.events.findLast(({ activity }) => activity === 'contain');
    const data = numbers(event?.data);
    const {
      cut_ms: cutMs = 0,
      last_from_ms: lastFrom = 0,
      last_to_ms: lastTo = 0,
      resolution_ms: resolution = 0,
    } = data;
    const [seenFrom, seenTo] = await Promise.all([from, to].map((watch) => lastOf(watch)));
    assert.ok(seenFrom !== undefined && seenTo !== undefined);
    // The receipt's time is the later end of `resolution_ms`; the witness's is not before the packet.
    for (const [told, seen] of [
      [lastFrom, seenFrom],
      [lastTo, seenTo],
    ] as const) {
      assert.ok(told >= seen - WITNESS_LATE_MS && told <= seen + resolution, `${told} and ${seen}, ${resolution} ms`);
    }
    assert.ok(cutMs >= ordered && cutMs <= over && lastFrom < ordered - 200, JSON.stringify(data));
    const { since_ms: since = 0 } = data;
    assert.ok(since >= loaded && since < ordered);
    assert.deepEqual(event?.data['addresses'], [gateway.cell, gateway.cell6]);
    assert.deepEqual([data['sockets'], data['flows'], event?.data['failures']], [1, 2, undefined]);
    // The second order of the same kind finds nothing more, and tells the same time.
    await firewall.contain({ device: 'gateway', containment: 'quarantined', sequence: 8 });
    const again = numbers(firewall.events.findLast(({ activity }) => activity === 'contain')?.data);
    assert.deepEqual([again['sockets'], again['flows']], [0, 0]);
    assert.ok(Math.abs((again['last_from_ms'] ?? 0) - lastFrom) <= resolution + (again['resolution_ms'] ?? 0));
  });
}

test('a peer that nothing was accepted of has no last packet; denied ones are none', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'status')])));
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status), 'silent');
  await firewall.contain({ device: 'camera', containment: 'revoked', sequence: 1 });
  const data = numbers(firewall.events.at(-1)?.data);
  assert.deepEqual([data['last_from_ms'], data['last_to_ms'], data['failures']], [undefined, undefined, undefined]);
  assert.ok((data['resolution_ms'] ?? 0) > 0);
});

test('a table that somebody took away is a failure of the receipt, not a peer that was never seen', async (t) => {
  if (!needs(t)) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await firewall.apply(planWith(sliceWith(grants)));
  await firewall.contain({ device: 'gateway', containment: 'revoked', sequence: 1 });
  await cell.exec('plc', ['nft', 'delete', 'chain', 'inet', 'edgeward', 'accepted_input']);
  await cell.exec('plc', ['nft', 'delete', 'chain', 'inet', 'edgeward', 'accepted_forward']);
  await cell.exec('plc', ['nft', 'flush', 'chain', 'inet', 'edgeward', 'g1_accept_in']);
  await cell.exec('plc', ['nft', 'delete', 'set', 'inet', 'edgeward', 'seen_from4']);
  await firewall.contain({ device: 'gateway', containment: 'quarantined', sequence: 2 });
  const { data } = firewall.events.at(-1) ?? {};
  assert.match(String(data?.['failures']), /seen_from4/);
  assert.equal(data?.['last_from_ms'], undefined);
});

async function lastOf(watch: { count(): Promise<number>; times(): number[] }): Promise<number | undefined> {
  const count = await watch.count();
  await until('what the witness counted', async () => watch.times().length >= count);
  return watch.times().at(-1);
}
