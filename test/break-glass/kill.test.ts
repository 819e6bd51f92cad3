// A real process on a real disk, killed with SIGKILL at each step between a ticket and its opening: the alarm comes before
// the count, the count before the opening, and no ticket is counted twice or opened again after a boot.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { profile, ticket } from './people.ts';

const program = join(import.meta.dirname, 'use-ticket.ts');

test('killed at any step, a ticket opens once or not at all, and never without its alarm', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-glass-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const profileFile = file('profile', JSON.stringify(profile({ uses: 9 })));
  const run = (state: string, ticketFile: string, boot: string, killAt = ''): string[] => {
    const args = [program, join(folder, state), profileFile, ticketFile, boot, killAt];
    const { stdout, signal } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 });
    assert.equal(signal, killAt === '' ? null : 'SIGKILL', killAt);
    return stdout.split('\n').slice(0, -1);
  };
  const one = file('one', await ticket());

  // Before the count is on disk nothing is spent: the same ticket opens.
  for (const step of ['alarm', 'written']) {
    assert.deepEqual(run(step, one, 'boot-1', step), ['break-glass'], step);
    assert.deepEqual(run(step, one, 'boot-1'), ['break-glass', 'used', '1 open'], step);
  }
  // From the rename on it is, whether or not anybody heard so; in that boot it is open, after it never again.
  for (const step of ['renamed', 'break-glass-counted']) {
    assert.deepEqual(run(step, one, 'boot-1', step), ['break-glass'], step);
    assert.deepEqual(run(step, one, 'boot-1'), ['break-glass-refuse', 'BREAK_GLASS_SPENT', '1 open'], step);
    assert.deepEqual(run(step, one, 'boot-2'), ['break-glass-refuse', 'BREAK_GLASS_SPENT', '0 open'], step);
  }
});
