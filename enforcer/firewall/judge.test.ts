// The plan answers for packets as the kernel would (test/firewall/judge-agrees.test.ts compares the two).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { sliceSchema } from '../../policy/bundle/index.ts';
import { readGolden } from '../../test/firewall/golden.ts';
import { compileFirewall } from './compile.ts';
import { judgePacket, reachesControlPlane } from './judge.ts';
import type { Packet } from './judge.ts';
import { PROXIED_BIT } from './plan.ts';

const { plan, input } = readGolden('plc-cell.txt');
const gatewayMac = '02:00:00:00:00:03';
const request: Packet = {
  way: 'in',
  source: '10.20.0.3',
  destination: '10.20.0.2',
  protocol: 'tcp',
  sport: 40_000,
  dport: 443,
  inInterface: 'eth0',
  mac: gatewayMac,
  state: 'new',
  direction: 'original',
};
const verdictOf = (more: Partial<Packet>): string => {
  const { verdict, rule } = judgePacket(plan, { ...request, ...more });
  return rule === '' ? verdict : `${verdict} ${rule}`;
};

test('a packet is dropped by the first rule that concerns it', () => {
  assert.equal(verdictOf({}), 'accept');
  assert.equal(verdictOf({ mac: '02:00:00:00:00:05' }), 'drop spoofed');
  assert.equal(verdictOf({ inInterface: 'eth7' }), 'drop spoofed');
  assert.equal(verdictOf({ dport: 80 }), 'drop default-in');
  assert.equal(verdictOf({ dport: 23 }), 'drop firewall:no-telnet');
  assert.equal(verdictOf({ state: 'invalid' }), 'drop invalid');
  assert.equal(verdictOf({ source: '10.20.0.5', mac: '02:00:00:00:00:05' }), 'reset quarantined');
  assert.equal(verdictOf({ source: '10.20.0.5', mac: '02:00:00:00:00:05', protocol: 'udp' }), 'drop quarantined');
  assert.equal(verdictOf({ way: 'through' }), 'drop default-forward');
  assert.equal(verdictOf({ inInterface: 'lo', source: '10.20.0.2' }), 'accept');
});

test('established flows pass with the current epoch only, proxied ones through the socket of their proxy only', () => {
  const established = { state: 'established', dport: 80 } as const;
  assert.equal(verdictOf({ ...established, connectionMark: 7 }), 'accept');
  assert.equal(verdictOf({ ...established, connectionMark: 6 }), 'reset stale-flow');
  const proxied = { state: 'established', dport: 502, connectionMark: PROXIED_BIT + 7 } as const;
  assert.equal(verdictOf({ ...proxied, transparentSocket: true }), 'accept');
  assert.equal(verdictOf(proxied), 'reset stale-flow');
  assert.equal(verdictOf({ dport: 502, proxyListens: true }), 'accept');
  assert.equal(verdictOf({ dport: 502, proxyListens: false }), 'drop default-in');
  assert.equal(judgePacket(plan, { ...request, dport: 502, proxyListens: true }).connectionMark, PROXIED_BIT + 7);
});

test('ICMP errors about a flow of this epoch pass, redirects do not', () => {
  const error = { state: 'related', protocol: 'icmp', source: '10.99.0.1', connectionMark: 7 } as const;
  assert.equal(verdictOf({ ...error, icmpType: 'destination-unreachable' }), 'accept');
  assert.equal(verdictOf({ ...error, icmpType: 'time-exceeded', connectionMark: 6 }), 'drop default-in');
  // A redirect has no type that a rule speaks of.
  assert.equal(verdictOf(error), 'drop default-in');
});

test('answers of a flow that no set admits do not carry it into the new epoch', () => {
  const answer = { way: 'out', source: '10.20.0.2', destination: '10.20.0.3', sport: 80, dport: 40_000 } as const;
  const stale = { ...answer, state: 'established', direction: 'reply', connectionMark: 6 } as const;
  assert.equal(verdictOf(stale), 'reset stale-flow');
  assert.equal(verdictOf({ ...stale, sport: 443 }), 'accept');
  // The server of a diverted port may answer a proxied flow of before, not one that went past the proxy.
  assert.equal(verdictOf({ ...stale, sport: 502 }), 'reset stale-flow');
  assert.equal(verdictOf({ ...stale, sport: 502, connectionMark: PROXIED_BIT + 6 }), 'accept');
});

test('both directions of a flow get the same answer, whatever its epoch', () => {
  const address = fc.constantFrom('10.20.0.3', '10.20.0.4', '10.20.0.9', '10.99.0.1');
  const port = fc.constantFrom(23, 80, 123, 443, 502, 8443);
  const mark = fc.constantFrom(0, 6, PROXIED_BIT + 6);
  fc.assert(
    fc.property(
      address,
      port,
      fc.constantFrom('tcp' as const, 'udp' as const),
      mark,
      fc.boolean(),
      (peer, service, protocol, connectionMark, inwards) => {
        const flow = { protocol, connectionMark, state: 'established' } as const;
        const proxied = connectionMark >= PROXIED_BIT;
        const near = { inInterface: 'eth0', ...(peer === '10.20.0.3' ? { mac: gatewayMac } : {}) };
        const arriving: Packet = {
          way: 'in',
          source: peer,
          destination: '10.20.0.2',
          ...near,
          ...flow,
          ...(inwards
            ? { sport: 40_000, dport: service, direction: 'original' }
            : { sport: service, dport: 40_000, direction: 'reply' }),
          transparentSocket: proxied && inwards,
        };
        const leaving: Packet = {
          way: 'out',
          source: '10.20.0.2',
          destination: peer,
          ...flow,
          ...(inwards
            ? { sport: service, dport: 40_000, direction: 'reply' }
            : { sport: 40_000, dport: service, direction: 'original' }),
        };
        const [there, back] = [judgePacket(plan, arriving), judgePacket(plan, leaving)];
        assert.equal(there.verdict === 'accept', back.verdict === 'accept', `${peer} ${service}`);
      },
    ),
    { numRuns: 500 },
  );
});

test('the control plane is reachable, also for a contained device and without a bundle', () => {
  for (const name of ['plc-cell.txt', 'quarantined-self.txt', 'lockdown.txt', 'observed-window.txt']) {
    const { plan: each } = readGolden(name);
    for (const endpoint of each.control) assert.equal(reachesControlPlane(each, endpoint), true, name);
  }
});

test('a plan that takes any link of the way to the control plane is recognised', () => {
  const [endpoint] = plan.control;
  assert.ok(endpoint !== undefined);
  assert.equal(reachesControlPlane(plan, { ...endpoint, port: 9 }), false);
  const revoked = plan.base.map((set) =>
    set.name === 'revoked4' ? { ...set, elements: [{ key: [endpoint.address] }] } : set,
  );
  assert.equal(reachesControlPlane({ ...plan, base: revoked }, endpoint), false);
  const unknown = plan.base.map((set) => (set.name === 'control4' ? { ...set, elements: [] } : set));
  assert.equal(reachesControlPlane({ ...plan, base: unknown }, endpoint), false);
  // Neighbours are judged before: an inventory that expects the control plane elsewhere cuts it.
  const elsewhere = plan.generation.sets.map((set) =>
    set.name === 'inventory4' ? { ...set, elements: [...set.elements, { key: [endpoint.address] }] } : set,
  );
  const misplaced = { ...plan, generation: { ...plan.generation, sets: elsewhere } };
  assert.equal(reachesControlPlane(misplaced, endpoint), false);
});

test('whatever the grants, an address that no grant names opens nothing', () => {
  const slice = sliceSchema.parse(input.slice);
  fc.assert(
    fc.property(fc.subarray(slice.grants), fc.integer({ min: 1, max: 65_535 }), (grants, dport) => {
      const each = compileFirewall({ ...slice, grants }, input.state, input.host);
      const stranger = { ...request, source: '10.20.0.200', mac: '02:00:00:00:00:c8', dport, proxyListens: true };
      assert.equal(judgePacket(each, stranger).verdict, 'drop');
    }),
  );
});
