// What the plan says of a packet is what the kernel does with it: random grants and packet rules, real probes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { judgePacket } from '../../enforcer/firewall/index.ts';
import type { FirewallPlan, Packet } from '../../enforcer/firewall/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { requires } from '../support/capabilities.ts';
import { addresses, firewallOn, grant, hosts, openCell, planWith, ports, sliceWith } from './cell.ts';
import type { CellHost } from './cell.ts';

const RUNS = 4;
const { plc } = addresses;
const peers = [
  { host: 'gateway', address: addresses.gateway.cell, target: plc.cell, inInterface: 'eth0' },
  { host: 'gateway', address: addresses.gateway.cell6, target: plc.cell6, inInterface: 'eth0' },
  { host: 'camera', address: addresses.camera.cell, target: plc.cell, inInterface: 'eth0' },
  { host: 'camera', address: addresses.camera.cell6, target: plc.cell6, inInterface: 'eth0' },
  { host: 'historian', address: addresses.historian.plant, target: plc.plant, inInterface: 'eth1' },
] as const;
const services = [
  { protocol: 'tcp', port: ports.status },
  { protocol: 'tcp', port: ports.status + 1 },
  { protocol: 'tcp', port: ports.modbus },
  { protocol: 'udp', port: ports.telemetry },
] as const;

const rule = fc
  .record({
    id: fc.constantFrom('one', 'two', 'three'),
    priority: fc.constant(500),
    judged: fc.constantFrom(
      { tier: 'baseline' as const, verdict: 'allow' as const },
      { tier: 'admin' as const, verdict: 'deny' as const },
    ),
    direction: fc.constant('in' as const),
    transport: fc.constantFrom('tcp' as const, 'udp' as const, 'any' as const),
    peers: fc
      .constantFrom('10.20.0.0/24', '10.20.0.3/32', '10.0.0.0/8', 'fd20::/64', 'fd20::5/128')
      .map((peer) => [peer]),
    ports: fc.constantFrom([1, 65_535] as [number, number], [ports.status, ports.status + 1] as [number, number]),
    place: fc.constant('firewall/f.yaml:1'),
  })
  .map(({ judged, ...rest }) => ({ ...rest, ...judged }));
const subject = fc.constantFrom('gateway', 'camera', 'historian');
const slices: fc.Arbitrary<Slice> = fc
  .record({
    grants: fc.uniqueArray(fc.tuple(subject, fc.constantFrom('status', 'telemetry', 'modbus')), { maxLength: 5 }),
    firewall: fc.array(rule, { maxLength: 3 }),
  })
  .map(({ grants, firewall }) =>
    sliceWith(
      grants.map(([who, name]) => grant(who, name)),
      { firewall },
    ),
  );

const macOf = (host: CellHost): string => Object.values(hosts[host].interfaces)[0]?.mac ?? '';

function predicted(plan: FirewallPlan, peer: (typeof peers)[number], service: (typeof services)[number]): boolean {
  const packet: Packet = {
    way: 'in',
    source: peer.address,
    destination: peer.target,
    protocol: service.protocol,
    sport: 40_000,
    dport: service.port,
    inInterface: peer.inInterface,
    mac: macOf(peer.host),
    state: 'new',
    direction: 'original',
  };
  return judgePacket(plan, packet).verdict === 'accept';
}

test('the kernel and the plan agree on every probe', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc');
  await Promise.all(services.map(({ protocol, port }) => cell.echo('plc', protocol, port)));
  let accepted = 0;
  for (const [index, slice] of fc.sample(slices, { numRuns: RUNS, seed: 20_27 }).entries()) {
    const plan = planWith(slice, { epoch: index + 1 });
    await firewall.apply(plan);
    const probes = peers.flatMap((peer) => services.map((service) => ({ peer, service })));
    await Promise.all(
      probes.map(async ({ peer, service }) => {
        const agent = cell.agent(peer.host);
        const result =
          service.protocol === 'tcp'
            ? await agent.probeTcp(peer.target, service.port, { timeoutMs: 1_500 })
            : await agent.probeUdp(peer.target, service.port, { timeoutMs: 1_500 });
        const open = result === 'open' || result === 'answered';
        const what = `${peer.address} to ${service.protocol} ${service.port} was ${result}: ${JSON.stringify(slice.firewall)}`;
        assert.equal(open, predicted(plan, peer, service), what);
        accepted += open ? 1 : 0;
      }),
    );
  }
  const all = RUNS * peers.length * services.length;
  assert.ok(accepted > all / 20 && accepted < all, `${accepted} of ${all} accepted: the samples prove nothing`);
});
