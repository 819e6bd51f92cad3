// The simulated disk keeps exactly what POSIX promises, and takes away everything else sooner or later.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PowerCutError, SimulatedFiles } from './simulated-files.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const seeds = Array.from({ length: 200 }, (_, seed) => seed);

async function disk(seed: number): Promise<SimulatedFiles> {
  const fs = new SimulatedFiles({ seed });
  await fs.mkdir('/d');
  return fs;
}

async function contentOf(fs: SimulatedFiles, path: string): Promise<string | undefined> {
  return (await fs.stat(path)) === undefined ? undefined : (await fs.readFile(path, 1e6)).toString();
}

test('synced bytes of a synced name survive every cut', async () => {
  for (const seed of seeds) {
    const fs = await disk(seed);
    const file = await fs.open('/d/a', 'create');
    await file.append(bytes('kept'));
    await file.sync();
    await fs.syncDirectory('/d');
    await file.append(bytes(' maybe'));
    const after = (await contentOf(fs.restart(), '/d/a')) ?? '';
    assert.ok(after.startsWith('kept'), after);
  }
});

/** What files hold after a cut at the end of `work`, over many seeds. */
async function outcomes(work: (fs: SimulatedFiles) => Promise<void>, path: string): Promise<Set<string | undefined>> {
  const seen = new Set<string | undefined>();
  for (const seed of seeds) {
    const fs = await disk(seed);
    await work(fs);
    seen.add(await contentOf(fs.restart(), path));
  }
  return seen;
}

test('without fsync of the file, any torn part of it remains', async () => {
  const seen = await outcomes(async (fs) => {
    const file = await fs.open('/d/a', 'create');
    await fs.syncDirectory('/d');
    await file.append(bytes('1234'));
    await file.append(bytes('5678'));
  }, '/d/a');
  for (const text of ['', '1', '1234', '12345', '12345678']) assert.ok(seen.has(text), text);
});

test('without fsync of the folder, a new name may be gone although the file was synced', async () => {
  const seen = await outcomes(async (fs) => {
    const file = await fs.open('/d/a', 'create');
    await file.append(bytes('x'));
    await file.sync();
  }, '/d/a');
  assert.deepEqual(seen, new Set([undefined, 'x']));
});

test('a rename without fsync of the folder is done or not done; the target is never missing', async () => {
  const replace = async (fs: SimulatedFiles): Promise<void> => {
    for (const [name, content] of [
      ['a', 'old'],
      ['b', 'new'],
    ] as const) {
      const file = await fs.open(`/d/${name}`, 'create');
      await file.append(bytes(content));
      await file.sync();
    }
    await fs.syncDirectory('/d');
    await fs.rename('/d/b', '/d/a');
  };
  assert.deepEqual(await outcomes(replace, '/d/a'), new Set(['old', 'new']));
  assert.deepEqual(await outcomes(replace, '/d/b'), new Set(['new', undefined]));
});

test('a rename before its content is synced may leave an empty file', async () => {
  const seen = await outcomes(async (fs) => {
    const file = await fs.open('/d/a.new', 'create');
    await file.append(bytes('content'));
    await fs.rename('/d/a.new', '/d/a');
    await fs.syncDirectory('/d');
  }, '/d/a');
  assert.ok(seen.has(''));
});

test('syncing one folder says nothing of another', async () => {
  const seen = await outcomes(async (fs) => {
    await fs.mkdir('/e');
    await (await fs.open('/d/a', 'create')).sync();
    await (await fs.open('/e/b', 'create')).sync();
    await fs.syncDirectory('/e');
  }, '/d/a');
  assert.deepEqual(seen, new Set([undefined, '']));
});

test('a rename that is durable takes with it what happened to the old name', async () => {
  const move = async (fs: SimulatedFiles): Promise<void> => {
    await fs.mkdir('/e');
    await (await fs.open('/d/x', 'create')).sync();
    await fs.rename('/d/x', '/e/x');
    await fs.syncDirectory('/e');
  };
  assert.deepEqual(await outcomes(move, '/e/x'), new Set(['']));
  assert.deepEqual(await outcomes(move, '/d/x'), new Set([undefined]));
});

test('a removed name may come back, unless its folder was synced', async () => {
  const remove = async (fs: SimulatedFiles): Promise<void> => {
    await (await fs.open('/d/a', 'create')).sync();
    await fs.syncDirectory('/d');
    await fs.unlink('/d/a');
  };
  assert.deepEqual(await outcomes(remove, '/d/a'), new Set(['', undefined]));
  const synced = async (fs: SimulatedFiles): Promise<void> => {
    await remove(fs);
    await fs.syncDirectory('/d');
  };
  assert.deepEqual(await outcomes(synced, '/d/a'), new Set([undefined]));
});

test('after a cut the old process is dead, and only restart sees the disk', async () => {
  const fs = await disk(1);
  const file = await fs.open('/d/a', 'create');
  fs.powerCut();
  assert.equal(fs.cut, true);
  for (const call of [
    () => file.append(bytes('x')),
    () => file.sync(),
    () => fs.list('/d'),
    () => fs.open('/d/b', 'append'),
  ]) {
    await assert.rejects(call, PowerCutError);
  }
  const next = fs.restart();
  await next.list('/d');
  await assert.rejects(fs.list('/d'), PowerCutError);
});

test('named points and counted calls cut where they say', async () => {
  const fs = await disk(1);
  fs.cutAt('commit', 2);
  fs.point('commit');
  assert.throws(() => fs.point('commit'), PowerCutError);

  const counted = await disk(1);
  const file = await counted.open('/d/a', 'create');
  counted.cutAfter(2);
  await file.append(bytes('one'));
  await assert.rejects(file.append(bytes('two')), PowerCutError);
});

test('the same seed loses the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 1e6 }), async (seed) => {
      const run = async (): Promise<string | undefined> => {
        const fs = await disk(seed);
        const file = await fs.open('/d/a', 'create');
        await file.append(bytes('0123456789'));
        return contentOf(fs.restart(), '/d/a');
      };
      assert.equal(await run(), await run());
    }),
    { numRuns: 50 },
  );
});

test('a full disk takes a part and says ENOSPC; room makes it work again', async () => {
  const fs = await disk(1);
  const file = await fs.open('/d/a', 'append');
  fs.setFreeBytes(5);
  await file.append(bytes('123'));
  await assert.rejects(file.append(bytes('4567')), { code: 'ENOSPC' });
  assert.equal(await contentOf(fs, '/d/a'), '12345');
  fs.setFreeBytes(100);
  await file.append(bytes('6'));
});

test('a failed fsync loses its writes for good: a later success does not bring them back', async () => {
  for (const seed of seeds) {
    const fs = await disk(seed);
    const file = await fs.open('/d/a', 'create');
    await fs.syncDirectory('/d');
    await file.append(bytes('lost'));
    fs.failSyncs(1);
    await assert.rejects(file.sync(), { code: 'EIO' });
    await file.append(bytes('kept'));
    await file.sync();
    assert.equal(await contentOf(fs, '/d/a'), 'lostkept', 'the running system still sees it');
    assert.equal(await contentOf(fs.restart(), '/d/a'), '\0\0\0\0kept');
  }
});

test('a flipped bit stays flipped', async () => {
  const fs = await disk(1);
  const file = await fs.open('/d/a', 'create');
  await file.append(Buffer.from([0, 0]));
  await file.sync();
  await fs.syncDirectory('/d');
  fs.flipBit('/d/a', 9);
  assert.deepEqual(await fs.restart().readFile('/d/a', 10), Buffer.from([0, 2]));
});

test('large files stay cheap to append to', async () => {
  const fs = await disk(1);
  const file = await fs.open('/d/a', 'create');
  for (let i = 0; i < 20_000; i++) {
    await file.append(Buffer.alloc(200, i));
    if (i % 10 === 0) await file.sync();
  }
  assert.equal(await file.size(), 4_000_000);
});
