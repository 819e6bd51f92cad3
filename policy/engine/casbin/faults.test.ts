// The sixteen measured behaviours of node-casbin 5.51.1 (README.md), one test each: what the reference does, and what
// is done here instead. Where the fault can be shown safely the reference runs beside it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { newEnforcer, newModelFromString, StringAdapter } from 'casbin';
import { CodedError } from '../../../runtime/errors.ts';
import { compileCasbin } from './casbin-model.ts';

interface Parts {
  readonly matcher?: string;
  readonly effect?: string;
  readonly columns?: string;
  readonly roles?: string;
}

const allowOverride = 'some(where (p.eft == allow))';
const denyOverride = '!some(where (p.eft == deny))';

function modelOf(parts: Parts): string {
  const { matcher = 'r.sub == p.sub && r.obj == p.obj && r.act == p.act' } = parts;
  return `[request_definition]\nr = sub, obj, act\n[policy_definition]\np = ${parts.columns ?? 'sub, obj, act'}
[role_definition]\ng = ${parts.roles ?? '_, _'}\n[policy_effect]\ne = ${parts.effect ?? allowOverride}\n[matchers]\nm = ${matcher}\n`;
}

function ours(parts: Parts, policy: string, ...values: string[]): boolean {
  const source = { model: modelOf(parts), policy, modelFile: 'model.conf', policyFile: 'policy.csv' };
  return compileCasbin(source).enforce(values).allow;
}

async function theirs(parts: Parts, policy: string, ...values: unknown[]): Promise<boolean> {
  const enforcer = await newEnforcer(newModelFromString(modelOf(parts)), new StringAdapter(policy));
  return enforcer.enforceSync(...values);
}

function refused(parts: Parts, policy: string): boolean {
  try {
    ours(parts, policy, 'a', 'b', 'c');
    return false;
  } catch (error) {
    return error instanceof CodedError;
  }
}

const onObject = (name: string): Parts => ({ matcher: `r.sub == p.sub && ${name}(r.obj, p.obj) && r.act == p.act` });
const line = (object: string): string => `p, a, ${object}, read`;

test('fault 1: an empty policy allows empty requests; here an empty policy and an empty value deny', async () => {
  assert.equal(await theirs({}, ' ', '', '', ''), true);
  assert.equal(ours({}, ' ', '', '', ''), false);
  assert.equal(ours({ effect: denyOverride, columns: 'sub, obj, act, eft' }, ' ', 'a', 'b', 'c'), false);
  assert.equal(ours({}, 'p, a, b, c', 'a', '', 'c'), false);
});

test('faults 2, 3, 15: reloading clears first and awaits then; here there is nothing to clear', async () => {
  const parts = { effect: denyOverride, columns: 'sub, obj, act, eft' };
  const policy = 'p, a, b, c, deny';
  const adapter = new StringAdapter(policy);
  const load = adapter.loadPolicy.bind(adapter);
  const enforcer = await newEnforcer(newModelFromString(modelOf(parts)), adapter);
  // As slow as a file or a database.
  adapter.loadPolicy = async (model): Promise<void> => {
    await nextTurn();
    await load(model);
  };
  const reload = enforcer.loadPolicy();
  assert.equal(enforcer.enforceSync('a', 'b', 'c'), true, 'the reference allows while it reloads');
  await reload;
  assert.equal(enforcer.enforceSync('a', 'b', 'c'), false);
  const model = compileCasbin({ model: modelOf(parts), policy, modelFile: 'm', policyFile: 'p' });
  assert.ok(refused(parts, 'p, half, written'));
  assert.deepEqual(model.enforce(['a', 'b', 'c']), { allow: false, line: 1, why: 'denied' });
});

test('fault 4: a misspelt effect is ignored; here it does not load, nor does a surplus column', async () => {
  const parts = { columns: 'sub, obj, act, eft', effect: `${allowOverride} && ${denyOverride}` };
  const policy = 'p, a, b, c, allow\np, a, b, c, Deny';
  assert.equal(await theirs(parts, policy, 'a', 'b', 'c'), true);
  assert.ok(refused(parts, policy));
  assert.equal(await theirs({}, 'p, a, b, c, deny', 'a', 'b', 'c'), true);
  assert.ok(refused({}, 'p, a, b, c, deny'));
  assert.ok(refused(parts, 'p, a, b, c'), 'a missing effect is no allow');
});

test('faults 5, 6: keys that join values, answers that outlive the policy; here values never join', () => {
  const matcher = 'r.sub == p.sub && r.obj == p.obj && p.act == r.act';
  assert.equal(ours({ matcher }, 'p, a$$b, c, d', 'a$$b', 'c', 'd'), true);
  assert.equal(ours({ matcher }, 'p, a$$b, c, d', 'a', 'b$$c', 'd'), false);
  assert.equal(ours({ matcher }, 'p, 1:x, c, d', '1', ':x1:c', 'd'), false);
  // A length in front keeps columns apart even where one contains the other's key.
  assert.equal(ours({ matcher }, 'p, a1:b, c, d', 'a', 'b1:c', 'd'), false);
});

test('fault 7: patterns on which the reference never returns do not load', () => {
  for (const pattern of ['/:', '/:/x', '/a/:']) assert.ok(refused(onObject('keyMatch2'), line(pattern)), pattern);
  for (const pattern of ['/{', '/{}', '/{a']) assert.ok(refused(onObject('keyMatch3'), line(pattern)), pattern);
});

test('fault 8: a hostile path takes seconds; here work grows with its length', () => {
  const hostile = `/${'/'.repeat(8_000)}`;
  assert.equal(ours(onObject('keyMatch2'), line('/*/*/*/x'), 'a', hostile, 'read'), false);
  assert.equal(ours(onObject('keyMatch2'), line('/*/*/*/x'), 'a', '/1/2/3/4/x', 'read'), true);
});

test('fault 9: regexes match anywhere; here the whole value to allow, anywhere to deny, in linear time', async () => {
  const act = { matcher: 'r.sub == p.sub && r.obj == p.obj && regexMatch(r.act, p.act)' };
  assert.equal(await theirs(act, 'p, a, b, GET', 'a', 'b', 'FORGET'), true);
  assert.equal(ours(act, 'p, a, b, GET', 'a', 'b', 'FORGET'), false);
  assert.equal(await theirs(act, 'p, a, b, ^GET|POST$', 'a', 'b', 'XPOST'), true);
  assert.equal(ours(act, 'p, a, b, ^GET|POST$', 'a', 'b', 'XPOST'), false);
  assert.equal(ours(act, 'p, a, b, ^GET|POST$', 'a', 'b', 'POST'), true);
  const denying = { ...act, effect: denyOverride, columns: 'sub, obj, act, eft' };
  assert.equal(ours(denying, 'p, a, b, GET, deny', 'a', 'b', 'FORGET'), false);
  const unless = { ...act, matcher: 'r.sub == p.sub && r.obj == p.obj && !regexMatch(r.act, p.act)' };
  assert.equal(ours(unless, 'p, a, b, GET', 'a', 'b', 'FORGET'), false, 'after ! a wide reading allows less');
  assert.ok(refused(act, 'p, a, b, ""'));
  assert.equal(ours(act, 'p, a, b, ^(a+)+$', 'a', 'b', `${'a'.repeat(5_000)}!`), false);
  for (const pattern of ['(?=x)', '(a)\\\\1', '[[:alpha:]]', '(?i)get', '\\\\s', '[]', '(', '^*', '$?']) {
    assert.ok(refused(act, `p, a, b, ${pattern.replaceAll('\\\\', '\\')}`), pattern);
  }
});

test('fault 10: literals are read as regexes; here they are text, and what only a regex could mean does not load', async () => {
  const parts = onObject('keyMatch2');
  assert.equal(await theirs(parts, line('/v1.0/:id'), 'a', '/v1X0/a', 'read'), true);
  assert.equal(ours(parts, line('/v1.0/:id'), 'a', '/v1X0/a', 'read'), false);
  assert.equal(ours(parts, line('/v1.0/:id'), 'a', '/v1.0/a', 'read'), true);
  const denying = { ...parts, effect: denyOverride, columns: 'sub, obj, act, eft' };
  assert.equal(
    ours(denying, `${line('/v1.0/:id')}, deny`, 'a', '/v1X0/a', 'read'),
    false,
    'to deny the wide reading counts',
  );
  assert.equal(await theirs(parts, line('/a|/b'), 'a', '/zzz/b', 'read'), true);
  for (const pattern of ['/a|/b', '/foo*', '/a+', '/[ab]', '/a:b', '/x:id/:y'])
    assert.ok(refused(parts, line(pattern)), pattern);
});

test('fault 11: keyMatch forgets what follows a star; here such a pattern does not load', async () => {
  assert.equal(await theirs(onObject('keyMatch'), line('/a/*/public'), 'a', '/a/x/secret', 'read'), true);
  assert.ok(refused(onObject('keyMatch'), line('/a/*/public')));
  // Dot segments under /public/* never get here: http-path.test.ts.
});

test('fault 12: keyMatch4 compares all parameters once a name repeats; here those of one name', async () => {
  const parts = onObject('keyMatch4');
  const pattern = line('/p/{id}/c/{id}/x/{other}');
  assert.equal(await theirs(parts, pattern, 'a', '/p/1/c/1/x/2', 'read'), false);
  assert.equal(ours(parts, pattern, 'a', '/p/1/c/1/x/2', 'read'), true);
  assert.equal(ours(parts, pattern, 'a', '/p/1/c/2/x/2', 'read'), false);
});

test('fault 13: networks that are none do not load, a mapped address is the one it carries, a bad one denies', async () => {
  const parts = { matcher: 'ipMatch(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' };
  const network = (text: string): string => `p, ${text}, b, c`;
  assert.equal(await theirs(parts, network('10.0.0.0/33'), '99.0.0.1', 'b', 'c'), true);
  for (const text of [
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0/8',
    '010.0.0.0/8',
    'x',
    '::/129',
    '::ffff:10.0.0.0/104',
    'fe80::1%eth0',
    '::10.0.0.1',
  ]) {
    assert.ok(refused(parts, network(text)), text);
  }
  assert.equal(await theirs(parts, network('10.0.0.0/8'), '::ffff:10.0.0.1', 'b', 'c'), false);
  assert.equal(ours(parts, network('10.0.0.0/8'), '::ffff:10.0.0.1', 'b', 'c'), true);
  assert.equal(ours(parts, network('10.0.0.0/8'), '11.0.0.1', 'b', 'c'), false);
  assert.equal(ours(parts, network('fd00::/8'), 'fd00::1', 'b', 'c'), true);
  for (const address of ['nonsense', '10.0.0', '012.0.0.1', '10.0.0.1 ', 'fe80::1%eth0', '::10.0.0.1']) {
    assert.equal(ours(parts, network('0.0.0.0/0'), address, 'b', 'c'), false, address);
    const denying = { ...parts, effect: denyOverride, columns: 'sub, obj, act, eft' };
    assert.equal(
      ours(denying, 'p, 10.0.0.0/8, b, c, deny', address, 'b', 'c'),
      false,
      'no IP address, no answer but deny',
    );
  }
});

test('fault 14: missing equals missing, and == coerces; here nothing is missing and types never mix', async () => {
  const parts = { matcher: 'r.sub == p.sub && r.risk == p.risk' };
  assert.equal(await theirs(parts, 'p, a, b, c', 'a', 'x', 'y'), true);
  assert.ok(refused(parts, 'p, a, b, c'), 'a field nobody defined');
  assert.equal(await theirs({}, 'p, read, b, c', ['read'], 'b', 'c'), true);
  assert.equal(ours({}, 'p, read, b, c', ...([['read'], 'b', 'c'] as unknown as string[])), false);
  assert.equal(ours({}, 'p, a, b, c', 'a', 'b'), false, 'a value too few');
  assert.equal(ours({}, 'p, a, b, c', 'a', 'b', 'c', 'd'), false, 'a value too many');
});

test('fault 16: roles are walked without remembering; here they are closed once, cycles and all', async () => {
  const parts = { matcher: 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' };
  const layers = (depth: number, width: number): string =>
    Array.from({ length: depth }, (_, layer) =>
      Array.from(
        { length: width * width },
        (__, n) => `g, r${layer}x${n % width}, r${layer + 1}x${Math.floor(n / width)}`,
      ),
    )
      .flat()
      .join('\n');
  const policy = `p, r9x0, b, c\n${layers(9, 10)}`;
  assert.equal(ours(parts, policy, 'r0x0', 'b', 'c'), true);
  assert.equal(ours(parts, policy, 'r10x0', 'b', 'c'), false);
  const cycle = 'p, z, b, c\ng, x, y\ng, y, x\ng, y, z';
  assert.equal(ours(parts, cycle, 'x', 'b', 'c'), true);
  assert.equal(await theirs(parts, cycle, 'x', 'b', 'c'), true);
  // The reference cuts chains at ten links without a word; here the eleventh does not load.
  const chain = (links: number): string =>
    `p, r${links}, b, c\n${Array.from({ length: links }, (_, n) => `g, r${n}, r${n + 1}`).join('\n')}`;
  assert.equal(ours(parts, chain(10), 'r0', 'b', 'c'), true);
  assert.equal(await theirs(parts, chain(10), 'r0', 'b', 'c'), true);
  assert.equal(await theirs(parts, chain(11), 'r0', 'b', 'c'), false);
  assert.ok(refused(parts, chain(11)));
});

test('values that readers understand differently deny: control characters, line separators, too long', () => {
  const any = { matcher: 'r.sub == p.sub && keyMatch2(r.obj, p.obj)' };
  for (const value of ['/a\nb', '/a\u0000', '/a\u0085', '/a\u2028', `/${'x'.repeat(9_000)}`]) {
    assert.equal(ours(any, 'p, a, *, c', 'a', value, 'c'), false);
  }
  assert.equal(ours(any, 'p, a, *, c', 'a', '/straße/💧', 'c'), true);
});
