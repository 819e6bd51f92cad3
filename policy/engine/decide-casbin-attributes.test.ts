// A Casbin model that asks for objects sees what a Rego package sees: attributes as the schema says them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Slice } from '../bundle/slice.ts';
import { compileSlice } from './engine.ts';
import type { Decision } from './request.ts';
import { ask, get, meta, sampleSlice } from './testing/sample-slice.ts';

const model = `[request_definition]
r = obj, act, subject, resource
[policy_definition]
p = obj, act, rule, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = keyMatch(r.obj, p.obj) && r.act == p.act && eval(p.rule) && r.resource.interface == "web"
`;
const policy = `p, /status, GET, "r.subject.attributes.site == ""plant"" && r.subject.state == ""trusted""", allow
p, /status, GET, r.subject.attributes.crew > 3, deny
`;

function sliceWith(text: string): Slice {
  const slice = sampleSlice();
  return {
    ...slice,
    interfaces: slice.interfaces.map((entry) => (entry.name === 'web' ? { ...entry, casbin: 'app' } : entry)),
    attributes: [
      { source: 'subject', name: 'site', type: 'string', values: ['plant', 'office'] },
      { source: 'subject', name: 'crew', type: 'integer', maxAgeSeconds: 60 },
    ],
    casbin: slice.casbin.map((entry) => ({ ...entry, model: text, policy })),
  };
}

const engine = compileSlice(sliceWith(model), meta);
const time = Date.UTC(2026, 10, 22, 12);

function decide(attributes: Record<string, { value: string | number; asOf?: number }>): Decision {
  const request = ask('web', get('/status'), {}, {}, time);
  return engine.decide(
    { ...request, subject: { ...request.subject, attributes: { ...request.subject.attributes, ...attributes } } },
    'fresh',
  );
}

const crew = (value: number | string, age = 1_000) => ({ value, asOf: time - age });

test('casbin attributes: what is known allows, what the deny asks for and cannot know denies', () => {
  assert.equal(decide({ site: { value: 'plant' }, crew: crew(2) }).allow, true);
  assert.equal(decide({ site: { value: 'plant' }, crew: crew(4) }).allow, false);
  const unknown = [
    { site: { value: 'plant' } },
    { site: { value: 'plant' }, crew: crew('2') },
    { site: { value: 'plant' }, crew: crew(2, 61_000) },
    { site: { value: 'elsewhere' }, crew: crew(2) },
    { crew: crew(2) },
  ];
  for (const attributes of unknown) assert.equal(decide(attributes).reason, 'casbin', JSON.stringify(attributes));
});

test('casbin attributes: the denial names the line, the explanation what was asked', () => {
  const denied = decide({ site: { value: 'plant' }, crew: crew(4) });
  assert.deepEqual([denied.rule, denied.place], ['casbin:app', 'casbin/app/policy.csv:2']);
  const request = ask('web', get('/status'), {}, {}, time);
  const { steps } = engine.explain(request);
  assert.match(steps.find(({ step }) => step === 'casbin')?.outcome ?? '', /denied: \/status, GET, \{"id":/);
});
