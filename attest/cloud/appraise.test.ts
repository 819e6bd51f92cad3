import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Posture } from '../posture/posture.ts';
import type { Finding, Tier } from '../posture/result.ts';
import { appraise } from './appraise.ts';
import { BUNDLE, PROGRAM, referenceDigest, referenceValuesOf, type ReferenceValues } from './reference-values.ts';

const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(64)) as [string, string, string, string];

const posture: Posture = {
  format: 1,
  deviceId: 'plc-1',
  nonce: 'n'.repeat(43),
  collectedAt: 0,
  program: { digest: a, version: '0.1.0' },
  bundle: c,
  executables: { '/usr/bin/plc': b },
  platform: { os: 'linux', kernel: '6.1' },
};
const reference: ReferenceValues = { [PROGRAM]: [a], [BUNDLE]: [c], '/usr/bin/plc': [d, b] };

const run = (changes: Partial<Posture>, values: ReferenceValues = reference) =>
  appraise({ posture: { ...posture, ...changes }, digest: d }, values, 42);

describe('appraisal', () => {
  test('affirms what is as it should be', () => {
    assert.deepEqual(run({}), {
      deviceId: 'plc-1',
      status: 'affirming',
      hardwareClass: 'software',
      claims: { 'instance-identity': 2, executables: 2, configuration: 2 },
      findings: [],
      appraisedAt: 42,
      evidenceDigest: d,
      referenceDigest: referenceDigest(reference),
      bundle: c,
    });
  });

  interface Row {
    readonly name: string;
    readonly posture?: Partial<Posture>;
    readonly reference?: ReferenceValues;
    readonly status: Tier;
    readonly problem: readonly [Finding['subject'], Finding['problem']];
  }
  const { [PROGRAM]: _program, ...withoutProgram } = reference;
  const rows: readonly Row[] = [
    {
      name: 'a changed executable',
      posture: { executables: { '/usr/bin/plc': c } },
      status: 'contraindicated',
      problem: ['/usr/bin/plc', 'changed'],
    },
    {
      name: 'a missing executable',
      posture: { executables: { '/usr/bin/plc': 'missing' } },
      status: 'contraindicated',
      problem: ['/usr/bin/plc', 'missing'],
    },
    {
      name: 'a required executable that is not reported',
      posture: { executables: {} },
      status: 'contraindicated',
      problem: ['/usr/bin/plc', 'not-reported'],
    },
    {
      name: 'a required executable that nothing can satisfy',
      reference: { ...reference, '/usr/bin/plc': [] },
      status: 'contraindicated',
      problem: ['/usr/bin/plc', 'changed'],
    },
    {
      name: 'a required thing that this version does not know',
      reference: { ...reference, 'edgeward:kernel': [a] },
      status: 'contraindicated',
      problem: ['edgeward:kernel', 'not-reported'],
    },
    {
      name: 'a reported executable that is missing, though nobody requires it',
      posture: { executables: { ...posture.executables, '/usr/bin/x': 'missing' } },
      status: 'contraindicated',
      problem: ['/usr/bin/x', 'missing'],
    },
    {
      name: 'a reported executable that nobody approved',
      posture: { executables: { ...posture.executables, '/usr/bin/x': a } },
      status: 'warning',
      problem: ['/usr/bin/x', 'no-reference-value'],
    },
    {
      name: 'a changed program',
      posture: { program: { digest: b, version: '0.1.0' } },
      status: 'contraindicated',
      problem: [PROGRAM, 'changed'],
    },
    {
      name: 'a program that nobody approved',
      reference: withoutProgram,
      status: 'warning',
      problem: [PROGRAM, 'no-reference-value'],
    },
    {
      name: 'a bundle that was never published for it',
      posture: { bundle: d },
      status: 'contraindicated',
      problem: [BUNDLE, 'changed'],
    },
    { name: 'no bundle yet', posture: { bundle: '' }, status: 'warning', problem: [BUNDLE, 'not-active'] },
  ];
  for (const row of rows) {
    test(`${row.status}: ${row.name}`, () => {
      const result = run(row.posture ?? {}, row.reference);
      assert.equal(result.status, row.status);
      assert.deepEqual(
        result.findings.map(({ subject, problem }) => [subject, problem]),
        [row.problem],
      );
    });
  }

  test('without any reference values is a warning, never affirming', () => {
    assert.equal(run({}, {}).status, 'warning');
    assert.equal(run({ executables: {} }, {}).status, 'warning');
  });

  test('the bundle claims nothing when nobody says which ones are published', () => {
    const { [BUNDLE]: _bundle, ...rest } = reference;
    assert.equal(run({ bundle: d }, rest).claims.configuration, 0);
    assert.equal(run({ bundle: d }, rest).status, 'affirming');
  });

  test('several faults are all told, and the worst decides', () => {
    const result = run({ executables: { '/x': a }, program: { digest: d, version: '1' }, bundle: '' });
    assert.equal(result.status, 'contraindicated');
    assert.deepEqual(result.claims, { 'instance-identity': 2, executables: 96, configuration: 32 });
    assert.equal(result.findings.length, 4);
  });

  test('names that every object has are not mistaken for reference values or measurements', () => {
    assert.equal(run({ executables: { ...posture.executables, constructor: a } }).status, 'warning');
    assert.equal(run({}, { ...reference, constructor: [a] }).status, 'contraindicated');
  });
});

describe('any single changed digest contraindicates', () => {
  const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
  const fleet = fc.record({
    program: hex,
    bundle: hex,
    executables: fc.dictionary(
      fc.string({ minLength: 1, maxLength: 20 }).map((name) => `/${name}`),
      hex,
      { minKeys: 1, maxKeys: 10, noNullPrototype: true },
    ),
  });

  test('program, bundle or executable, however many are right', () => {
    fc.assert(
      fc.property(fleet, fc.nat(), hex, (truth, pick, other) => {
        const values: ReferenceValues = {
          [PROGRAM]: [truth.program],
          [BUNDLE]: [truth.bundle],
          ...Object.fromEntries(Object.entries(truth.executables).map(([path, digest]) => [path, [digest]])),
        };
        const { bundle, executables } = truth;
        const honest = { program: { digest: truth.program, version: '1' }, bundle, executables };
        assert.equal(run(honest, values).status, 'affirming');
        const paths = [PROGRAM, BUNDLE, ...Object.keys(executables)];
        const path = paths[pick % paths.length] ?? PROGRAM;
        fc.pre(!values[path]?.includes(other));
        const liar =
          path === PROGRAM
            ? { ...honest, program: { digest: other, version: '1' } }
            : path === BUNDLE
              ? { ...honest, bundle: other }
              : { ...honest, executables: { ...executables, [path]: other } };
        const result = run(liar, values);
        assert.equal(result.status, 'contraindicated');
        assert.deepEqual(
          result.findings.map((finding) => finding.subject),
          [path],
        );
      }),
    );
  });

  test('leaving an executable out does not help', () => {
    fc.assert(
      fc.property(fleet, fc.nat(), (truth, pick) => {
        const entries = Object.entries(truth.executables);
        const values = Object.fromEntries(entries.map(([path, digest]) => [path, [digest]]));
        const executables = Object.fromEntries(entries.toSpliced(pick % entries.length, 1));
        assert.equal(run({ executables }, { ...values, [PROGRAM]: [a] }).status, 'contraindicated');
      }),
    );
  });
});

describe('reference values of a device', () => {
  test('are those of every device, replaced by its own where it has any', () => {
    const all = { '*': { '/a': [a], '/b': [b] }, 'plc-1': { '/b': [c], '/d': [d] } };
    assert.deepEqual(referenceValuesOf(all, 'plc-1'), { '/a': [a], '/b': [c], '/d': [d] });
    assert.deepEqual(referenceValuesOf(all, 'camera-1'), { '/a': [a], '/b': [b] });
    assert.deepEqual(referenceValuesOf(all, 'constructor'), { '/a': [a], '/b': [b] });
    assert.deepEqual(referenceValuesOf({}, 'plc-1'), {});
  });

  test('have one digest, whatever the order', () => {
    assert.equal(referenceDigest({ '/a': [a], '/b': [b] }), referenceDigest({ '/b': [b], '/a': [a] }));
    assert.notEqual(referenceDigest({ '/a': [a] }), referenceDigest({ '/a': [b] }));
  });
});
