import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { lintRules } from '../policy/repository/rules.ts';
import { documentPath, renderLintRules } from './lint-rules.ts';

test('docs/lint.md is what the table says; otherwise run: node scripts/lint-rules.ts --write', () => {
  assert.equal(readFileSync(documentPath, 'utf8'), renderLintRules());
});

test('every rule is documented once', () => {
  const documented = [...renderLintRules().matchAll(/^### (\w+)$/gm)].map(([, id]) => id);
  assert.equal(documented.length, new Set(documented).size);
  assert.deepEqual(new Set(documented), new Set(Object.keys(lintRules)));
});
