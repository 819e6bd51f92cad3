import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { decideWithEngine } from './decide.ts';
import { loadRepository } from './load.ts';
import { formatProblem } from './problems.ts';
import { runPolicyTests } from './run-tests.ts';
import { scaffold } from './scaffold.ts';
import { readDirectory } from './tree.ts';

const root = mkdtempSync(join(tmpdir(), 'edgeward-test-scaffold-'));
after(() => rmSync(root, { recursive: true, force: true }));

test('a new repository has no problem and passes its own tests', async () => {
  const directory = join(root, 'new/policy');
  const written = await scaffold(directory, { trustDomain: 'shop.example' });
  assert.ok(written.includes('edgeward.yaml'));
  const { repository, problems } = loadRepository(await readDirectory(directory), Date.now());
  assert.deepEqual(problems.map(formatProblem), []);
  assert.equal(repository?.trustDomain, 'shop.example');
  const report = runPolicyTests(repository, decideWithEngine(), Date.now());
  assert.deepEqual([report.passed, report.failed], [3, 0]);
});

test('nothing that exists is overwritten', async () => {
  const directory = mkdtempSync(join(root, 'used-'));
  writeFileSync(join(directory, 'edgeward.yaml'), 'mine\n');
  await assert.rejects(scaffold(directory, { trustDomain: 'shop.example' }), { code: 'POLICY_SCAFFOLD_EXISTS' });
  assert.equal(readFileSync(join(directory, 'edgeward.yaml'), 'utf8'), 'mine\n');
});

test('a trust domain that is none is refused before anything is written', async () => {
  const directory = mkdtempSync(join(root, 'empty-'));
  const refused = scaffold(directory, { trustDomain: 'Shop Example\nx: 1' });
  await assert.rejects(refused, { code: 'POLICY_SCAFFOLD_TRUST_DOMAIN' });
});
