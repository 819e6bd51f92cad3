import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeMeasuredFiles } from './files.ts';
import { measureAside } from './measure-aside.ts';
import { measureExecutables, measureProgram } from './measure.ts';

test('a thread measures what this one does', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeward-aside-'));
  t.after(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'lib'));
  await writeFile(join(folder, 'lib', 'a.js'), 'a');
  const program = [folder, { path: join(folder, 'lib'), name: 'node_modules/lib' }];
  const executables = [process.execPath, join(folder, 'none')];
  assert.deepEqual(await measureAside({ program, executables }), {
    program: await measureProgram(nodeMeasuredFiles, program),
    executables: await measureExecutables(nodeMeasuredFiles, executables),
  });
});

test('what cannot be measured is refused with its place, and the caller goes on', async () => {
  await assert.rejects(measureAside({ program: ['/nowhere'], executables: [] }), {
    code: 'ATTEST_MEASURE_FAILED',
    place: { file: '/nowhere' },
  });
});

test('measuring ends with its signal, before and while', async () => {
  const what = { program: [process.execPath], executables: [] };
  await assert.rejects(measureAside(what, AbortSignal.abort(new Error('before'))), /before/);
  const stop = new AbortController();
  const measuring = assert.rejects(measureAside(what, stop.signal), /while/);
  stop.abort(new Error('while'));
  await measuring;
});
