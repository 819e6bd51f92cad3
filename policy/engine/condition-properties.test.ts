// What holds for the conditions of every policy: they only ever narrow a grant, and what cannot be known never opens.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Slice } from '../bundle/slice.ts';
import { compileSlice } from './engine.ts';
import type { AccessRequest, Attribute } from './request.ts';
import { conditions, deny, denyConditions, freshness, request, slice } from './testing/random-policy.ts';
import { meta } from './testing/sample-slice.ts';

const requests = fc.array(request, { minLength: 12, maxLength: 12 });
const runs = { numRuns: 500 };

type Source = 'subject' | 'resource' | 'context';
const sources: readonly Source[] = ['subject', 'resource', 'context'];

/** Each attribute of the request in turn, made what the function says; left out for undefined. */
function* spoilt(asked: AccessRequest, spoil: (known: Attribute) => Attribute | undefined): Generator<AccessRequest> {
  for (const source of sources) {
    for (const [name, known] of Object.entries(asked[source].attributes)) {
      // A missing `reduced` is not a doubt: most subjects were never reduced.
      if (name === 'reduced') continue;
      const { [name]: _, ...others } = asked[source].attributes;
      const worse = spoil(known);
      const attributes = worse === undefined ? others : { ...others, [name]: worse };
      yield { ...asked, [source]: { ...asked[source], attributes } };
    }
  }
}

const spoilings: Record<string, (known: Attribute) => Attribute | undefined> = {
  missing: () => undefined,
  undefined: (known) => ({ ...known, value: undefined }) as unknown as Attribute,
  'from the future': (known) => ({ ...known, asOf: Number.MAX_SAFE_INTEGER }),
  undated: (known) => ({ value: known.value }),
  stale: (known) => ({ ...known, asOf: 0 }),
  mistyped: (known) => ({ ...known, value: { toString: () => 'a' } }) as unknown as Attribute,
};

for (const [name, spoil] of Object.entries(spoilings)) {
  test(`property: an attribute made ${name} never adds an allow`, () => {
    let lost = 0;
    fc.assert(
      fc.property(slice, requests, freshness, (policy, all, age) => {
        const engine = compileSlice(policy, meta);
        for (const one of all) {
          const before = engine.decide(one, age).allow;
          for (const worse of spoilt(one, spoil)) {
            const after = engine.decide(worse, age).allow;
            assert.ok(before || !after);
            if (before && !after) lost++;
          }
        }
      }),
      { numRuns: 2_000, seed: 7 },
    );
    // Only what has a maximum age needs a date.
    assert.ok(lost > 5, `${lost} allows were lost`);
  });
}

test('property: a condition more on a grant never adds an allow', () => {
  fc.assert(
    fc.property(slice, conditions, fc.nat(), requests, freshness, (policy, more, index, all, age) => {
      const chosen = index % policy.grants.length;
      const merge = (grant: Slice['grants'][number], at: number): Slice['grants'][number] =>
        at === chosen ? { ...grant, conditions: { ...more, ...grant.conditions } } : grant;
      const before = compileSlice(policy, meta);
      const after = compileSlice({ ...policy, grants: policy.grants.map(merge) }, meta);
      for (const one of all) assert.ok(before.decide(one, age).allow || !after.decide(one, age).allow);
    }),
    runs,
  );
});

test('property: a deny whose conditions cannot be known denies as one without', () => {
  fc.assert(
    fc.property(slice, deny, denyConditions, requests, freshness, (policy, added, guards, all, age) => {
      const { timeWindow: _, weekdays: __, ...knowable } = guards;
      const { conditions: ___, ...always } = added;
      const engines = [always, { ...always, conditions: knowable }].map((entry) =>
        compileSlice({ ...policy, denies: [...policy.denies, entry] }, meta),
      );
      for (const one of all) {
        const nothing = { ...one, subject: { ...one.subject, attributes: {} } };
        const bare = {
          ...nothing,
          resource: { ...one.resource, attributes: {} },
          context: { ...one.context, attributes: {} },
        };
        const [without, guarded] = engines.map((engine) => engine.decide(bare, age).allow);
        assert.equal(guarded, without);
      }
    }),
    runs,
  );
});

test('property: a deny with conditions lies between none and one that always matches', () => {
  let spared = 0;
  fc.assert(
    fc.property(slice, deny, requests, freshness, (policy, added, all, age) => {
      const { conditions: _, ...always } = added;
      const engineWith = (denies: Slice['denies']) =>
        compileSlice({ ...policy, denies: [...policy.denies, ...denies] }, meta);
      const [none, guarded, full] = [engineWith([]), engineWith([added]), engineWith([always])];
      for (const one of all) {
        const answers = [none, guarded, full].map((engine) => engine.decide(one, age).allow);
        assert.ok(!answers[1] || answers[0], 'a deny added an allow');
        assert.ok(!answers[2] || answers[1], 'a condition made a deny wider');
        if (answers[1] === true && answers[2] === false) spared++;
      }
    }),
    { ...runs, seed: 3 },
  );
  assert.ok(spared > 5, `${spared} were spared`);
});
