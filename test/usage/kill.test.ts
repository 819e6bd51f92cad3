// Real processes on a real disk, killed with SIGKILL while they answer: all of them together let through what the grant
// allows, and no more.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { allUses } from './limited-slice.ts';

interface Run {
  readonly allowed: number;
  readonly denied: readonly string[];
}

/** Kills after so many allows; lets it end by itself when it is never reached. */
async function run(stateDir: string, killAfter: number): Promise<Run> {
  const program = join(import.meta.dirname, 'request-loop.ts');
  const child = spawn(process.execPath, [program, stateDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  let allowed = 0;
  const denied: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line !== 'allowed') denied.push(line);
    else if (++allowed === killAfter) child.kill('SIGKILL');
  }
  return { allowed, denied };
}

test('killed again and again, the edge lets through as many requests as there are uses', async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), 'edgeward-usage-'));
  t.after(() => rmSync(stateDir, { recursive: true }));
  let through = 0;
  for (const killAfter of [1, 40, 7]) through += (await run(stateDir, killAfter)).allowed;
  assert.ok(through >= 48, String(through));
  const last = await run(stateDir, Infinity);
  through += last.allowed;
  assert.deepEqual([...new Set(last.denied)], [`denied uses ${allUses}`]);
  // Killed with SIGKILL: of each of three clients one use may have been taken and its answer not printed.
  assert.ok(through <= allUses && through >= allUses - 3 * 3, `${through} of ${allUses}`);
  assert.equal((await run(stateDir, Infinity)).allowed, 0);
});
