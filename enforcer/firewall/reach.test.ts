// Can A reach B: the answer of both ends, its rule and line, and the smallest thing that is missing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Slice } from '../../policy/bundle/index.ts';
import { compileFirewall } from './compile.ts';
import type { FirewallState } from './openings.ts';
import { canReach, endOfPlan } from './reach.ts';
import type { ReachAnswer } from './reach.ts';
import { readGolden } from '../../test/firewall/golden.ts';

const golden = readGolden('plc-cell.txt').input;
const base = golden.slice as Slice;
const { state, host } = golden;

function ask(
  port: number,
  from = 'gateway-1',
  more: { slice?: Partial<Slice>; states?: FirewallState['states']; now?: number } = {},
): ReachAnswer {
  const slice = { ...base, ...more.slice };
  const states = { ...state.states, ...more.states };
  const now = more.now ?? state.now;
  const end = (device: string, proxies: typeof host.proxies) =>
    endOfPlan(
      compileFirewall({ ...slice, device }, { ...state, states, now }, { ...host, localDeviceId: device, proxies }),
      { ...slice, device },
      states,
    );
  return canReach(
    { from, to: 'plc-1', protocol: 'tcp', port, now },
    { from: end(from, []), to: end('plc-1', host.proxies) },
  );
}

test('a granted path is open at both ends, by the grant, its line and its binding', () => {
  const { reaches, ends, missing } = ask(443);
  assert.equal(reaches, true, missing);
  assert.deepEqual(
    ends.map(({ device, way, rule, place, binding }) => [device, way, rule, place, binding]),
    [
      ['gateway-1', 'out', 'grant:see-status', 'grants/g.yaml:9', 'svid'],
      ['plc-1', 'in', 'grant:see-status', 'grants/g.yaml:9', 'svid'],
    ],
  );
  assert.equal(missing, '');
});

test('a Modbus service is reached through its proxy', () => {
  const { reaches, ends } = ask(502);
  assert.equal(reaches, true);
  assert.deepEqual(
    ends.map(({ proxied }) => proxied),
    [false, true],
  );
});

test('what is missing is named: the interface, the grant, its time, the state, the rule that denies', () => {
  assert.match(ask(9).missing, /on gateway-1: no grant lets gateway-1 use tcp port 9 of plc-1/);
  const ofOneProgram = base.grants.map((grant) =>
    grant.id === 'see-status' ? { ...grant, workload: 'viewer' } : grant,
  );
  const slice = {
    grants: ofOneProgram,
    workloads: [{ name: 'viewer', uid: 1_001, place: 'inventory/d.yaml:3' }],
  };
  assert.match(ask(443, 'gateway-1', { slice }).missing, /see-status .* for workload viewer of gateway-1 alone/);
  assert.match(ask(502, 'historian').missing, /a grant of plc-modbus \(interfaces\/plc.yaml:3\) to historian/);
  assert.match(
    ask(443, 'gateway-1', { now: 1_800_003_600_000 }).missing,
    /grant see-status \(grants\/g.yaml:9\) is over/,
  );
  assert.match(ask(443, 'gateway-1', { states: { 'gateway-1': 'unknown' } }).missing, /while gateway-1 is unknown/);
  assert.match(ask(23).missing, /no grant lets gateway-1|firewall:no-telnet/);
  const deny = { id: 'no-gateway', subjects: ['gateway-1'], interface: 'plc-status', device: 'plc-1', operations: [] };
  const denied = ask(443, 'gateway-1', { slice: { denies: [{ ...deny, place: 'denies/d.yaml:2' }] } });
  assert.equal(denied.reaches, false);
  assert.match(denied.missing, /deny:no-gateway.*denies\/d.yaml:2/);
  assert.match(ask(443, 'gateway-1', { states: { 'gateway-1': 'quarantined' } }).missing, /quarantined/);
});

test('a rule of the admin tier beats the grant, and is what would have to go', () => {
  const rule = {
    ...base.firewall[0]!,
    id: 'no-https',
    peers: ['10.0.0.0/8', 'fd20::/16'],
    ports: [443, 443] as [number, number],
    place: 'firewall/x.yaml:7',
  };
  const { reaches, ends, missing } = ask(443, 'gateway-1', { slice: { firewall: [rule] } });
  assert.equal(reaches, false);
  assert.deepEqual([ends[1]?.rule, ends[1]?.place], ['firewall:no-https', 'firewall/x.yaml:7']);
  assert.match(missing, /on plc-1: firewall:no-https.*firewall\/x.yaml:7/);
  assert.ok(ends[1]?.path.includes('denies'));
});
