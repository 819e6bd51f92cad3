import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { digestOf, knownFeatures, openBundle, RELEASE_TYPE, signDocument } from '../bundle/index.ts';
import { cutPublication } from '../bundle/publication-parts.ts';
import { MAX_CHUNK_BYTES, MAX_DIGESTS_ASKED, REPLACED_BUNDLE_GRACE_MS, UPLOAD_GRACE_MS } from '../limits.ts';
import { sampleNow } from '../repository/sample-tree.ts';
import type { Published } from './publications.ts';
import {
  newPublisher,
  openPublications,
  publisher,
  publishSample,
  sealSample,
  uploadAll,
} from './sample-publication.ts';

const code = (expected: string) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, expected, String(error));
  return true;
};

forEachDatabase((name, open) => {
  test(`${name}: a publication reaches every device, whole`, async () => {
    await using db = disposable(await open());
    const told: Published[] = [];
    const { publications } = await openPublications(db.value, {
      onPublished: (published) => void told.push(published),
    });
    assert.deepEqual(await publications.begin(), { version: 1, trustDomain: 'plant.example' });
    assert.equal(await publications.release(), undefined);
    assert.equal(await publications.manifestFor('plc-1'), undefined);
    const sealed = await publishSample(publications, 1);
    const current = await publications.release();
    assert.deepEqual(current?.release, sealed.release);
    assert.equal(current?.digest, digestOf(sealed.releaseJws));
    assert.deepEqual(
      told.map(({ version, commit, devices }) => [version, commit, devices]),
      [[1, 'c'.repeat(40), 4]],
    );
    const manifest = await publications.manifestFor('plc-1');
    const bundle = await openBundle({
      manifestJws: manifest?.manifestJws ?? '',
      chunkByDigest: (digest) => publications.chunk(digest),
      publisherKeys: [publisher.publicKey],
      trustDomain: 'plant.example',
      deviceId: 'plc-1',
      minimumVersion: 0,
      now: sampleNow,
      knownFeatures,
    });
    assert.equal(bundle.digest, manifest?.digest);
    assert.equal(bundle.digest, sealed.release.manifests['plc-1']);
    assert.deepEqual(await publications.begin(), { version: 2, trustDomain: 'plant.example' });
  });

  test(`${name}: chunks are stored by content, once, and bounded`, async () => {
    await using db = disposable(await open());
    const { publications } = await openPublications(db.value);
    const content = Buffer.from('{"casbin":[]');
    assert.equal(await publications.uploadChunk(content), digestOf(content));
    assert.equal(await publications.uploadChunk(content), digestOf(content));
    assert.deepEqual(Buffer.from((await publications.chunk(digestOf(content))) ?? []), content);
    assert.equal(await publications.chunk('0'.repeat(64)), undefined);
    await assert.rejects(publications.uploadChunk(Buffer.alloc(0)), code('POLICY_CHUNK_EMPTY'));
    await assert.rejects(publications.uploadChunk(Buffer.alloc(MAX_CHUNK_BYTES + 1)), code('POLICY_CHUNK_TOO_LARGE'));
  });

  test(`${name}: only chunks that are not there are missing, and those that are stay for who asked`, async () => {
    await using db = disposable(await open());
    const { publications, clock } = await openPublications(db.value);
    const stored = await publications.uploadChunk(Buffer.from('asked for'));
    const unasked = await publications.uploadChunk(Buffer.from('not asked for'));
    const other = '0'.repeat(64);
    assert.deepEqual(await publications.missingChunks([other, stored, other]), [other]);
    assert.deepEqual(await publications.missingChunks([]), []);
    const many = Array.from({ length: MAX_DIGESTS_ASKED }, (_, index) => digestOf(`${index}`));
    assert.equal((await publications.missingChunks(many)).length, MAX_DIGESTS_ASKED);
    await assert.rejects(publications.missingChunks([...many, other]), code('POLICY_DIGESTS_INVALID'));
    await assert.rejects(publications.missingChunks([stored.slice(2)]), code('POLICY_DIGESTS_INVALID'));
    // Abandoned uploads are forgotten after a day, unless they were asked for since.
    await clock.advance(UPLOAD_GRACE_MS - 3_600_000);
    assert.deepEqual(await publications.missingChunks([stored]), []);
    await clock.advance(2 * 3_600_000);
    const sealed = await sealSample(1, { issuedAt: clock.now() });
    await uploadAll(publications, sealed);
    await publications.complete({ version: 1, release: sealed.releaseJws, manifests: sealed.manifests });
    assert.notEqual(await publications.chunk(stored), undefined);
    assert.equal(await publications.chunk(unasked), undefined);
  });

  test(`${name}: a publication in parts is the same publication, and never also in the message`, async () => {
    await using db = disposable(await open());
    const { publications } = await openPublications(db.value);
    const sealed = await sealSample(1);
    await uploadAll(publications, sealed);
    const document = { release: sealed.releaseJws, manifests: sealed.manifests };
    const parts = cutPublication(document).map(({ digest }) => digest);
    const nothing = { version: 1, release: '', manifests: [] };
    await assert.rejects(publications.complete({ ...nothing, parts }), code('POLICY_CHUNK_MISSING'));
    for (const { content } of cutPublication(document)) await publications.uploadChunk(content);
    const both = publications.complete({ version: 1, ...document, parts });
    await assert.rejects(both, code('POLICY_RELEASE_INVALID'));
    const stranger = await sealSample(1, { key: newPublisher().key });
    const forged = cutPublication({ release: stranger.releaseJws, manifests: stranger.manifests });
    for (const { content } of forged) await publications.uploadChunk(content);
    const believed = publications.complete({ ...nothing, parts: forged.map(({ digest }) => digest) });
    await assert.rejects(believed, code('POLICY_PUBLISHER_UNKNOWN'));
    assert.equal((await publications.complete({ ...nothing, parts })).digest, digestOf(sealed.releaseJws));
    assert.equal((await publications.manifestFor('plc-1'))?.digest, sealed.release.manifests['plc-1']);
  });

  test(`${name}: of twenty publishers at once exactly one wins, every round`, async () => {
    await using db = disposable(await open());
    const { publications } = await openPublications(db.value);
    for (let version = 1; version <= 3; version += 1) {
      const commits = Array.from({ length: 20 }, (_, index) => String(index).padStart(40, 'a'));
      const sealed = await Promise.all(
        commits.map((commit) =>
          sealSample(version, { tree: { files: new Map(), commit, author: 'A <a@b>', committedAt: sampleNow } }),
        ),
      );
      for (const one of sealed) await uploadAll(publications, one);
      const answers = await Promise.allSettled(
        sealed.map((one) => publications.complete({ version, release: one.releaseJws, manifests: one.manifests })),
      );
      const won = answers.filter((answer) => answer.status === 'fulfilled');
      assert.equal(won.length, 1);
      for (const answer of answers) {
        if (answer.status === 'rejected') code('POLICY_VERSION_CONFLICT')(answer.reason);
      }
      const current = await publications.release();
      assert.equal(current?.commit, won[0]?.value.commit);
      assert.equal(current?.release.manifests['plc-1'], (await publications.manifestFor('plc-1'))?.digest);
    }
  });

  test(`${name}: versions leave no gap and never repeat`, async () => {
    await using db = disposable(await open());
    const { publications } = await openPublications(db.value);
    await publishSample(publications, 1);
    for (const version of [1, 3, 0, -1, 2 ** 40]) {
      const sealed = await sealSample(Math.max(version, 1));
      const complete = publications.complete({ version, release: sealed.releaseJws, manifests: sealed.manifests });
      await assert.rejects(complete, code('POLICY_VERSION_CONFLICT'), String(version));
    }
    await publishSample(publications, 2);
    assert.equal((await publications.release())?.version, 2);
  });

  test(`${name}: a refused publication leaves the one before in force and its version free`, async () => {
    await using db = disposable(await open());
    const { publications } = await openPublications(db.value);
    const first = await publishSample(publications, 1);
    const sealed = await sealSample(2, { key: newPublisher().key });
    const stranger = { version: 2, release: sealed.releaseJws, manifests: sealed.manifests };
    await assert.rejects(publications.complete(stranger), code('POLICY_PUBLISHER_UNKNOWN'));
    const garbage = { version: 2, release: 'x.y.z', manifests: [] };
    await assert.rejects(publications.complete(garbage), code('POLICY_PUBLISHER_UNKNOWN'));
    assert.equal((await publications.release())?.digest, digestOf(first.releaseJws));
    assert.equal((await publications.begin()).version, 2);
    await publishSample(publications, 2);
  });

  test(`${name}: a missing chunk is named, and nothing is published`, async () => {
    await using db = disposable(await open());
    const { publications } = await openPublications(db.value);
    const sealed = await sealSample(1);
    const [left, ...uploaded] = sealed.chunks;
    for (const { content } of uploaded) await publications.uploadChunk(content);
    const publication = { version: 1, release: sealed.releaseJws, manifests: sealed.manifests };
    await assert.rejects(publications.complete(publication), {
      code: 'POLICY_CHUNK_MISSING',
      message: new RegExp(left?.digest ?? ''),
    });
    assert.equal(await publications.release(), undefined);
    assert.equal((await publications.begin()).version, 1);
    await publications.uploadChunk(left?.content ?? Buffer.alloc(0));
    await publications.complete(publication);
  });

  test(`${name}: a device that the newest release leaves out has no bundle`, async () => {
    await using db = disposable(await open());
    const { publications } = await openPublications(db.value);
    await publishSample(publications, 1);
    assert.ok(await publications.manifestFor('desk-1'));
    const whole = await sealSample(2);
    const devices = whole.release.devices.filter((device) => device.id !== 'desk-1');
    const { 'desk-1': left, ...manifests } = whole.release.manifests;
    const release = await signDocument({ ...whole.release, devices, manifests }, RELEASE_TYPE, publisher.key);
    await uploadAll(publications, whole);
    await publications.complete({
      version: 2,
      release,
      manifests: whole.manifests.filter((jws) => digestOf(jws) !== left),
    });
    assert.equal(await publications.manifestFor('desk-1'), undefined);
    assert.ok(await publications.manifestFor('plc-1'));
  });

  test(`${name}: a device may run the newest bundle, one replaced a moment ago, and the one it acknowledged last`, async () => {
    await using db = disposable(await open());
    const { publications, clock } = await openPublications(db.value);
    assert.deepEqual(await publications.acceptedBundles('plc-1'), []);
    const digests: string[] = [];
    for (let version = 1; version <= 3; version += 1) {
      const sealed = await publishSample(publications, version);
      digests.push(sealed.release.manifests['plc-1'] ?? '');
      await clock.advance(60_000);
    }
    const [first = '', second = '', third = ''] = digests;
    assert.deepEqual((await publications.acceptedBundles('plc-1')).toSorted(), [first, second, third].toSorted());
    // The first was replaced at one minute, the second at two.
    clock.set(sampleNow + 60_000 + REPLACED_BUNDLE_GRACE_MS);
    assert.deepEqual((await publications.acceptedBundles('plc-1')).toSorted(), [second, third].toSorted());
    clock.set(sampleNow + 120_000 + REPLACED_BUNDLE_GRACE_MS);
    assert.deepEqual(await publications.acceptedBundles('plc-1'), [third]);
    await publications.recordAck('plc-1', { version: 1, digest: first });
    assert.deepEqual((await publications.acceptedBundles('plc-1')).toSorted(), [first, third].toSorted());
    assert.deepEqual(await publications.acceptedBundles('nobody'), []);
  });

  test(`${name}: trust domains in one database do not see each other`, async () => {
    await using db = disposable(await open());
    const { publications } = await openPublications(db.value);
    const other = await openPublications(db.value, { trustDomain: 'other.example' });
    const sealed = await publishSample(publications, 1);
    assert.equal(await other.publications.release(), undefined);
    assert.equal(await other.publications.manifestFor('plc-1'), undefined);
    assert.equal(await other.publications.chunk(sealed.chunks[0]?.digest ?? ''), undefined);
    assert.equal((await other.publications.begin()).version, 1);
    const foreign = { version: 1, release: sealed.releaseJws, manifests: sealed.manifests };
    await assert.rejects(other.publications.complete(foreign), code('POLICY_TRUST_DOMAIN_MISMATCH'));
  });

  test(`${name}: what a release in the database says is believed only while its publisher is pinned`, async () => {
    await using db = disposable(await open());
    const keys = [publisher.publicKey];
    const { publications } = await openPublications(db.value, { publisherKeys: () => Promise.resolve(keys) });
    await publishSample(publications, 1);
    keys.pop();
    const restarted = await openPublications(db.value, { publisherKeys: () => Promise.resolve(keys) });
    await assert.rejects(restarted.publications.release(), code('POLICY_PUBLISHER_UNKNOWN'));
  });

  test(`${name}: a release whose documents nobody can run is refused before it is stored`, async () => {
    await using db = disposable(await open());
    const refuse = (): never => {
      throw new Error('detection x.yml: unknown modifier');
    };
    const { publications } = await openPublications(db.value, { checkRelease: refuse });
    await assert.rejects(publishSample(publications, 1), /unknown modifier/);
    assert.equal(await publications.release(), undefined);
  });

  test(`${name}: manifests and chunks of long ago are forgotten, releases are not`, async () => {
    await using db = disposable(await open());
    const { publications, clock } = await openPublications(db.value);
    const abandoned = await publications.uploadChunk(Buffer.from('never published'));
    await clock.advance(2 * 86_400_000);
    for (let version = 1; version <= 18; version += 1) {
      const issuedAt = sampleNow + 2 * 86_400_000 + version;
      const sealed = await sealSample(version, { issuedAt });
      await uploadAll(publications, sealed);
      await publications.complete({ version, release: sealed.releaseJws, manifests: sealed.manifests });
    }
    const count = async (table: string): Promise<number> =>
      (await db.value.withTables<Record<string, { version: number }>>().selectFrom(table).select('version').execute())
        .length;
    assert.equal(await count('policy_releases'), 18);
    assert.equal(await count('policy_manifests'), 16 * 4);
    assert.equal(await publications.chunk(abandoned), undefined);
    const { 'plc-1': digest } = (await publications.release())?.release.manifests ?? {};
    assert.equal((await publications.manifestFor('plc-1'))?.digest, digest);
  });
});

function disposable<T extends { close(): Promise<void> }>(value: T): { value: T } & AsyncDisposable {
  return { value, [Symbol.asyncDispose]: () => value.close() };
}
