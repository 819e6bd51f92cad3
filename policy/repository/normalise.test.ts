// A normalisation profile as authors write it: held against the format, carried in the slice in one order, asked about by tests
// and explanations as on the edge, and refused by an edge that does not know it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newPublisher, openOptions, sampleMeta } from '../bundle/sample-slice.ts';
import { knownFeatures, openBundle, requiredFeatures, sealBundle } from '../bundle/index.ts';
import { buildSlices } from './build.ts';
import { decideWithEngine } from './decide.ts';
import { loadRepository } from './load.ts';
import type { Repository } from './repository.ts';
import { runPolicyTests } from './run-tests.ts';
import { sampleFiles, sampleNow, treeOf } from './sample-tree.ts';

const load = (normalise: string, more: Readonly<Record<string, string>> = {}) =>
  loadRepository(
    treeOf({
      ...sampleFiles,
      'interfaces/cell.yaml': (sampleFiles['interfaces/cell.yaml'] ?? '').replace(
        '    port: 8443\n',
        `    port: 8443\n${normalise}`,
      ),
      ...more,
    }),
    sampleNow,
  );
const profile = '    normalise: [merge-slashes, dot-segments, percent-encoding]\n';

function repositoryOf(normalise: string, more?: Readonly<Record<string, string>>): Repository {
  const { repository, problems } = load(normalise, more);
  assert.ok(repository !== undefined, JSON.stringify(problems));
  return repository;
}

test('normalise: the slice has the steps in their order, and asks for an edge that knows them', async () => {
  const slice = buildSlices(repositoryOf(profile)).get('hmi-1');
  assert.ok(slice !== undefined);
  const { normalise } = slice.interfaces.find(({ name }) => name === 'hmi-web') ?? {};
  assert.deepEqual(normalise, ['percent-encoding', 'dot-segments', 'merge-slashes']);
  assert.ok(requiredFeatures(slice).includes('normalise'));
  const without = buildSlices(repositoryOf('')).get('hmi-1');
  assert.ok(without !== undefined && !requiredFeatures(without).includes('normalise'));

  const publisher = newPublisher();
  const options = { ...openOptions(await sealBundle(slice, sampleMeta, publisher), publisher), deviceId: 'hmi-1' };
  assert.deepEqual((await openBundle(options)).slice, slice);
  const older = knownFeatures.filter((feature) => feature !== 'normalise');
  await assert.rejects(openBundle({ ...options, knownFeatures: older }), { code: 'BUNDLE_FEATURE_UNKNOWN' });
});

test('normalise: what is no profile is refused with its place', () => {
  const problemsOf = (normalise: string): string[] => load(normalise).problems.map(({ message }) => message);
  for (const wrong of ['[upside-down]', '[]', 'dot-segments', '[dot-segments, dot-segments]']) {
    assert.match(problemsOf(`    normalise: ${wrong}\n`).join('\n'), /normalise/, wrong);
  }
  const modbus = (sampleFiles['interfaces/cell.yaml'] ?? '').replace('port: 502', 'port: 502\n    normalise: [case]');
  const { problems } = load('', { 'interfaces/cell.yaml': modbus });
  assert.match(problems.map(({ message }) => message).join('\n'), /normalise/);
  assert.match(problemsOf('    normalise: [case]\n').join('\n'), /^$/);
  const capitals = (sampleFiles['interfaces/cell.yaml'] ?? '')
    .replace('port: 8443', 'port: 8443\n    normalise: [case]')
    .replace('/status]', '/Status]');
  assert.match(
    load('', { 'interfaces/cell.yaml': capitals })
      .problems.map(({ message }) => message)
      .join('\n'),
    /\/Status: expected it as the interface normalises paths/,
  );
});

test('normalise: a test of the policy is answered as on the edge, the Casbin model included', () => {
  const cases = `tests:
  - name: spellings of the panel
    given: {subject: gateway-1}
    when: {interface: hmi-web}
    rows:
      - {when: {http: {method: GET, path: //x/../%73tatus}}, then: {allow: true, operation: view}}
      - {when: {http: {method: GET, path: /status/../}}, then: {allow: false, reason: casbin}}
      - {when: {http: {method: GET, path: /status;x}}, then: {allow: false, reason: ambiguous}}
      - {when: {http: {method: GET, path: /a%2fb}}, then: {allow: false, reason: ambiguous}}
`;
  const { results } = runPolicyTests(
    repositoryOf(profile, { 'tests/cell.yaml': cases }),
    decideWithEngine(),
    sampleNow,
  );
  assert.deepEqual(
    results.flatMap(({ differences }) => differences),
    [],
  );
  assert.equal(results.length, 4);
  const plain = runPolicyTests(repositoryOf('', { 'tests/cell.yaml': cases }), decideWithEngine(), sampleNow);
  assert.equal(plain.results.filter(({ differences }) => differences.length > 0).length, 2);
});
