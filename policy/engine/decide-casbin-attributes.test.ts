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

test('casbin: all registers of one access have one budget, and the access is denied when it is used up', () => {
  const perRegister = `[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.sub == p.sub && regexMatch(r.obj, p.obj) && r.act == p.act
`;
  const lines = Array.from(
    { length: 1_000 },
    (_, n) => `p, hmi-1, ^[1-9]/[1-4]/(9|8)[0-9]{4}x?${n}$, read-coils, deny`,
  );
  const slice = sampleSlice();
  const plc = slice.interfaces.find(({ protocol }) => protocol === 'modbus');
  if (plc === undefined) throw new Error('the sample has a PLC');
  const read = {
    name: 'coils',
    protocol: 'modbus' as const,
    functionCodes: [1],
    units: [],
    addresses: [[0, 65_535]] as [number, number][],
    class: 'normal' as const,
    island: false,
  };
  const compiled = compileSlice(
    {
      ...slice,
      interfaces: [{ ...plc, casbin: 'app', operations: [read] }],
      grants: [
        {
          id: 'coils',
          subjects: ['hmi-1'],
          interface: plc.name,
          device: plc.device,
          operations: ['coils'],
          binding: 'ip',
          conditions: {},
          place: 'grants/a.yaml:1',
        },
      ],
      denies: [],
      casbin: slice.casbin.map((entry) => ({
        ...entry,
        model: perRegister,
        policy: [...lines, 'p, hmi-1, ^1/1/[0-9]+$, read-coils, allow'].join('\n'),
      })),
    },
    meta,
  );
  const reads = (quantity: number): Decision => {
    const operation = { protocol: 'modbus' as const, unit: 1, functionCode: 1, address: 0, quantity, values: [] };
    const request = ask(plc.name, operation, {}, {}, time);
    return compiled.decide({ ...request, subject: { ...request.subject, id: 'hmi-1', binding: 'ip' } }, 'fresh');
  };
  assert.equal(reads(1).reason, 'granted');
  assert.equal(reads(2_000).reason, 'casbin');
});
