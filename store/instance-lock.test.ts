// The lock of a state directory: one holder, and none after the holder's process is gone.
import { spawn } from 'node:child_process';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockInstance } from './instance-lock.ts';

const module_ = new URL('./instance-lock.ts', import.meta.url).href;

test('a second program on the same state directory is refused, by name', () => {
  const state = mkdtempSync(join(tmpdir(), 'ewl-'));
  const lock = lockInstance(state, 'an edge');
  assert.throws(() => lockInstance(state, 'an edge'), {
    code: 'INSTANCE_RUNNING',
    message: `an edge runs on ${state} already`,
  });
  lock.release();
  lockInstance(state, 'an edge').release();
  rmSync(state, { recursive: true });
});

test('the lock of a killed program is free at once', async () => {
  const state = mkdtempSync(join(tmpdir(), 'ewl-'));
  const source = `import { lockInstance } from '${module_}'; lockInstance(process.argv[1], 'x'); console.log('held'); setInterval(() => 0, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source, state], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  assert.throws(() => lockInstance(state, 'an edge'), { code: 'INSTANCE_RUNNING' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  lockInstance(state, 'an edge').release();
  rmSync(state, { recursive: true });
});
