// Rego packages of a repository, without opa: what is read, refused and carried to which device.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlace } from '../../../runtime/errors.ts';
import { knownFeatures, openBundle, requiredFeatures, sealBundle, sliceSchema } from '../../bundle/index.ts';
import { newPublisher, openOptions, sampleMeta } from '../../bundle/sample-slice.ts';
import { compileSlice } from '../../engine/index.ts';
import { buildSlices } from '../build.ts';
import { loadRepository } from '../load.ts';
import type { Repository } from '../repository.ts';
import { sampleNow } from '../sample-tree.ts';
import { preparedCompiler, regoFiles, regoTree } from './sample-rego.ts';
import { formatRegoTests, runRegoTests } from './run-rego-tests.ts';
import type { RegoCompiler } from './compiler.ts';

const problemsOf = (changes: Record<string, string | undefined>, compiler?: RegoCompiler): string[] =>
  loadRepository(regoTree(changes), sampleNow, () => compiler).problems.map(
    ({ place, rule, message }) => `${formatPlace(place)} ${rule} ${message}`,
  );

function load(): Repository {
  const { repository, problems } = loadRepository(regoTree(), sampleNow, () => preparedCompiler);
  assert.deepEqual(problems, []);
  assert.ok(repository !== undefined);
  return repository;
}

test('rego: only the device that serves the interface gets the package, with its data below its name', () => {
  const slices = buildSlices(load());
  const hmi = slices.get('hmi-1');
  assert.deepEqual(
    hmi?.rego?.map(({ name, data, place }) => ({ name, data, place })),
    [
      {
        name: 'hours',
        data: '{"hours":{"shifts":[{"from_minute":360,"to_minute":1320}]}}',
        place: 'rego/hours/hours.rego:5',
      },
    ],
  );
  assert.ok(requiredFeatures(hmi).includes('rego'));
  const gateway = slices.get('gateway-1');
  assert.equal(gateway?.rego, undefined);
  assert.equal(
    gateway?.interfaces.some((entry) => entry.rego !== undefined),
    false,
  );
  assert.equal(requiredFeatures(gateway).includes('rego'), false);
  for (const slice of slices.values()) assert.deepEqual(sliceSchema.parse(slice), slice);
});

test('rego: where a package is asked, every attribute goes with its schema', () => {
  const schema = '{"subject": {"shift": {"type": "string", "missing": "deny", "description": "who is on duty"}}}';
  const { repository, problems } = loadRepository(
    regoTree({ 'schema/cell.json': schema }),
    sampleNow,
    () => preparedCompiler,
  );
  assert.deepEqual(problems, []);
  assert.ok(repository !== undefined);
  const names = (device: string): unknown =>
    buildSlices(repository)
      .get(device)
      ?.attributes?.map(({ name }) => name);
  assert.deepEqual(names('hmi-1'), ['shift']);
  assert.equal(names('plc-1'), undefined);
});

test('rego: what it narrows is in no self-test vector that allows', () => {
  const alone = regoFiles['interfaces/cell.yaml']?.replace('    casbin: hmi\n', '');
  const { repository } = loadRepository(regoTree({ 'interfaces/cell.yaml': alone }), sampleNow, () => preparedCompiler);
  assert.ok(repository !== undefined);
  const slice = buildSlices(repository).get('hmi-1');
  assert.ok(slice !== undefined && slice.interfaces.every((entry) => entry.casbin === undefined));
  assert.deepEqual(
    slice.selfTest.filter(({ expect }) => expect === 'allow'),
    [],
  );
});

test('rego: what is built, signed and opened on the edge decides with the package', async () => {
  const publisher = newPublisher();
  const sealed = await sealBundle(buildSlices(load()).get('hmi-1')!, sampleMeta, publisher);
  assert.ok(sealed.manifest.requires.includes('rego'));
  const options = { ...openOptions(sealed, publisher), deviceId: 'hmi-1' };
  const { slice, digest, manifest } = await openBundle(options);
  const older = knownFeatures.filter((feature) => feature !== 'rego');
  await assert.rejects(openBundle({ ...options, knownFeatures: older }), { code: 'BUNDLE_FEATURE_UNKNOWN' });
  const engine = compileSlice(slice, { ...manifest, digest });
  const at = (hour: number): string =>
    engine.decide(
      {
        subject: { id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {} },
        operation: { protocol: 'http', method: 'GET', path: '/status' },
        resource: { interface: 'hmi-web', attributes: {} },
        context: { time: Date.UTC(2026, 10, 22, hour), source: 'test', connection: '', attributes: {} },
      },
      'fresh',
    ).reason;
  assert.equal(at(12), 'granted');
  assert.equal(at(23), 'rego');
});

test('rego: without opa a repository with a package is refused for that reason alone, another is read', () => {
  assert.deepEqual(problemsOf({}), [
    'rego/hours/hours.rego:1:1 POLICY_REGO_UNAVAILABLE compiling Rego needs opa 1.22.2, which is not here',
  ]);
  const without = Object.fromEntries(
    Object.keys(regoFiles)
      .filter((path) => path.startsWith('rego/'))
      .map((path) => [path, undefined]),
  );
  assert.deepEqual(
    problemsOf({
      ...without,
      'interfaces/cell.yaml': regoFiles['interfaces/cell.yaml']?.replace('    rego: hours\n', ''),
    }),
    [],
  );
});

test('rego: an interface that names no package of the repository', () => {
  const changed = regoFiles['interfaces/cell.yaml']?.replace('rego: hours', 'rego: hour');
  assert.deepEqual(problemsOf({ 'interfaces/cell.yaml': changed }, preparedCompiler), [
    'interfaces/cell.yaml:20:11 POLICY_REFERENCE_UNKNOWN unknown Rego package hour; did you mean hours?',
    'rego/hours/hours.rego:5:1 POLICY_REGO_UNUSED no interface says rego: hours',
  ]);
});

test('rego: names, files and data that no package can have', () => {
  const found = problemsOf(
    {
      'rego/Hours/a.rego': 'package Hours',
      'rego/hours/deep/a.rego': 'package hours',
      'rego/loose.rego': 'package loose',
      'rego/hours/data.yaml': 'a: 1',
      'rego/hours/data.json': '{"shifts": [1, ]}',
    },
    preparedCompiler,
  );
  assert.deepEqual(
    found.map((line) => line.replace(/ [^ ]*position.*$/, '')).map((line) => line.split(' ').slice(0, 2).join(' ')),
    [
      'rego/Hours/a.rego:1:1 POLICY_FORMAT',
      'rego/hours/data.json:1:1 POLICY_FORMAT',
      'rego/hours/data.yaml:1:1 POLICY_FILE_UNKNOWN',
      'rego/hours/deep/a.rego:1:1 POLICY_FILE_UNKNOWN',
      'rego/loose.rego:1:1 POLICY_FILE_UNKNOWN',
    ],
  );
  const nested = `${'['.repeat(200)}${']'.repeat(200)}`;
  assert.match(
    problemsOf({ 'rego/hours/data.json': `{"a": ${nested}}` }, preparedCompiler).join('\n'),
    /data\.json:1:69 POLICY_FORMAT expected at most 64 levels/,
  );
});

test('rego: what opa says, and a module that the engine refuses, are problems of the package', () => {
  const complaining: RegoCompiler = {
    ...preparedCompiler,
    compile: () => ({ problems: [{ place: { file: 'rego/hours/hours.rego', line: 7, column: 3 }, message: 'no' }] }),
  };
  assert.deepEqual(problemsOf({}, complaining), ['rego/hours/hours.rego:7:3 POLICY_REGO no']);
  const wild: RegoCompiler = {
    ...preparedCompiler,
    compile: () => ({ wasm: new Uint8Array(3 * 1024 * 1024), place: { file: 'rego/hours/hours.rego', line: 5 } }),
  };
  assert.match(
    problemsOf({}, wild).join('\n'),
    /^rego\/hours\/hours\.rego:5:1 POLICY_REGO .*3145728 bytes; at most 2097152$/,
  );
});

test('rego: the tests of every package are counted, and each that fails is a problem at its place', () => {
  const repository = load();
  const passing = runRegoTests(repository, () => preparedCompiler);
  assert.deepEqual(passing, { ok: true, passed: 3, failed: 0, problems: [] });
  assert.equal(formatRegoTests(passing), '3 Rego tests passed, 0 failed');
  const place = { file: 'rego/hours/hours_test.rego', line: 7, column: 1 };
  const failing = runRegoTests(repository, () => ({
    ...preparedCompiler,
    test: () => ({ passed: 2, problems: [{ place, message: 'test test_noon is not true' }] }),
  }));
  assert.deepEqual([failing.ok, failing.passed, failing.failed], [false, 2, 1]);
  assert.match(
    formatRegoTests(failing),
    /^rego\/hours\/hours_test\.rego:7:1: error POLICY_REGO: test test_noon is not true/,
  );
  // What was loaded cannot be without opa a moment later; if it is, nothing passed.
  assert.equal(runRegoTests(repository, () => undefined).ok, false);
});
