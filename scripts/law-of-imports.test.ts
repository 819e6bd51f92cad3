import assert from 'node:assert/strict';
import { test } from 'node:test';
import { breaks, importsOf, judge } from './law-of-imports.ts';

const verdict = (file: string, target: string): string | undefined => judge({ file, line: 1, target });

test('the repository keeps the law of imports', () => {
  assert.deepEqual(breaks(), []);
});

test('rooms import foundations and declared edges only, through index.ts', () => {
  assert.equal(verdict('ca/cloud/issue.ts', '../../identity/profile.ts'), undefined);
  assert.equal(verdict('enforcer/authz/check.ts', '../../policy/engine/index.ts'), undefined);
  assert.match(verdict('enforcer/authz/check.ts', '../../policy/engine/compile.ts') ?? '', /goes past/);
  assert.match(verdict('enforcer/authz/check.ts', '../../policy/repository/index.ts') ?? '', /may not import/);
  assert.match(verdict('audit/cloud/ingest.ts', '../../ca/index.ts') ?? '', /may not import/);
  assert.match(verdict('runtime/clock.ts', '../store/files.ts') ?? '', /foundation/);
});

test('edge code reaches neither cloud code nor response', () => {
  assert.match(verdict('ca/edge/enroll.ts', '../cloud/tokens.ts') ?? '', /cloud/);
  assert.match(verdict('audit/edge/deliver.ts', '../../response/index.ts') ?? '', /cloud/);
});

test('boundary libraries are imported in one place, also as types and dynamically', () => {
  assert.match(verdict('enforcer/firewall/apply.ts', 'koffi') ?? '', /only in/);
  assert.equal(verdict('runtime/linux.ts', 'koffi'), undefined);
  assert.match(verdict('policy/engine/decide.ts', 'casbin') ?? '', /only in/);
});

test('every form of import is seen, comments are not', () => {
  const text = [
    "import type { A } from './a.ts';",
    "export { b } from './b.ts';",
    "const c = await import('./c.ts');",
    "import './d.ts';",
    "// import './e.ts';",
    "import {\n  f,\n} from './f.ts';",
  ].join('\n');
  assert.deepEqual(
    importsOf('x/y.ts', text).map((found) => found.target),
    ['./a.ts', './b.ts', './c.ts', './d.ts', './f.ts'],
  );
});
