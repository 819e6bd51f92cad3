// Nothing is open but what a grant opens: that port, from that peer, over both families alike.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { addresses, firewallOn, grant, openCell, planWith, ports, serveAll, service, sliceWith } from './cell.ts';

test('a grant opens exactly that port from that peer, and IPv6 does not leak', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'conntrack', 'ping')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const { plc, camera } = addresses;

  // Without the firewall everything is open: the probes can tell.
  for (const target of [plc.cell, plc.cell6]) {
    assert.equal(await cell.probeTcp('camera', target, ports.status), 'open');
    assert.equal(await cell.probeTcp('camera', target, ports.modbus), 'open');
    assert.equal(await cell.probeUdp('camera', target, ports.telemetry), 'answered');
    assert.equal(await cell.ping('camera', target), true);
  }

  await firewall.apply(planWith(sliceWith([grant('gateway', 'status')])));
  for (const target of [plc.cell, plc.cell6]) {
    const [status, other, modbus, telemetry, pings] = await Promise.all([
      cell.probeTcp('gateway', target, ports.status),
      cell.probeTcp('gateway', target, ports.status + 1),
      cell.probeTcp('gateway', target, ports.modbus),
      cell.probeUdp('gateway', target, ports.telemetry),
      cell.ping('gateway', target),
    ]);
    assert.deepEqual(
      { status, other, modbus, telemetry, pings },
      {
        status: 'open',
        other: 'silent',
        modbus: 'silent',
        telemetry: 'silent',
        pings: true,
      },
    );
    const stranger = await Promise.all([
      cell.probeTcp('camera', target, ports.status),
      cell.probeTcp('camera', target, ports.modbus),
      cell.probeUdp('camera', target, ports.telemetry),
      cell.ping('camera', target),
    ]);
    assert.deepEqual(stranger, ['silent', 'silent', 'silent', false]);
  }
  // Outwards nothing but the control plane.
  assert.equal(await cell.probeTcp('plc', camera.cell, ports.status), 'silent');
  assert.equal(await cell.probeTcp('plc', camera.cell6, ports.status), 'silent');
  assert.equal(await cell.probeTcp('plc', addresses.control.cell, ports.control), 'open');
  // The service itself is untouched, and reachable on the host.
  assert.equal(await cell.probeTcp('plc', '127.0.0.1', ports.modbus), 'open');

  const status = await firewall.status();
  assert.equal(status.drift, undefined);
  assert.ok((status.denied['default-in'] ?? 0) >= 8, JSON.stringify(status.denied));
  assert.ok((status.denied['default-out'] ?? 0) >= 2, JSON.stringify(status.denied));
});

test('a grant that reaches out opens the way out and its answers, nothing inwards', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const feed = { ...service('feed', ports.status, 'tcp'), device: 'camera' };
  const slice = sliceWith([{ ...grant('plc', 'feed'), device: 'camera' }], { interfaces: [feed] });
  await firewall.apply(planWith(slice));
  assert.equal(await cell.probeTcp('plc', addresses.camera.cell, ports.status), 'open');
  assert.equal(await cell.probeTcp('plc', addresses.camera.cell6, ports.status), 'open');
  assert.equal(await cell.probeTcp('camera', addresses.plc.cell, ports.status), 'silent');
});

test('packet rules of the repository: a deny beats a grant, an allow opens for whole networks', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await serveAll(cell);
  const base = { priority: 500, direction: 'in', transport: 'tcp', place: 'firewall/base.yaml:1' } as const;
  const status: [number, number] = [ports.status, ports.status];
  await firewall.apply(
    planWith(
      sliceWith([grant('gateway', 'status')], {
        firewall: [
          { ...base, id: 'not-the-gateway', tier: 'admin', verdict: 'deny', peers: ['10.20.0.3/32'], ports: status },
          { ...base, id: 'whole-cell', tier: 'baseline', verdict: 'allow', peers: ['10.20.0.0/24'], ports: status },
        ],
      }),
    ),
  );
  assert.equal(await cell.probeTcp('gateway', addresses.plc.cell, ports.status), 'silent');
  assert.equal(await cell.probeTcp('gateway', addresses.plc.cell6, ports.status), 'open');
  assert.equal(await cell.probeTcp('camera', addresses.plc.cell, ports.status), 'open');
  assert.equal(await cell.probeTcp('camera', addresses.plc.cell6, ports.status), 'silent');
  const { denied } = await firewall.status();
  assert.ok((denied['firewall:not-the-gateway'] ?? 0) >= 1, JSON.stringify(denied));
});
