// node-casbin is the language's reference: random models, policies and requests of the supported subset get the same
// answer from it and from the compiled engine. Shapes on which the two differ on purpose are in README.md and are not
// generated here; faults.test.ts has one test for each.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { newEnforcer, newModelFromString, StringAdapter } from 'casbin';
import { compileCasbin } from './casbin-model.ts';

const runs = 700;
const requestsPerModel = 8;

const subjects = ['alice', 'bob', 'carol', 'root'];
const roles = ['admin', 'reader', 'writer', 'alice'];
const domains = ['north', 'south'];
const objects = ['/a', '/a/', '/a/b', '/a/b/c', '/x/7', '/x/7/y', '/x//y', 'plain'];
const keyPatterns = ['/a', '/a/*', '/x/*', '*', '/a/b*', 'plain'];
const colonPatterns = ['/a', '/a/*', '/x/:id', '/x/:id/y', '/:one/:two', '/a/*/c', '*', 'plain'];
const bracePatterns = ['/a', '/a/*', '/x/{id}', '/x/{id}/y', '/{one}/{two}', '/a/*/c', 'plain'];
const objectRegexes = ['^/a(/.*)?$', '^/x/[0-9]+$', '^.*$', '^(plain|/a)$', '^/a/\\w+$'];
const acts = ['read', 'write', 'delete'];
const actRegexes = ['^read$', '^(read|write)$', '^[a-z]+$', '^w.*e$', '^\\w{4}$'];
const addresses = ['10.0.0.1', '10.9.9.9', '192.168.7.7', '::1', 'fd00::7'];
const networks = ['10.0.0.0/8', '10.0.0.0/31', '192.168.7.7', '192.168.0.0/16', '0.0.0.0/0'];

interface Shape {
  readonly subject: 'equal' | 'role' | 'address' | 'none';
  readonly object: 'equal' | 'keyMatch' | 'keyMatch2' | 'keyMatch3' | 'regexMatch';
  readonly action: 'equal' | 'regexMatch' | 'in' | 'unequal' | 'star';
  readonly domain: 'none' | 'equal' | 'argument';
  readonly wrap: 'plain' | 'root-or' | 'double-negation' | 'not-carol' | 'reordered' | 'brackets';
  readonly effect: string;
  readonly effectColumn: boolean;
}

const shape: fc.Arbitrary<Shape> = fc
  .record({
    subject: fc.constantFrom('equal', 'role', 'role', 'address', 'none'),
    object: fc.constantFrom('equal', 'keyMatch', 'keyMatch2', 'keyMatch3', 'regexMatch'),
    action: fc.constantFrom('equal', 'regexMatch', 'in', 'unequal', 'star'),
    domain: fc.constantFrom('none', 'equal', 'argument'),
    wrap: fc.constantFrom('plain', 'root-or', 'double-negation', 'not-carol', 'reordered', 'brackets'),
    effect: fc.constantFrom(
      'some(where (p.eft == allow))',
      '!some(where (p.eft == deny))',
      'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
    ),
    effectColumn: fc.boolean(),
  } as const)
  .map((drawn) => ({ ...drawn, effectColumn: drawn.effectColumn || drawn.effect.includes('deny') }));

function withDomain(chosen: Shape): boolean {
  return chosen.domain !== 'none';
}

function modelText(chosen: Shape): string {
  const fields = withDomain(chosen) ? 'sub, dom, obj, act' : 'sub, obj, act';
  return [
    '[request_definition]',
    `r = ${fields}`,
    '[policy_definition]',
    `p = ${fields}${chosen.effectColumn ? ', eft' : ''}`,
    '[role_definition]',
    `g = ${withDomain(chosen) ? '_, _, _' : '_, _'}`,
    '[policy_effect]',
    `e = ${chosen.effect}`,
    '[matchers]',
    `m = ${matcherText(chosen)}`,
  ].join('\n');
}

function matcherText(chosen: Shape): string {
  const subject = {
    equal: 'r.sub == p.sub',
    role: withDomain(chosen)
      ? `g(r.sub, p.sub, ${chosen.domain === 'argument' ? 'r.dom' : 'p.dom'})`
      : 'g(r.sub, p.sub)',
    address: 'ipMatch(r.sub, p.sub)',
    none: '',
  }[chosen.subject];
  const object = chosen.object === 'equal' ? 'p.obj == r.obj' : `${chosen.object}(r.obj, p.obj)`;
  const action = {
    equal: 'r.act == p.act',
    regexMatch: 'regexMatch(r.act, p.act)',
    in: '(r.act in ("read", "write"))',
    unequal: 'r.act != p.act',
    star: '(p.act == "*" || p.act == r.act)',
  }[chosen.action];
  const domain = chosen.domain === 'equal' ? 'r.dom == p.dom' : '';
  const terms = [subject, domain, object, action].filter((term) => term !== '');
  switch (chosen.wrap) {
    case 'plain':
      return terms.join('&&');
    case 'reordered':
      return terms.toReversed().join(' && ').replace('&& (r.act in', '&&(r.act in');
    case 'root-or':
      return `${terms.join('&&')} || r.sub == "root"`;
    case 'double-negation':
      return `!(!(${terms.join('&&')}))`;
    case 'not-carol':
      return `${terms.join('&&')}&&!(r.sub == 'carol')`;
    case 'brackets':
      return `((${terms.join(')&&(')}))`;
  }
}

function policyLine(chosen: Shape): fc.Arbitrary<string> {
  const patterns = {
    equal: objects,
    keyMatch: keyPatterns,
    keyMatch2: colonPatterns,
    keyMatch3: bracePatterns,
    regexMatch: objectRegexes,
  }[chosen.object];
  const actions = { equal: acts, regexMatch: actRegexes, in: acts, unequal: acts, star: ['*', ...acts] }[chosen.action];
  return fc
    .tuple(
      fc.constantFrom(...(chosen.subject === 'address' ? networks : [...subjects, ...roles])),
      fc.constantFrom(...domains),
      fc.constantFrom(...patterns),
      fc.constantFrom(...actions),
      fc.constantFrom('allow', 'allow', 'allow', 'deny'),
    )
    .map(([sub, dom, obj, act, eft]) =>
      ['p', sub, ...(withDomain(chosen) ? [dom] : []), obj, act, ...(chosen.effectColumn ? [eft] : [])].join(', '),
    );
}

function roleLine(chosen: Shape): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom(...subjects, ...roles), fc.constantFrom(...roles), fc.constantFrom(...domains))
    .map(([member, role, dom]) => ['g', member, role, ...(withDomain(chosen) ? [dom] : [])].join(', '));
}

function request(chosen: Shape): fc.Arbitrary<string[]> {
  return fc
    .tuple(
      fc.constantFrom(...(chosen.subject === 'address' ? addresses : subjects)),
      fc.constantFrom(...domains),
      fc.constantFrom(...objects),
      fc.constantFrom(...acts),
    )
    .map(([sub, dom, obj, act]) => (withDomain(chosen) ? [sub, dom, obj, act] : [sub, obj, act]));
}

const instance = shape.chain((chosen) =>
  fc.record({
    model: fc.constant(modelText(chosen)),
    policy: fc
      .tuple(
        fc.array(policyLine(chosen), { minLength: 1, maxLength: 14 }),
        fc.array(roleLine(chosen), { maxLength: 6 }),
      )
      .map(([lines, links]) => [...lines, ...links].join('\n')),
    requests: fc.array(request(chosen), { minLength: requestsPerModel, maxLength: requestsPerModel }),
  }),
);

test('random models, policies and requests: the same answer as node-casbin', async () => {
  let asked = 0;
  let allowed = 0;
  await fc.assert(
    fc.asyncProperty(instance, async ({ model, policy, requests }) => {
      const reference = await newEnforcer(newModelFromString(model), new StringAdapter(policy));
      const compiled = compileCasbin({ model, policy, modelFile: 'model.conf', policyFile: 'policy.csv' });
      for (const values of requests) {
        const expected = reference.enforceSync(...values);
        assert.equal(compiled.enforce(values).allow, expected, values.join(' '));
        asked++;
        if (expected) allowed++;
      }
    }),
    { numRuns: runs, seed: 20_261_122 },
  );
  assert.ok(asked >= runs * requestsPerModel);
  assert.ok(allowed >= asked * 0.3, `only ${allowed} of ${asked} were allowed: the generator proves too little`);
});
