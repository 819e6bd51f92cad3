import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatPlace } from '../../runtime/errors.ts';
import { decideWithEngine } from './decide.ts';
import { loadRepository } from './load.ts';
import { formatProblem } from './problems.ts';
import { runPolicyTests } from './run-tests.ts';
import { sampleFiles, sampleNow, sampleWith, treeOf } from './sample-tree.ts';
import { readDirectory } from './tree.ts';
import type { PolicyTree } from './tree.ts';

const example = join(import.meta.dirname, '../../examples/policy');

/** `file:line:column RULE message` of every problem. */
function problemsOf(tree: PolicyTree): string[] {
  return loadRepository(tree, sampleNow).problems.map(({ place, rule, message }) => {
    return `${formatPlace(place)} ${rule} ${message}`;
  });
}

test('the example repository has no problem, and all its tests pass', async () => {
  const { repository, problems } = loadRepository(await readDirectory(example), sampleNow);
  assert.deepEqual(problems.map(formatProblem), []);
  assert.ok(repository);
  const report = runPolicyTests(repository, decideWithEngine(), sampleNow);
  assert.deepEqual(
    [...report.results, ...report.invariants].filter((result) => !result.ok),
    [],
  );
  assert.equal(report.passed, 27);
});

test('the sample of the other tests has no problem', () => {
  assert.deepEqual(problemsOf(treeOf(sampleFiles)), []);
});

const typos: readonly [what: string, path: string, from: string, to: string, expected: RegExp][] = [
  [
    'a misspelt key',
    'grants/cell.yaml',
    'binding: ip',
    'bindng: ip',
    /^grants\/cell\.yaml:6:5 POLICY_FORMAT .*"bindng".*did you mean "binding"/,
  ],
  [
    'a word that is none of the known',
    'grants/cell.yaml',
    'binding: ip',
    'binding: id',
    /^grants\/cell\.yaml:6:14 POLICY_FORMAT .*one of svid, port\+mac\+ip, ip.*"id"/,
  ],
  [
    'a duration without unit',
    'edgeward.yaml',
    'plant.example',
    'plant.example\nsoftExpiry: 24',
    /^edgeward\.yaml:3:13 POLICY_FORMAT .*a text.*24/,
  ],
  [
    'a duration of another kind',
    'edgeward.yaml',
    'plant.example',
    'plant.example\nsoftExpiry: 1w',
    /^edgeward\.yaml:3:13 POLICY_FORMAT .*such as 90s, 15m, 24h or 7d/,
  ],
  [
    'soft after hard expiry',
    'edgeward.yaml',
    'plant.example',
    'plant.example\nsoftExpiry: 8d',
    /^edgeward\.yaml:.* POLICY_FORMAT .*longer than softExpiry/,
  ],
  [
    'a function nobody knows',
    'interfaces/cell.yaml',
    '[write-single-register]',
    '[write-register]',
    /^interfaces\/cell\.yaml:12:21 POLICY_FORMAT .*write-single-register/,
  ],
  [
    'a range backwards',
    'interfaces/cell.yaml',
    "['0-99']",
    "['99-0']",
    /^interfaces\/cell\.yaml:10:21 POLICY_FORMAT .*smaller number first/,
  ],
  [
    'two device selectors',
    'interfaces/cell.yaml',
    'device: plc-1',
    'device: plc-1\n    devices: {labels: {role: plc}}',
    /^interfaces\/cell\.yaml:2:11 POLICY_FORMAT .*either device/,
  ],
  [
    'a device named as the control plane',
    'inventory/cell.yaml',
    'id: hmi-1',
    'id: control',
    /^inventory\/cell\.yaml:16:\d+ POLICY_FORMAT .*control plane/,
  ],
  [
    'an address that is none',
    'inventory/cell.yaml',
    '10.77.0.12',
    '10.77.0.1234',
    /^inventory\/cell\.yaml:15:\d+ POLICY_FORMAT .*IPv4/,
  ],
  [
    'an impossible date',
    'grants/cell.yaml',
    'binding: ip',
    'until: 2027-02-31',
    /^grants\/cell\.yaml:6:12 POLICY_FORMAT .*2027-03-31/,
  ],
  ['a tab', 'grants/cell.yaml', '    binding: ip', '\tbinding: ip', /^grants\/cell\.yaml:6:\d+ POLICY_FORMAT/],
  [
    'the same key twice',
    'grants/cell.yaml',
    'binding: ip',
    'binding: ip\n    binding: svid',
    /^grants\/cell\.yaml:7:5 POLICY_FORMAT .*once/,
  ],
  [
    'an alias',
    'grants/cell.yaml',
    'operations: [read-process]',
    'operations: *all',
    /^grants\/cell\.yaml:5:\d+ POLICY_FORMAT .*alias/i,
  ],
  [
    'an unknown interface',
    'grants/cell.yaml',
    'interface: plc-modbus',
    'interface: plc-modbuss',
    /^grants\/cell\.yaml:4:16 POLICY_REFERENCE_UNKNOWN unknown interface plc-modbuss; did you mean plc-modbus\?/,
  ],
  [
    'an unknown operation',
    'grants/cell.yaml',
    '[read-process]',
    '[read-proces]',
    /^grants\/cell\.yaml:5:18 POLICY_REFERENCE_UNKNOWN unknown operation of plc-modbus read-proces; did you mean read-process\?/,
  ],
  [
    'an unknown device',
    'grants/cell.yaml',
    '[gateway-1]',
    '[gatway-1]',
    /^grants\/cell\.yaml:3:15 POLICY_REFERENCE_UNKNOWN unknown device gatway-1; did you mean gateway-1\?/,
  ],
  [
    'an unknown network',
    'inventory/cell.yaml',
    'network: cell, address: 10.77.0.12',
    'network: sell, address: 10.77.0.12',
    /^inventory\/cell\.yaml:15:31 POLICY_REFERENCE_UNKNOWN unknown network sell; did you mean cell\?/,
  ],
  [
    'an unknown Casbin model',
    'interfaces/cell.yaml',
    'casbin: hmi',
    'casbin: hmj',
    /^interfaces\/cell\.yaml:19:13 POLICY_REFERENCE_UNKNOWN unknown Casbin model hmj; did you mean hmi\?/,
  ],
  [
    'a test that asks in another protocol',
    'tests/cell.yaml',
    'modbus: {function: 3, address: 0}',
    'port: true',
    /^tests\/cell\.yaml:4:23 POLICY_FORMAT .*speaks modbus/,
  ],
  [
    'an attribute no schema knows',
    'tests/cell.yaml',
    '{subject: gateway-1}',
    '{subject: gateway-1, attributes: {shift: night}}',
    /^tests\/cell\.yaml:3:\d+ POLICY_REFERENCE_UNKNOWN unknown subject attribute shift/,
  ],
];

for (const [what, path, from, to, expected] of typos) {
  test(`a typo is answered with file:line:column and what was expected: ${what}`, () => {
    const problems = problemsOf(sampleWith(path, from, to));
    assert.ok(
      problems.some((problem) => expected.test(problem)),
      problems.join('\n'),
    );
    assert.equal(loadRepository(sampleWith(path, from, to), sampleNow).repository, undefined);
  });
}

test('every problem of every file is reported, not the first', () => {
  const problems = problemsOf(
    treeOf({
      ...sampleFiles,
      'edgeward.yaml': 'format: 2\ntrustDomain: Plant Example\nringz: 3\n',
      'grants/more.yaml': 'grants:\n  - id: A\n    subjects: []\n    interface: hmi-web\n    operations: [view]\n',
      'firewall/more.yaml':
        'rules:\n  - {id: x, tier: drop, devices: all, direction: in, transport: tcp, peer: 10.0.0.0/33}\n',
    }),
  );
  for (const place of ['edgeward.yaml:1:9', 'edgeward.yaml:2:14', 'edgeward.yaml:3:1', 'grants/more.yaml:2:9']) {
    assert.ok(
      problems.some((problem) => problem.startsWith(place)),
      `${place} in\n${problems.join('\n')}`,
    );
  }
  assert.ok(problems.filter((problem) => problem.startsWith('firewall/more.yaml:2:')).length >= 2, problems.join('\n'));
});

test('a file that does not parse is not blamed on the files that refer to it', () => {
  const problems = problemsOf(sampleWith('interfaces/cell.yaml', 'port: 502', 'port: 70000'));
  assert.deepEqual(
    problems.map((problem) => problem.split(' ')[0]),
    ['interfaces/cell.yaml:5:11'],
  );
});

test('JSON is JSON, with a place', () => {
  const tree = (text: string): PolicyTree => treeOf({ ...sampleFiles, 'schema/x.json': text });
  assert.match(problemsOf(tree('{"subject": {"a": {"type": "text"}}}')).join(), /^schema\/x\.json:1:28 POLICY_FORMAT/);
  assert.match(problemsOf(tree('subject: {}')).join(), /^schema\/x\.json.* expected JSON/);
});
