// What the strict readers refuse, each with file, line and where it helps the column.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError, formatPlace } from '../../../runtime/errors.ts';
import { compileCasbin } from './casbin-model.ts';

const request = '[request_definition]\nr = sub, obj, act\n';
const policyDefinition = '[policy_definition]\np = sub, obj, act, eft\n';
const effect = '[policy_effect]\ne = some(where (p.eft == allow))\n';
const matchers = (text: string): string => `[matchers]\nm = ${text}\n`;
const plain = 'r.sub == p.sub && r.obj == p.obj && r.act == p.act';
const whole = (text: string): string => request + policyDefinition + effect + matchers(text);

function refusal(model: string, policy = 'p, alice, /a, read, allow\n'): string {
  try {
    compileCasbin({ model, policy, modelFile: 'model.conf', policyFile: 'policy.csv' });
  } catch (error) {
    assert.ok(error instanceof CodedError, String(error));
    return `${error.code.replace('ENGINE_CASBIN_', '')} ${error.place === undefined ? '' : formatPlace(error.place)}: ${error.message}`;
  }
  return 'compiled';
}

test('model.conf: sections and definitions are known, complete and said once', () => {
  assert.equal(refusal(whole(plain)), 'compiled');
  const rows: [string, RegExp][] = [
    [whole(plain) + '[extra]\nx = 1', /^MODEL model.conf:9: unknown section \[extra\]/],
    [whole(plain) + matchers(plain), /^MODEL model.conf:9: section \[matchers\] appears twice/],
    [request + policyDefinition + effect, /^MODEL model.conf:1: section \[matchers\] is missing/],
    ['r = sub\n', /^MODEL model.conf:1: a definition before/],
    [whole(plain) + 'm2 = r.sub == p.sub', /^UNSUPPORTED model.conf:9: m2 in \[matchers\]/],
    [whole(plain) + 'm = r.sub == p.sub', /^MODEL model.conf:9: m is defined twice/],
    [
      request + policyDefinition + effect + '[matchers]\nm = r.sub == p.sub \\\n',
      /^MODEL model.conf:\d+: a line that ends with/,
    ],
    [whole(plain).replace('r = sub, obj, act', 'r = sub, obj, sub'), /^MODEL model.conf:2: r names a field twice/],
    [whole(plain).replace('r = sub, obj, act', 'r = sub,, act'), /^MODEL model.conf:2: "" is not a field name/],
    [whole(plain).replace('r = sub, obj, act', 'r'), /^MODEL model.conf:2: expected a definition/],
    [whole(plain).replace('eft\n', 'eft, priority\n'), /^MODEL model.conf:4: a column priority, but the effect/],
    [whole(plain) + '[role_definition]\ng = _\n', /^UNSUPPORTED model.conf:10: a role definition/],
    [whole(plain) + '[role_definition]\ng = _, x\n', /^MODEL model.conf:10: expected "_, _"/],
    [whole(plain) + '[role_definition]\nrole = _, _\n', /^MODEL model.conf:10: role in/],
  ];
  for (const [model, expected] of rows) assert.match(refusal(model), expected);
});

test('model.conf: an effect is one of the four, and a deny needs a column to stand in', () => {
  const withEffect = (text: string): string => whole(plain).replace('some(where (p.eft == allow))', text);
  assert.match(refusal(withEffect('subjectPriority(p.eft) || deny')), /^UNSUPPORTED model.conf:6/);
  assert.match(refusal(withEffect('some(where (p.eft == allowed))')), /^UNSUPPORTED model.conf:6/);
  assert.match(
    refusal(withEffect('!some(where (p.eft == deny))').replace(', eft', ''), 'p, a, b, c'),
    /^MODEL model.conf:6: .*nothing could deny/,
  );
});

test('policy.csv: known lines, exact columns, effects as written', () => {
  const rows: [string, RegExp][] = [
    ['q, a, b, c, allow', /^POLICY policy.csv:1: unknown line type "q"/],
    ['# x\n\ng, a, b', /^POLICY policy.csv:3: unknown line type "g"/],
    ['p, a, b, c', /^POLICY policy.csv:1: p has 4 columns .* this line has 3/],
    ['p, a, b, c, allow, deny', /^POLICY policy.csv:1: p has 4 columns .* this line has 5/],
    ['p, a, b, c, Deny', /^POLICY policy.csv:1: effect "Deny"/],
    ['p, a, , c, allow', /^POLICY policy.csv:1: an empty column/],
    ['p, a, "", c, allow', /^POLICY policy.csv:1: an empty column/],
    ['p, a, "b, c, allow', /^POLICY policy.csv:1: a quote is never closed/],
    ['p, a, "b"x, c, allow', /^POLICY policy.csv:1: expected a comma/],
    ['p, a, b"x, c, allow', /^POLICY policy.csv:1: a quote inside/],
    ['p, a, f(b, c), allow', /^POLICY policy.csv:1: round brackets/],
    ['p, a, b\u0000, c, allow', /^POLICY policy.csv:1: a control character/],
    [`p, a, ${'b'.repeat(2_000)}, c, allow`, /^POLICY policy.csv:1: a column is longer/],
  ];
  for (const [policy, expected] of rows) assert.match(refusal(whole(plain), policy), expected);
  assert.equal(refusal(whole(plain), '\uFEFF'), 'compiled', 'a byte order mark alone is white space');
  assert.equal(refusal(whole(plain), 'p, "a", "say ""x""", c, allow\r\n'), 'compiled');
});

test('matcher: errors name line and column', () => {
  const rows: [string, RegExp][] = [
    ['r.sub = p.sub', /^MATCHER model.conf:8:11: "=" is not part/],
    ['r.sub == p.sub & r.obj == p.obj', /^MATCHER model.conf:8:20: "&" is not/],
    ['r.sub == p.sub &&', /^MATCHER model.conf:8:22: expected a value.*the end/],
    ['(r.sub == p.sub', /^MATCHER model.conf:8:20: expected \)/],
    ['r.sub == p.sub)', /^MATCHER model.conf:8:19: expected &&, \|\| or the end/],
    ['r.subject == p.sub', /^MATCHER model.conf:8:7: expected a field of r \(sub, obj, act\), found subject/],
    ['p.sub.name == r.sub', /^MATCHER model.conf:8:10: .*nothing inside/],
    ['r.sub.__proto__ == p.sub', /^MATCHER model.conf:8:11: __proto__ is not an attribute/],
    ['r.sub.a.b.c.d.e == p.sub', /^MATCHER model.conf:8:19: attributes are nested at most 4 deep/],
    ['r.sub.1 == p.sub', /^MATCHER model.conf:8:11: expected the name of an attribute/],
    ['r.sub.age > 1 && r.sub == p.sub', /^MATCHER model.conf:8:5: r.sub is used as attributes here and as text/],
    ['r.obj > 1 && keyMatch(r.obj, p.obj)', /^MATCHER model.conf:8:27: r.obj is used as text here and as number/],
    ['r.sub < "a" && r.obj == p.obj', /^MATCHER model.conf:8:13: expected a number/],
    ['sub == p.sub', /^MATCHER model.conf:8:5: expected r\., p\./],
    ['r.sub', /^MATCHER model.conf:8:10: .*neither true nor false/],
    ['!r.sub == p.sub', /^MATCHER model.conf:8:6: expected a function or \( after !/],
    ['r.sub == 1 && r.obj == p.obj', /^MATCHER model.conf:8:14: a number is never equal/],
    ['r.sub in (1) && r.obj == p.obj', /^MATCHER model.conf:8:15: expected text/],
    ['r.sub == "a\\"b"', /^MATCHER model.conf:8:14: "\\?""? is not part/],
    ['r.sub == "root"', /^MATCHER model.conf:8:5: the matcher never looks at p/],
    ['eval(r.sub) && r.obj == p.obj', /^MATCHER model.conf:8:5: eval takes a column of p/],
    ['keyGet(r.obj, p.obj)', /^MATCHER .*unknown function keyGet; known here are keyMatch/],
    ['keyMatch(p.obj, r.obj)', /^MATCHER model.conf:8:21: a pattern comes from the policy/],
    ['r.sub == p.sub && keyMatch(r.obj)', /^MATCHER .*takes a value and a pattern/],
    ['ipMatch(p.sub, p.obj)', /^MATCHER .*the address comes from the request/],
    ['regexMatch(r.act, "(") && r.sub == p.sub', /^MATCHER model.conf:8:23: regex/],
    ['g(r.sub, p.sub)', /^MATCHER .*unknown function g;/],
    [`${'('.repeat(100)}r.sub == p.sub${')'.repeat(100)}`, /nested deeper than 64/],
    [`${'r.sub == p.sub && '.repeat(300)}r.sub == p.sub`, /longer than 4096/],
  ];
  for (const [matcher, expected] of rows) assert.match(refusal(whole(matcher)), expected, matcher);
  const roles = (text: string): string =>
    `${request}${policyDefinition}[role_definition]\ng = _, _, _\n${effect}${matchers(text)}`;
  assert.match(
    refusal(roles('g(r.sub, p.sub)')),
    /^MATCHER model.conf:10:5: g is defined with 3 columns, this call has 2/,
  );
  assert.match(refusal(roles('g(r.sub, p.sub, r.obj)'), 'g, a, b'), /^POLICY policy.csv:1: g has 3 columns/);
});

test('matcher: a place in a continued line is the place in the file', () => {
  const model = request + policyDefinition + effect + '[matchers]\nm = r.sub == p.sub && \\\n    r.obj == p.nothing\n';
  assert.match(refusal(model), /^MATCHER model.conf:9:16: expected a field of p/);
});
