// Limits and obligations of grants in a decision: asked last, taken only by an allow, never by an explanation.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Slice } from '../bundle/slice.ts';
import { compileSlice } from './engine.ts';
import { requireFulfilment } from './obligations.ts';
import type { Decision } from './request.ts';
import { freshness, request, slice } from './testing/random-policy.ts';
import { ask, get, meta, now, post, sampleSlice, type LooseSlice } from './testing/sample-slice.ts';
import { noUsage, type Usage, type UseAnswer, type UseLimit } from './usage.ts';
import { createUseCounts, simulatedUsage } from './usage-counts.ts';

const change = (loose: LooseSlice, id: string, more: object): void => {
  loose.grants = loose.grants.map((grant) => ('id' in grant && grant.id === id ? { ...grant, ...more } : grant));
};
const limited = (more: object, also: (loose: LooseSlice) => void = () => undefined) =>
  compileSlice(
    sampleSlice((loose) => {
      change(loose, 'web', more);
      also(loose);
    }),
    meta,
  );
const status = ask('web', get('/status'));
const reasons = (...decisions: Decision[]): string[] => decisions.map((it) => it.condition ?? it.reason);

/** What was asked of it. */
function watched(answer: UseAnswer = 'taken'): Usage & { taken: string[]; looked: string[] } {
  const taken: string[] = [];
  const looked: string[] = [];
  const keyOf = ({ rate, uses }: UseLimit): string => [rate?.key, uses?.key].join(' ');
  return {
    taken,
    looked,
    take: (limit, subject) => (taken.push(`${keyOf(limit)} ${subject}`), answer),
    look: (limit, subject) => (looked.push(`${keyOf(limit)} ${subject}`), answer),
  };
}

test('a rate and a number of uses deny with the condition that was reached', () => {
  const engine = limited({ rate: { count: 2, perSeconds: 60 }, uses: 3 });
  const usage = simulatedUsage();
  const at = (time: number): Decision => engine.decide(ask('web', get('/status'), {}, {}, time), 'fresh', usage);
  assert.deepEqual(reasons(at(now), at(now), at(now)), ['granted', 'granted', 'rate 2 in 60 s']);
  assert.deepEqual(reasons(at(now + 60_000), at(now + 120_000)), ['granted', 'uses 3']);
  const last = at(now + 120_000);
  assert.deepEqual([last.allow, last.reason, last.rule], [false, 'condition', 'grant:web']);
});

test('counts that cannot be kept deny; who does not count at all is asked as if nothing was used', () => {
  const engine = limited({ uses: 1 });
  assert.deepEqual(reasons(engine.decide(status, 'fresh', noUsage)), ['uses cannot be counted']);
  assert.deepEqual(reasons(engine.decide(status, 'fresh'), engine.decide(status, 'fresh')), ['granted', 'granted']);
  const broken = { ...noUsage, take: () => assert.fail('a broken count') };
  assert.deepEqual(reasons(engine.decide(status, 'fresh', broken)), ['fault']);
});

test('what something else denies, or another grant opens, takes nothing', () => {
  const usage = watched();
  const engine = limited({ uses: 1, conditions: { maxRisk: 10 } }, (loose) => {
    loose.grants.push({ ...loose.grants[3], id: 'free', operations: ['files'], uses: undefined });
  });
  assert.equal(engine.decide(ask('web', get('/status'), {}, { risk: 11 }), 'fresh', usage).allow, false);
  assert.equal(engine.decide(ask('web', get('/nothing')), 'fresh', usage).allow, false);
  assert.equal(engine.decide(ask('web', get('/status'), { state: 'revoked' }), 'fresh', usage).allow, false);
  assert.equal(engine.decide(ask('web', get('/status'), { binding: 'ip' }), 'fresh', usage).allow, false);
  const files = engine.decide(ask('web', get('/files/a')), 'fresh', usage);
  assert.deepEqual([files.rule, files.allow], ['grant:free', true]);
  assert.deepEqual(usage.taken, []);
  assert.equal(engine.decide(status, 'fresh', usage).allow, true);
  assert.deepEqual(usage.taken, [' web@plc-1/uses:1 gateway-1']);
});

test('a Casbin model that refuses takes nothing', () => {
  const usage = watched();
  const engine = compileSlice(
    sampleSlice((loose) => change(loose, 'narrow', { uses: 1 })),
    meta,
  );
  assert.equal(engine.decide(ask('narrow', get('/pumps/9')), 'fresh', usage).reason, 'casbin');
  assert.deepEqual(usage.taken, []);
  assert.equal(engine.decide(ask('narrow', get('/pumps/1')), 'fresh', usage).allow, true);
  assert.equal(usage.taken.length, 1);
});

test('of several limited grants the next one is asked when the first is used up', () => {
  const engine = limited({ uses: 1 }, (loose) => {
    loose.grants.push({ ...loose.grants[3], id: 'second', operations: ['status'], uses: 1 });
  });
  const usage = simulatedUsage();
  const decided = [1, 2, 3].map(() => engine.decide(status, 'fresh', usage));
  assert.deepEqual(
    decided.map(({ rule, allow }) => [rule, allow]),
    [
      ['grant:web', true],
      ['grant:second', true],
      ['grant:web', false],
    ],
  );
});

test('neither an explanation nor the self-test takes anything', () => {
  const engine = limited({ uses: 1 }, (loose) => {
    loose.selfTest.push({
      subject: 'gateway-1',
      binding: 'svid',
      state: 'trusted',
      attestation: 'software',
      interface: 'web',
      device: 'plc-1',
      operation: get('/status'),
      expect: 'allow',
    });
  });
  const usage = watched();
  assert.equal(engine.explain(status, 'fresh', usage).decision.allow, true);
  assert.deepEqual([usage.taken.length, usage.looked.length], [0, 1]);
  assert.equal(engine.selfTest().passed, 1);
  assert.equal(engine.selfTest().passed, 1);
  const reached = engine.explain(status, 'fresh', watched('uses'));
  assert.ok(reached.steps.some(({ outcome, rule }) => outcome === 'uses 1: fails' && rule === 'grant:web'));
});

test('the count belongs to grant, device and limit, whatever else the next bundle changes', () => {
  const counts = createUseCounts();
  const before = limited({ uses: 1 });
  const after = limited({ uses: 1, conditions: { maxRisk: 90 }, until: now + 1_000 });
  const other = limited({ uses: 2 });
  assert.deepEqual(
    [before, after, other, other, other].map((engine) => engine.decide(status, 'fresh', counts).allow),
    [true, false, true, true, false],
  );
});

test('a plain port keeps no limit and no obligation, so a bundle that has one does not compile', () => {
  for (const more of [{ uses: 1 }, { rate: { count: 1, perSeconds: 1 } }, { obligations: [{ id: 'log' }] }]) {
    assert.throws(
      () =>
        compileSlice(
          sampleSlice((loose) => change(loose, 'console', more)),
          meta,
        ),
      {
        code: 'ENGINE_SLICE_INVALID',
        message: new RegExp(`console has ${Object.keys(more)[0]}, which nobody can keep on a plain port`),
      },
    );
  }
});

test('an allow carries its obligations; what cannot fulfil one of them denies', () => {
  const obligations = [{ id: 'log' }, { id: 'custom', name: 'badge' }];
  const decision = limited({ obligations }).decide(status, 'fresh');
  assert.deepEqual([decision.allow, decision.obligations], [true, obligations]);
  const all = { ids: ['log' as const], custom: ['badge'] };
  assert.equal(requireFulfilment(decision, all), decision);
  const unmet = requireFulfilment(decision, { ids: ['log'], custom: ['other'] });
  assert.deepEqual([unmet.allow, unmet.reason, unmet.condition], [false, 'obligation', 'obligation custom:badge']);
  assert.equal(unmet.obligations, undefined);
  assert.equal(requireFulfilment(decision, { ids: [], custom: ['badge'] }).condition, 'obligation log');
  const free = limited({}).decide(status, 'fresh');
  assert.equal(requireFulfilment(free, { ids: [], custom: [] }), free);
  const denied = limited({ obligations }).decide(ask('web', post('/x')), 'fresh');
  assert.deepEqual([denied.obligations, requireFulfilment(denied, all)], [undefined, denied]);
});

test('a grant without obligations opens before one with them', () => {
  const engine = limited({ obligations: [{ id: 'step-up', level: 'mfa' }] }, (loose) => {
    loose.grants.push({ ...loose.grants[3], id: 'free', operations: ['files'], obligations: undefined });
  });
  const files = engine.decide(ask('web', get('/files/a')), 'fresh');
  assert.deepEqual([files.rule, files.obligations], ['grant:free', undefined]);
  assert.equal(engine.decide(status, 'fresh').obligations?.length, 1);
});

test('property: a limit on a grant never adds an allow, and never lets more through than it says', () => {
  const requests = fc.array(request, { minLength: 40, maxLength: 40 });
  let counted = 0;
  fc.assert(
    fc.property(slice, fc.integer({ min: 1, max: 2 }), requests, freshness, (policy, uses, all, age) => {
      const portless = { ...policy, grants: policy.grants.filter((grant) => grant.interface !== 'socket') };
      const limits: Slice = { ...portless, grants: portless.grants.map((grant) => ({ ...grant, uses })) };
      const [free, engine] = [compileSlice(portless, meta), compileSlice(limits, meta)];
      const usage = simulatedUsage();
      const allowed = new Map<string, number>();
      for (const one of [...all, ...all]) {
        const decision = engine.decide(one, age, usage);
        if (!decision.allow) continue;
        assert.equal(free.decide(one, age).allow, true);
        const key = `${decision.rule} ${one.subject.id}`;
        allowed.set(key, (allowed.get(key) ?? 0) + 1);
        counted++;
      }
      // Grants of the same id share their count.
      for (const [key, count] of allowed) assert.ok(count <= uses, `${key}: ${count}`);
    }),
    { numRuns: 300 },
  );
  assert.ok(counted > 20, String(counted));
});
