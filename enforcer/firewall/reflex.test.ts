// Traps and meters as rules, and what the plan's own judge says of packets that meet them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Slice } from '../../policy/bundle/index.ts';
import { addresses, grant, host, planWith, ports, sliceWith, trusted } from '../../test/firewall/cell.ts';
import { compileFirewall } from './compile.ts';
import { judgePacket, type Packet } from './judge.ts';
import { blockTimeOf, disjoint } from './reflex.ts';

const place = 'firewall/cell.yaml:1';
const trap = { id: 'telnet', transport: 'tcp' as const, ports: [23, 23] as [number, number], blockSeconds: 60, place };
const meter = { id: 'floods', transport: 'any' as const, flowsPerSecond: 10, burst: 20, blockSeconds: 30, place };
const withTrap = (more: Partial<Slice> = {}): Slice =>
  sliceWith([grant('gateway', 'status')], { traps: [trap], ...more });

const knock: Packet = {
  way: 'in',
  source: '10.20.0.99',
  destination: addresses.plc.cell,
  protocol: 'tcp',
  sport: 40_000,
  dport: 23,
  state: 'new',
  direction: 'original',
  inInterface: 'eth0',
  outInterface: '',
  mac: '02:00:00:00:00:99',
  connectionMark: 0,
};
const judged = (slice: Slice, packet: Partial<Packet>) => {
  const { verdict, rule, blocks } = judgePacket(planWith(slice), { ...knock, ...packet });
  return [verdict, rule, blocks];
};
const gateway = { source: addresses.gateway.cell, mac: '02:00:00:00:00:03' };

test('who touches a trapped port is blocked in that packet, whoever it is', () => {
  assert.deepEqual(judged(withTrap(), {}), ['drop', 'trap:telnet', true]);
  assert.deepEqual(judged(withTrap(), gateway), ['drop', 'trap:telnet', true]);
  assert.deepEqual(judged(withTrap(), { protocol: 'udp' }), ['drop', 'default-in', false]);
  assert.deepEqual(judged(withTrap(), { dport: 24 }), ['drop', 'default-in', false]);
  assert.deepEqual(judged(withTrap(), { ...gateway, dport: ports.status }), ['accept', '', false]);
  assert.deepEqual(judged(withTrap(), { source: 'fd20::99', destination: 'fd20::2' }), ['drop', 'trap:telnet', true]);
});

test('a forged address is dropped as such and blocks nobody; without the antispoof stage it would', () => {
  const forged = { source: addresses.gateway.cell };
  assert.deepEqual(judged(withTrap(), forged), ['drop', 'spoofed', false]);
  const slice = withTrap();
  const blind = planWith(slice);
  const chains = blind.generation.chains.map((chain) => (chain.name === 'antispoof' ? { ...chain, rules: [] } : chain));
  const { blocks } = judgePacket({ ...blind, generation: { ...blind.generation, chains } }, { ...knock, ...forged });
  assert.equal(blocks, true);
});

test('what nobody can prove is denied and not blocked: control plane, own, far peers, peers without a MAC, resolvers', () => {
  const unproven = ['drop', 'trap:telnet:unproven', false];
  assert.deepEqual(judged(withTrap(), { source: addresses.control.cell }), unproven);
  const devices = withTrap().devices.map((device) => ({
    ...device,
    interfaces: device.interfaces.map(({ name, network, address }) => ({ name, network, address })),
  }));
  assert.deepEqual(judged(withTrap({ devices }), gateway), unproven);
  const far = withTrap().devices.map((device) => ({
    ...device,
    interfaces: device.interfaces.map((entry) =>
      device.id === 'gateway' ? { ...entry, network: 'elsewhere' } : entry,
    ),
  }));
  assert.deepEqual(judged(withTrap({ devices: far }), gateway), unproven);
  const resolving = compileFirewall(
    withTrap(),
    { epoch: 1, now: Date.now(), ordersSequence: 0, states: trusted },
    { ...host, dns: ['10.20.0.53'] },
  );
  assert.equal(judgePacket(resolving, { ...knock, source: '10.20.0.53' }).blocks, false);
});

test('a meter blocks who opens flows too fast, and no flow that is open', () => {
  const slice = withTrap({ meters: [meter] });
  const fast = { ...gateway, dport: ports.status, overLimits: true };
  assert.deepEqual(judged(slice, fast), ['drop', 'meter:floods', true]);
  assert.deepEqual(judged(slice, { ...fast, overLimits: false }), ['accept', '', false]);
  const established = { ...fast, state: 'established' as const };
  assert.equal(judged(slice, established)[2], false);
});

test('traps and meters are denies: they stay closed when a candidate falls back, and say how long they block', () => {
  const plan = planWith(withTrap({ meters: [meter] }));
  assert.equal(blockTimeOf(plan.denies.chains, 'trap:telnet'), 60_000);
  assert.equal(blockTimeOf(plan.denies.chains, 'meter:floods'), 30_000);
  assert.equal(blockTimeOf(plan.denies.chains, 'trap:other'), undefined);
  assert.equal(plan.places['trap:telnet'], place);
});

test('property: trapped ports are the union of the traps, each port the first trap that names it', () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 }))
    .map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);
  const one = fc.record({ ports: range, transport: fc.constantFrom('tcp' as const, 'udp' as const) });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 8 }), (all) => {
      const traps = all.map((entry, n) => ({ ...trap, ...entry, id: `t${n}` }));
      const boxes = disjoint(traps);
      for (const transport of ['tcp', 'udp'] as const) {
        for (let port = 1; port <= 61; port++) {
          const first = traps.find(
            (entry) => entry.transport === transport && entry.ports[0] <= port && port <= entry.ports[1],
          );
          const hit = boxes.filter((box) => box.trap.transport === transport && box.first <= port && port <= box.last);
          assert.deepEqual(
            hit.map((box) => box.trap.id),
            first === undefined ? [] : [first.id],
          );
        }
      }
    }),
    { numRuns: 200 },
  );
});
