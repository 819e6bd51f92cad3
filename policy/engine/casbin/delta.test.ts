// A delta gives the model that a full compile of the changed policy gives, and leaves the one it came from as it was.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CodedError } from '../../../runtime/errors.ts';
import { type CasbinModel, compileCasbin } from './casbin-model.ts';
import { recompileCasbin } from './recompile.ts';
import { seededRandom } from '../../../store/simulated-files.ts';

const effects = {
  both: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
  allow: 'some(where (p.eft == allow))',
  deny: '!some(where (p.eft == deny))',
  priority: 'priority(p.eft) || deny',
};

const modelOf = (effect: keyof typeof effects): string => `[request_definition]
r = sub, dom, obj, act, ip
[policy_definition]
p = ${effect === 'priority' ? 'priority, ' : ''}sub, dom, obj, act, net, eft
[role_definition]
g = _, _, _
[policy_effect]
e = ${effects[effect]}
[matchers]
m = (g(r.sub, p.sub, r.dom) || p.sub == "*") && r.dom == p.dom && keyMatch2(r.obj, p.obj) && r.act == p.act && ipMatch(r.ip, p.net)
`;

const names = ['alice', 'bob', 'carol', 'ops', 'admin', '*'];
const domains = ['north', 'south'];
const paths = ['/a', '/a/b', '/a/:x', '/:x/b', '/a/*', '/a/b/c', '/a/:x/c', '/*', '/v1.0/:x'];
const nets = ['10.0.0.0/8', '10.1.0.0/16', '0.0.0.0/0', '10.1.2.3'];

const pick = fc.constantFrom;
const link = fc
  .tuple(pick(...names.slice(0, 5)), pick(...names.slice(0, 5)), pick(...domains))
  .map((row) => `g, ${row.join(', ')}`);
const line = (effect: keyof typeof effects): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.integer({ min: -2, max: 2 }),
      pick(...names),
      pick(...domains),
      pick(...paths),
      pick('read', 'write'),
      pick(...nets),
      pick('allow', 'allow', 'deny'),
    )
    .map(([priority, ...row]) => `p, ${effect === 'priority' ? `${priority}, ` : ''}${row.join(', ')}`);
const request = fc.tuple(
  pick(...names.slice(0, 5), 'stranger'),
  pick(...domains, 'west'),
  pick('/a', '/a/b', '/a/x', '/x/b', '/a/b/c', '/a/q/c', '/v1.0/z', '/v1x0/z', '/a/'),
  pick('read', 'write'),
  pick('10.1.2.3', '10.2.0.1', '192.168.0.1', '::1'),
);

const compile = (effect: keyof typeof effects, policy: readonly string[]): CasbinModel =>
  compileCasbin({
    model: modelOf(effect),
    policy: policy.join('\n'),
    modelFile: 'model.conf',
    policyFile: 'policy.csv',
  });

const rules = (effect: keyof typeof effects): fc.Arbitrary<string[]> =>
  fc.array(fc.oneof({ arbitrary: line(effect), weight: 4 }, link), { maxLength: 14 });

test('property: a chain of deltas answers as a full compile, and no earlier model has changed', () => {
  let allowed = 0;
  fc.assert(
    fc.property(
      pick<keyof typeof effects>('both', 'allow', 'deny', 'priority').chain((effect) =>
        fc.record({
          effect: fc.constant(effect),
          start: rules(effect),
          steps: fc.array(fc.record({ remove: fc.array(fc.nat(), { maxLength: 4 }), add: rules(effect) }), {
            minLength: 1,
            maxLength: 4,
          }),
          requests: fc.array(request, { minLength: 12, maxLength: 12 }),
        }),
      ),
      ({ effect, start, steps, requests }) => {
        let policy = start;
        let model = compile(effect, policy);
        const history: { model: CasbinModel; answers: boolean[] }[] = [];
        for (const { remove, add } of steps) {
          history.push({ model, answers: requests.map((values) => model.enforce(values).allow) });
          const gone = [...new Set(remove.map((at) => at % Math.max(1, policy.length)))].filter(
            (at) => at < policy.length,
          );
          // Of equal lines any one may go: the model does not say which.
          model = model.with({
            remove: gone.map((at) => policy[at] ?? ''),
            add: add.map((text, at) => ({ text, line: at + 1 })),
          });
          policy = [
            ...withoutNewest(
              policy,
              gone.map((at) => policy[at] ?? ''),
            ),
            ...add,
          ];
          const fresh = compile(effect, policy);
          for (const values of requests) {
            const verdict = model.enforce(values);
            if (verdict.allow) allowed++;
            assert.equal(verdict.allow, fresh.enforce(values).allow, values.join(' '));
          }
        }
        for (const { model: earlier, answers } of history) {
          assert.deepEqual(
            requests.map((values) => earlier.enforce(values).allow),
            answers,
          );
        }
      },
    ),
    { numRuns: 400 },
  );
  assert.ok(allowed > 1_000, `only ${allowed} were allowed: the generator proves too little`);
});

/** Each text takes away the last line that is equal to it, as the model does. */
function withoutNewest(policy: readonly string[], texts: readonly string[]): string[] {
  const left = [...policy];
  for (const text of texts) left.splice(left.lastIndexOf(text), 1);
  return left;
}

test('a delta that is wrong throws with its place and changes nothing', () => {
  const model = compile('both', ['p, alice, north, /a, read, 10.0.0.0/8, allow', 'g, bob, alice, north']);
  const asked = ['bob', 'north', '/a', 'read', '10.1.1.1'];
  const rows: [Parameters<CasbinModel['with']>[0], RegExp][] = [
    [{ remove: ['p, alice, north, /a, write, 10.0.0.0/8, allow'] }, /there is no line "p, alice, north, \/a, write/],
    [{ remove: ['g, bob, ops, north'] }, /there is no line "g, bob, ops, north" to remove/],
    [{ remove: ['g, bob, alice, north', 'g, bob, alice, north'] }, /there is no line/],
    [{ add: [{ text: 'p, alice, north, /a/:, read, 10.0.0.0/8, deny', line: 7 }] }, /a segment is plain text/],
    [{ add: [{ text: 'p, alice', line: 7 }] }, /p has 6 columns/],
    [
      {
        remove: ['p, alice, north, /a, read, 10.0.0.0/8, allow'],
        add: Array.from({ length: 12 }, (_, n) => ({ text: `g, role-${n}, role-${n + 1}, north`, line: n + 1 })),
      },
      /only over more than 10 roles/,
    ],
  ];
  for (const [delta, expected] of rows) {
    assert.throws(
      () => model.with(delta),
      (error: unknown) =>
        error instanceof CodedError && expected.test(error.message) && error.place?.file === 'policy.csv',
    );
    assert.deepEqual(model.enforce(asked), { allow: true, line: 1 });
  }
});

test('deltas on a policy large enough for tries: lines that were removed are gone, lines that were added are found', () => {
  const random = seededRandom(7);
  const below = (limit: number): number => Math.floor(random() * limit);
  const path = (): string =>
    `/a/${below(60)}/${[':x', 'b', `c${below(40)}`][below(3)] ?? ''}${['', '/*', '/d'][below(3)] ?? ''}`;
  let policy = Array.from(
    { length: 600 },
    () => `p, ops, north, ${path()}, read, ${nets[below(4)] ?? ''}, ${below(9) === 0 ? 'deny' : 'allow'}`,
  );
  let model = compile('both', [...policy, 'g, alice, ops, north']);
  for (let round = 0; round < 25; round++) {
    const remove = policy.filter(() => below(20) === 0);
    const add = Array.from({ length: remove.length }, () => `p, ops, north, ${path()}, read, 0.0.0.0/0, allow`);
    model = model.with({ remove, add: add.map((text, at) => ({ text, line: at + 1 })) });
    policy = [...withoutNewest(policy, remove), ...add];
    const fresh = compile('both', [...policy, 'g, alice, ops, north']);
    for (let n = 0; n < 200; n++) {
      const values = [
        'alice',
        'north',
        `/a/${below(60)}/${['q', 'b', `c${below(40)}`][below(3)] ?? ''}${['', '/z', '/d'][below(3)] ?? ''}`,
        'read',
        `10.${below(3)}.2.3`,
      ];
      assert.equal(model.enforce(values).allow, fresh.enforce(values).allow, values.join(' '));
    }
  }
});

test('property: a policy.csv that was edited in places answers as a full compile and names lines as they stand now', () => {
  let byDelta = 0;
  fc.assert(
    fc.property(
      pick<keyof typeof effects>('both', 'allow', 'deny', 'priority').chain((effect) =>
        fc.record({
          effect: fc.constant(effect),
          start: fc.array(fc.oneof({ arbitrary: line(effect), weight: 4 }, link, fc.constantFrom('', '# note')), {
            minLength: 30,
            maxLength: 60,
          }),
          edits: fc.array(
            fc.record({
              at: fc.nat(),
              remove: fc.nat(2),
              add: fc.array(fc.oneof(line(effect), link), { maxLength: 2 }),
            }),
            { minLength: 1, maxLength: 2 },
          ),
          requests: fc.array(request, { minLength: 12, maxLength: 12 }),
        }),
      ),
      ({ effect, start, edits, requests }) => {
        const sourceOf = (policy: readonly string[]) => ({
          model: modelOf(effect),
          policy: policy.join('\n'),
          modelFile: 'model.conf',
          policyFile: 'policy.csv',
        });
        let before = { source: sourceOf(start), model: compileCasbin(sourceOf(start)) };
        let policy = start;
        for (const { at, remove, add } of edits) {
          policy = policy.toSpliced(at % policy.length, remove, ...add);
          const source = sourceOf(policy);
          const model = recompileCasbin(source, before);
          const fresh = compileCasbin(source);
          for (const values of requests) {
            const verdict = model.enforce(values);
            assert.equal(verdict.allow, fresh.enforce(values).allow, values.join(' '));
            if (verdict.line === 0) continue;
            // Of several lines that match any may be named; it has to be one, where it stands now.
            const named = policy[verdict.line - 1] ?? '';
            const links = policy.filter((text) => text.startsWith('g'));
            const alone = compile(effect === 'deny' ? 'both' : effect, [named, ...links]).enforce(values);
            assert.equal(alone.line, 1, `${named} is not why ${values.join(' ')}`);
            byDelta++;
          }
          before = { source, model };
        }
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(byDelta > 500, `only ${byDelta} verdicts named a line`);
});

test('a policy.csv that does not parse leaves the model before it in force, and is refused at its place', () => {
  const source = {
    model: modelOf('both'),
    policy: 'p, alice, north, /a, read, 10.0.0.0/8, allow',
    modelFile: 'm',
    policyFile: 'policy.csv',
  };
  const model = compileCasbin(source);
  const lines = Array.from({ length: 40 }, () => source.policy);
  const large = {
    source: { ...source, policy: lines.join('\n') },
    model: compileCasbin({ ...source, policy: lines.join('\n') }),
  };
  assert.throws(
    () => recompileCasbin({ ...source, policy: lines.with(20, 'p, alice').join('\n') }, large),
    (error: unknown) => error instanceof CodedError && error.place?.line === 21,
  );
  assert.equal(recompileCasbin(large.source, large), large.model, 'what did not change is what was');
  assert.equal(model.enforce(['alice', 'north', '/a', 'read', '10.1.1.1']).allow, true);
});

test('deltas without end: the texts they leave behind are cleared by compiling anew, with the same answers', () => {
  const lines = Array.from({ length: 4_000 }, (_, n) => `p, alice, north, /a/${n}, read, 10.0.0.0/8, allow`);
  const sourceOf = (policy: readonly string[]) => ({
    model: modelOf('both'),
    policy: policy.join('\n'),
    modelFile: 'm',
    policyFile: 'policy.csv',
  });
  let before = { source: sourceOf(lines), model: compileCasbin(sourceOf(lines)) };
  let worn = 0;
  for (let round = 0; round < 400; round++) {
    const fresh = Array.from({ length: 150 }, (_, n) => `p, alice, north, /b/${round}/${n}, read, 10.0.0.0/8, allow`);
    const source = sourceOf(lines.toSpliced(100, 150, ...fresh));
    if (before.model.worn) worn++;
    before = { source, model: recompileCasbin(source, before) };
    const ask = (path: string): boolean => before.model.enforce(['alice', 'north', path, 'read', '10.1.1.1']).allow;
    assert.deepEqual(
      [ask(`/b/${round}/7`), ask(`/b/${round - 1}/7`), ask('/a/7'), ask('/a/101')],
      [true, false, true, false],
    );
  }
  assert.equal(worn, 1, 'a model is worn once in so many texts, and the next one is not');
});

test('a rule that was mended leaves nothing behind: the new policy is what it is alone', () => {
  const model = `[request_definition]\nr = sub, obj\n[policy_definition]\np = sub, rule, eft\n[policy_effect]
e = ${effects.both}\n[matchers]\nm = r.sub == p.sub && eval(p.rule)\n`;
  const others = Array.from({ length: 40 }, (_, n) => `p, other-${n}, "keyMatch(r.obj, '/a')", allow`);
  const sourceOf = (rule: string) => ({
    model,
    policy: [...others, `p, alice, "${rule}", allow`].join('\n'),
    modelFile: 'm',
    policyFile: 'policy.csv',
  });
  const fixed = sourceOf("keyMatch(r.obj, '/b')");
  for (const wrong of ["ipMatch(r.obj, '10.0.0.0/8')", "regexMatch(r.obj, '^/c$')"]) {
    const source = sourceOf(wrong);
    const mended = recompileCasbin(fixed, { source, model: compileCasbin(source) });
    assert.equal(mended.enforce(['alice', '/b']).allow, true, wrong);
  }
});
