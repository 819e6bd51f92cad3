// Checks that the committed generated code is what the contracts generate: runs buf into a scratch folder and compares.
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const read = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8') : undefined);
const scratch = mkdtempSync(join(tmpdir(), 'edgeward-generated-'));
try {
  execFileSync('buf', ['generate', '-o', scratch], { cwd: root, stdio: 'inherit' });
  const list = (dir: string): string[] => globSync('**/*.ts', { cwd: dir }).toSorted();
  const made = list(join(scratch, 'proto/gen'));
  const kept = list(join(root, 'proto/gen'));
  const differing = [...new Set([...made, ...kept])].filter(
    (file) => read(join(scratch, 'proto/gen', file)) !== read(join(root, 'proto/gen', file)),
  );
  for (const file of differing)
    process.stderr.write(`proto/gen/${file}: differs from what proto/ generates; run: npm run generate\n`);
  if (differing.length > 0) process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
