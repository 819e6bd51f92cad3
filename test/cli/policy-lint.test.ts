// `edgeward policy lint` as a person and as a pipeline run it.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Desk } from './site.ts';

const desk = new Desk();
after(() => desk[Symbol.dispose]());
cpSync(join(import.meta.dirname, '../../examples/policy'), join(desk.folder, 'policy'), { recursive: true });
const lint = (...args: string[]) => desk.run(['policy', 'lint', ...args]);

test('the example and a scaffolded repository are clean, also strictly', () => {
  assert.equal(desk.run(['policy', 'init', 'new', '--trust-domain', 'plant.example']).code, 0);
  for (const folder of ['policy', 'new']) {
    const { code, stdout } = lint(folder, '--strict');
    assert.deepEqual([code, stdout], [0, `${folder}: no problems\n`]);
  }
});

test('a warning fails only a strict run; the line is shown with a caret', () => {
  desk.write(
    'policy/grants/more.yaml',
    'denies:\n  - {id: again, subjects: all, interface: hmi-web, operations: [admin, load-recipe]}\n',
  );
  const loose = lint('policy');
  assert.equal(loose.code, 0);
  const [problem, source, caret, summary] = loose.stdout.split('\n');
  assert.match(problem ?? '', /^grants\/more\.yaml:2:10: warning POLICY_RULE_DUPLICATE: /);
  assert.equal(source, '      - {id: again, subjects: all, interface: hmi-web, operations: [admin, load-recipe]}');
  assert.equal(caret, `${' '.repeat(13)}^`);
  assert.equal(summary, '0 errors, 1 warning');
  assert.equal(lint('policy', '--strict').code, 1);
});

test('an error fails, in every form', () => {
  desk.write('policy/casbin/hmi/policy.csv', 'p, viewer, /status\n');
  assert.equal(lint('policy').code, 1);
  const json = desk.json(['policy', 'lint', 'policy']);
  assert.deepEqual([json.code, json.document['ok'], json.document['errors']], [1, false, 1]);
  const sarif = lint('policy', '--sarif');
  assert.equal(sarif.code, 1);
  const log = JSON.parse(sarif.stdout) as { version: string; runs: { results: { ruleId: string }[] }[] };
  assert.equal(log.version, '2.1.0');
  assert.ok(log.runs[0]?.results.some(({ ruleId }) => ruleId === 'CASBIN_COLUMN_COUNT'));
});

test('a rule is explained, whatever its case', () => {
  const { code, stdout } = lint('--explain', 'casbin_keymatch_tail');
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^CASBIN_KEYMATCH_TAIL: error, cannot be waived\n\nkeyMatch ignores .*\n\n {2}example .*\n {2}fix /,
  );
});
