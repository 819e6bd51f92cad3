// docs/detection.md says what this engine does: its snippet runs, its tables name what there is.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { eventFields, eventKinds } from '../spool/index.ts';
import { createDetector } from './index.ts';

const root = join(import.meta.dirname, '../..');
const text = readFileSync(join(root, 'docs/detection.md'), 'utf8');

/** Cells of the table row that begins with `name`. */
function row(name: string): string[] {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`| ${name} |`));
  assert.ok(line, `no row ${name}`);
  return line.split('|').map((cell) => cell.trim());
}
const words = (cell: string | undefined): string[] =>
  [...(cell ?? '').matchAll(/`([a-z0-9_]+)`/g)].map((match) => match[1] ?? '');

test('every kind of event has its row of fields', () => {
  const kinds = [...text.matchAll(/^\| `([a-z]+)` \| [^|]+ \| [^|]+ \|$/gm)].map((match) => match[1] ?? '');
  assert.deepEqual(kinds.toSorted(), Object.keys(eventKinds).toSorted());
});

test('every field of an event is named, and no other', () => {
  const named = [...text.matchAll(/^\| `[a-z]+` \| [^|]+ \| ([^|]+) \|$/gm)].flatMap((match) => words(match[1]));
  assert.deepEqual([...new Set([...named, 'subject'])].toSorted(), eventFields.toSorted());
});

test('every modifier named is evaluated', () => {
  const values: Record<string, string> = {
    cidr: '10.0.0.0/8',
    exists: 'true',
    gt: '1',
    gte: '1',
    lt: '1',
    lte: '1',
    all: '[a]',
  };
  const modifiers = words(row('modifiers')[2]);
  assert.equal(modifiers.length, 12);
  for (const modifier of modifiers) {
    const key = modifier === 'all' || modifier === 'cased' ? `path|contains|${modifier}` : `path|${modifier}`;
    const rule = `title: t\nid: t\nlevel: low\nlogsource: {}\ndetection: {a: {${key}: ${values[modifier] ?? 'a'}}, condition: a}\n`;
    assert.equal(createDetector({ 't.yml': rule }).rules, 1, modifier);
  }
});

test('the snippet runs as it is printed', (t) => {
  const snippet = /```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? assert.fail('no snippet');
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-docs-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'rule.test.ts');
  writeFileSync(file, snippet.replace("'../audit/", `'${pathToFileURL(root).href}/audit/`));
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = spawnSync(process.execPath, ['--test', file], { cwd: root, env, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stdout + run.stderr);
  assert.match(run.stdout, /pass 1/);
});
