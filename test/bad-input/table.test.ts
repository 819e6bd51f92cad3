// docs/bad-input.md is true as far as a program can tell: every test it names exists, and every code.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const rows = read('docs/bad-input.md')
  .split('\n')
  .filter((line) => line.startsWith('|') && !/^\|(---|\s*what comes in)/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()));

test('every row names at least one test, and that test exists', () => {
  assert.ok(rows.length > 30);
  for (const [, what = '', , , shown = ''] of rows) {
    for (const named of shown.split('<br>')) {
      const [, file = '', name = ''] = /^`([^`]+\.test\.ts)`: (.+)$/.exec(named) ?? [];
      assert.ok(existsSync(join(root, file)) && file !== '', `${what}: no file in "${named}"`);
      assert.ok(read(file).includes(name), `${what}: ${file} has no test "${name}"`);
    }
  }
});

test('every code it names is one of the closed tables', () => {
  const known = new Set(read('docs/errors.md').match(/(?<=\| `)[A-Z0-9_]+(?=`)/g));
  // Rules of the lint are no errors; they are a list of their own.
  const rules = read('docs/lint.md');
  const named = rows.flatMap(([, , told = '']) => told.match(/(?<=`)[A-Z]+_[A-Z0-9_]+(?=`)/g) ?? []);
  assert.ok(named.length > 40);
  assert.deepEqual(
    named.filter((code) => !known.has(code) && !rules.includes(code)),
    [],
  );
});

test('every kind of bad input that has to be answered has its rows', () => {
  const text = rows.map(([, what = '']) => what).join('\n');
  const cases = [
    'no message',
    'above the limit',
    'another version',
    'token used twice',
    'comes late',
    'CSR for another name',
    'unsigned bundle',
    'tampered manifest',
    'older bundle',
    'half-written',
    'policy file with a typo',
    'unknown key',
    'full disk',
    'database that is gone',
    'set back',
    'far ahead',
  ];
  for (const name of cases) assert.ok(text.includes(name), name);
});
