// What people opened takes the place of a grant and its conditions, and of nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { profile } from '../../test/break-glass/people.ts';
import { compileSlice, type Engine } from './engine.ts';
import type { Freshness } from './judge.ts';
import type { AccessRequest, Opening } from './request.ts';
import { rowOf, stateTable } from './state-table.ts';
import { access, ask, get, meta, now, post, sampleSlice } from './testing/sample-slice.ts';

const engine: Engine = compileSlice(sampleSlice(), meta);

const opening = (changes: Partial<Opening> = {}): Opening => ({
  rule: 'break-glass:stop-line/00',
  place: 'break-glass/line.yaml:2',
  subject: 'gateway-1',
  binding: 'svid',
  interface: 'plc-modbus',
  device: 'plc-1',
  operations: ['write'],
  afterHardExpiry: false,
  ...changes,
});
const write = access(6, 50, 1, [7]);
const reason = (given: Opening, request: AccessRequest, freshness: Freshness = 'fresh'): string =>
  engine.decideOpened(given, request, freshness).reason;

test('an opening opens its operations to its subject, loudly and on disk, whatever grants there are', () => {
  assert.equal(engine.decide(ask('plc-modbus', write), 'fresh').reason, 'no-grant');
  assert.deepEqual(engine.decideOpened(opening(), ask('plc-modbus', write), 'fresh'), {
    allow: true,
    reason: 'granted',
    rule: 'break-glass:stop-line/00',
    place: 'break-glass/line.yaml:2',
    operation: 'write',
    bundle: meta.digest,
    obligations: [{ id: 'log' }, { id: 'notification' }],
  });
  const risky = ask('plc-modbus', access(6, 15, 1, [7]), {}, { risk: 99 });
  assert.equal(engine.decide(risky, 'fresh').reason, 'condition');
  assert.equal(reason(opening({ operations: ['set-point'] }), risky), 'granted', 'a condition of a grant');
});

test('it opens nothing else: no other operation, subject, interface, device or binding', () => {
  const request = ask('plc-modbus', write);
  assert.equal(reason(opening(), ask('plc-modbus', access(43))), 'no-grant');
  assert.equal(reason(opening(), ask('plc-modbus', access(3))), 'no-grant', 'not even what a grant opens');
  assert.equal(reason(opening(), ask('plc-modbus', write, { id: 'station-1' })), 'no-grant');
  assert.equal(reason(opening(), ask('plc-modbus', write, { id: '' })), 'no-grant');
  assert.equal(reason(opening({ subject: '' }), ask('plc-modbus', write, { id: '' })), 'no-grant');
  assert.equal(reason(opening({ interface: 'web' }), request), 'unknown-interface');
  assert.equal(reason(opening({ device: 'plc-2' }), request), 'unknown-interface');
  assert.equal(reason(opening(), ask('plc-modbus', write, { binding: 'ip' })), 'binding');
  assert.equal(reason(opening(), ask('plc-modbus', access(6, 500, 1, [7]))), 'unknown-operation');
  assert.equal(
    reason(opening({ interface: 'web', operations: ['files'] }), ask('web', get('/files/../x'))),
    'ambiguous',
  );
});

test('an operation that is asked by its name is opened as its requests are', () => {
  const named = (name: string) => ({ protocol: 'named' as const, name });
  assert.equal(reason(opening(), ask('plc-modbus', named('write'))), 'granted');
  assert.equal(reason(opening(), ask('plc-modbus', named('identify'))), 'no-grant');
  const admin = opening({ interface: 'web', operations: ['admin'] });
  assert.equal(reason(admin, ask('web', named('admin'))), 'denied');
});

test('a deny, the Casbin model and the state of the subject say what they always say', () => {
  const admin = opening({ interface: 'web', operations: ['admin'] });
  assert.equal(reason(admin, ask('web', post('/admin/x'))), 'denied');
  const narrow = opening({ interface: 'narrow', operations: ['all'] });
  assert.equal(reason(narrow, ask('narrow', get('/pumps/1'))), 'granted');
  assert.equal(reason(narrow, ask('narrow', get('/pumps/9'))), 'casbin');
  for (const state of Object.keys(stateTable) as (keyof typeof stateTable)[]) {
    const admitted = rowOf(state).sensitive === 'yes';
    const request = ask('plc-modbus', write, { state });
    assert.equal(reason(opening(), request), admitted ? 'granted' : 'state', state);
    assert.equal(reason(opening({ afterHardExpiry: true }), request), admitted ? 'granted' : 'state', state);
  }
  assert.equal(reason(opening(), ask('plc-modbus', write, {}, { reduced: true })), 'state');
});

test('the age of the bundle counts, unless the profile says that it does not', () => {
  const after = opening({ afterHardExpiry: true });
  assert.equal(reason(opening(), ask('plc-modbus', write), 'soft-expired'), 'soft-expired');
  assert.equal(reason(opening(), ask('plc-modbus', write), 'hard-expired'), 'hard-expired');
  assert.equal(reason(after, ask('plc-modbus', write), 'soft-expired'), 'granted');
  assert.equal(reason(after, ask('plc-modbus', write), 'hard-expired'), 'granted');
  const late = ask('plc-modbus', write, {}, { asOf: now + 8 * 86_400_000 }, now + 8 * 86_400_000);
  assert.equal(reason(opening(), late), 'hard-expired', 'by the date of the request');
  assert.equal(reason(after, ask('web', post('/admin/x'))), 'unknown-interface');
  const denied = opening({ interface: 'web', operations: ['admin'], afterHardExpiry: true });
  assert.equal(reason(denied, ask('web', post('/admin/x')), 'hard-expired'), 'denied');
});

test('what observe mode lets through is not opened by assuming a fresh bundle', () => {
  const trial = opening({ interface: 'trial', operations: ['all'], subject: 'station-1', afterHardExpiry: true });
  assert.equal(engine.decide(ask('trial', get('/x')), 'hard-expired').allow, false);
  assert.equal(engine.decideOpened(trial, ask('trial', get('/x')), 'hard-expired').allow, false);
});

test('a profile that names what is not there, or a plain port, does not compile', () => {
  const compiled = (changes: Parameters<typeof profile>[0]) => () =>
    compileSlice({ ...sampleSlice(), breakGlass: [profile(changes)] }, meta);
  compiled({ interface: 'web', operations: ['status'] })();
  for (const changes of [
    { interface: 'webb' },
    { interface: 'web', operations: ['nothing'] },
    { interface: 'console', operations: ['open'] },
    { interface: 'web', operations: ['status'], device: 'plc-2' },
  ]) {
    assert.throws(compiled(changes), /names/, JSON.stringify(changes));
  }
});
