// Activation of offered bundles: what comes into force, what is refused, and that the last good bundle survives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorTable } from '../../runtime/errors.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import {
  chunkServer,
  edge,
  generateKey,
  hour,
  keyId,
  noNetwork,
  seal,
  start,
  stateDir,
} from '../../test/activation/world.ts';

const payloadOf = (jws: string): Uint8Array => Buffer.from(jws);
const refused = (code: string) => (error: { code?: string }) => error.code === code;

test('an offered bundle is verified, tested, enforced, and acknowledged with digest and self-test', async () => {
  const bundle = await seal(1);
  const server = chunkServer(bundle);
  const { activation, applied, events } = await edge();
  assert.equal(activation.current(), undefined);
  assert.equal(activation.handler.version(), 0n);

  const ack = await activation.handler.apply({ version: 1n, payload: payloadOf(bundle.manifestJws) }, server.fetch);

  assert.equal(Buffer.from(ack.digest).toString('hex'), bundle.digest);
  assert.deepEqual(ack.selfTest, { vectors: 1, passed: 1 });
  assert.equal(activation.current()?.engine.digest, bundle.digest);
  assert.equal(activation.handler.version(), 1n);
  assert.deepEqual(await activation.handler.confirm(), ack);
  assert.deepEqual(server.fetched.toSorted(), bundle.chunks.map(({ digest }) => digest).toSorted());
  assert.equal(applied.length, 1);
  assert.deepEqual(
    events.map(({ kind, activity, bundle: digest }) => [kind, activity, digest]),
    [['policy', 'activate', bundle.digest]],
  );
});

test('only chunks that are not on disk are fetched, and those of forgotten bundles are removed', async () => {
  const [first, second, third] = [await seal(1), await seal(2), await seal(3)];
  const { activation, fs } = await edge();
  const server = chunkServer(first, second, third);
  await activation.offer(first.manifestJws, server.fetch);
  server.fetched.length = 0;
  await activation.offer(second.manifestJws, server.fetch);
  const known = new Set(first.chunks.map(({ digest }) => digest));
  assert.deepEqual(
    server.fetched.toSorted(),
    second.chunks
      .map(({ digest }) => digest)
      .filter((digest) => !known.has(digest))
      .toSorted(),
  );
  await activation.offer(third.manifestJws, server.fetch);
  const kept = new Set([...second.chunks, ...third.chunks].map(({ digest }) => digest));
  assert.deepEqual(await fs.list(`${stateDir}/policy/chunks`), [...kept].toSorted());
});

test('what a refused bundle left on the disk is removed before the next one is fetched', async () => {
  const [good, refusedOne, next] = [await seal(1), await seal(2, { expect: 'deny' }), await seal(3)];
  const { activation, fs } = await edge();
  await activation.offer(good.manifestJws, chunkServer(good).fetch);
  await assert.rejects(activation.offer(refusedOne.manifestJws, chunkServer(refusedOne).fetch));
  const left = new Set(refusedOne.chunks.map(({ digest }) => digest));
  for (const { chunks } of [good, next]) for (const { digest } of chunks) left.delete(digest);
  const stored = () => fs.list(`${stateDir}/policy/chunks`);
  assert.ok(left.size > 0);
  assert.ok(left.isSubsetOf(new Set(await stored())));
  const server = chunkServer(next);
  await activation.offer(next.manifestJws, async (digests, store) => {
    assert.ok(left.isDisjointFrom(new Set(await stored())));
    await server.fetch(digests, store);
  });
});

test('a transfer that broke off goes on where it stopped', async () => {
  const bundle = await seal(1);
  const { activation } = await edge();
  let left = 2;
  const broken = chunkServer(bundle);
  const error = errorTable({ TEST_INTERRUPTED_TRANSFER: { status: 'UNAVAILABLE', remedy: 'Wait' } }).error(
    'TEST_INTERRUPTED_TRANSFER',
    'cut',
  );
  await assert.rejects(
    activation.offer(bundle.manifestJws, (digests, store) =>
      broken.fetch(digests, async (digest, content) => {
        if (left-- === 0) throw error;
        await store(digest, content);
      }),
    ),
    refused('TEST_INTERRUPTED_TRANSFER'),
  );
  const server = chunkServer(bundle);
  await activation.offer(bundle.manifestJws, server.fetch);
  assert.equal(server.fetched.length, bundle.chunks.length - 2);
});

test('bad bundles are refused, nothing is fetched for an unsigned one, and the last good stays', async (t) => {
  const good = await seal(5);
  const stranger = generateKey();
  const by = { key: stranger.privateKey, keyId: keyId(stranger.publicKey) };
  const newer = await seal(6);
  const [header = '', payload = '', signature = ''] = newer.manifestJws.split('.');
  const otherPayload = (await seal(7)).manifestJws.split('.')[1] ?? '';
  const cases: Record<string, { jws: string; code: string; fetches?: boolean }> = {
    'a key that is not pinned': { jws: (await seal(6, { by })).manifestJws, code: 'BUNDLE_SIGNATURE' },
    'a tampered manifest': { jws: [header, otherPayload, signature].join('.'), code: 'BUNDLE_SIGNATURE' },
    'no JWS at all': { jws: 'half a manif', code: 'BUNDLE_SIGNATURE' },
    'half of it': { jws: [header, payload.slice(0, 80), signature].join('.'), code: 'BUNDLE_SIGNATURE' },
    'an older version': { jws: (await seal(4)).manifestJws, code: 'BUNDLE_ROLLBACK' },
    'the same version again, with other words': {
      jws: (await seal(5, { issuedAt: start - hour })).manifestJws,
      code: 'BUNDLE_ROLLBACK',
    },
    'the bundle of another device': { jws: (await seal(6, { device: 'camera-1' })).manifestJws, code: 'BUNDLE_DEVICE' },
    'an expired bundle': {
      jws: (await seal(6, { issuedAt: start - 200 * hour })).manifestJws,
      code: 'BUNDLE_EXPIRED',
    },
    'a policy whose own test fails': {
      jws: (await seal(6, { expect: 'deny' })).manifestJws,
      code: 'ACTIVATION_SELF_TEST',
      fetches: true,
    },
  };
  for (const [name, { jws, code, fetches }] of Object.entries(cases)) {
    await t.test(name, async () => {
      const { activation, applied, events } = await edge();
      const failing = await seal(6, { expect: 'deny' });
      const server = chunkServer(good, failing, newer);
      await activation.offer(good.manifestJws, server.fetch);
      server.fetched.length = 0;
      await assert.rejects(activation.offer(jws, server.fetch), refused(code));
      assert.equal(server.fetched.length > 0, fetches === true);
      assert.equal(activation.current()?.bundle.digest, good.digest);
      assert.equal(applied.length, 1);
      assert.equal(events.at(-1)?.activity, 'refuse');
      assert.equal(events.at(-1)?.data['code'], code);
      assert.equal(events.at(-1)?.severity, 'high');
    });
  }
});

test('a failed self-test names the place in the policy', async () => {
  const bundle = await seal(1, { expect: 'deny' });
  const { activation } = await edge();
  await assert.rejects(activation.offer(bundle.manifestJws, chunkServer(bundle).fetch), {
    code: 'ACTIVATION_SELF_TEST',
    place: { file: 'grants/web.yaml', line: 3 },
  });
});

test('an announced version that is not the signed one is refused', async () => {
  const bundle = await seal(3);
  const { activation } = await edge();
  const payload = payloadOf(bundle.manifestJws);
  await assert.rejects(
    activation.handler.apply({ version: 4n, payload }, chunkServer(bundle).fetch),
    refused('ACTIVATION_VERSION_MISMATCH'),
  );
  assert.equal(activation.current(), undefined);
});

test('a full disk refuses the bundle and keeps the last good, also across a restart', async () => {
  const [good, next] = [await seal(1), await seal(2)];
  const { activation, fs, events } = await edge();
  await activation.offer(good.manifestJws, chunkServer(good).fetch);
  for (const free of [0, 100, 700]) {
    fs.setFreeBytes(free);
    await assert.rejects(activation.offer(next.manifestJws, chunkServer(next).fetch), refused('FILE_SYSTEM_FULL'));
    assert.equal(activation.current()?.bundle.digest, good.digest);
    assert.equal(events.at(-1)?.data['code'], 'FILE_SYSTEM_FULL');
  }
  const after = await edge(fs.restart());
  assert.equal((await after.activation.startFromDisk())?.bundle.digest, good.digest);
  after.fs.setFreeBytes(Infinity);
  await after.activation.offer(next.manifestJws, chunkServer(next).fetch);
  assert.equal(after.activation.current()?.bundle.digest, next.digest);
});

test('a firewall that refuses keeps the last good in force and first on disk; the same bundle may come again', async () => {
  const [good, next] = [await seal(1), await seal(2)];
  let broken = false;
  const applyFirewall = () => (broken ? Promise.reject(new Error('netlink: EBUSY')) : Promise.resolve());
  const fs = new SimulatedFiles();
  const { activation } = await edge(fs, { applyFirewall });
  await activation.offer(good.manifestJws, chunkServer(good).fetch);
  broken = true;
  await assert.rejects(activation.offer(next.manifestJws, chunkServer(next).fetch), refused('ACTIVATION_FIREWALL'));
  assert.equal(activation.current()?.bundle.digest, good.digest);
  broken = false;
  const restarted = await edge(fs.restart());
  assert.equal((await restarted.activation.startFromDisk())?.bundle.digest, good.digest);
  // The floor knows version 2; exactly that bundle may come again, another of its version may not.
  const forged = await seal(2, { issuedAt: start - hour });
  await assert.rejects(restarted.activation.offer(forged.manifestJws, chunkServer(forged).fetch), {
    code: 'ACTIVATION_ROLLBACK',
  });
  await restarted.activation.offer(next.manifestJws, chunkServer(next).fetch);
  assert.equal(restarted.activation.current()?.bundle.digest, next.digest);
});

test('the floor refuses an old bundle also when the disk lost all bundles', async () => {
  const [old, good] = [await seal(4), await seal(5)];
  const { activation, fs } = await edge();
  await activation.offer(good.manifestJws, chunkServer(good).fetch);
  for (const name of ['manifest.jws']) await fs.unlink(`${stateDir}/policy/${name}`);
  const after = await edge(fs);
  assert.equal(await after.activation.startFromDisk(), undefined);
  await assert.rejects(after.activation.offer(old.manifestJws, chunkServer(old).fetch), refused('BUNDLE_ROLLBACK'));
  await after.activation.offer(good.manifestJws, chunkServer(good).fetch);
  assert.equal(after.activation.current()?.bundle.digest, good.digest);
});

test('two offers at once are activated one after the other', async () => {
  const [first, second] = [await seal(1), await seal(2)];
  const { activation } = await edge();
  const server = chunkServer(first, second);
  const results = await Promise.allSettled([
    activation.offer(second.manifestJws, server.fetch),
    activation.offer(first.manifestJws, server.fetch),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
  assert.equal(activation.current()?.bundle.digest, second.digest);
});

test('the bundle in force, offered again, is acknowledged without any work', async () => {
  const bundle = await seal(1);
  const { activation, applied } = await edge();
  const ack = await activation.offer(bundle.manifestJws, chunkServer(bundle).fetch);
  assert.deepEqual(await activation.offer(bundle.manifestJws, noNetwork), ack);
  assert.equal(applied.length, 1);
});
