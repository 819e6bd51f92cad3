// What one decision and one model may cost, whatever the policy says and whoever asks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError } from '../../../runtime/errors.ts';
import { MAX_CASBIN_MODEL_LENGTH } from '../limits.ts';
import { compileCasbin, type CasbinModel } from './casbin-model.ts';

function compile(matcher: string, policy: readonly string[]): CasbinModel {
  const model = `[request_definition]\nr = sub, obj\n[policy_definition]\np = sub, obj\n[role_definition]\ng = _, _
[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = ${matcher}\n`;
  return compileCasbin({ model, policy: policy.join('\n'), modelFile: 'model.conf', policyFile: 'policy.csv' });
}

const times = (count: number, line: (index: number) => string): string[] =>
  Array.from({ length: count }, (_, index) => line(index));

test('many large regexes about one long value are given up, and the request is denied', () => {
  const longest = '/a'.repeat(4_000);
  const stars = compile(
    'keyMatch2(r.obj, p.obj)',
    times(500, (index) => `p, a, ${'/*'.repeat(100)}/x${index}`),
  );
  assert.deepEqual(stars.enforce(['a', longest]), { allow: false, line: 0, why: 'too-many-steps' });
  const regexes = compile(
    'regexMatch(r.obj, p.obj)',
    times(500, (index) => `p, a, (.*){300}x${index}`),
  );
  assert.deepEqual(regexes.enforce(['a', longest]), { allow: false, line: 0, why: 'too-many-steps' });
  // The next decision has a budget of its own.
  assert.deepEqual(regexes.enforce(['a', 'x7']), { allow: true, line: 8 });
});

test('globs cost what the value is long, and a regex what it is large', () => {
  const globs = compile(
    'globMatch(r.obj, p.obj)',
    times(15_000, (index) => `p, a, /b*/c*${index}/**`),
  );
  assert.deepEqual(globs.enforce(['a', '/a'.repeat(4_000)]), { allow: false, line: 0, why: 'too-many-steps' });
  assert.equal(globs.enforce(['a', '/bc/cx14999/d']).allow, true);
  const large = (pattern: string) => () => compile('regexMatch(r.obj, p.obj)', [`p, a, "${pattern}"`]);
  assert.throws(large('\\w{1000}'.repeat(100)), /too large/);
  assert.throws(large('(a{40}){24}(b{40}){24}(c{40}){24}'), /too large/);
  assert.doesNotThrow(large('\\w{1,200}'));
  assert.throws(
    () =>
      compile(
        'regexMatch(r.obj, p.obj)',
        times(1_500, (index) => `p, a, "\\w{900}${index}"`),
      ),
    /too large together/,
  );
});

test('a character that casbin counts twice and RE2 once never helps to allow, and denies', () => {
  const model = `[request_definition]\nr = obj\n[policy_definition]\np = obj, eft\n[policy_effect]
e = !some(where (p.eft == deny))\n[matchers]\nm = regexMatch(r.obj, p.obj)\n`;
  const denying = compileCasbin({
    model,
    policy: 'p, ^/x/..$, deny',
    modelFile: 'model.conf',
    policyFile: 'policy.csv',
  });
  assert.deepEqual(
    ['/x/ab', '/x/\u{1f600}', '/x/a'].map((obj) => denying.enforce([obj]).allow),
    [false, false, true],
  );
  const allowing = compile('regexMatch(r.obj, p.obj)', ['p, a, ^/x/[^/]$']);
  assert.equal(allowing.enforce(['a', '/x/\u{1f600}']).allow, false);
  const unless = compile('!regexMatch(r.obj, p.obj)', ['p, a, ^/x/..$']);
  assert.equal(unless.enforce(['a', '/x/\u{1f600}']).allow, false);
});

test('a path that fits every branch of a trie is given up', () => {
  const bits = (index: number): string => times(14, (bit) => ((index >> bit) & 1 ? '/:x' : '/a')).join('');
  const trie = compile(
    'r.sub == p.sub&&keyMatch2(r.obj, p.obj)',
    times(1 << 14, (index) => `p, a, ${bits(index)}/z${index}`),
  );
  assert.deepEqual(trie.enforce(['a', `${'/a'.repeat(14)}/q`]), { allow: false, line: 0, why: 'too-many-steps' });
  assert.equal(trie.enforce(['a', `${'/b'.repeat(14)}/z${(1 << 14) - 1}`]).allow, true);
});

test('a role with more members than a call has arguments', () => {
  const model = compile('g(r.sub, p.sub)', [
    'p, top, b',
    ...times(150_000, (index) => `g, u${index}, staff`),
    'g, staff, top',
  ]);
  assert.equal(model.enforce(['u149999', 'b']).allow, true);
});

test('half a character is no text: refused in a policy, denied in a request', () => {
  assert.throws(
    () => compile('r.sub == p.sub', ['p, \ud800, b']),
    (error) => error instanceof CodedError && error.place?.line === 1,
  );
  assert.deepEqual(compile('r.sub != p.sub', ['p, a, b']).enforce(['\ud800', 'b']), {
    allow: false,
    line: 0,
    why: 'unusable-request',
  });
});

test('what is no list of values is denied, also where it looks like one', () => {
  const model = compile('r.sub == p.sub', ['p, a, b']);
  for (const request of [undefined, null, 'ab', { length: 2, 0: 'a', 1: 'b' }]) {
    const verdict = model.enforce(request as unknown as readonly string[]);
    assert.deepEqual(verdict, { allow: false, line: 0, why: 'unusable-request' });
  }
});

test('a model has an end', () => {
  assert.throws(
    () => compile(`r.sub == p.sub${'\n'.repeat(MAX_CASBIN_MODEL_LENGTH)}`, ['p, a, b']),
    (error) => error instanceof CodedError && error.code === 'ENGINE_CASBIN_TOO_LARGE',
  );
});
