// One suite for the real file system and the simulated one: they must not differ where the power stays on.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, describe, test } from 'node:test';
import { nodeFiles, type FileSystem } from './files.ts';
import { SimulatedFiles } from './simulated-files.ts';

const root = mkdtempSync(join(tmpdir(), 'edgeward-files-'));
after(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

async function onDisk(): Promise<[FileSystem, string]> {
  const folder = join(root, String(++count));
  await nodeFiles.mkdir(folder);
  return [nodeFiles, folder];
}

async function simulated(): Promise<[FileSystem, string]> {
  const fs = new SimulatedFiles();
  await fs.mkdir('/state');
  return [fs, '/state'];
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

for (const [name, start] of [
  ['nodeFiles', onDisk],
  ['SimulatedFiles', simulated],
] as const) {
  describe(name, () => {
    test('what is appended is read, from any position and to the end', async () => {
      const [fs, folder] = await start();
      const file = await fs.open(`${folder}/a`, 'append');
      await file.append(Buffer.from('hello '));
      await file.append(Buffer.from('world'));
      await file.sync();
      assert.equal(text(await file.read(6, 100)), 'world');
      assert.equal(text(await file.read(0, 5)), 'hello');
      assert.equal(text(await file.read(50, 5)), '');
      assert.equal(await file.size(), 11);
      await file.close();
      assert.equal(text(await fs.readFile(`${folder}/a`, 100)), 'hello world');
    });

    test('appending goes on at the end after reopening and after truncation', async () => {
      const [fs, folder] = await start();
      const first = await fs.open(`${folder}/a`, 'append');
      await first.append(Buffer.from('abcdef'));
      await first.close();
      const again = await fs.open(`${folder}/a`, 'append');
      await again.truncate(3);
      await again.append(Buffer.from('X'));
      await again.truncate(6);
      await again.close();
      assert.equal(text(await fs.readFile(`${folder}/a`, 100)), 'abcX\0\0');
    });

    test('modes of opening: read must exist, create must not', async () => {
      const [fs, folder] = await start();
      await assert.rejects(fs.open(`${folder}/a`, 'read'), { code: 'ENOENT' });
      await (await fs.open(`${folder}/a`, 'create', 0o640)).close();
      await assert.rejects(fs.open(`${folder}/a`, 'create'), { code: 'EEXIST' });
      await assert.rejects(fs.open(`${folder}/none/a`, 'append'), { code: 'ENOENT' });
      const reader = await fs.open(`${folder}/a`, 'read');
      await assert.rejects(reader.append(Buffer.from('x')), { code: 'EBADF' });
      await reader.close();
      const info = await fs.stat(`${folder}/a`);
      assert.deepEqual([info?.kind, info?.size, info?.mode], ['file', 0, 0o640]);
      assert.equal((await fs.stat(folder))?.kind, 'directory');
      assert.equal(await fs.stat(`${folder}/none`), undefined);
    });

    test('rename replaces, unlink removes, list is sorted', async () => {
      const [fs, folder] = await start();
      for (const letter of ['c', 'a', 'b']) {
        const file = await fs.open(`${folder}/${letter}`, 'create');
        await file.append(Buffer.from(letter));
        await file.close();
      }
      await fs.rename(`${folder}/c`, `${folder}/a`);
      assert.deepEqual(await fs.list(folder), ['a', 'b']);
      assert.equal(text(await fs.readFile(`${folder}/a`, 10)), 'c');
      await fs.unlink(`${folder}/b`);
      assert.deepEqual(await fs.list(folder), ['a']);
      await assert.rejects(fs.unlink(`${folder}/b`), { code: 'ENOENT' });
      await assert.rejects(fs.rename(`${folder}/b`, `${folder}/x`), { code: 'ENOENT' });
      await assert.rejects(fs.list(`${folder}/none`), { code: 'ENOENT' });
      await fs.syncDirectory(folder);
    });

    test('an open file lives on when its name is gone', async () => {
      const [fs, folder] = await start();
      const file = await fs.open(`${folder}/a`, 'append');
      await file.append(Buffer.from('still'));
      await fs.unlink(`${folder}/a`);
      assert.equal(text(await file.read(0, 10)), 'still');
      await file.close();
    });

    test('mkdir makes parents and does not mind a folder that exists', async () => {
      const [fs, folder] = await start();
      await fs.mkdir(`${folder}/x/y/z`);
      await fs.mkdir(`${folder}/x/y/z`);
      assert.deepEqual(await fs.list(`${folder}/x/y`), ['z']);
      await (await fs.open(`${folder}/file`, 'create')).close();
      await assert.rejects(fs.mkdir(`${folder}/file`), { code: 'EEXIST' });
    });

    test('a file above the limit is refused', async () => {
      const [fs, folder] = await start();
      const file = await fs.open(`${folder}/a`, 'append');
      await file.append(Buffer.alloc(101));
      await file.close();
      await assert.rejects(fs.readFile(`${folder}/a`, 100), { code: 'EFBIG' });
      assert.equal((await fs.readFile(`${folder}/a`, 101)).length, 101);
    });
  });
}

test('nodeFiles.mkdir takes relative paths and trailing slashes', async () => {
  const [fs, folder] = await onDisk();
  const path = relative(process.cwd(), folder);
  await fs.mkdir(`${path}/r/s/`);
  await fs.mkdir(`${path}/r/../t/u`);
  assert.deepEqual(await fs.list(folder), ['r', 't']);
});

test('nodeFiles follows no symbolic link to a file', async () => {
  const [fs, folder] = await onDisk();
  await (await fs.open(`${folder}/target`, 'create')).close();
  symlinkSync(`${folder}/target`, `${folder}/link`);
  for (const how of ['read', 'append', 'create'] as const) await assert.rejects(fs.open(`${folder}/link`, how), how);
  assert.equal((await fs.stat(`${folder}/link`))?.kind, 'other');
});
