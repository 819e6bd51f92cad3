import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificatesToPem, parseCertificate } from '../../identity/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { createTestAuthority } from '../../test/support/pki.ts';
import type { SubjectView } from '../../enforcer/activation/index.ts';
import type { OwnIdentity } from './identity.ts';
import { createSubjects } from './subjects.ts';

const authority = createTestAuthority('plant.example');
const elsewhere = createTestAuthority('plant.example');
const own = {
  current: () => ({
    chain: [Buffer.alloc(0), authority.intermediate],
    anchors: { trustDomain: 'plant.example', roots: [authority.root] },
  }),
  anchors: () => ({ trustDomain: 'plant.example' }),
} as unknown as OwnIdentity;
let revoked: ReadonlySet<string> = new Set();
const subjects = createSubjects(
  own,
  {
    subjectState: (id) => ({ state: id === 'gateway-1' ? 'quarantined' : 'trusted', attributes: {} }),
    view: () => ({ revoked }) as SubjectView,
  },
  () => Date.now(),
);
const pem = (uri: string, from = authority): string => certificatesToPem([from.issue(uri).der]);

test('a leaf of our authority is a subject with the state that orders and states give it', () => {
  const subject = subjects.fromEvidence({ certificatePem: pem('spiffe://plant.example/device/gateway-1') });
  assert.deepEqual(subject, { id: 'gateway-1', binding: 'svid', state: 'quarantined', attributes: {} });
});

test('a leaf of another authority, a revoked one, an expired one, and text are nobody', () => {
  assert.throws(() => subjects.fromEvidence({ certificatePem: pem('spiffe://plant.example/device/plc-1', elsewhere) }));
  const { der } = authority.issue('spiffe://plant.example/device/plc-1');
  revoked = new Set([parseCertificate(der).serialHex]);
  assert.throws(() => subjects.fromEvidence({ certificatePem: certificatesToPem([der]) }));
  const late = createSubjects(
    own,
    { subjectState: () => ({ state: 'trusted', attributes: {} }), view: () => ({ revoked }) as SubjectView },
    () => Date.now() + 90 * 86_400_000,
  );
  assert.throws(() => late.fromEvidence({ certificatePem: pem('spiffe://plant.example/device/plc-1') }));
  for (const certificatePem of ['nonsense', pem('spiffe://plant.example/device/plc-1').slice(0, -40)]) {
    assert.throws(() => subjects.fromEvidence({ certificatePem }));
  }
});

test('operators, the control plane, workloads and other trust domains are not devices', () => {
  for (const uri of [
    'spiffe://plant.example/operator/ann',
    'spiffe://plant.example/control/server',
    'spiffe://plant.example/device/plc-1/workload/web',
    'spiffe://other.example/device/plc-1',
  ]) {
    assert.throws(() => subjects.fromEvidence({ certificatePem: pem(uri) }), uri);
  }
});

test('a name without its certificate is nobody: it may be unverified, and its certificate revoked', () => {
  for (const principal of ['spiffe://plant.example/device/plc-1', 'https://plant.example/device/plc-1', '']) {
    assert.throws(() => subjects.fromEvidence({ principal }), { code: 'SUBJECT_NOT_IDENTIFIED' });
  }
});

test('where the firewall is off nobody checked a MAC, and an address says less', () => {
  const plain = createSubjects(
    own,
    { subjectState: () => ({ state: 'trusted', attributes: {} }), view: () => ({ revoked }) as SubjectView },
    () => Date.now(),
    false,
  );
  const interfaces = [{ name: 'eth0', network: 'cell', address: '10.77.0.12', mac: '02:00:00:00:00:0c' }];
  const slice = { devices: [{ id: 'plc-1', labels: {}, interfaces }] } as unknown as Slice;
  assert.equal(plain.fromAddress('10.77.0.12', slice).binding, 'ip');
  assert.equal(subjects.fromAddress('10.77.0.12', slice).binding, 'port+mac+ip');
});

test('an address is the device that the inventory gives it to, checked with its MAC where there is one', () => {
  const slice = {
    devices: [
      { id: 'hmi-1', labels: {}, interfaces: [{ name: 'eth0', network: 'cell', address: '10.77.0.13' }] },
      {
        id: 'plc-1',
        labels: {},
        interfaces: [{ name: 'eth0', network: 'cell', address: '10.77.0.12', mac: '02:00:00:00:00:0c' }],
      },
    ],
  } as unknown as Slice;
  assert.deepEqual(
    [subjects.fromAddress('10.77.0.13', slice).id, subjects.fromAddress('10.77.0.13', slice).binding],
    ['hmi-1', 'ip'],
  );
  assert.equal(subjects.fromAddress('::ffff:10.77.0.12', slice).binding, 'port+mac+ip');
  for (const [address, where] of [
    ['10.77.0.99', slice],
    ['10.77.0.13', undefined],
  ] as const) {
    assert.deepEqual(subjects.fromAddress(address, where), { id: '', binding: 'ip', state: 'unknown', attributes: {} });
  }
});

test('an asserted device has the binding of the configuration and the state of the orders; without either it is nobody', () => {
  const subject = { id: 'gateway-1', binding: 'ip', state: 'quarantined', attributes: {} };
  assert.deepEqual(subjects.fromAssertion({ asserted: 'gateway-1' }, 'ip'), subject);
  assert.throws(() => subjects.fromAssertion({ asserted: 'gateway-1' }, undefined), /authz\.authzen\.binding/);
  assert.throws(() => subjects.fromAssertion({ principal: 'spiffe://plant.example/device/gateway-1' }, 'svid'));
  assert.throws(() => subjects.fromEvidence({ asserted: 'gateway-1' }), 'the other points take no assertion');
});
