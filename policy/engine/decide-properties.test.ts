// What holds for every policy and every request.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compileSlice } from './engine.ts';
import type { AccessRequest, Decision, SubjectState } from './request.ts';
import { stateTable } from './state-table.ts';
import { deny, freshness, grant, request, slice, state } from './testing/random-policy.ts';
import { ask, get, meta, sampleSlice } from './testing/sample-slice.ts';

const requests = fc.array(request, { minLength: 12, maxLength: 12 });
const runs = { numRuns: 500 };

const withState = (asked: AccessRequest, stateNow: SubjectState): AccessRequest => ({
  ...asked,
  subject: { ...asked.subject, state: stateNow },
});

test('property: the generator allows and denies enough for the others to mean something', () => {
  let allowed = 0;
  let asked = 0;
  fc.assert(
    fc.property(slice, requests, (policy, all) => {
      const engine = compileSlice(policy, meta);
      for (const one of all) {
        asked++;
        if (engine.decide(one, 'fresh').allow) allowed++;
      }
    }),
    { ...runs, seed: 5 },
  );
  assert.ok(allowed > asked * 0.05, `${allowed} of ${asked}`);
});

test('property: every decision is complete, and allows only with the grant that did', () => {
  fc.assert(
    fc.property(slice, requests, freshness, (policy, all, age) => {
      const engine = compileSlice(policy, meta);
      for (const one of all) {
        const decision = engine.decide(one, age);
        assert.equal(decision.allow, decision.reason === 'granted');
        assert.equal(decision.bundle, meta.digest);
        assert.notEqual(decision.reason, 'fault');
        if (!decision.allow) continue;
        const granting = policy.grants.filter((entry) => `grant:${entry.id}` === decision.rule);
        assert.ok(
          granting.some(
            (entry) =>
              entry.subjects.includes(one.subject.id) &&
              entry.operations.includes(decision.operation) &&
              entry.interface === one.resource.interface &&
              (entry.binding === one.subject.binding ||
                (entry.binding === 'ip' && one.subject.binding === 'port+mac+ip')),
          ),
        );
      }
    }),
    runs,
  );
});

test('property: adding a deny never adds an allow', () => {
  fc.assert(
    fc.property(slice, deny, requests, freshness, (policy, added, all, age) => {
      const before = compileSlice(policy, meta);
      const after = compileSlice({ ...policy, denies: [...policy.denies, added] }, meta);
      for (const one of all) assert.ok(!after.decide(one, age).allow || before.decide(one, age).allow);
    }),
    runs,
  );
});

test('property: a matching deny denies, in whatever order rules stand', () => {
  fc.assert(
    fc.property(slice, deny, requests, (policy, added, all) => {
      const { conditions: _, ...always } = added;
      const everything = { ...always, subjects: [], operations: [] };
      const engine = compileSlice({ ...policy, denies: [...policy.denies, everything] }, meta);
      for (const one of all) {
        if (one.resource.interface === added.interface) assert.equal(engine.decide(one, 'fresh').allow, false);
      }
    }),
    runs,
  );
});

test('property: removing a grant never adds an allow, adding one never removes any', () => {
  fc.assert(
    fc.property(slice, grant, fc.nat(), requests, freshness, (policy, added, index, all, age) => {
      const base = compileSlice(policy, meta);
      const less = compileSlice(
        { ...policy, grants: policy.grants.filter((_, at) => at !== index % policy.grants.length) },
        meta,
      );
      const more = compileSlice({ ...policy, grants: [added, ...policy.grants] }, meta);
      for (const one of all) {
        const { allow } = base.decide(one, age);
        assert.ok(allow || !less.decide(one, age).allow);
        assert.ok(!allow || more.decide(one, age).allow);
      }
    }),
    runs,
  );
});

test('property: a quarantined subject gets island operations only, a shut out one nothing', () => {
  fc.assert(
    fc.property(slice, requests, freshness, state, (policy, all, age, stateNow) => {
      const engine = compileSlice(policy, meta);
      for (const one of all) {
        const decision = engine.decide(withState(one, stateNow), age);
        if (!decision.allow) continue;
        const entry = policy.interfaces.find(({ name }) => name === one.resource.interface);
        const used = entry?.operations.find(({ name }) => name === decision.operation);
        if (stateNow === 'quarantined') assert.equal(used?.island, true);
        assert.ok(used !== undefined && stateTable[stateNow][used.class] !== 'no');
      }
    }),
    runs,
  );
});

test('property: no worse state and no older bundle ever opens anything', () => {
  const order: SubjectState[] = ['trusted', 'stale', 'suspect', 'recovering', 'quarantined', 'revoked'];
  const ages = ['fresh', 'soft-expired', 'hard-expired'] as const;
  fc.assert(
    fc.property(slice, requests, (policy, all) => {
      const engine = compileSlice(policy, meta);
      for (const one of all) {
        // A subject whose class is `none` gains nothing by a state that counts it as none.
        if (one.subject.attributes['attestation']?.value === 'none') continue;
        if (policy.grants.some(({ conditions }) => conditions.attestation?.includes('none'))) continue;
        const byState = order.map((worse) => engine.decide(withState(one, worse), 'fresh').allow);
        const byAge = ages.map((older) => engine.decide(one, older).allow);
        for (const answers of [byState, byAge]) {
          const firstDeny = answers.indexOf(false);
          assert.ok(firstDeny === -1 || !answers.slice(firstDeny).includes(true), answers.join());
        }
      }
    }),
    runs,
  );
});

test('property: explain decides as decide does', () => {
  fc.assert(
    fc.property(slice, requests, freshness, (policy, all, age) => {
      const engine = compileSlice(policy, meta);
      for (const one of all) assert.deepEqual(engine.explain(one, age).decision, engine.decide(one, age));
    }),
    runs,
  );
});

test('property: whatever is asked, decide answers; what is no request at all is denied', () => {
  const engine = compileSlice(sampleSlice(), meta);
  const sample = ask('web', get('/status'));
  const answers = (asked: unknown): Decision => {
    const decision = engine.decide(asked as AccessRequest, 'fresh');
    assert.equal(engine.explain(asked as AccessRequest).decision.allow, decision.allow);
    return decision;
  };
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, maxDepth: 4 }), (asked) => {
      assert.equal(answers(asked).allow, false);
    }),
    { numRuns: 1_000 },
  );
  const place = fc.constantFrom(
    ['subject'],
    ['subject', 'id'],
    ['subject', 'state'],
    ['subject', 'attributes'],
    ['operation'],
    ['operation', 'path'],
    ['operation', 'method'],
    ['operation', 'protocol'],
    ['resource'],
    ['resource', 'interface'],
    ['resource', 'attributes'],
    ['context'],
    ['context', 'time'],
  );
  fc.assert(
    fc.property(place, fc.anything({ withNullPrototype: true, maxDepth: 2 }), (path, value) => {
      const broken = structuredClone(sample) as unknown as Record<string, unknown>;
      const last = path.at(-1) ?? '';
      const holder = path.length === 1 ? broken : (broken[path[0] ?? ''] as Record<string, unknown>);
      holder[last] = value;
      answers(broken);
    }),
    { numRuns: 3_000 },
  );
});

test('property: island mode allows nothing but what is allowed without it, and of that safety and what is marked', () => {
  let cut = 0;
  fc.assert(
    fc.property(slice, requests, freshness, (policy, all, age) => {
      const engine = compileSlice(policy, meta);
      for (const one of all) {
        const without = engine.decide(one, age);
        const within = engine.decide({ ...one, context: { ...one.context, island: true } }, age);
        if (within.allow) {
          assert.ok(without.allow, 'it opens nothing');
          const entry = policy.interfaces.find((each) => each.name === one.resource.interface);
          const operation = entry?.operations.find((each) => each.name === within.operation);
          assert.ok(operation?.island === true || operation?.class === 'safety');
          assert.equal(within.observed, undefined, 'observe mode does not soften it');
        }
        if (within.reason === 'island') cut++;
        if (within.reason === 'island') assert.notEqual(without.reason, 'state');
      }
    }),
    runs,
  );
  assert.ok(cut > 0);
});
