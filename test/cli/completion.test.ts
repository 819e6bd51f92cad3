// Completion is right where the shell says so.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { completionScript } from '../../cli/completion.ts';
import { createProgram } from '../../cli/program.ts';
import { findProgram } from '../support/capabilities.ts';

/** What bash offers after the words; the last one is being typed. */
function offered(...words: readonly string[]): string[] {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const script = `${completionScript(createProgram(), 'bash')}
COMP_WORDS=(edgeward ${quoted}); COMP_CWORD=${words.length}; _edgeward; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash completes commands, verbs and options', () => {
  assert.deepEqual(offered('dev'), ['device']);
  assert.deepEqual(offered('device', 're'), ['recover', 'revoke', 'release']);
  assert.deepEqual(offered('device', 'list', '--j'), ['--json']);
  assert.deepEqual(offered('device', 'list', '--json', '--id'), ['--identity']);
});

test('bash leaves the value of an option and arguments to file names', () => {
  assert.deepEqual(offered('control', 'run', '--config', ''), []);
  assert.deepEqual(offered('nothing', 'known', ''), []);
});

for (const shell of ['zsh', 'fish'] as const) {
  test(`${shell} knows every group of commands`, () => {
    const program = createProgram();
    const script = completionScript(program, shell);
    for (const { commands } of program.commands)
      for (const command of commands) assert.ok(script.includes(command.name()), command.name());
    const path = findProgram(shell);
    if (path === undefined) return;
    assert.equal(spawnSync(path, ['-n', '/dev/stdin'], { input: script }).status, 0);
  });
}
