// Vectors that travel with a bundle.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileSlice } from './engine.ts';
import type { SelfTestReport } from './self-test.ts';
import { access, get, meta, now, post, sampleSlice, type LooseSlice } from './testing/sample-slice.ts';

const vector = (name: string, operation: object, expect: 'allow' | 'deny', more: object = {}): object => ({
  subject: 'gateway-1',
  binding: 'svid',
  state: 'trusted',
  attestation: 'software',
  interface: name,
  device: 'plc-1',
  operation,
  expect,
  ...more,
});

const report = (vectors: object[], change: (slice: LooseSlice) => void = () => undefined): SelfTestReport =>
  compileSlice(
    sampleSlice((slice) => {
      change(slice);
      slice.selfTest.push(...vectors);
    }),
    meta,
  ).selfTest();

test('self-test: vectors pass and are counted', () => {
  const right = [
    vector('plc-modbus', access(3), 'allow'),
    vector('plc-modbus', access(6, 5, 1, [1]), 'deny'),
    vector('plc-modbus', access(6, 5, 1, [1]), 'allow', { subject: 'station-1' }),
    vector('plc-modbus', access(6, 5, 1, [1]), 'deny', { subject: 'station-1', attestation: 'none' }),
    vector('web', get('/status'), 'deny', { state: 'quarantined' }),
    vector('web', post('/stop'), 'allow', { state: 'quarantined' }),
    vector('web', get('/status'), 'deny', { state: 'no-state-at-all' }),
    vector('web', get('/status'), 'deny', { subject: 'stranger' }),
  ];
  assert.deepEqual(report(right), { vectors: right.length, passed: right.length, failures: [] });
});

test('self-test: a failure names the vector and the decision', () => {
  const { vectors, passed, failures } = report([
    vector('plc-modbus', access(3), 'allow'),
    vector('plc-modbus', access(3), 'deny'),
    vector('web', get('/nowhere'), 'allow'),
  ]);
  assert.deepEqual([vectors, passed], [3, 1]);
  assert.deepEqual(
    failures.map(({ index, decision }) => [index, decision.reason]),
    [
      [1, 'granted'],
      [2, 'unknown-operation'],
    ],
  );
});

test('self-test: no clock decides; allow means at some moment of the fresh life, deny at none', () => {
  const admin = { subject: 'station-1' };
  const ends = (until: number) => (slice: LooseSlice) => {
    slice.grants = slice.grants.map((entry) => ({ ...entry, until }));
  };
  // A daily window from 08:00, and grants that end before the bundle's soft expiry.
  assert.equal(report([vector('web', post('/admin/x'), 'allow', admin)], (slice) => (slice.denies = [])).passed, 1);
  assert.equal(report([vector('plc-modbus', access(3), 'allow')], ends(now + 1_000)).passed, 1);
  assert.equal(report([vector('plc-modbus', access(6, 5, 1, [1]), 'deny')], ends(now + 1_000)).passed, 1);
});

test('self-test: a vector on an observed interface tests the policy, not the mercy', () => {
  const observed = (slice: LooseSlice): void => {
    slice.interfaces = slice.interfaces.map((entry) => ({ ...entry, observeUntil: meta.hardExpiry }));
  };
  assert.equal(report([vector('trial', get('/x'), 'deny')], observed).passed, 1);
  assert.equal(report([vector('web', get('/status'), 'allow')], observed).passed, 1);
});
