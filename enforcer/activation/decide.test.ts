// The question of every enforcement point meets the engine in force at the freshness of its bundle.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessRequest, Opening } from '../../policy/engine/index.ts';
import { chunkServer, edge, hour, seal, slice, start } from '../../test/activation/world.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { compileSlice, simulatedUsage } from '../../policy/engine/index.ts';
import { createDecide, createHolds } from './decide.ts';
import type { TrustedTime } from './trusted-clock.ts';

function ask(method: string, path: string, time: number): AccessRequest {
  return {
    subject: {
      id: 'gateway-1',
      binding: 'svid',
      state: 'trusted',
      attributes: { reduced: { value: false, asOf: start } },
    },
    operation: { protocol: 'http', method, path },
    resource: { interface: 'web', attributes: {} },
    context: { time, source: 'authz', connection: '192.0.2.1:4711', attributes: {} },
  };
}

test('without a bundle everything is denied; with one, as fresh as it is', async () => {
  const { activation } = await edge();
  let time: TrustedTime = { now: start, trusted: true };
  const decide = createDecide(
    () => activation.current(),
    () => time,
  );
  assert.deepEqual(
    [decide(ask('GET', '/status', start)).allow, decide(ask('GET', '/status', start)).reason],
    [false, 'no-bundle'],
  );
  const bundle = await seal(1);
  await activation.offer(bundle.manifestJws, chunkServer(bundle).fetch);
  assert.equal(decide(ask('GET', '/status', start)).allow, true);
  assert.equal(decide(ask('GET', '/status', start)).bundle, bundle.digest);
  assert.equal(decide(ask('POST', '/status', start)).allow, false);
  time = { now: start + 169 * hour, trusted: true };
  assert.equal(decide(ask('GET', '/status', start)).reason, 'hard-expired');
  assert.equal(decide(ask('POST', '/stop', start)).allow, true, 'safety stays');
});

test('an enforcement point that counts nothing and fulfils nothing is denied what needs either', async () => {
  const { activation } = await edge();
  const bundle = await seal(1);
  await activation.offer(bundle.manifestJws, chunkServer(bundle).fetch);
  const active = activation.current();
  assert.ok(active);
  const having = (more: Partial<Slice['grants'][number]>): ReturnType<typeof createDecide> => {
    const { slice } = active.bundle;
    const changed = { ...slice, grants: slice.grants.map((grant) => ({ ...grant, ...more })) };
    const meta = { digest: '', softExpiry: start + 24 * hour, hardExpiry: start + 48 * hour };
    const engine = compileSlice(changed, meta);
    return createDecide(
      () => ({ ...active, engine }),
      () => ({ now: start, trusted: true }),
    );
  };
  const request = ask('GET', '/status', start);
  const able = { usage: simulatedUsage(), fulfilment: { ids: ['log' as const], custom: [] } };
  const rows: [Parameters<typeof having>[0], string, string][] = [
    [{}, 'granted', 'granted'],
    [{ uses: 1 }, 'condition', 'granted'],
    [{ rate: { count: 1, perSeconds: 60 } }, 'condition', 'granted'],
    [{ obligations: [{ id: 'log' }] }, 'obligation', 'granted'],
    [{ obligations: [{ id: 'notification' }] }, 'obligation', 'obligation'],
  ];
  for (const [more, without, withAbilities] of rows) {
    const decide = having(more);
    assert.equal(decide(request).reason, without, JSON.stringify(more));
    assert.equal(decide(request, able).reason, withAbilities, JSON.stringify(more));
  }
});

test('after a cold boot the local clock opens nothing by a date and ends no deny', async () => {
  const { activation } = await edge();
  const bundle = await seal(1);
  await activation.offer(bundle.manifestJws, chunkServer(bundle).fetch);
  const active = activation.current();
  assert.ok(active);
  const { slice } = active.bundle;
  const meta = { digest: '', softExpiry: start + 240 * hour, hardExpiry: start + 480 * hour };
  const reasonOf = (change: Partial<Slice>, time: TrustedTime): string => {
    const engine = compileSlice({ ...slice, ...change }, meta);
    const decide = createDecide(
      () => ({ ...active, engine }),
      () => time,
    );
    return decide(ask('GET', '/status', time.now)).reason;
  };
  const dated = (more: Partial<Slice['grants'][number]>): Partial<Slice> => ({
    grants: slice.grants.map((grant) => ({ ...grant, ...more })),
  });
  const [web] = slice.interfaces;
  assert.ok(web);
  const freeze = { id: 'freeze', subjects: [], interface: web.name, device: web.device, operations: [], place: 'd:1' };
  const ahead: TrustedTime = { now: start + 48 * hour, trusted: false, floor: start + hour };
  const surely: TrustedTime = { now: start + 48 * hour, trusted: true };
  const rows: [Partial<Slice>, string, string][] = [
    [{}, 'granted', 'granted'],
    [{ denies: [{ ...freeze, until: start + 24 * hour }] }, 'denied', 'granted'],
    [{ denies: [{ ...freeze, until: start + hour }] }, 'granted', 'granted'],
    [dated({ notBefore: start + 24 * hour }), 'condition', 'granted'],
    [dated({ notBefore: start + hour }), 'granted', 'granted'],
    [dated({ until: start + 72 * hour }), 'condition', 'granted'],
  ];
  for (const [change, untrusted, trusted] of rows) {
    assert.equal(reasonOf(change, ahead), untrusted, JSON.stringify(change));
    assert.equal(reasonOf(change, surely), trusted, JSON.stringify(change));
  }
  const { floor: _, ...never } = ahead;
  assert.equal(reasonOf(dated({ notBefore: start }), never), 'condition', 'no signed time was ever heard');
});

test('a grant holds by itself, by trusted dates, and not by observe mode', async () => {
  const { activation } = await edge();
  const bundle = await seal(1);
  await activation.offer(bundle.manifestJws, chunkServer(bundle).fetch);
  const active = activation.current();
  assert.ok(active);
  const { slice } = active.bundle;
  const [first] = slice.grants;
  assert.ok(first);
  const both = [
    { ...first, id: 'calm', conditions: { maxRisk: 10 } },
    { ...first, id: 'dated', until: start + 24 * hour },
  ];
  const holds = (grants: Slice['grants'], grant: string, time: TrustedTime, observeUntil?: number): boolean => {
    const interfaces = slice.interfaces.map((entry) => ({ ...entry, ...(observeUntil && { observeUntil }) }));
    const meta = { digest: '', softExpiry: start + 240 * hour, hardExpiry: start + 480 * hour };
    const engine = compileSlice({ ...slice, grants, ...(observeUntil && { interfaces }) }, meta);
    return createHolds({ ...active, engine }, () => time)(grant, ask('GET', '/status', start));
  };
  const now: TrustedTime = { now: start, trusted: true };
  assert.equal(holds(both, 'dated', now), true);
  assert.equal(holds(both, 'calm', now), false, 'nobody knows the risk');
  assert.equal(holds(both, 'dated', { now: start, trusted: false }), false);
  assert.equal(holds(both, 'calm', now, start + 24 * hour), false, 'observed is not held');
});

test('an obligation that cannot be met here costs no use', async () => {
  const { activation } = await edge();
  const bundle = await seal(1);
  await activation.offer(bundle.manifestJws, chunkServer(bundle).fetch);
  const active = activation.current();
  assert.ok(active);
  const { slice } = active.bundle;
  const grants = slice.grants.map((grant) => ({ ...grant, uses: 1, obligations: [{ id: 'log' as const }] }));
  const engine = compileSlice({ ...slice, grants }, { digest: '', softExpiry: start + hour, hardExpiry: start + hour });
  const decide = createDecide(
    () => ({ ...active, engine }),
    () => ({ now: start, trusted: true }),
  );
  const usage = simulatedUsage();
  const asked = (ids: 'log'[]) => decide(ask('GET', '/status', start), { usage, fulfilment: { ids, custom: [] } });
  assert.equal(asked([]).reason, 'obligation');
  assert.equal(asked(['log']).reason, 'granted');
  assert.equal(asked(['log']).condition, 'uses 1');
});

test('what was asked is heard as the engine heard it, with freshness, floor and whether uses were counted', async () => {
  const { activation } = await edge();
  const bundle = await seal(1);
  await activation.offer(bundle.manifestJws, chunkServer(bundle).fetch);
  const active = activation.current();
  assert.ok(active);
  const { slice } = active.bundle;
  const heardBy = (grants: Slice['grants'], time: TrustedTime): unknown => {
    const engine = compileSlice({ ...slice, grants }, { digest: '', softExpiry: Infinity, hardExpiry: Infinity });
    const decide = createDecide(
      () => ({ ...active, engine }),
      () => time,
    );
    let found: unknown;
    const request = ask('GET', '/status', start);
    decide(request, {
      usage: simulatedUsage(),
      fulfilment: { ids: [], custom: [] },
      heard: (asked, limited) => {
        found = [asked.request.context.timeFloor, asked.freshness, limited];
      },
    });
    return found;
  };
  assert.deepEqual(heardBy(slice.grants, { now: start, trusted: true }), [undefined, 'fresh', false]);
  const limited = slice.grants.map((grant) => ({ ...grant, uses: 1 }));
  assert.deepEqual(heardBy(limited, { now: start, trusted: false, floor: 7 }), [7, 'soft-expired', true]);
});

test('what people opened is asked about what is denied otherwise, takes no use, and is denied to a point that cannot record it', async () => {
  const { activation } = await edge();
  const bundle = await seal(1);
  await activation.offer(bundle.manifestJws, chunkServer(bundle).fetch);
  let asked = 0;
  const opening: Opening = {
    rule: 'break-glass:p/1',
    place: '',
    subject: 'gateway-1',
    binding: 'svid',
    interface: 'web',
    device: 'plc-1',
    operations: ['stop'],
    afterHardExpiry: false,
  };
  let state: AccessRequest['subject']['state'] = 'trusted';
  const decide = createDecide(
    () => activation.current(),
    () => ({ now: start, trusted: true }),
    () => (asked++, [{ ...opening, operations: ['read'] }, opening]),
  );
  const stop = () => ({ ...ask('POST', '/stop', start), subject: { ...ask('', '', start).subject, state } });
  const other = () => ({ ...stop(), subject: { ...stop().subject, binding: 'ip' as const } });
  const loud = { usage: simulatedUsage(), fulfilment: { ids: ['log', 'notification'] as const, custom: [] } };
  assert.equal(decide(stop(), loud).rule, 'grant:gateway-reads');
  assert.equal(asked, 0, 'a grant opens it');
  assert.equal(decide(other(), loud).reason, 'binding');
  assert.equal(decide(ask('PUT', '/stop', start), loud).reason, 'unknown-operation');
  const closed = { ...bundle, slice: { ...slice('x'), grants: [] } };
  const engine = compileSlice(closed.slice, { digest: 'ab', softExpiry: start + hour, hardExpiry: start + 2 * hour });
  const heard: boolean[] = [];
  const alone = createDecide(
    () => ({ engine, bundle: activation.current()?.bundle }) as ReturnType<typeof activation.current>,
    () => ({ now: start, trusted: true }),
    () => [opening],
  );
  const opened = alone(stop(), { ...loud, heard: (_asked, limited) => void heard.push(limited) });
  assert.deepEqual([opened.allow, opened.rule, heard], [true, 'break-glass:p/1', [true]]);
  assert.equal(alone(stop()).allow, false, 'a point that records nothing');
  assert.equal(alone(stop(), { ...loud, fulfilment: { ids: ['notification'], custom: [] } }).allow, false);
  state = 'revoked';
  assert.deepEqual([alone(stop(), loud).allow, alone(stop(), loud).reason], [false, 'state']);
});
