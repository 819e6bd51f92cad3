// The harness proves itself: every seeded bug of the engine is found, and without a bug nothing is.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { Hunt } from './mutant-hunt.ts';
import { mutants } from './mutants.ts';

const SEED = 7;
/** Cases within which each bug has to be found. */
const CASES = 100_000;
/** A mutant that never answers must not hang the test. */
const WATCHDOG_MS = 240_000;

test('every seeded bug is found by the differential, and without one nothing is', async (t) => {
  const program = join(import.meta.dirname, 'mutant-hunt.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(SEED), String(CASES)], {
    timeout: WATCHDOG_MS,
    maxBuffer: 1 << 26,
  });
  const hunts = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Hunt);
  const [control, ...others] = hunts;
  assert.deepEqual(control, { cases: control?.cases, problem: '' });
  assert.deepEqual(
    others.map(({ id }) => id),
    mutants.map(({ id }) => id),
  );
  for (const { id = '', cases, problem } of others) {
    t.diagnostic(`${id}: ${problem === '' ? 'NOT FOUND' : `found within ${cases} cases`}`);
    assert.notEqual(problem, '', `${id} was not found in ${cases} cases`);
  }
});
