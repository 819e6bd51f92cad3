// Which grants open a path now: by time, by state of both sides, by what proves the subject.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readGolden } from '../../test/firewall/golden.ts';
import { openingsOf, stateAdmits, validity } from './openings.ts';
import type { FirewallState } from './openings.ts';
import { sliceSchema } from '../../policy/bundle/index.ts';

const midnight = Date.UTC(2027, 0, 15);
const at = (hours: number, minutes = 0): number => midnight + (hours * 60 + minutes) * 60_000;
const window = (fromMinute: number, toMinute: number) => ({ conditions: { timeWindow: { fromMinute, toMinute } } });

test('a daily window is open from its start up to, not at, its end', () => {
  const office = window(8 * 60, 17 * 60);
  assert.deepEqual(validity(office, at(7, 59)), { open: false, changesAt: at(8) });
  assert.deepEqual(validity(office, at(8)), { open: true, until: at(17), changesAt: at(17) });
  assert.deepEqual(validity(office, at(17)), { open: false, changesAt: at(32) });
});

test('a window may wrap over midnight, last all day, or be empty', () => {
  const night = window(22 * 60, 6 * 60);
  assert.deepEqual(validity(night, at(23)), { open: true, until: at(30), changesAt: at(30) });
  assert.deepEqual(validity(night, at(12)), { open: false, changesAt: at(22) });
  assert.deepEqual(validity(window(0, 1440), at(3)), { open: true });
  assert.deepEqual(validity(window(480, 480), at(8)), { open: false });
});

test('an end date beats the window, and a past one closes for good', () => {
  const grant = { ...window(8 * 60, 17 * 60), until: at(12) };
  assert.deepEqual(validity(grant, at(9)), { open: true, until: at(12), changesAt: at(12) });
  assert.deepEqual(validity(grant, at(12)), { open: false });
});

test('a start date and days of the week close and open like the window', () => {
  // 15 January 2027 is a Friday.
  const days = { conditions: { weekdays: ['fri' as const] }, notBefore: at(6) };
  assert.deepEqual(validity(days, at(5)), { open: false, changesAt: at(6) });
  assert.deepEqual(validity(days, at(6)), { open: true, until: at(24), changesAt: at(24) });
  assert.deepEqual(validity(days, at(24)), { open: false, changesAt: at(7 * 24) });
});

test("the engine's table of states decides, and an unlisted device gets nothing", () => {
  const normal = { class: 'normal', island: false } as const;
  assert.equal(stateAdmits('trusted', normal), true);
  assert.equal(stateAdmits('recovering', normal), false);
  assert.equal(stateAdmits('recovering', { class: 'safety', island: false }), true);
  assert.equal(stateAdmits('quarantined', { class: 'sensitive', island: true }), true);
  for (const state of ['unknown', 'expected', 'revoked', 'decommissioned'] as const) {
    assert.equal(stateAdmits(state, { class: 'safety', island: true }), false);
  }
});

const { input } = readGolden('plc-cell.txt');
const slice = sliceSchema.parse(input.slice);
const opened = (states: FirewallState['states'], changed = slice): string[] =>
  openingsOf(changed, { ...input.state, states }).served.map((it) => `${it.peer} ${it.address} ${it.port}`);

test('a peer that the signed states do not name stays out', () => {
  assert.deepEqual(opened({ 'plc-1': 'trusted' }), []);
  const gateway = opened({ 'plc-1': 'trusted', 'gateway-1': 'trusted' });
  assert.ok(gateway.includes('gateway-1 10.20.0.3 502') && gateway.includes('gateway-1 fd20::3 502'));
});

test('a deny of every granted operation closes the port; of another operation it does not', () => {
  const states = { 'plc-1': 'trusted', 'gateway-1': 'trusted' } as const;
  const deny = { id: 'd', subjects: [], interface: 'plc-modbus', device: 'plc-1', place: 'grants/d.yaml:1' };
  const modbus = (operations: string[]): string[] =>
    opened(states, { ...slice, denies: [{ ...deny, operations }] }).filter((it) => it.endsWith(' 502'));
  assert.deepEqual(modbus(['read']), []);
  assert.deepEqual(modbus([]), []);
  assert.equal(modbus(['write']).length, 2);
});

test('a bare address behind a router proves nobody; an SVID does not need one', () => {
  const routed = { 'plc-1': 'trusted', 'gateway-1': 'trusted' } as const;
  assert.ok(!opened(routed).includes('gateway-1 10.30.0.3 502'));
  assert.ok(opened(routed).includes('gateway-1 10.30.0.3 443'));
});

test('an address that two devices have on networks attached here proves neither; an SVID does not need it', () => {
  const states = { 'plc-1': 'trusted', 'gateway-1': 'trusted' } as const;
  const twin = (address: string, network: string) => ({
    ...slice,
    devices: [
      ...slice.devices.map((device) =>
        device.id === slice.device
          ? {
              ...device,
              interfaces: [...device.interfaces, { name: 'eth9', network: 'other', address: '10.99.0.2' }],
            }
          : device,
      ),
      { id: 'twin', labels: {}, interfaces: [{ name: 'eth0', network, address }] },
    ],
  });
  const modbus = (changed: typeof slice): string[] => opened(states, changed).filter((it) => it.endsWith(' 502'));
  assert.deepEqual(modbus(twin('10.20.0.3', 'other')), ['gateway-1 fd20::3 502']);
  const { warnings } = openingsOf(twin('10.20.0.3', 'other'), { ...input.state, states });
  assert.ok(warnings.some((text) => text.includes('its address 10.20.0.3 is that of twin too')));
  assert.equal(modbus(twin('10.20.0.3', 'elsewhere')).length, 2);
  assert.equal(modbus(twin('10.20.0.33', 'other')).length, 2);
  assert.deepEqual(modbus(twin('fd20::3', 'other')), ['gateway-1 10.20.0.3 502']);
});

test('a plain port whose grant asks for attestation opens only when somebody vouches for it', () => {
  const { input: camera } = readGolden('observed-window.txt');
  const cameraSlice = sliceSchema.parse(camera.slice);
  const shell = (state: FirewallState): boolean => openingsOf(cameraSlice, state).served.some((it) => it.port === 22);
  assert.equal(shell(camera.state), false);
  assert.equal(shell({ ...camera.state, conditionsHold: (grant) => grant.id === 'attested' }), true);
});

test('a deny with conditions is left to who judges the requests; on a plain port the engine is asked, and the kernel closes in time', () => {
  const states = { 'plc-1': 'trusted', 'gateway-1': 'trusted' } as const;
  const deny = { id: 'd', subjects: [], interface: 'plc-modbus', device: 'plc-1', operations: [], place: 'd.yaml:1' };
  const guarded = { ...deny, conditions: { minRisk: 80 } };
  assert.equal(opened(states, { ...slice, denies: [guarded] }).filter((it) => it.endsWith(' 502')).length, 2);
  const { input: camera } = readGolden('observed-window.txt');
  const cameraSlice = sliceSchema.parse(camera.slice);
  const port = cameraSlice.interfaces.find((entry) => entry.port === 22);
  const later = camera.state.now + 60_000;
  const about = { interface: port?.name ?? '', device: cameraSlice.device, notBefore: later };
  const withDeny = { ...cameraSlice, denies: [{ ...deny, ...about }] };
  const state = { ...camera.state, conditionsHold: () => true };
  const until = (which: typeof cameraSlice): unknown[] =>
    openingsOf(which, state)
      .served.filter((it) => it.interface === port?.name)
      .map((it) => it.until);
  assert.ok(until(cameraSlice).length > 0 && !until(cameraSlice).includes(later));
  assert.deepEqual(new Set(until(withDeny)), new Set([later]));
  assert.equal(openingsOf(withDeny, state).nextChange, later);
  const { conditionsHold: _, ...unasked } = state;
  const bare = { ...withDeny, grants: withDeny.grants.map((grant) => ({ ...grant, conditions: {} })) };
  assert.deepEqual(
    openingsOf(bare, unasked).served.filter((it) => it.interface === port?.name),
    [],
  );
});

test('a plain port that the engine does not open stays closed, though the grant asks for nothing', () => {
  const states = { 'plc-1': 'trusted', 'gateway-1': 'trusted' } as const;
  const asPorts = {
    ...slice,
    interfaces: slice.interfaces.map((it) => ({
      ...it,
      protocol: 'port' as const,
      operations: it.operations.map(({ name, class: of, island }) => ({
        name,
        protocol: 'port' as const,
        class: of,
        island,
      })),
    })),
    grants: slice.grants.map((it) => ({ ...it, conditions: {} })),
  };
  const count = (answer: object): number => openingsOf(asPorts, { ...input.state, states, ...answer }).served.length;
  assert.ok(count({}) > 0);
  assert.equal(count({ conditionsHold: () => true }), count({}));
  // For example past the bundle's hard expiry.
  assert.equal(count({ conditionsHold: () => false }), 0);
});
