// The example repository with a Rego package, by the commands a publisher runs: with opa and on a machine without it.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compileSlice } from '../../policy/engine/index.ts';
import { sliceSchema } from '../../policy/bundle/index.ts';
import { findOpa } from '../../policy/repository/rego/opa.ts';
import { Desk } from '../cli/site.ts';
import { requires } from '../support/capabilities.ts';

const example = join(import.meta.dirname, '../../examples/policy-rego');
const desk = new Desk();
after(() => desk[Symbol.dispose]());

/** The example in a folder of its own, with one text replaced. */
function copy(name: string, file: string, from: string, to: string): string {
  cpSync(example, join(desk.folder, name), { recursive: true });
  const path = join(desk.folder, name, file);
  const text = readFileSync(path, 'utf8');
  assert.ok(text.includes(from), `${file} does not say ${from}`);
  writeFileSync(path, text.replace(from, to));
  return name;
}

interface Listed {
  readonly problems: readonly { rule: string; file: string; line: number; column: number; message: string }[];
}

test('without opa the repository is refused for that reason, at the package, and by every command', () => {
  const { code, document } = desk.json(['policy', 'lint', example]);
  assert.equal(code, 1);
  const { problems } = document as unknown as Listed;
  assert.deepEqual(
    problems.map(({ rule, file }) => `${rule} ${file}`),
    ['POLICY_REGO_UNAVAILABLE rego/hours/hours.rego'],
  );
  for (const command of [['test'], ['build', '--out', 'slices']]) {
    const { code: refused, stderr } = desk.run(['policy', ...command, example]);
    assert.equal(refused, 1);
    assert.match(stderr, /POLICY_REGO_UNAVAILABLE: compiling Rego needs opa \d+\.\d+\.\d+/);
  }
});

test('with opa it has no problem, its tests pass, and the built slice decides with the package', (t) => {
  if (!requires(t, 'opa')) return;
  desk.environment['EDGEWARD_OPA'] = findOpa()?.path;
  assert.deepEqual(desk.json(['policy', 'lint', example]).document['problems'], []);
  const { code, document } = desk.json(['policy', 'test', example]);
  assert.equal(code, 0);
  assert.deepEqual(document['rego'], { ok: true, passed: 3, failed: 0, problems: [] });
  assert.equal(document['passed'], 4);
  assert.equal(desk.run(['policy', 'build', example, '--out', 'slices']).code, 0);
  const slice = sliceSchema.parse(JSON.parse(readFileSync(join(desk.folder, 'slices/hmi-1.json'), 'utf8')));
  const never = Number.MAX_SAFE_INTEGER;
  const engine = compileSlice(slice, { digest: '', softExpiry: never, hardExpiry: never });
  const { decision, steps } = engine.explain({
    subject: { id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {} },
    operation: { protocol: 'http', method: 'GET', path: '/status' },
    resource: { interface: 'panel', attributes: {} },
    context: { time: Date.UTC(2026, 10, 22, 23), source: 'test', connection: '', attributes: {} },
  });
  assert.equal(decision.reason, 'rego');
  assert.deepEqual(steps.at(-1), {
    step: 'rego',
    outcome: 'denied: outside the hours of the shift',
    rule: 'rego:hours',
    place: 'rego/hours/hours.rego:5',
  });
});

test('what is wrong in a package is told with file, line and column', (t) => {
  if (!requires(t, 'opa')) return;
  desk.environment['EDGEWARD_OPA'] = findOpa()?.path;
  const rows: [name: string, file: string, from: string, to: string, place: string, message: RegExp][] = [
    [
      'clock',
      'rego/hours/hours.rego',
      'input.context.time',
      'time.now_ns()',
      '17:18',
      /^undefined function time\.now_ns/,
    ],
    [
      'syntax',
      'rego/hours/hours.rego',
      'decision := {"deny": deny}',
      'decision := {"deny": deny',
      '8:1',
      /^unexpected/,
    ],
    ['none', 'rego/hours/hours.rego', 'decision :=', 'verdict :=', '1:1', /^no rule decision/],
    ['data', 'rego/hours/data.json', '{ "shifts"', '{ "decision"', '5:1', /^conflicting rule for data path/],
  ];
  for (const [name, file, from, to, place, message] of rows) {
    const { code, document } = desk.json(['policy', 'lint', copy(name, file, from, to)]);
    assert.equal(code, 1);
    const { problems } = document as unknown as Listed;
    const found = problems.filter(({ rule }) => rule === 'POLICY_REGO');
    assert.ok(
      found.some((problem) => `${problem.line}:${problem.column}` === place && message.test(problem.message)),
      `${name}: ${JSON.stringify(problems)}`,
    );
  }
});

test('a Rego test that fails stops, at its line', (t) => {
  if (!requires(t, 'opa')) return;
  desk.environment['EDGEWARD_OPA'] = findOpa()?.path;
  const failing = copy(
    'failing',
    'rego/hours/hours_test.rego',
    'count(hours.decision.deny) == 1',
    'count(hours.decision.deny) == 7',
  );
  const { code, document } = desk.json(['policy', 'test', failing]);
  assert.equal(code, 1);
  assert.equal(document['ok'], false);
  const { problems } = document['rego'] as { problems: { place: object; message: string }[] };
  assert.deepEqual(
    problems.map(({ place, message }) => ({ place, message })),
    [
      {
        place: { file: 'rego/hours/hours_test.rego', line: 15, column: 1 },
        message: 'test test_nobody_unknown_writes is not true',
      },
    ],
  );
});

test('a decision of another shape compiles, and the tests of the repository show that it denies', (t) => {
  if (!requires(t, 'opa')) return;
  desk.environment['EDGEWARD_OPA'] = findOpa()?.path;
  const wrong = copy('shape', 'rego/hours/hours.rego', '{"deny": deny}', '{"allow": count(deny) == 0, "deny": deny}');
  const { code, document } = desk.json(['policy', 'test', wrong]);
  assert.equal(code, 1);
  const results = document['results'] as { name: string; ok: boolean; decision: { allow: boolean; reason: string } }[];
  assert.deepEqual(
    results.map(({ decision }) => decision.reason),
    ['rego', 'rego', 'rego', 'rego'],
  );
});
