// Whole or absent after any crash; sealed against everybody without the passphrase and against any change.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../runtime/errors.ts';
import { nodeFiles } from './files.ts';
import { readPrivate, readSealed, writeDurably, writeSealed } from './sealed-file.ts';
import { PowerCutError, SimulatedFiles } from './simulated-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'edgeward-sealed-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('a durable write is the old content or the new at every cut, and the new once it was reported', async () => {
  for (let seed = 0; seed < 60; seed++) {
    for (let count = 1; ; count++) {
      const fs = new SimulatedFiles({ seed });
      await fs.mkdir('/state');
      await writeDurably(fs, '/state/a', Buffer.from('old'));
      fs.cutAfter(count);
      let reported = false;
      try {
        await writeDurably(fs, '/state/a', Buffer.from('new'));
        reported = true;
      } catch (error) {
        assert.ok(error instanceof PowerCutError);
      }
      const disk = fs.restart();
      const content = (await disk.readFile('/state/a', 10)).toString();
      assert.ok(
        reported ? content === 'new' : ['old', 'new'].includes(content),
        `${content} (seed ${seed}, call ${count})`,
      );
      await writeDurably(disk, '/state/a', Buffer.from('next'));
      assert.deepEqual(await disk.list('/state'), ['a'], 'nothing temporary is left');
      if (reported) break;
    }
  }
});

test('a full disk keeps the old content, says so, and leaves nothing behind', async () => {
  const fs = new SimulatedFiles();
  await fs.mkdir('/state');
  await writeDurably(fs, '/state/a', Buffer.from('old'));
  fs.setFreeBytes(2);
  await assert.rejects(writeDurably(fs, '/state/a', Buffer.from('new')), {
    code: 'FILE_SYSTEM_FULL',
    status: 'RESOURCE_EXHAUSTED',
  });
  assert.deepEqual(await fs.list('/state'), ['a']);
  assert.equal((await fs.readFile('/state/a', 10)).toString(), 'old');
});

test('a failed fsync is not reported as written', async () => {
  const fs = new SimulatedFiles();
  await fs.mkdir('/state');
  fs.failSyncs(1);
  await assert.rejects(writeDurably(fs, '/state/a', Buffer.from('new')), { code: 'FILE_SYSTEM_FAILED' });
  await assert.rejects(readPrivate(fs, '/state/a', 10), { code: 'FILE_MISSING' });
});

test('what was sealed is read with the passphrase, in any Unicode form, and with no other', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ minLength: 1, unit: 'grapheme' }),
      async (plain, passphrase) => {
        const fs = new SimulatedFiles();
        await writeSealed(fs, '/key', plain, passphrase.normalize('NFC'));
        assert.deepEqual(await readSealed(fs, '/key', passphrase.normalize('NFD')), Buffer.from(plain));
        await assert.rejects(readSealed(fs, '/key', `${passphrase}x`), { code: 'SEALED_FILE_LOCKED' });
      },
    ),
    { numRuns: 8 },
  );
});

test('every flipped bit and every cut is noticed', async () => {
  const fs = new SimulatedFiles();
  await writeSealed(fs, '/key', Buffer.from('the private key'), 'correct horse');
  const bits = (await fs.readFile('/key', 1e6)).length * 8;
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: bits - 1 }), async (bit) => {
      fs.flipBit('/key', bit);
      await assert.rejects(
        readSealed(fs, '/key', 'correct horse'),
        (error) => error instanceof CodedError && error.code.startsWith('SEALED_FILE_'),
      );
      fs.flipBit('/key', bit);
    }),
    { numRuns: 25 },
  );
  const file = await fs.open('/key', 'append');
  for (const size of [bits / 8 - 1, 52, 51, 8, 0]) {
    await file.truncate(size);
    await assert.rejects(readSealed(fs, '/key', 'correct horse'), (error) => error instanceof CodedError);
  }
});

test('two sealings of one content share nothing but the magic', async () => {
  const fs = new SimulatedFiles();
  const sealed: Buffer[] = [];
  for (const path of ['/a', '/b']) {
    await writeSealed(fs, path, Buffer.alloc(64), 'p');
    sealed.push((await fs.readFile(path, 1e6)).subarray(8));
  }
  const [a = Buffer.alloc(0), b = Buffer.alloc(0)] = sealed;
  for (let at = 0; at + 8 <= a.length; at += 8) assert.notDeepEqual(a.subarray(at, at + 8), b.subarray(at, at + 8));
});

test('a key file that others may read is refused, and a link is not followed', async () => {
  const path = join(folder, 'key');
  await writeSealed(nodeFiles, path, Buffer.from('x'), 'p');
  assert.equal((await nodeFiles.stat(path))?.mode, 0o600);
  for (const mode of [0o640, 0o604, 0o620, 0o601]) {
    chmodSync(path, mode);
    await assert.rejects(readSealed(nodeFiles, path, 'p'), {
      code: 'FILE_EXPOSED',
      message: new RegExp(`mode 0${mode.toString(8)}`),
    });
  }
  chmodSync(path, 0o600);
  symlinkSync(path, join(folder, 'link'));
  await assert.rejects(readSealed(nodeFiles, join(folder, 'link'), 'p'), { code: 'FILE_EXPOSED' });
  assert.equal((await readSealed(nodeFiles, path, 'p')).toString(), 'x');
});

test('an empty passphrase seals nothing', async () => {
  await assert.rejects(writeSealed(new SimulatedFiles(), '/key', Buffer.from('x'), ''), { code: 'SEALED_FILE_LOCKED' });
});
