// The decision order of the design: each reason with its rule and place, and each step before the next.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileSlice, freshnessAt, noBundleDecision, type Engine } from './engine.ts';
import type { Freshness } from './judge.ts';
import type { AccessRequest, Decision } from './request.ts';
import { access, ask, get, meta, now, post, sampleSlice, type LooseSlice } from './testing/sample-slice.ts';

const engineOf = (change?: (slice: LooseSlice) => void): Engine => compileSlice(sampleSlice(change), meta);
const engine = engineOf();
const decide = (request: AccessRequest, freshness: Freshness = 'fresh'): Decision => engine.decide(request, freshness);
const reason = (request: AccessRequest, freshness: Freshness = 'fresh'): string => decide(request, freshness).reason;
const station = { id: 'station-1' };

test('decide: a grant allows and is named with its place, its operation and the bundle', () => {
  assert.deepEqual(decide(ask('plc-modbus', access(3, 0, 100))), {
    allow: true,
    reason: 'granted',
    rule: 'grant:reads',
    place: 'grants/all.yaml:5',
    operation: 'read',
    bundle: meta.digest,
  });
});

test('decide: without a bundle everything is denied', () => {
  assert.deepEqual(noBundleDecision(), {
    allow: false,
    reason: 'no-bundle',
    rule: '',
    place: '',
    operation: '',
    bundle: '',
  });
});

test('decide: what nobody granted is denied, with the reason that helps most', () => {
  const rows: [AccessRequest, string, string][] = [
    [ask('plc-modbus', access(6, 5, 1, [1])), 'no-grant', ''],
    [ask('plc-modbus', access(3, 100)), 'unknown-operation', ''],
    [ask('plc-modbus', get('/')), 'unknown-operation', ''],
    [ask('nowhere', get('/')), 'unknown-interface', ''],
    [ask('web', get('/files/../admin')), 'ambiguous', ''],
    [ask('web', get('/status'), { binding: 'ip' }), 'binding', 'grant:web'],
    [ask('console', { protocol: 'port' }), 'binding', 'grant:console'],
    [ask('plc-modbus', access(6, 10, 1, [7]), {}, { risk: 51 }), 'condition', 'grant:sets'],
    [ask('plc-modbus', access(6, 10, 1, [7]), { attributes: {} }), 'condition', 'grant:sets'],
    [ask('narrow', get('/valves/1')), 'casbin', 'casbin:app'],
    [ask('narrow', get('/pumps/9')), 'casbin', 'casbin:app'],
    [ask('web', get('/status'), { id: '' }), 'no-grant', ''],
    [ask('web', get('/status'), { id: 'nobody-knows' }), 'no-grant', ''],
    [ask('web', get('/status'), { id: '__proto__' }), 'no-grant', ''],
  ];
  for (const [request, expected, rule] of rows) {
    const decision = decide(request);
    assert.equal(decision.reason, expected, JSON.stringify(request.operation));
    assert.equal(decision.rule, rule);
    assert.equal(decision.allow, false);
  }
  assert.equal(decide(ask('narrow', get('/pumps/9'))).place, 'casbin/app/policy.csv:2');
  assert.equal(reason(ask('narrow', get('/pumps/1'))), 'granted');
  assert.equal(reason(ask('console', { protocol: 'port' }, { binding: 'port+mac+ip' })), 'granted');
});

test('decide, step 1: soft expiry closes sensitive operations, hard expiry leaves safety ones alone', () => {
  const sensitive = ask('plc-modbus', access(6, 5, 1, [1]), station);
  assert.equal(reason(sensitive), 'granted');
  assert.equal(reason(sensitive, 'soft-expired'), 'soft-expired');
  assert.equal(reason(sensitive, 'hard-expired'), 'hard-expired');
  const normal = ask('web', get('/status'));
  assert.equal(reason(normal, 'soft-expired'), 'granted');
  assert.equal(reason(normal, 'hard-expired'), 'hard-expired');
  const safety = ask('web', post('/stop'));
  assert.equal(reason(safety, 'hard-expired'), 'granted');
  assert.equal(reason(ask('web', post('/nothing')), 'hard-expired'), 'hard-expired');
});

test('decide, step 1: the dates of the bundle make a stated freshness worse, never better', () => {
  const ages: [number, string][] = [
    [meta.softExpiry - 1, 'fresh'],
    [meta.softExpiry, 'soft-expired'],
    [meta.hardExpiry - 1, 'soft-expired'],
    [meta.hardExpiry, 'hard-expired'],
    [Number.NaN, 'hard-expired'],
  ];
  for (const [time, expected] of ages) assert.equal(freshnessAt(time, meta), expected);
  const late = ask('web', get('/status'), {}, {}, meta.hardExpiry);
  assert.equal(reason(late), 'hard-expired');
  assert.equal(reason(ask('web', get('/status')), 'stale' as Freshness), 'hard-expired');
});

test('decide, step 2: states close classes; what only an order set apart stays open for island mode', () => {
  const safety = access(3, 0);
  const sensitive = access(6, 5, 1, [1]);
  const rows: [AccessRequest['subject']['state'], string, string, string][] = [
    ['trusted', 'granted', 'granted', 'granted'],
    ['stale', 'granted', 'granted', 'state'],
    ['suspect', 'granted', 'granted', 'state'],
    ['enrolled', 'granted', 'granted', 'state'],
    ['recovering', 'granted', 'state', 'state'],
    ['quarantined', 'granted', 'state', 'state'],
    ['expected', 'state', 'state', 'state'],
    ['unknown', 'state', 'state', 'state'],
    ['revoked', 'state', 'state', 'state'],
    ['decommissioned', 'state', 'state', 'state'],
  ];
  for (const [state, forSafety, forNormal, forSensitive] of rows) {
    assert.equal(reason(ask('plc-modbus', safety, { state })), forSafety, state);
    assert.equal(reason(ask('web', get('/status'), { state })), forNormal, state);
    assert.equal(reason(ask('plc-modbus', sensitive, { ...station, state })), forSensitive, state);
  }
});

test('decide, step 2: after recovery of the software class sensitive operations stay closed', () => {
  const sensitive = access(6, 5, 1, [1]);
  assert.equal(reason(ask('plc-modbus', sensitive, station, { reduced: true })), 'state');
  const unclear = { ...station, attributes: { reduced: { value: 'no' } } };
  assert.equal(reason(ask('plc-modbus', sensitive, unclear)), 'state');
  assert.equal(reason(ask('plc-modbus', access(3), {}, { reduced: true })), 'granted');
});

test('decide, step 2: a request that may also be a sensitive operation is treated as one', () => {
  const overlapping = engineOf((slice) => {
    slice.denies = [];
  });
  const file = (path: string, freshness: Freshness): string =>
    overlapping.decide(ask('web', get(path)), freshness).reason;
  assert.equal(file('/files/public', 'soft-expired'), 'granted');
  for (const path of ['/files/secret', '/files/SECRET', '/files/secret/']) {
    assert.equal(file(path, 'fresh'), 'granted');
    assert.equal(file(path, 'soft-expired'), 'soft-expired', path);
  }
});

test('decide, step 2: a normal operation carved out of a sensitive one keeps its class', () => {
  const setPoint = access(6, 12, 1, [7]);
  assert.equal(reason(ask('plc-modbus', setPoint), 'soft-expired'), 'granted');
  assert.equal(reason(ask('plc-modbus', setPoint, { state: 'suspect' })), 'granted');
  assert.equal(reason(ask('plc-modbus', setPoint, station), 'soft-expired'), 'soft-expired', 'through the wide one');
});

test('decide, step 3: a deny beats every grant, and doubt about the operation counts as a match', () => {
  const denied = { reason: 'denied', rule: 'deny:no-secrets', place: 'grants/deny.yaml:3' };
  for (const path of ['/files/secret', '/files/secret/', '/files/Secret', '/files/SECRET?x']) {
    const { reason: found, rule, place } = decide(ask('web', get(path)));
    assert.deepEqual({ reason: found, rule, place }, denied, path);
  }
  assert.equal(reason(ask('web', get('/files/secrets'))), 'granted');
  assert.equal(decide(ask('web', get('/nothing/named'), { id: 'camera-1' })).rule, 'deny:camera-out');
});

test('decide, step 3: a deny of an operation reaches a write that touches one of its registers', () => {
  const guarded = engineOf((slice) => {
    slice.denies.push({
      id: 'no-set',
      subjects: [],
      interface: 'plc-modbus',
      device: 'plc-1',
      operations: ['set-point'],
      place: 'd.yaml:1',
    });
  });
  const write = (address: number, values: number[], unit = 1): string =>
    guarded.decide(ask('plc-modbus', access(16, address, values.length, values, unit), station), 'fresh').reason;
  assert.equal(write(5, [1, 1]), 'granted');
  assert.equal(write(8, [9, 9, 9]), 'denied');
  assert.equal(write(10, [5_000]), 'granted', 'a value the denied operation does not cover');
});

test('decide, step 4: grants that fail do not hide one that opens', () => {
  const two = engineOf((slice) => {
    slice.grants.unshift({ ...slice.grants[0], id: 'first', binding: 'ip', place: 'g.yaml:1' });
    slice.grants.push({ ...slice.grants[0], id: 'ended', until: 1, place: 'g.yaml:2' });
  });
  assert.equal(two.decide(ask('plc-modbus', access(3)), 'fresh').rule, 'grant:reads');
});

test('decide, step 4: the stronger address binding satisfies the weaker, and neither is a certificate', () => {
  const overIp = engineOf((slice) => {
    slice.grants[0] = { ...slice.grants[0], binding: 'ip' };
  });
  for (const binding of ['ip', 'port+mac+ip'] as const) {
    assert.equal(overIp.decide(ask('plc-modbus', access(3), { binding }), 'fresh').reason, 'granted', binding);
  }
  assert.equal(overIp.decide(ask('plc-modbus', access(3), { binding: 'svid' }), 'fresh').reason, 'binding');
  assert.equal(reason(ask('console', { protocol: 'port' }, { binding: 'ip' })), 'binding');
  assert.equal(reason(ask('web', get('/status'), { binding: 'port+mac+ip' })), 'binding');
});

test('decide, step 4: a Casbin model is asked about every register an access touches', () => {
  const narrowed = engineOf((slice) => {
    slice.casbin.push({
      name: 'registers',
      model: slice.casbin[0]?.model ?? '',
      policy:
        'p, gateway-1, :any, x, allow\np, gateway-1, 1/3/:address, read-holding-registers, allow\np, gateway-1, 1/3/7, read-holding-registers, deny\n'.replace(
          ':any',
          '/:any',
        ),
      place: 'casbin/registers/model.conf:1',
    });
    const [plc] = slice.interfaces;
    slice.interfaces[0] = { ...plc, casbin: 'registers' };
  });
  const read = (address: number, quantity: number): string =>
    narrowed.decide(ask('plc-modbus', access(3, address, quantity)), 'fresh').reason;
  assert.equal(read(0, 7), 'granted');
  assert.equal(read(7, 1), 'casbin');
  assert.equal(read(0, 8), 'casbin');
  assert.equal(read(8, 50), 'granted');
});

test('decide: an interface that several devices serve is this device’s own, or the one named', () => {
  const shared = engineOf((slice) => {
    for (const device of ['plc-2', 'plc-3']) {
      slice.interfaces.push(
        { ...slice.interfaces[3], device, name: 'console' },
        { ...slice.interfaces[3], device, name: 'far' },
      );
    }
    slice.grants.push({ ...slice.grants.at(-1), id: 'far', interface: 'far', device: 'plc-2' });
  });
  const open = (name: string, device?: string): string =>
    shared.decide(
      {
        ...ask(name, { protocol: 'port' }, { binding: 'port+mac+ip' }),
        resource: { interface: name, attributes: device === undefined ? {} : { device: { value: device } } },
      },
      'fresh',
    ).reason;
  assert.equal(open('console'), 'granted');
  assert.equal(open('console', 'plc-1'), 'granted');
  assert.equal(open('console', 'plc-2'), 'no-grant');
  assert.equal(open('far'), 'unknown-interface', 'nobody said which');
  assert.equal(open('far', 'plc-2'), 'granted');
  assert.equal(open('far', 'plc-9'), 'unknown-interface');
});

test('decide: an observed interface lets through and says what it would have denied, until its end', () => {
  const decision = decide(ask('trial', get('/x')));
  assert.deepEqual([decision.allow, decision.reason, decision.observed], [true, 'granted', 'no-grant']);
  for (const state of ['unknown', 'expected', 'suspect'] as const) {
    assert.equal(decide(ask('trial', get('/x'), { state })).allow, true, state);
  }
  assert.equal(decide(ask('trial', post('/x/../y'))).observed, 'ambiguous');
  assert.equal(decide(ask('trial', get('/x'), {}, {}, now + 3_600_000)).allow, false);
});

test('decide: observing softens neither an order against the subject, nor hard expiry, nor a fault', () => {
  for (const state of ['quarantined', 'recovering', 'revoked', 'decommissioned'] as const) {
    assert.equal(decide(ask('trial', get('/x'), { state })).allow, false, state);
  }
  assert.equal(decide(ask('trial', get('/x')), 'hard-expired').allow, false);
  const broken = { ...ask('trial', get('/x')), operation: { protocol: 'http', method: 'GET', path: 7 } };
  assert.equal(decide(broken as unknown as AccessRequest).reason, 'fault');
});

test('explain: the same decision, and the chain that led to it', () => {
  const { decision, steps } = engine.explain(ask('narrow', get('/pumps/9')));
  assert.deepEqual(decision, decide(ask('narrow', get('/pumps/9'))));
  assert.deepEqual(
    steps.map(({ step, outcome, rule }) => [step, outcome, rule]),
    [
      ['bundle', 'fresh', ''],
      ['interface', 'narrow of plc-1', ''],
      ['operation', 'all', ''],
      ['state', 'all (normal) for trusted, fresh: passes', ''],
      ['grant', 'opens it', 'grant:narrow'],
      ['casbin', 'denied: gateway-1, /pumps/9, GET', 'casbin:app'],
    ],
  );
  assert.equal(engine.explain({} as AccessRequest).decision.reason, 'fault');
});

test('a state explains a denial to who holds a grant; who holds none hears that', () => {
  const sensitive = access(6, 5, 1, [1]);
  for (const state of ['stale', 'suspect', 'recovering', 'quarantined'] as const) {
    assert.equal(reason(ask('plc-modbus', sensitive, { ...station, state })), 'state', state);
    assert.equal(reason(ask('plc-modbus', sensitive, { ...station, id: 'without-grant', state })), 'no-grant', state);
  }
});

test('asked about one grant alone, another that opens the same does not count; denies and states do', () => {
  const slice = sampleSlice((loose) => {
    const web = loose.grants.find((grant) => 'interface' in grant && grant.interface === 'web');
    const files = { ...web, subjects: ['gateway-1'], operations: ['files'], binding: 'svid' };
    Object.assign(loose, {
      denies: [],
      grants: [
        { ...files, id: 'calm', conditions: { maxRisk: 10 } },
        { ...files, id: 'any', conditions: {} },
      ],
    });
  });
  const engine = compileSlice(slice, meta);
  const risky = ask('web', get('/files/a'), {}, { risk: 90 });
  assert.equal(engine.decide(risky, 'fresh').allow, true);
  const alone = (grant: string, request = risky) => engine.decideAlone(grant, request, 'fresh').reason;
  assert.deepEqual([alone('calm'), alone('any'), alone('none')], ['condition', 'granted', 'no-grant']);
  assert.equal(alone('any', ask('web', get('/files/a'), { state: 'revoked' })), 'state');
  assert.equal(alone('calm', ask('web', get('/files/a'))), 'granted');
  assert.equal(engine.decideAlone('any', risky, 'hard-expired').reason, 'hard-expired');
});
