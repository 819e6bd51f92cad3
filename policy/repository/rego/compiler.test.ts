// Compiling with opa itself: reproducible, complaints at their place, nothing that the engine does not have.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { formatPlace } from '../../../runtime/errors.ts';
import { requires } from '../../../test/support/capabilities.ts';
import { compileRego } from '../../engine/rego/rego-package.ts';
import { hours, trial } from '../../engine/testing/sample-rego.ts';
import { loadRepository } from '../load.ts';
import { sampleNow } from '../sample-tree.ts';
import { builtIns, capabilityFiles } from './capabilities.ts';
import { createRegoCompiler, type RegoCompiler, type RegoFolder } from './compiler.ts';
import { findOpa, type Opa } from './opa.ts';
import { regoText, regoTree } from './sample-rego.ts';

/** Skips the test without opa. */
function opaFor(t: TestContext): Opa | undefined {
  return requires(t, 'opa') ? findOpa() : undefined;
}

const wasmFolder = join(import.meta.dirname, '../../engine/testing/rego');
const hoursFolder: RegoFolder = {
  name: 'hours',
  files: new Map(['hours.rego', 'hours_test.rego'].map((file) => [`rego/hours/${file}`, regoText(file)])),
  data: regoText('data.json'),
};
const trialFolder: RegoFolder = {
  name: 'trial',
  files: new Map([['rego/trial/trial.rego', readFileSync(join(wasmFolder, 'trial.rego'), 'utf8')]]),
};
const folderOf = (text: string, more: Record<string, string> = {}): RegoFolder => ({
  name: 'late',
  files: new Map(Object.entries({ 'rego/late/late.rego': text, ...more })),
});

function wasmOf(compiler: RegoCompiler, folder: RegoFolder): Uint8Array {
  const compiled = compiler.compile(folder);
  assert.ok('wasm' in compiled, JSON.stringify(compiled));
  return compiled.wasm;
}

function problemsOf(compiler: RegoCompiler, folder: RegoFolder): string[] {
  const compiled = compiler.compile(folder);
  return 'wasm' in compiled ? [] : compiled.problems.map(({ place, message }) => `${formatPlace(place)} ${message}`);
}

test('opa: the same sources give the same bytes, wherever they are laid out, and the ones committed here', (t) => {
  const opa = opaFor(t);
  if (opa === undefined) return;
  const elsewhere = mkdtempSync(join(tmpdir(), 'edgeward-elsewhere-'));
  try {
    for (const [source, folder] of [
      [hours, hoursFolder],
      [trial, trialFolder],
    ] as const) {
      const wasm = wasmOf(createRegoCompiler(opa), folder);
      if (process.env['EDGEWARD_GOLDEN'] === 'write') {
        writeFileSync(join(wasmFolder, `${source.name}.wasm`), wasm);
      }
      assert.deepEqual(wasmOf(createRegoCompiler(opa, elsewhere), folder), wasm);
      assert.ok(Buffer.from(wasm).equals(source.wasm), `${source.name}.wasm is not what its source compiles to`);
    }
    assert.deepEqual(readdirSync(elsewhere), []);
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
});

test('opa: what it compiled runs on the engine, and the place is the rule decision', (t) => {
  const opa = opaFor(t);
  if (opa === undefined) return;
  const compiled = createRegoCompiler(opa).compile(hoursFolder);
  assert.ok('wasm' in compiled);
  assert.equal(formatPlace(compiled.place), 'rego/hours/hours.rego:5:1');
  const { decide } = compileRego({ ...hours, wasm: compiled.wasm });
  assert.deepEqual(decide({ context: { time: 43_200_000 }, operation: { method: 'GET' } }), {
    allow: true,
    obligations: [],
  });
});

const decision = 'package late\n\ndecision := {"deny": deny}\n\n';

test('opa: every complaint is at its place', (t) => {
  const opa = opaFor(t);
  if (opa === undefined) return;
  const compiler = createRegoCompiler(opa);
  const readme = 'policy/engine/rego/README.md lists the built-in functions of the engine';
  const rows: [folder: RegoFolder, ...problems: string[]][] = [
    [
      folderOf('package late\n\ndecision := {"deny": deny}\n\ndeny contains "x" if {\n'),
      'rego/late/late.rego:6:1 unexpected eof token',
    ],
    [
      folderOf(
        `${decision}deny contains "x" if http.send({"url": "x"})\ndeny contains "y" if rand.intn("x", 3) == 1\n`,
      ),
      `rego/late/late.rego:5:22 undefined function http.send: ${readme}`,
      `rego/late/late.rego:6:22 undefined function rand.intn: ${readme}`,
    ],
    [
      folderOf(`${decision}deny contains "x" if time.now_ns() > 0\n`),
      'rego/late/late.rego:5:22 undefined function time.now_ns: a package reads no clock; input.context.time is the time of the request in milliseconds',
    ],
    [
      folderOf(`${decision}deny contains sprintf("%d", [1])\n`),
      `rego/late/late.rego:5:15 undefined function sprintf: ${readme}`,
    ],
    [
      folderOf(`${decision}deny contains "x" if print("x")\n`),
      `rego/late/late.rego:5:22 undefined function print: ${readme}`,
    ],
    [
      folderOf('package late\n\ndeny contains "x"\n'),
      'rego/late/late.rego no rule decision; expected decision := {"deny": deny}',
    ],
    [
      folderOf('package early\n\ndecision := {"deny": []}\n'),
      'rego/late/late.rego:1:1 package early; expected package late, the name of the folder',
    ],
    [
      folderOf('package late\n\ndecision := {"deny": data.early.deny}\n', {
        'rego/late/early.rego': 'package early\n\ndeny := []\n',
      }),
      'rego/late/early.rego:1:1 package early; expected package late, the name of the folder',
    ],
    [
      { ...folderOf('package late\n\ndecision := {"deny": []}\n'), data: '{"decision": {"deny": []}}' },
      'rego/late/late.rego:3:1 conflicting rule for data path late/decision found',
    ],
    [
      folderOf('package late\n\ndecision := {"deny": []}\n', {
        'rego/late/late_test.rego': 'package late_test\n\ntest_x if {\n',
      }),
      'rego/late/late_test.rego:4:1 unexpected eof token',
    ],
    [
      folderOf('package late\n\nimport data.other\n\ndecision := {"deny": []}\n'),
      'rego/late/late.rego:3:1 import data.other unused',
    ],
  ];
  for (const [folder, ...expected] of rows) {
    const found = problemsOf(compiler, folder);
    for (const problem of expected) assert.ok(found.includes(problem), `${problem} in\n${found.join('\n')}`);
  }
});

test('opa: tests may use all of the language and reach nothing outside', (t) => {
  const opa = opaFor(t);
  if (opa === undefined) return;
  const compiler = createRegoCompiler(opa);
  assert.deepEqual(compiler.test(hoursFolder), { passed: 3, problems: [] });
  const tests = (text: string) =>
    folderOf(`${decision}deny contains "x" if input.late\n`, {
      'rego/late/late_test.rego': `package late_test\n\n${text}\n`,
    });
  const failing = compiler.test(
    tests(
      'test_on_time if count(data.late.decision.deny) == 0\n\ntest_late if {\n\tcount(data.late.decision.deny) == 2 with input.late as true\n}',
    ),
  );
  assert.equal(failing.passed, 1);
  assert.deepEqual(
    failing.problems.map(({ place, message }) => `${formatPlace(place)} ${message}`),
    ['rego/late/late_test.rego:5:1 test test_late is not true'],
  );
  assert.deepEqual(compiler.test(tests('test_text if sprintf("%d", [1]) == "1"')).problems, []);
  for (const call of [
    'http.send({"method": "get", "url": "http://127.0.0.1"})',
    'opa.runtime()',
    'net.lookup_ip_addr("x")',
  ]) {
    assert.match(
      problemsOf(compiler, tests(`test_x if ${call}`)).join('\n'),
      /late_test\.rego:3:11 undefined function/,
    );
  }
});

test('opa: a package that runs into something in a test is a problem at the test', (t) => {
  const opa = opaFor(t);
  if (opa === undefined) return;
  const { problems } = createRegoCompiler(opa).test(
    folderOf('package late\n\ndecision := {"deny": []}\n\ndecision := {"deny": input.x}\n', {
      'rego/late/late_test.rego': 'package late_test\n\ntest_x if data.late.decision with input.x as [1]\n',
    }),
  );
  assert.match(
    problems.map(({ place, message }) => `${formatPlace(place)} ${message}`).join('\n'),
    /^rego\/late\/late_test\.rego:3:1 test test_x ends with an error: .*eval_conflict_error/,
  );
});

test('opa: every built-in that is accepted is one of opa', (t) => {
  const opa = opaFor(t);
  if (opa === undefined) return;
  const names = Object.values(builtIns).flatMap((group) => group.split(' '));
  const { builtins } = JSON.parse(capabilityFiles(opa).package) as { builtins: { name: string }[] };
  assert.deepEqual(builtins.map(({ name }) => name).toSorted(), [...new Set(names)].toSorted());
});

test('opa: a repository is loaded with it, and its tests run', (t) => {
  const opa = opaFor(t);
  if (opa === undefined) return;
  const compiler = createRegoCompiler(opa);
  const { repository, problems } = loadRepository(regoTree(), sampleNow, () => compiler);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    repository?.rego.map(({ folder }) => compiler.test(folder).passed),
    [3],
  );
});
