import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { policyErrors } from './errors.ts';

const sources = globSync('{repository,bundle,cloud,fleet}/**/*.ts', { cwd: import.meta.dirname })
  .filter((file) => !file.endsWith('.test.ts'))
  .map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
  .join('\n');

test('every code of the table is raised somewhere, and says what to do', () => {
  for (const [code, { remedy }] of Object.entries(policyErrors.codes)) {
    assert.ok(sources.includes(`'${code}'`), `${code} is never raised`);
    assert.match(code, /^(POLICY|BUNDLE)_[A-Z_]+$/);
    assert.match(remedy, /^[A-Z][a-z]+ .*[^.]$/, code);
  }
});
