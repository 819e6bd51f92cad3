// The command as it is installed generates no code from strings, and the shipped units start that command.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

test('bin/edgeward runs without code generation from strings', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'ewl-'));
  try {
    const probe = join(scratch, 'probe.mjs');
    writeFileSync(
      probe,
      `for (const make of [() => eval('1'), () => new Function('return 1')]) {
        try { make(); console.log('generated'); } catch (error) { console.log(error.name); }
      }`,
    );
    const said = (command: string, args: string[]): string[] =>
      spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: `--import=file://${probe}` } })
        .stdout.split('\n')
        .slice(0, 2);
    assert.deepEqual(said(join(root, 'bin/edgeward'), ['--version']), ['EvalError', 'EvalError']);
    // The probe can tell: without the flag it finds what it looks for.
    assert.deepEqual(said(process.execPath, ['-e', '']), ['generated', 'generated']);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

for (const unit of ['edgeward-firewall.service', 'edgeward-edge.service', 'edgeward-control.service']) {
  test(`${unit} starts everything by it`, () => {
    const lines = readFileSync(join(root, 'examples/systemd', unit), 'utf8').split('\n');
    const starts = lines.filter((line) => /^Exec\w+=/.test(line));
    assert.ok(starts.length > 0);
    for (const line of starts) assert.match(line, /^Exec\w+=\/opt\/edgeward\/bin\/edgeward /);
  });
}
