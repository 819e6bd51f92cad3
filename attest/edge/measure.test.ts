import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type MeasuredFiles, nodeMeasuredFiles as files } from './files.ts';
import { measureExecutables, measureProgram } from './measure.ts';

let folder = '';
const at = (...parts: string[]) => join(folder, ...parts);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeward-measure-'));
  await mkdir(at('program', 'lib'), { recursive: true });
  await writeFile(at('program', 'main.js'), 'main');
  await writeFile(at('program', 'lib', 'a.js'), 'a');
  await writeFile(at('program', 'lib', 'b.js'), 'b');
  await symlink('a.js', at('program', 'lib', 'link.js'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('executables', () => {
  test('are measured as sha256sum does', async () => {
    await writeFile(at('big'), Buffer.alloc(700_001, 'x'));
    await writeFile(at('empty'), '');
    const measured = await measureExecutables(files, [at('big'), at('empty'), process.execPath]);
    for (const [path, digest] of Object.entries(measured)) {
      assert.equal(execFileSync('sha256sum', [path]).toString().split(' ')[0], digest);
    }
  });

  test('behind a link are measured by what they lead to', async () => {
    const measured = await measureExecutables(files, [at('program', 'lib', 'a.js'), at('program', 'lib', 'link.js')]);
    assert.equal(new Set(Object.values(measured)).size, 1);
  });

  test('that are not there, no regular files, or too large are missing; none of them blocks', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    await symlink('loop', at('loop'));
    await symlink('nowhere', at('dangling'));
    await writeFile(at('sparse'), '');
    await truncate(at('sparse'), 2 ** 30 + 1);
    const paths = [
      at('none'),
      at('program'),
      at('pipe'),
      at('loop'),
      at('dangling'),
      at('sparse'),
      '/dev/zero',
      '/dev/null',
      at('program', 'main.js', 'x'),
    ];
    const measured = await measureExecutables(files, paths);
    assert.deepEqual(Object.keys(measured), paths);
    assert.deepEqual(new Set(Object.values(measured)), new Set(['missing']));
  });

  test('stop being measured when the caller gives up', async () => {
    await assert.rejects(
      measureExecutables(files, [process.execPath], AbortSignal.abort(new Error('stopped'))),
      /stopped/,
    );
  });
});

describe('the digest of the program', () => {
  const measure = () => measureProgram(files, [at('program')]);

  test('is the same wherever it is installed, and in whatever order a folder lists', async () => {
    const before = await measure();
    await cp(at('program'), at('elsewhere', 'program'), { recursive: true, verbatimSymlinks: true });
    assert.equal(await measureProgram(files, [at('elsewhere', 'program')]), before);
    const turned: MeasuredFiles = { ...files, list: async (path) => (await files.list(path)).toReversed() };
    assert.equal(await measureProgram(turned, [at('program')]), before);
  });

  const changes: Readonly<Record<string, () => Promise<unknown>>> = {
    'a changed byte': () => writeFile(at('program', 'lib', 'a.js'), 'A'),
    'a new file': () => writeFile(at('program', 'lib', 'c.js'), ''),
    'a removed file': () => unlink(at('program', 'lib', 'b.js')),
    'a renamed file': () => rename(at('program', 'lib', 'b.js'), at('program', 'lib', 'c.js')),
    'a moved file': () => rename(at('program', 'lib', 'b.js'), at('program', 'b.js')),
    'two files that change places': async () => {
      await writeFile(at('program', 'lib', 'a.js'), 'b');
      await writeFile(at('program', 'lib', 'b.js'), 'a');
    },
    'a file that becomes executable': () => chmod(at('program', 'main.js'), 0o755),
    'a link that leads elsewhere': async () => {
      await unlink(at('program', 'lib', 'link.js'));
      await symlink('b.js', at('program', 'lib', 'link.js'));
    },
    'a link in the place of a file': async () => {
      await unlink(at('program', 'lib', 'b.js'));
      await symlink('a.js', at('program', 'lib', 'b.js'));
    },
  };
  for (const [name, change] of Object.entries(changes)) {
    test(`sees ${name}`, async () => {
      const before = await measure();
      await change();
      assert.notEqual(await measure(), before);
    });
  }

  test('cannot be forged by a line break in a name', async () => {
    const digest = await files.digest(at('program', 'lib', 'b.js'), undefined);
    await rename(at('program', 'lib', 'a.js'), at('program', 'lib', 'x'));
    const before = await measure();
    await unlink(at('program', 'lib', 'b.js'));
    await rename(at('program', 'lib', 'x'), at('program', 'lib', `x"\nfile ${digest} "program_b.js`));
    assert.notEqual(await measure(), before);
  });

  test('takes several roots, whose names differ', async () => {
    const one = await measureProgram(files, [at('program', 'main.js'), at('program', 'lib')]);
    assert.equal(await measureProgram(files, [at('program', 'lib'), at('program', 'main.js')]), one);
    await cp(at('program', 'lib'), at('elsewhere', 'program'), { recursive: true });
    for (const roots of [[], [at('program'), at('elsewhere', 'program')]]) {
      await assert.rejects(measureProgram(files, roots), { code: 'ATTEST_MEASURE_FAILED' });
    }
  });

  test('is refused when a file is missing, no regular file, or nested too deeply', async () => {
    await assert.rejects(measureProgram(files, [at('none')]), { code: 'ATTEST_MEASURE_FAILED' });
    execFileSync('mkfifo', [at('program', 'pipe')]);
    await assert.rejects(measure(), { code: 'ATTEST_MEASURE_FAILED', place: { file: at('program', 'pipe') } });
    await unlink(at('program', 'pipe'));
    await mkdir(at('program', ...Array.from({ length: 33 }, () => 'd')), { recursive: true });
    await assert.rejects(measure(), { code: 'ATTEST_MEASURE_FAILED' });
  });

  test('is refused for a tree that is too large', async () => {
    const endless: MeasuredFiles = {
      kind: (path) => Promise.resolve(path.endsWith('program') ? 'folder' : 'file'),
      list: () => Promise.resolve(Array.from({ length: 50_001 }, (_, index) => String(index))),
      digest: () => Promise.resolve('00'),
      target: () => Promise.resolve(''),
    };
    await assert.rejects(measureProgram(endless, ['/program']), { code: 'ATTEST_MEASURE_FAILED', message: /50000/ });
  });
});
