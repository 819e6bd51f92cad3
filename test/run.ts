// Runs the tests and says by name what this machine could not run.
//   npm test                    everything
//   npm test -- ca store        only tests whose path starts with one of these
// EDGEWARD_ALLOWED_SKIPS=a,b    fails when a test is skipped for a capability outside the list ("none" allows no skip)
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const wanted = process.argv.slice(2);
const files = globSync('**/*.test.ts', { cwd: root, exclude: (name) => name === 'node_modules' || name === 'gen' })
  .filter((file) => wanted.length === 0 || wanted.some((prefix) => file.startsWith(prefix)))
  .toSorted();
if (files.length === 0) {
  process.stderr.write(`no test starts with ${wanted.join(' or ')}\n`);
  process.exit(2);
}

const scratch = mkdtempSync(join(tmpdir(), 'edgeward-tests-'));
const skips = join(scratch, 'skips.json');
const args = [
  '--disallow-code-generation-from-strings',
  '--test',
  '--test-concurrency=2',
  '--test-timeout=300000',
  '--test-reporter=spec',
  '--test-reporter-destination=stdout',
  `--test-reporter=${join(root, 'test/support/skip-reporter.ts')}`,
  `--test-reporter-destination=${skips}`,
  ...files,
];
const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
const code = await new Promise<number>((resolve) => child.once('exit', (status) => resolve(status ?? 1)));

const skipped = JSON.parse(readFileSync(skips, 'utf8')) as { name: string; file: string; reason: string }[];
rmSync(scratch, { recursive: true, force: true });
for (const { name, file, reason } of skipped) process.stdout.write(`left out: ${file}: ${name}: ${reason}\n`);

const setting = process.env['EDGEWARD_ALLOWED_SKIPS'];
const allowed = setting === undefined ? undefined : new Set(setting.split(',').map((name) => `requires ${name}`));
const forbidden = allowed === undefined ? [] : skipped.filter(({ reason }) => !allowed.has(reason));
for (const { name, reason } of forbidden) process.stdout.write(`not allowed to be left out here: ${name}: ${reason}\n`);
process.exitCode = code !== 0 ? code : forbidden.length > 0 ? 1 : 0;
