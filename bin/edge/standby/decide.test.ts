// What a stand-in lets through, for each way an interface can take the death of the enforcer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SliceInterface, VerifiedBundle } from '../../../policy/bundle/index.ts';
import { type AccessRequest, compileSlice, noUsage, unusedUsage } from '../../../policy/engine/index.ts';
import { hour, slice as sampleSlice, start } from '../../../test/activation/world.ts';
import { createStandbyDecide } from './decide.ts';

const base = sampleSlice('standby');
const expiry = { issuedAt: start, softExpiry: start + 24 * hour, hardExpiry: start + 168 * hour };
const fulfilment = { ids: ['log' as const], custom: [] };

function decider(
  mode: SliceInterface['onEnforcerDeath'],
  {
    held = false,
    at = start,
    island = false,
    grant = {},
  }: { held?: boolean; at?: number; island?: boolean; grant?: object } = {},
) {
  const slice = { ...base, grants: base.grants.map((one) => ({ ...one, ...grant })) };
  const engine = compileSlice(slice, { digest: 'ab'.repeat(32), ...expiry });
  const bundle = { slice, digest: engine.digest, manifest: expiry } as unknown as VerifiedBundle;
  const peers: object[] = [];
  const decide = createStandbyDecide({
    current: () => ({ engine, bundle }),
    time: () => ({ now: at, trusted: true }),
    island: () => island,
    entryOf: (name) => (name === 'web' ? { onEnforcerDeath: mode } : undefined),
    isHeld: (peer) => {
      peers.push(peer);
      return held;
    },
  });
  const ask = (method: string, path: string, more: Partial<AccessRequest['subject']> = {}) => {
    const { allow, reason } = decide(
      {
        subject: {
          id: 'gateway-1',
          binding: 'svid',
          state: 'trusted',
          attributes: { reduced: { value: false, asOf: start } },
          ...more,
        },
        operation: { protocol: 'http', method, path },
        resource: { interface: 'web', attributes: {} },
        context: { time: at, source: 'http', connection: '192.0.2.1:4711', attributes: {} },
      },
      { usage: unusedUsage, fulfilment },
      '192.0.2.1',
    );
    return allow ? 'allow' : reason;
  };
  return { ask, peers };
}

test('closed: safety operations alone, and what is closed for want of the enforcer says so', () => {
  for (const mode of ['closed', 'open'] as const) {
    const { ask, peers } = decider(mode, { held: true });
    assert.deepEqual([ask('POST', '/stop'), ask('GET', '/status')], ['allow', 'standby']);
    assert.deepEqual(peers, [], 'nobody is asked whether it is held');
  }
});

test('hold: besides, what policy allows, for who is held', () => {
  const held = decider('hold', { held: true });
  assert.deepEqual(
    [held.ask('POST', '/stop'), held.ask('GET', '/status'), held.ask('PUT', '/status')],
    ['allow', 'allow', 'unknown-operation'],
  );
  assert.deepEqual(held.peers[0], { interface: 'web', address: '192.0.2.1', subject: 'gateway-1' });
  assert.deepEqual(decider('hold').ask('GET', '/status'), 'standby');
});

test('real denials stay: state, grant, island mode, the end of the bundle', () => {
  const { ask } = decider('hold', { held: true });
  assert.equal(ask('POST', '/stop', { state: 'revoked' }), 'state');
  assert.equal(ask('POST', '/stop', { id: 'camera-1' }), 'no-grant');
  assert.equal(ask('POST', '/stop', { binding: 'ip' }), 'binding');
  assert.equal(decider('hold', { held: true, island: true }).ask('GET', '/status'), 'island');
  const expired = decider('hold', { held: true, at: expiry.hardExpiry + 1 });
  assert.deepEqual([expired.ask('POST', '/stop'), expired.ask('GET', '/status')], ['allow', 'hard-expired']);
});

test('counts that nobody keeps now stop no safety operation, and everything else', () => {
  const { ask } = decider('hold', { held: true, grant: { rate: { count: 1, perSeconds: 60 } } });
  assert.deepEqual(
    [ask('POST', '/stop'), ask('POST', '/stop'), ask('GET', '/status')],
    ['allow', 'allow', 'condition'],
  );
});

test('without a bundle nothing passes, and a fault while asking who is held denies', () => {
  const nothing = createStandbyDecide({
    current: () => undefined,
    time: () => ({ now: start, trusted: true }),
    island: () => false,
    entryOf: () => {
      throw new Error('a fault');
    },
    isHeld: () => true,
  });
  const request: AccessRequest = {
    subject: { id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {} },
    operation: { protocol: 'http', method: 'GET', path: '/status' },
    resource: { interface: 'web', attributes: {} },
    context: { time: start, source: 'http', connection: '', attributes: {} },
  };
  const { allow, reason } = nothing(request, { usage: noUsage, fulfilment }, '192.0.2.1');
  assert.deepEqual([allow, reason], [false, 'fault']);
});
