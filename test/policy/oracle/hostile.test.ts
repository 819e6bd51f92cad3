// Whatever a model, a policy or a request holds: it is refused with its place or answered, and nothing hangs or throws.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { giantCount } from './hostile.ts';
import type { HostileReport } from './hostile-run.ts';

const SEED = 3;
const COUNT = giantCount + 3_000;
/** Far beyond what any input takes, also on a machine that does much else. */
const WATCHDOG_MS = 60_000;

test('hostile models, policies and requests are refused with a place, or answered', async (t) => {
  const program = join(import.meta.dirname, 'hostile-run.ts');
  const child = spawn(process.execPath, [program, String(SEED), String(COUNT)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let last = 'nothing';
  let hung = false;
  const kill = (): void => {
    hung = true;
    child.kill('SIGKILL');
  };
  let watchdog = setTimeout(kill, WATCHDOG_MS);
  for await (const line of createInterface(child.stdout)) {
    clearTimeout(watchdog);
    watchdog = setTimeout(kill, WATCHDOG_MS);
    const report = JSON.parse(line) as HostileReport;
    if ('at' in report) {
      last = report.at;
      continue;
    }
    const { problems, ...counts } = report;
    t.diagnostic(JSON.stringify(counts));
    assert.deepEqual(problems, []);
    assert.ok(counts.refused > COUNT / 4 && counts.compiled > COUNT / 4, 'both ways are walked');
    last = 'the end';
  }
  clearTimeout(watchdog);
  assert.equal(hung, false, `hangs at ${last}`);
  assert.equal(await ended, 0, `ended at ${last}`);
});
