// Attributes, numbers, rules and priorities: what is surely true allows, what is possibly true denies.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CasbinModel, compileCasbin } from './casbin-model.ts';
import type { CasbinValue } from './value.ts';

const both = 'some(where (p.eft == allow)) && !some(where (p.eft == deny))';

function model(matcher: string, policy: string, effect = both, columns = 'sub, obj, eft'): CasbinModel {
  const text = `[request_definition]\nr = sub, obj, ip\n[policy_definition]\np = ${columns}\n[role_definition]\ng = _, _\n[policy_effect]
e = ${effect}\n[matchers]\nm = ${matcher}\n`;
  return compileCasbin({ model: text, policy, modelFile: 'model.conf', policyFile: 'policy.csv' });
}

const allows = (compiled: CasbinModel, ...values: CasbinValue[]): boolean => compiled.enforce(values).allow;

test('a missing, mistyped or empty attribute never allows, and denies', () => {
  const young = model('r.sub.age < 18 && r.obj == p.obj', 'p, x, /a, allow');
  assert.equal(allows(young, { age: 17 }, '/a', '::1'), true);
  assert.equal(allows(young, { age: 18 }, '/a', '::1'), false);
  for (const sub of [
    {},
    { age: '17' },
    { age: true },
    { age: Number.NaN },
    { age: { age: 17 } },
    Object.create({ age: 17 }),
  ]) {
    assert.equal(allows(young, sub as CasbinValue, '/a', '::1'), false);
  }
  const barred = model(
    '(r.sub.age < 18 && r.obj == p.obj && p.eft == "deny") || (p.eft == "allow" && r.obj == p.obj)',
    'p, x, /a, deny\np, x, /a, allow',
  );
  assert.equal(allows(barred, { age: 40 }, '/a', '::1'), true);
  assert.equal(allows(barred, { age: 17 }, '/a', '::1'), false);
  for (const sub of [{}, { age: '40' }, { age: Number.NaN }]) assert.equal(allows(barred, sub, '/a', '::1'), false);
});

test('a negation turns the question: what is unknown is not surely false', () => {
  const outsider = model('!(r.sub.site == "plant") && r.obj == p.obj', 'p, x, /a, allow');
  assert.equal(allows(outsider, { site: 'office' }, '/a', '::1'), true);
  assert.equal(allows(outsider, { site: 'plant' }, '/a', '::1'), false);
  assert.equal(allows(outsider, {}, '/a', '::1'), false);
  assert.equal(allows(outsider, { site: '' }, '/a', '::1'), false);
  assert.equal(allows(outsider, { site: 'pl\u0000ant' }, '/a', '::1'), false);
});

test('a request field is one kind of thing, and only that is usable', () => {
  const compiled = model('r.sub.role == p.sub && r.obj == p.obj', 'p, admin, /a, allow');
  assert.equal(allows(compiled, { role: 'admin' }, '/a', '::1'), true);
  for (const values of [
    ['admin', '/a', '::1'],
    [{ role: 'admin' }, { role: '/a' }, '::1'],
    [{ role: 'admin' }, '/a'],
    [{ role: 'admin' }, '/a', '::1', 'more'],
    [null, '/a', '::1'],
  ]) {
    assert.deepEqual(compiled.enforce(values as CasbinValue[]), { allow: false, line: 0, why: 'unusable-request' });
  }
});

test('numbers have an order, also against a column, and a column that is none does not load', () => {
  const compiled = model('r.sub.level >= p.sub && r.obj == p.obj', 'p, 3, /a, allow\np, -1.5, /b, allow');
  assert.equal(allows(compiled, { level: 3 }, '/a', '::1'), true);
  assert.equal(allows(compiled, { level: 2.99 }, '/a', '::1'), false);
  assert.equal(allows(compiled, { level: -1.5 }, '/b', '::1'), true);
  for (const text of ['three', '0x3', '1e9', '03', '']) {
    assert.throws(
      () => model('r.sub.level >= p.sub && r.obj == p.obj', `p, "${text}", /a, allow`),
      /expected a number|empty column/,
    );
  }
});

test('eval compiles the rule of each line; it sees the request and nothing else', () => {
  const policy = 'p, "r.sub.age >= 18 && r.sub.site == ""plant""", /a, allow\np, r.sub.banned, /a, deny';
  const compiled = model('eval(p.sub) && r.obj == p.obj', policy);
  assert.equal(allows(compiled, { age: 18, site: 'plant', banned: false }, '/a', '::1'), true);
  assert.equal(allows(compiled, { age: 18, site: 'plant', banned: true }, '/a', '::1'), false);
  assert.equal(allows(compiled, { age: 18, site: 'plant' }, '/a', '::1'), false, 'banned is unknown');
  assert.equal(allows(compiled, { age: 17, site: 'plant', banned: false }, '/a', '::1'), false);
  const refused: [string, RegExp][] = [
    ['p, eval(p.sub), /a, allow', /a rule holds no eval/],
    ['p, "keyMatch(r.obj, p.obj)", /a, allow', /a pattern inside a rule is a text/],
    ['p, r.sub.age >=, /a, allow', /expected a value/],
    ['p, r.sub == "x", /a, allow', /r.sub is used as text here and as attributes|quote/],
  ];
  for (const [line, expected] of refused)
    assert.throws(() => model('eval(p.sub) && r.obj == p.obj && r.sub.ok', line), expected, line);
});

test('priority: the first line that matches decides, by number where there is one', () => {
  const effect = 'priority(p.eft) || deny';
  const byOrder = model(
    'g(r.sub, p.sub) && keyMatch(r.obj, p.obj)',
    'p, ops, /a/b, deny\np, ops, /a/*, allow\np, bob, /a/b, allow\ng, bob, ops',
    effect,
  );
  assert.deepEqual(byOrder.enforce(['bob', '/a/b', '::1']), { allow: false, line: 1, why: 'denied' });
  assert.deepEqual(byOrder.enforce(['bob', '/a/c', '::1']), { allow: true, line: 2 });
  assert.deepEqual(byOrder.enforce(['eve', '/a/c', '::1']), { allow: false, line: 0, why: 'no-line' });
  const byNumber = model(
    'r.sub == p.sub && r.obj == p.obj',
    'p, 10, bob, /a, deny\np, 2, bob, /a, allow\np, -3, eve, /a, deny',
    effect,
    'priority, sub, obj, eft',
  );
  assert.deepEqual(byNumber.enforce(['bob', '/a', '::1']), { allow: true, line: 2 });
  assert.equal(allows(byNumber, 'eve', '/a', '::1'), false);
  for (const text of ['high', '1x', '1.5', '+1']) {
    assert.throws(
      () => model('r.sub == p.sub', `p, ${text}, bob, /a, deny`, effect, 'priority, sub, obj, eft'),
      /expected a whole number/,
    );
  }
});

test('networks alone, more than are walked: found by prefix, both families', () => {
  const nets = Array.from({ length: 120 }, (_, n) => `p, x, 10.${n}.0.0/16, ${n % 2 === 0 ? 'allow' : 'deny'}`);
  const compiled = model(
    'ipMatch(r.ip, p.obj)',
    [...nets, 'p, x, fd00:7::/32, allow', 'p, x, 0.0.0.0/0, allow'].join('\n'),
  );
  assert.equal(allows(compiled, 's', 'o', '10.4.9.9'), true);
  assert.equal(allows(compiled, 's', 'o', '10.5.9.9'), false);
  assert.equal(allows(compiled, 's', 'o', '192.168.1.1'), true);
  assert.equal(allows(compiled, 's', 'o', 'fd00:7::1'), true);
  assert.equal(allows(compiled, 's', 'o', 'fd00:8::1'), false);
});

test('a request that would be compared with too many lines is denied and says so', () => {
  const lines = Array.from({ length: 20_001 }, (_, n) => `p, x${n}, /a, allow`).join('\n');
  const scanned = model('r.sub != p.sub && r.obj != p.obj', lines);
  assert.deepEqual(scanned.enforce(['s', '/a', '::1']), { allow: false, line: 0, why: 'too-many-steps' });
  assert.deepEqual(scanned.enforce(['s', '/b', '::1']), { allow: true, line: 1 });
});
