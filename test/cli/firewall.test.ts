// Packet rules of the example policy as a person asks about them: who reaches whom and why, what a change opens and closes.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Desk } from './site.ts';

const desk = new Desk();
after(() => desk[Symbol.dispose]());
const example = join(import.meta.dirname, '../../examples/policy');
const at = ['--at', '2026-11-22T12:00:00Z'];
const can = (...asked: string[]) => desk.run(['firewall', 'can', ...asked, '--repository', example, ...at]);

test('firewall can: both ends, the grant, its line, the proxy', () => {
  const { code, stdout } = can('gateway-1', 'plc-1', '502');
  assert.equal(code, 0);
  assert.match(stdout, /^yes\ngateway-1 sends: accept, grant:gateway-reads-plc \(grants\/cell\.yaml:\d+\)/);
  assert.match(stdout, /plc-1 receives: accept, grant:gateway-reads-plc .*\n.*known by ip; through the proxy/);
});

test('firewall can: what is missing, and the same as JSON', () => {
  const { stdout } = can('gateway-1', 'plc-1', '22');
  assert.match(stdout, /^no\n[^]*missing: on gateway-1: no grant lets gateway-1 use tcp port 22 of plc-1\n$/);
  const asked = ['firewall', 'can', 'gateway-1', 'plc-1', '502', '--repository', example, ...at];
  const { document } = desk.json([...asked, '--state', 'gateway-1=revoked']);
  const ends = document['ends'] as { way: string; rule: string; verdict: string; peerState: string }[];
  assert.equal(document['reaches'], false);
  assert.deepEqual(
    ends.map(({ way, rule, peerState }) => [way, rule, peerState]),
    [
      ['out', 'default-out', 'trusted'],
      ['in', 'revoked', 'revoked'],
    ],
  );
});

test('firewall can: a state of nobody and a control plane that no address names are refused, not passed over', () => {
  const wrong = [
    ['--state', 'gatewy-1=revoked'],
    ['--control', '10.0.0.1:99999'],
    ['--control', '10.0.0.1:0'],
    ['--control', '999.0.0.1:8443'],
  ];
  for (const more of wrong) {
    const { code, stderr } = can('gateway-1', 'plc-1', '502', ...more);
    assert.equal(code, 2, more.join(' '));
    assert.match(stderr, more[0] === '--state' ? /has no device gatewy-1/ : /Expected an address and a port/);
  }
});

test('firewall plan: lines with their place, the kernel text, and what another checkout opens and closes', () => {
  const plan = (...more: string[]) =>
    desk.run(['firewall', 'plan', example, '--device', 'plc-1', ...at, ...more]).stdout;
  assert.match(plan(), /^closes admin_deny_in4_ported: .* 23-23 {2}by no-telnet \(firewall\/cell\.yaml:\d+\)$/m);
  assert.match(plan('--nft'), /^table inet edgeward \{$/m);
  const other = join(desk.folder, 'other');
  cpSync(example, other, { recursive: true });
  const file = join(other, 'firewall/cell.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('ports: 23\n', 'ports: 2323\n'));
  assert.equal(plan('--diff', example), 'the same packet rules\n');
  const changes = plan('--diff', other);
  assert.match(changes, /^- closes admin_deny_in4_ported: .* 2323-2323 /m);
  assert.match(changes, /^\+ closes admin_deny_in4_ported: .* 23-23 /m);
});
