import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { jwkOf } from '../../identity/index.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { openBundle } from './open.ts';
import type { OpenBundleOptions } from './open.ts';
import { issuedAt, newPublisher, openOptions, sampleMeta, sampleSlice } from './sample-slice.ts';
import { sealBundle } from './seal.ts';
import { digestOf, MANIFEST_TYPE, RELEASE_TYPE, signDocument } from './signed-json.ts';

const publisher = newPublisher();
const sealed = await sealBundle(sampleSlice(), sampleMeta, publisher);
const good = openOptions(sealed, publisher);

const code = (expected: string) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, expected, String(error));
  return true;
};

test('a sealed bundle opens with the slice, the manifest and the digest of the manifest JWS', async () => {
  const bundle = await openBundle(good);
  assert.deepEqual(bundle.slice, sampleSlice());
  assert.deepEqual(bundle.manifest, sealed.manifest);
  assert.equal(bundle.digest, digestOf(sealed.manifestJws));
  assert.equal(bundle.publisherKeyId, publisher.keyId);
});

test('public keys are pinned as keys or as JWK', async () => {
  const publicKey = createPublicKey(publisher.key);
  await openBundle({ ...good, publisherKeys: [createPublicKey(newPublisher().key), publicKey] });
  await openBundle({ ...good, publisherKeys: [jwkOf(publicKey)] });
});

const stranger = newPublisher();
const { manifest } = sealed;
const signed = (document: unknown, typ = MANIFEST_TYPE): Promise<string> => signDocument(document, typ, publisher);
const [firstChunk] = sealed.chunks;
assert.ok(firstChunk);

const refusals: readonly [what: string, code: string, options: Partial<OpenBundleOptions>][] = [
  ['no signature', 'BUNDLE_SIGNATURE', { manifestJws: canonicalJson(manifest) }],
  ['nothing', 'BUNDLE_SIGNATURE', { manifestJws: '' }],
  ['half of it', 'BUNDLE_SIGNATURE', { manifestJws: sealed.manifestJws.slice(0, sealed.manifestJws.length / 2) }],
  ['a key that is not pinned', 'BUNDLE_SIGNATURE', { publisherKeys: [createPublicKey(stranger.key)] }],
  ['no pinned key', 'BUNDLE_SIGNATURE', { publisherKeys: [] }],
  ['another type of document', 'BUNDLE_SIGNATURE', { manifestJws: await signed(manifest, RELEASE_TYPE) }],
  ['another trust domain', 'BUNDLE_TRUST_DOMAIN', { trustDomain: 'other.example' }],
  ['another device', 'BUNDLE_DEVICE', { deviceId: 'plc-2' }],
  ['the same version again', 'BUNDLE_ROLLBACK', { minimumVersion: 7 }],
  ['an older version', 'BUNDLE_ROLLBACK', { minimumVersion: 8 }],
  ['past hard expiry', 'BUNDLE_EXPIRED', { now: sampleMeta.hardExpiry }],
  ['a clock far ahead', 'BUNDLE_EXPIRED', { now: Number.MAX_SAFE_INTEGER }],
  ['an unknown feature', 'BUNDLE_FEATURE_UNKNOWN', { knownFeatures: ['http'] }],
  ['an unknown field', 'BUNDLE_MALFORMED', { manifestJws: await signed({ ...manifest, rings: [] }) }],
  ['another format', 'BUNDLE_MALFORMED', { manifestJws: await signed({ ...manifest, format: 2 }) }],
  ['expiry out of order', 'BUNDLE_MALFORMED', { manifestJws: await signed({ ...manifest, softExpiry: issuedAt }) }],
  ['a missing chunk', 'BUNDLE_CHUNK_MISSING', { chunkByDigest: () => Promise.resolve(undefined) }],
  ['a tampered chunk', 'BUNDLE_CHUNK_TAMPERED', { chunkByDigest: () => Promise.resolve(Buffer.from('{}')) }],
  [
    'a chunk left out',
    'BUNDLE_MALFORMED',
    { manifestJws: await signed({ ...manifest, chunks: manifest.chunks.slice(1) }) },
  ],
  [
    'a chunk too many',
    'BUNDLE_MALFORMED',
    { manifestJws: await signed({ ...manifest, chunks: [...manifest.chunks, manifest.chunks[0]] }) },
  ],
  [
    'chunks in another order',
    'BUNDLE_MALFORMED',
    { manifestJws: await signed({ ...manifest, chunks: manifest.chunks.toReversed() }) },
  ],
  ['a size that is not the content’s', 'BUNDLE_CHUNK_TAMPERED', { manifestJws: await signed(withSize(1)) }],
  ['a size nobody sends', 'BUNDLE_TOO_LARGE', { manifestJws: await signed(withSize(2 ** 40)) }],
];

function withSize(size: number): unknown {
  return { ...manifest, chunks: manifest.chunks.map((chunk) => ({ ...chunk, size })) };
}

for (const [what, expected, options] of refusals) {
  test(`refused with ${expected}: ${what}`, () => assert.rejects(openBundle({ ...good, ...options }), code(expected)));
}

test('a slice of another device or trust domain under a good manifest is refused', async () => {
  for (const other of [{ device: 'plc-2' }, { trustDomain: 'other.example' }]) {
    const mixed = await sealBundle({ ...sampleSlice(), ...other }, sampleMeta, publisher);
    const options = {
      ...openOptions(mixed, publisher),
      manifestJws: await signed({ ...manifest, chunks: mixed.manifest.chunks, requires: [] }),
    };
    await assert.rejects(openBundle(options), code('BUNDLE_MIXED'));
  }
});

test('content that is not canonical is refused: white space, a member twice, an unknown member', async () => {
  const text = canonicalJson(sampleSlice());
  const spellings = [` ${text}`, text.replace('{', '{"format":1,'), text.replace(/}$/, ',"zones":[]}'), `${text}{}`];
  for (const spelling of spellings) {
    const content = Buffer.from(spelling, 'utf8');
    const chunk = { digest: digestOf(content), size: content.length };
    const options = {
      ...good,
      manifestJws: await signed({ ...manifest, chunks: [chunk] }),
      chunkByDigest: () => Promise.resolve(content),
    };
    await assert.rejects(openBundle(options), code('BUNDLE_MALFORMED'));
  }
});

test('past hard expiry an edge may start from its own disk, and nothing else is relaxed', async () => {
  const late = { ...good, now: sampleMeta.hardExpiry + 1, acceptExpired: true };
  assert.equal((await openBundle(late)).manifest.version, 7);
  await assert.rejects(openBundle({ ...late, minimumVersion: 7 }), code('BUNDLE_ROLLBACK'));
  await assert.rejects(
    openBundle({ ...late, publisherKeys: [createPublicKey(stranger.key)] }),
    code('BUNDLE_SIGNATURE'),
  );
});

test('no single flipped bit of the manifest opens', async () => {
  const bytes = Buffer.from(sealed.manifestJws, 'utf8');
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
      const manifestJws = flip(bytes, bit).toString('latin1');
      await assert.rejects(openBundle({ ...good, manifestJws }), /BUNDLE_|manifest/);
    }),
    { numRuns: 400 },
  );
  // Where base64url has stray bits, every one of them: the ends of the three parts.
  for (const end of partEnds(sealed.manifestJws)) {
    for (let bit = end * 8 - 8; bit < end * 8; bit += 1) {
      await assert.rejects(openBundle({ ...good, manifestJws: flip(bytes, bit).toString('latin1') }));
    }
  }
});

function partEnds(jws: string): number[] {
  return [...jws.matchAll(/\.|$/g)].map((match) => match.index);
}

test('no single flipped bit of a chunk opens', async () => {
  const arbitrary = fc.nat(sealed.chunks.length - 1).chain((index) => {
    const length = sealed.chunks[index]?.content.length ?? 1;
    return fc.tuple(fc.constant(index), fc.nat(length * 8 - 1));
  });
  await fc.assert(
    fc.asyncProperty(arbitrary, async ([index, bit]) => {
      const victim = sealed.chunks[index];
      assert.ok(victim);
      const chunkByDigest: OpenBundleOptions['chunkByDigest'] = (digest) =>
        digest === victim.digest ? Promise.resolve(flip(victim.content, bit)) : good.chunkByDigest(digest);
      await assert.rejects(openBundle({ ...good, chunkByDigest }), code('BUNDLE_CHUNK_TAMPERED'));
    }),
    { numRuns: 400 },
  );
});

function flip(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}
