// What others do to the table is noticed and repaired; what they do beside it is none of ours.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, sliceWith } from './cell.ts';

test('a foreign change is found, recorded and repaired; flows that are allowed do not notice', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'status')])));
  assert.equal(await firewall.repair(), undefined);
  const flow = await cell.flow('gateway', 'tcp', addresses.plc.cell, ports.status);
  assert.equal(await flow.exchange(), 'answered');
  const tampering: [string, RegExp][] = [
    ['insert rule inet edgeward input accept', /chain input, rule \d+: "accept"/],
    ['add element inet edgeward revoked4 { 10.20.0.9 }', /revoked4 has 10\.20\.0\.9/],
    ['chain inet edgeward input { policy accept; }', /chain input: "input 0 accept" instead of "input 0 drop"/],
    ['flush chain inet edgeward output', /chain output, rule 1: "missing"/],
    ['add chain inet edgeward mine', /chain mine is not ours/],
    ['delete table inet edgeward', /the table is gone/],
  ];
  for (const [command, expected] of tampering) {
    const { code, stderr } = await cell.exec('plc', ['nft', command]);
    assert.equal(code, 0, stderr);
    assert.match((await firewall.repair()) ?? 'nothing', expected);
    assert.equal(await firewall.repair(), undefined);
  }
  // Repaired it denies again, and has let nothing go that was allowed.
  assert.equal(await cell.probeTcp('camera', addresses.plc.cell, ports.status), 'silent');
  assert.equal(await flow.exchange(), 'answered');
  assert.equal(firewall.events.filter((event) => event.activity === 'drift').length, tampering.length);
  await cell.exec('plc', ['nft', 'add table inet somebody']);
  assert.equal(await firewall.repair(), undefined);
});

test('replacing the plan under load loses no granted packet and accepts none that is not', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'tcpdump')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const slice = sliceWith([grant('gateway', 'telemetry')]);
  await firewall.apply(planWith(slice));
  const wanted = await cell.watch('plc', { match: `ip saddr ${addresses.gateway.cell} udp dport ${ports.telemetry}` });
  const unwanted = await cell.watch('plc', { match: `ip saddr ${addresses.camera.cell} udp dport ${ports.telemetry}` });
  const packets = 20_000;
  const bursts = Promise.all(
    (['gateway', 'camera'] as const).map((from) =>
      cell.agent(from).burst(addresses.plc.cell, ports.telemetry, packets),
    ),
  );
  for (let epoch = 2; epoch <= 5; epoch += 1) await firewall.apply(planWith(slice, { epoch }));
  assert.deepEqual(await bursts, [packets, packets]);
  assert.equal(await wanted.count(), packets);
  assert.equal(await unwanted.count(), 0);
});

test('after removal nothing of ours is left in the kernel', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await firewall.apply(planWith(sliceWith([grant('gateway', 'modbus')])));
  const rules = async (): Promise<string> =>
    (await cell.exec('plc', ['sh', '-c', 'nft list ruleset; ip rule show fwmark 1; ip -6 rule show fwmark 1'])).stdout;
  assert.equal((await rules()).match(/lookup 100/g)?.length, 2);
  await firewall.apply(planWith(sliceWith([grant('gateway', 'modbus')]), { epoch: 2 }));
  assert.equal((await rules()).match(/lookup 100/g)?.length, 2);
  await firewall.remove();
  assert.equal(await rules(), '');
  assert.equal((await firewall.status()).loaded, false);
});
