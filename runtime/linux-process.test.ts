// A process is held by what it is, not by its number.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { requires } from '../test/support/capabilities.ts';
import { holdProcess, processStart } from './linux-process.ts';

/** Sleeps until it is killed. */
async function sleeper(): Promise<ChildProcess & { readonly pid: number }> {
  const child = spawn(process.execPath, ['-e', 'console.log("up"); setInterval(() => {}, 1000)'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  return child as ChildProcess & { readonly pid: number };
}

test('a stopped process lives, and is killed', async (t) => {
  if (!requires(t, 'linux')) return;
  const child = await sleeper();
  const ended = once(child, 'exit');
  using held = holdProcess(child.pid, processStart(child.pid) ?? '');
  assert.equal(held?.isAlive(), true);
  child.kill('SIGSTOP');
  assert.equal(held.isAlive(), true);
  held.kill();
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  assert.equal(held.isAlive(), false);
  held.kill();
  assert.equal(processStart(child.pid), undefined);
});

test('another process with the number is not held', async (t) => {
  if (!requires(t, 'linux')) return;
  const child = await sleeper();
  const started = processStart(child.pid) ?? '';
  assert.match(started, /^\d+$/);
  assert.equal(holdProcess(child.pid, String(Number(started) + 1)), undefined);
  assert.equal(holdProcess(process.pid, started), undefined);
  assert.equal(child.exitCode, null);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  assert.equal(holdProcess(child.pid, started), undefined);
  assert.equal(holdProcess(0, started), undefined);
  assert.equal(holdProcess(-1, started), undefined);
});
