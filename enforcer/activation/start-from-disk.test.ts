// An edge starts with the last verified bundle before any network, whatever happened to the power or the disk.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PowerCutError, SimulatedFiles } from '../../store/simulated-files.ts';
import { chunkServer, edge, hour, seal, start, stateDir } from '../../test/activation/world.ts';

const policy = `${stateDir}/policy`;

async function twoBundles() {
  const [good, next] = [await seal(1), await seal(2)];
  const world = await edge(new SimulatedFiles({ seed: 7 }));
  const server = chunkServer(good, next);
  await world.activation.offer(good.manifestJws, server.fetch);
  await world.activation.offer(next.manifestJws, server.fetch);
  return { good, next, ...world };
}

test('after a restart the bundle in force is in force again, firewall included, without network', async () => {
  const { next, fs } = await twoBundles();
  const { activation, applied, events } = await edge(fs.restart());
  const active = await activation.startFromDisk();
  assert.equal(active?.bundle.digest, next.digest);
  assert.equal(activation.handler.version(), 2n);
  assert.deepEqual((await activation.handler.confirm()).selfTest, { vectors: 1, passed: 1 });
  assert.equal(applied.length, 1);
  assert.deepEqual(
    events.map(({ activity, data }) => [activity, data['source']]),
    [['activate', 'disk']],
  );
});

test('an edge without any bundle starts with none', async () => {
  const { activation, events } = await edge();
  assert.equal(await activation.startFromDisk(), undefined);
  assert.equal(activation.current(), undefined);
  assert.deepEqual(events, []);
});

test('past hard expiry the bundle still starts, for what is left of it', async () => {
  const { next, fs } = await twoBundles();
  const { activation, clock } = await edge(fs.restart());
  clock.set(start + 400 * 24 * hour);
  assert.equal((await activation.startFromDisk())?.bundle.digest, next.digest);
});

test('a damaged bundle on disk is refused at start, and the last good one is used', async (t) => {
  const damages: Record<string, (fs: SimulatedFiles, digest: string) => void | Promise<void>> = {
    'a flipped bit in a chunk': (fs, digest) => fs.flipBit(`${policy}/chunks/${digest}`, 90),
    'a missing chunk': (fs, digest) => fs.unlink(`${policy}/chunks/${digest}`),
    'a flipped bit in the manifest': (fs) => fs.flipBit(`${policy}/manifest.jws`, 900),
    'half a manifest': async (fs) => {
      const file = await fs.open(`${policy}/manifest.jws`, 'append');
      await file.truncate(200);
      await file.sync();
      await file.close();
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    await t.test(name, async () => {
      const { good, next, fs } = await twoBundles();
      const known = new Set(good.chunks.map(({ digest }) => digest));
      const own = next.chunks.find(({ digest }) => !known.has(digest))?.digest ?? '';
      await damage(fs, own);
      const { activation, events } = await edge(fs);
      assert.equal((await activation.startFromDisk())?.bundle.digest, good.digest);
      assert.deepEqual(
        events.map(({ activity }) => activity),
        ['refuse', 'activate'],
      );
      // The newer one is not lost: it comes again, and only what is damaged is fetched.
      const server = chunkServer(next);
      await activation.offer(next.manifestJws, server.fetch);
      assert.equal(activation.current()?.bundle.digest, next.digest);
      assert.deepEqual(server.fetched, name.includes('chunk') ? [own] : []);
    });
  }
});

test('when nothing on disk can be trusted the edge has no bundle', async () => {
  const { fs } = await twoBundles();
  for (const name of ['manifest.jws', 'manifest.previous.jws']) fs.flipBit(`${policy}/${name}`, 900);
  const { activation, events } = await edge(fs);
  assert.equal(await activation.startFromDisk(), undefined);
  assert.deepEqual(
    events.map(({ activity }) => activity),
    ['refuse', 'refuse'],
  );
});

test('a firewall that fails for the newest bundle at start leads to the last good', async () => {
  const { good, next, fs } = await twoBundles();
  const applyFirewall = (slice: { devices: readonly { labels: Record<string, string> }[] }) =>
    slice.devices[0]?.labels['mark'] === 'v2' ? Promise.reject(new Error('EINVAL')) : Promise.resolve();
  const { activation } = await edge(fs.restart(), { applyFirewall });
  assert.equal((await activation.startFromDisk())?.bundle.digest, good.digest);
  assert.notEqual(activation.current()?.bundle.digest, next.digest);
});

test('the power is cut after every single operation of an activation: a bundle always opens, and never half of one', async () => {
  const [good, next] = [await seal(1), await seal(2)];
  const digests = new Set([good.digest, next.digest]);
  let cuts = 0;
  for (let count = 1; ; count += 1) {
    const fs = new SimulatedFiles({ seed: count });
    const before = await edge(fs);
    await before.activation.offer(good.manifestJws, chunkServer(good).fetch);
    fs.cutAfter(count);
    const outcome = await before.activation.offer(next.manifestJws, chunkServer(next).fetch).then(
      () => 'acknowledged',
      () => 'refused',
    );
    if (!fs.cut) break;
    cuts += 1;
    const after = await edge(fs.restart());
    const active = await after.activation.startFromDisk();
    assert.ok(active !== undefined && digests.has(active.bundle.digest), `cut ${count}`);
    if (outcome === 'acknowledged') assert.equal(active.bundle.digest, next.digest, `cut ${count} after the ACK`);
    await after.activation.offer(next.manifestJws, chunkServer(next).fetch);
    assert.equal(after.activation.current()?.bundle.digest, next.digest);
    await assert.rejects(after.activation.offer(good.manifestJws, chunkServer(good).fetch), {
      code: 'BUNDLE_ROLLBACK',
    });
  }
  assert.ok(cuts > 15, `${cuts} cuts`);
});

test('the power is cut at the named points', async () => {
  for (const point of ['chunks-stored', 'last-good-kept', 'written', 'renamed']) {
    const [good, next] = [await seal(1), await seal(2)];
    const fs = new SimulatedFiles({ seed: 3 });
    const before = await edge(fs);
    await before.activation.offer(good.manifestJws, chunkServer(good).fetch);
    fs.cutAt(point);
    await assert.rejects(before.activation.offer(next.manifestJws, chunkServer(next).fetch), (error: Error) => {
      return error instanceof PowerCutError || error.cause instanceof PowerCutError;
    });
    const active = await (await edge(fs.restart())).activation.startFromDisk();
    assert.equal(active?.bundle.digest, good.digest, point);
  }
});
