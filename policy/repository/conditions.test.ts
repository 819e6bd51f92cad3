// Conditions as authors write them: held against the schema with their place, carried in the slice, tested by vectors.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requiredFeatures } from '../bundle/features.ts';
import type { Slice } from '../bundle/slice.ts';
import { formatPlace } from '../../runtime/errors.ts';
import { buildSlices } from './build.ts';
import { decideWithEngine } from './decide.ts';
import { loadRepository } from './load.ts';
import { runPolicyTests } from './run-tests.ts';
import { sampleFiles, sampleNow, treeOf } from './sample-tree.ts';
import type { PolicyTree } from './tree.ts';

const schema = `{
  "subject": {
    "site": { "type": "string", "values": ["a", "b"] },
    "roles": { "type": "strings" },
    "risk": { "type": "number", "maxAge": "5m" }
  },
  "context": { "load": { "type": "integer", "maxAge": "1m", "range": [0, 100] } }
}
`;

const web = `interfaces:
  - name: press
    device: plc-1
    protocol: http
    port: 81
    operations:
      stop: {methods: [POST], paths: [/stop], class: safety}
      any: {methods: [POST], paths: [/**]}
      look: {methods: [GET], paths: [/**]}
`;

/** `grants/more.yaml` of one grant and one deny about the press. */
const grant = (more: string): string => `grants:
  - id: press
    subjects: [gateway-1]
    interface: press
    operations: [look]
${more}`;
const deny = (more: string, operations = '[look]'): string => `denies:
  - id: press-shut
    subjects: all
    interface: press
    operations: ${operations}
${more}`;

const tree = (grants: string, more: Record<string, string> = {}): PolicyTree =>
  treeOf({
    ...sampleFiles,
    'schema/all.json': schema,
    'interfaces/press.yaml': web,
    'grants/more.yaml': grants,
    'tests/more.yaml':
      'tests:\n  - {name: t, given: {subject: gateway-1, risk: 100}, when: {interface: press, http: {method: GET, path: /x}}, then: deny}\n',
    ...more,
  });

const problemsOf = (grants: string, more: Record<string, string> = {}): string[] =>
  loadRepository(tree(grants, more), sampleNow).problems.map(
    ({ place, rule, message }) => `${formatPlace(place)} ${rule} ${message}`,
  );

const refusals: readonly [what: string, grants: string, expected: RegExp][] = [
  [
    'an attribute that nobody declared, with the nearest name',
    grant('    conditions: {attributes: {subject.sites: {equals: a}}}\n'),
    /^grants\/more\.yaml:6:46 POLICY_REFERENCE_UNKNOWN unknown subject attribute sites; did you mean site\?/,
  ],
  [
    'no attribute at all',
    grant('    conditions: {attributes: {site: {equals: a}}}\n'),
    /^grants\/more\.yaml:6:31 POLICY_FORMAT .*an attribute such as subject\.site/,
  ],
  [
    'an operator that the type does not have',
    grant('    conditions: {attributes: {subject.site: {min: 1}}}\n'),
    /^grants\/more\.yaml:6:51 POLICY_FORMAT subject\.site: min cannot be asked of a string; expected equals, in, pres/,
  ],
  [
    'a value that the schema excludes',
    grant('    conditions: {attributes: {subject.site: {in: [a, c]}}}\n'),
    /^grants\/more\.yaml:6:50 POLICY_FORMAT subject\.site: "c" is never a value.*expected one of a, b/,
  ],
  [
    'no operator',
    grant('    conditions: {attributes: {subject.site: {}}}\n'),
    /^grants\/more\.yaml:6:45 POLICY_FORMAT subject\.site: expected one of equals, in, present/,
  ],
  [
    'an operator nobody knows',
    grant('    conditions: {attributes: {subject.site: {equal: a}}}\n'),
    /^grants\/more\.yaml:6:46 POLICY_FORMAT .*"equal".*did you mean "equals"/,
  ],
  [
    'present: false, which would open for a missing attribute',
    grant('    conditions: {attributes: {subject.site: {present: false}}}\n'),
    /^grants\/more\.yaml:6:55 POLICY_FORMAT .*true/,
  ],
  [
    'an attribute that has a condition of its own',
    grant('    conditions: {attributes: {subject.risk: {max: 10}}}\n'),
    /^grants\/more\.yaml:6:45 POLICY_FORMAT subject\.risk has a condition of its own; expected maxRisk or minRisk/,
  ],
  [
    'a start after the end',
    grant('    notBefore: 2027-02-01\n    until: 2027-01-01\n'),
    /^grants\/more\.yaml:6:16 POLICY_FORMAT .*a start before the end/,
  ],
  [
    'a weekday nobody knows',
    grant('    conditions: {weekdays: [mo]}\n'),
    /^grants\/more\.yaml:6:29 POLICY_FORMAT .*one of mon, tue/,
  ],
  [
    'a deny that asks for presence',
    deny('    conditions: {attributes: {subject.site: {present: true}}}\n'),
    /^grants\/more\.yaml:6:55 POLICY_FORMAT a deny that asks for presence always matches/,
  ],
  [
    'a condition of grants in a deny',
    deny('    conditions: {maxRisk: 10}\n'),
    /^grants\/more\.yaml:6:18 POLICY_FORMAT .*"maxRisk"/,
  ],
  [
    'an assumption that no condition reads',
    deny('    conditions: {minRisk: 10}\n    assume: {subject.site: a}\n'),
    /^grants\/more\.yaml:7:28 POLICY_REFERENCE_UNKNOWN no condition of this deny reads subject\.site; expected subject\.risk/,
  ],
  [
    'an assumption of another type',
    deny('    conditions: {minRisk: 10}\n    assume: {subject.risk: high}\n'),
    /^grants\/more\.yaml:7:28 POLICY_FORMAT subject\.risk is never "high"; expected a number/,
  ],
  [
    'an assumption without conditions',
    deny('    assume: {subject.risk: 0}\n'),
    /^grants\/more\.yaml:6:13 POLICY_FORMAT .*assume only beside conditions/,
  ],
  [
    'a rate of nothing',
    grant('    rate: {count: 0, per: 1m}\n'),
    /^grants\/more\.yaml:6:19 POLICY_FORMAT .*at least 1/,
  ],
  [
    'a window of years',
    grant('    rate: {count: 1, per: 800d}\n'),
    /^grants\/more\.yaml:6:27 POLICY_FORMAT .*at most 365d/,
  ],
  ['no uses at all', grant('    uses: 0\n'), /^grants\/more\.yaml:6:11 POLICY_FORMAT .*at least 1/],
  [
    'an obligation nobody knows',
    grant('    obligations: [{id: stepup}]\n'),
    /^grants\/more\.yaml:6:24 POLICY_FORMAT .*one of log, notification, step-up, custom/,
  ],
  [
    'a custom obligation without a name',
    grant('    obligations: [{id: custom}]\n'),
    /^grants\/more\.yaml:6:\d+ POLICY_FORMAT .*name/,
  ],
  [
    'an obligation twice',
    grant('    obligations: [{id: log}, {id: notification}, {id: log}]\n'),
    /^grants\/more\.yaml:6:18 POLICY_FORMAT .*each obligation once/,
  ],
  ['a limit in a deny', deny('    uses: 1\n'), /^grants\/more\.yaml:6:5 POLICY_FORMAT .*"uses"/],
  [
    'a deny that ended',
    deny('    until: 2026-11-01\n'),
    /^grants\/more\.yaml:6:12 POLICY_UNTIL_PASSED deny press-shut ended/,
  ],
];

for (const [what, grants, expected] of refusals) {
  test(`conditions: ${what} is refused at its place`, () => {
    const problems = problemsOf(grants);
    assert.ok(
      problems.some((problem) => expected.test(problem)),
      problems.join('\n'),
    );
  });
}

test('schema: a built-in attribute keeps its type; values and ranges stand only where they mean something', () => {
  const refused = (json: string): string[] =>
    problemsOf(grant('    conditions: {}\n'), { 'schema/all.json': '{}', 'schema/more.json': json });
  assert.match(
    refused('{"subject": {"risk": {"type": "string"}}}').join(),
    /schema\/more\.json:1:31 POLICY_FORMAT subject\.risk is a number to the engine; expected type number/,
  );
  assert.match(
    refused('{"subject": {"n": {"type": "number", "values": ["a"]}}}').join(),
    /values only with type string/,
  );
  assert.match(
    refused('{"subject": {"n": {"type": "string", "range": [0, 1]}}}').join(),
    /range only with type number/,
  );
  assert.match(refused('{"subject": {"n": {"type": "number", "range": [2, 1]}}}').join(), /\[smallest, largest\]/);
  assert.match(refused('{"subject": {"n": {"type": "numbr"}}}').join(), /string, number, integer, boolean, strings/);
});

test('a deny that reaches a safety operation assumes a value for everything it reads', () => {
  const assuming = (operations: string, more = ''): string[] =>
    problemsOf(deny(`    conditions: {minRisk: 80, attestation: [none]}\n${more}`, operations)).filter((problem) =>
      problem.includes('POLICY_DENY_ASSUME'),
    );
  const both = [
    'grants/more.yaml:6:17 POLICY_DENY_ASSUME press-shut reaches the safety operation stop and reads subject.attestation, but assumes nothing for it',
    'grants/more.yaml:6:17 POLICY_DENY_ASSUME press-shut reaches the safety operation stop and reads subject.risk, but assumes nothing for it',
  ];
  assert.deepEqual(assuming('[stop]'), both);
  assert.deepEqual(assuming('all'), both);
  assert.deepEqual(assuming('[any]'), both, 'POST to /stop lies inside');
  assert.deepEqual(assuming('[look]'), []);
  assert.deepEqual(assuming('all', '    assume: {subject.risk: 0}\n'), both.slice(0, 1));
  assert.deepEqual(assuming('all', '    assume: {subject.risk: 0, subject.attestation: tpm}\n'), []);
  const known = problemsOf(deny('    notBefore: 2027-01-01\n', 'all'));
  assert.ok(!known.some((problem) => problem.includes('ASSUME')), 'time is always known');
});

const everything = `${grant(`    notBefore: 2026-01-01
    until: 2027-12-31
    conditions:
      attestation: [tpm]
      maxRisk: 30
      weekdays: [sun, mon]
      attributes:
        subject.site: {in: [a]}
        context.load: {max: 50}
        subject.roles: {contains: maintainer}
`)}${deny(
  `    conditions: {minRisk: 80, timeWindow: 06:00-18:00}
    assume: {subject.risk: 0}
    notBefore: 2026-01-01
`,
  '[stop]',
)}`;

function sliceOf(grants: string): Slice {
  const { repository, problems } = loadRepository(tree(grants), sampleNow);
  assert.ok(repository, JSON.stringify(problems));
  const slice = buildSlices(repository).get('plc-1');
  assert.ok(slice);
  return slice;
}

test('the slice carries the conditions, the schema of what they read, and what an edge has to know', () => {
  const slice = sliceOf(everything);
  const found = slice.grants.find(({ id }) => id === 'press');
  assert.deepEqual(found?.conditions, {
    attestation: ['tpm'],
    weekdays: ['sun', 'mon'],
    attributes: [
      { source: 'subject', name: 'site', in: ['a'] },
      { source: 'context', name: 'load', max: 50 },
      { source: 'subject', name: 'roles', contains: ['maintainer'] },
    ],
    maxRisk: 30,
  });
  assert.equal(found?.notBefore, Date.UTC(2026, 0, 1));
  assert.equal(found?.until, Date.UTC(2028, 0, 1));
  assert.deepEqual(slice.denies.find(({ id }) => id === 'press-shut')?.conditions, {
    timeWindow: { fromMinute: 360, toMinute: 1_080 },
    minRisk: 80,
    assume: [{ source: 'subject', name: 'risk', value: 0 }],
  });
  assert.deepEqual(slice.attributes, [
    { source: 'subject', name: 'risk', type: 'number', maxAgeSeconds: 300 },
    { source: 'subject', name: 'roles', type: 'strings' },
    { source: 'subject', name: 'site', type: 'string', values: ['a', 'b'] },
    { source: 'context', name: 'load', type: 'integer', maxAgeSeconds: 60, range: [0, 100] },
  ]);
  const features = requiredFeatures(slice);
  for (const feature of ['attributes', 'calendar', 'conditions', 'deny-conditions'] as const) {
    assert.ok(features.includes(feature), feature);
    assert.ok(!requiredFeatures(sliceOf(grant(''))).includes(feature), feature);
  }
});

test('limits and obligations travel in the slice, and older edges refuse it', () => {
  const slice = sliceOf(
    grant('    rate: {count: 10, per: 1m}\n    uses: 5\n    obligations: [{id: log}, {id: custom, name: badge}]\n'),
  );
  const found = slice.grants.find(({ id }) => id === 'press');
  assert.deepEqual([found?.rate, found?.uses], [{ count: 10, perSeconds: 60 }, 5]);
  assert.deepEqual(found?.obligations, [{ id: 'log' }, { id: 'custom', name: 'badge' }]);
  for (const feature of ['rate', 'uses', 'obligations'] as const) {
    assert.ok(requiredFeatures(slice).includes(feature), feature);
    assert.ok(!requiredFeatures(sliceOf(grant(''))).includes(feature), feature);
  }
});

test('tests give attributes of subject, resource and context with their age', () => {
  const asked = (name: string, given: string, then: string): string =>
    `  - {name: ${name}, given: {subject: gateway-1, attestation: tpm, ${given}}, when: {interface: press, http: {method: GET, path: /x}}, then: ${then}}\n`;
  const tests = [
    asked('all', 'attributes: {site: a, context.load: 50, subject.roles: [maintainer, guest]}', 'allow'),
    asked('missing', 'attributes: {site: a, context.load: 50}', 'deny, reason: condition'),
    asked('too much', 'attributes: {site: a, context.load: 51, roles: [maintainer]}', 'deny, reason: condition'),
    asked('stale', 'attributes: {site: a, context.load: {value: 50, ago: 2m}, roles: [maintainer]}', 'deny'),
  ].join('');
  const loaded = loadRepository(tree(everything, { 'tests/more.yaml': `tests:\n${tests}` }), sampleNow);
  assert.ok(loaded.repository, JSON.stringify(loaded.problems));
  const { results } = runPolicyTests(loaded.repository, decideWithEngine(), sampleNow);
  const failed = results.filter(({ ok }) => !ok).map(({ name, decision }) => `${name}: ${decision.reason}`);
  assert.deepEqual(failed, []);
  const wrong = asked('typo', 'attributes: {site: c, context.lod: 1}', 'deny');
  const problems = problemsOf(everything, { 'tests/more.yaml': `tests:\n${wrong}` });
  assert.match(problems.join('\n'), /POLICY_FORMAT site is "c"; expected one of a, b, as schema\/ says/);
  assert.match(problems.join('\n'), /POLICY_REFERENCE_UNKNOWN unknown context attribute lod; did you mean load\?/);
});
