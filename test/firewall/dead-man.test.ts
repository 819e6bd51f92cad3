// New rules that nobody confirms fall back by themselves, and nothing that they closed comes open again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Slice } from '../../policy/bundle/index.ts';
import { requires } from '../support/capabilities.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';

const { plc } = addresses;
const noTelemetry: Slice['firewall'][number] = {
  id: 'no-telemetry',
  tier: 'admin',
  priority: 1,
  verdict: 'deny',
  direction: 'in',
  transport: 'udp',
  peers: ['10.20.0.0/24'],
  ports: [ports.telemetry, ports.telemetry],
  place: 'firewall/f.yaml:1',
};
const before = sliceWith([grant('gateway', 'status'), grant('gateway', 'telemetry')]);
/** Opens the camera's way, closes the gateway's telemetry by a deny, and drops its status grant. */
const after = sliceWith([grant('camera', 'status'), grant('gateway', 'telemetry')], { firewall: [noTelemetry] });

test('unconfirmed rules end: the old grants are back, the new ones are not, and what was denied stays denied', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  let answer = true;
  await using firewall = await firewallOn(cell, 'plc', { confirm: async () => async () => answer });
  await serveAll(cell);
  await firewall.apply(planWith(before, { bundle: 1 }));
  const kept = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  assert.equal(await kept.exchange(), 'answered');
  answer = false;
  await assert.rejects(firewall.apply(planWith(after, { epoch: 2, bundle: 2 })), { code: 'FIREWALL_UNCONFIRMED' });
  assert.equal(firewall.current()?.epoch, 1);
  assert.equal(await kept.exchange(), 'answered');
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status), 'silent');
  assert.equal(await cell.probeUdp('gateway', plc.cell, ports.telemetry), 'silent');
  assert.equal((await firewall.status()).drift, undefined);
  assert.deepEqual(
    firewall.events.map((event) => event.activity),
    ['fall-back'],
  );
  // The old bundle under new states does not open it again; the next bundle that is confirmed knows better.
  answer = true;
  const other = sliceWith(before.grants, { firewall: [{ ...noTelemetry, ports: [1, 1] }] });
  for (const slice of [before, other]) {
    await firewall.apply(planWith(slice, { epoch: firewall.nextEpoch(), bundle: 1 }));
    assert.equal(await cell.probeUdp('gateway', plc.cell, ports.telemetry), 'silent');
  }
  await firewall.apply(planWith(other, { epoch: firewall.nextEpoch(), bundle: 3 }));
  assert.equal(await cell.probeUdp('gateway', plc.cell, ports.telemetry), 'answered');
});

test('with nobody left to confirm, the kernel falls back on its own; an order in between holds', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  const { promise: never } = Promise.withResolvers<boolean>();
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<undefined>();
  await using firewall = await firewallOn(cell, 'plc', {
    confirmMs: 3_000,
    confirm: async () => async () => {
      isAsked(undefined);
      return await never;
    },
  });
  await serveAll(cell);
  await firewall.apply(planWith(before));
  void firewall.apply(planWith(after, { epoch: 2 })).catch(() => undefined);
  await asked;
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
  assert.notEqual(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  assert.ok(((await firewall.status()).unconfirmedUntil ?? 0) > Date.now());
  await firewall.contain({ device: 'camera', containment: 'revoked', sequence: 1 });
  await delay(3_200);
  assert.equal(await cell.probeTcp('gateway', plc.cell, ports.status), 'open');
  assert.notEqual(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
  assert.equal(await cell.probeUdp('gateway', plc.cell, ports.telemetry), 'silent');
});

test('a plan with the same rules follows by single elements, and flows that lost their grant end', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  let asked = 0;
  await using firewall = await firewallOn(cell, 'plc', { confirm: async () => async () => ++asked > 0 });
  await serveAll(cell);
  await firewall.apply(planWith(before));
  const flow = await cell.flow('gateway', 'tcp', plc.cell, ports.status);
  assert.equal(await flow.exchange(), 'answered');
  await firewall.apply(planWith(sliceWith([grant('camera', 'status'), grant('gateway', 'telemetry')]), { epoch: 2 }));
  assert.equal(asked, 0);
  assert.equal(await flow.exchange(), 'reset');
  assert.equal(await cell.probeTcp('camera', plc.cell, ports.status), 'open');
  assert.equal((await firewall.status()).drift, undefined);
});
