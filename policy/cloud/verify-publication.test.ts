import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, MANIFEST_TYPE, readManifest, RELEASE_TYPE, signDocument } from '../bundle/index.ts';
import type { Manifest, Release } from '../bundle/index.ts';
import { sampleNow } from '../repository/sample-tree.ts';
import { newPublisher, publisher, sealSample } from './sample-publication.ts';
import { verifyPublication } from './verify-publication.ts';
import type { Expectation, Publication } from './verify-publication.ts';

const other = newPublisher();
const sealed = await sealSample(3);
const good: Publication = { version: 3, release: sealed.releaseJws, manifests: sealed.manifests };
const expectation: Expectation = {
  trustDomain: 'plant.example',
  publisherKeys: [publisher.publicKey, other.publicKey],
  now: sampleNow,
};

const signRelease = (change: Partial<Release>): Promise<string> =>
  signDocument({ ...sealed.release, ...change }, RELEASE_TYPE, publisher.key);

/** The publication with the first manifest changed and signed again, and the release naming it. */
async function withManifest(change: Partial<Manifest>, key = publisher.key): Promise<Publication> {
  const [first = '', ...rest] = sealed.manifests;
  const { value } = await readManifest(first, expectation.publisherKeys);
  const jws = await signDocument({ ...value, ...change }, MANIFEST_TYPE, key);
  const manifests = { ...sealed.release.manifests, [value.device]: digestOf(jws) };
  return { version: 3, release: await signRelease({ manifests }), manifests: [jws, ...rest] };
}

const [firstManifest = '', ...otherManifests] = sealed.manifests;
const [firstDevice, ...otherDevices] = sealed.release.devices;
assert.ok(firstDevice);

const refusals: readonly [what: string, code: string, publication: Publication, expect?: Partial<Expectation>][] = [
  ['no release', 'POLICY_PUBLISHER_UNKNOWN', { ...good, release: '' }],
  ['a publisher that is not pinned', 'POLICY_PUBLISHER_UNKNOWN', good, { publisherKeys: [newPublisher().publicKey] }],
  ['a manifest in place of the release', 'POLICY_PUBLISHER_UNKNOWN', { ...good, release: firstManifest }],
  ['another trust domain', 'POLICY_TRUST_DOMAIN_MISMATCH', good, { trustDomain: 'other.example' }],
  ['a version that is not signed', 'POLICY_RELEASE_INVALID', { ...good, version: 4 }],
  [
    'an unknown field',
    'POLICY_RELEASE_INVALID',
    { ...good, release: await signRelease({ rings: [] } as Partial<Release>) },
  ],
  ['a publisher whose clock is ahead', 'POLICY_RELEASE_INVALID', good, { now: sampleNow - 6 * 60_000 }],
  ['a manifest left out', 'POLICY_RELEASE_INVALID', { ...good, manifests: otherManifests }],
  ['a manifest twice', 'POLICY_RELEASE_INVALID', { ...good, manifests: [...sealed.manifests, firstManifest] }],
  [
    'a manifest in place of another',
    'POLICY_RELEASE_INVALID',
    { ...good, manifests: [...otherManifests, otherManifests[0] ?? ''] },
  ],
  ['no manifests', 'POLICY_RELEASE_INVALID', { ...good, manifests: [] }],
  [
    'a manifest of an unlisted device',
    'POLICY_RELEASE_INVALID',
    { ...good, release: await signRelease({ devices: otherDevices }) },
  ],
  [
    'a device without manifest, and a manifest without device',
    'POLICY_RELEASE_INVALID',
    { ...good, release: await signRelease({ devices: [{ ...firstDevice, id: 'another' }, ...otherDevices] }) },
  ],
  [
    'a device twice',
    'POLICY_RELEASE_INVALID',
    { ...good, release: await signRelease({ devices: [firstDevice, firstDevice, ...otherDevices.slice(1)] }) },
  ],
  [
    'digests of other manifests',
    'POLICY_RELEASE_INVALID',
    {
      ...good,
      release: await signRelease({ manifests: { ...sealed.release.manifests, [firstDevice.id]: '0'.repeat(64) } }),
    },
  ],
  [
    'a digest too many',
    'POLICY_RELEASE_INVALID',
    { ...good, release: await signRelease({ manifests: { ...sealed.release.manifests, more: '0'.repeat(64) } }) },
  ],
  ['a manifest by an unpinned key', 'BUNDLE_SIGNATURE', await withManifest({}, newPublisher().key)],
  ['a manifest by another publisher', 'POLICY_RELEASE_INVALID', await withManifest({}, other.key)],
  ['a manifest of another version', 'POLICY_RELEASE_INVALID', await withManifest({ version: 4 })],
  ['a manifest of another commit', 'POLICY_RELEASE_INVALID', await withManifest({ commit: 'd'.repeat(40) })],
  [
    'a manifest of another trust domain',
    'POLICY_RELEASE_INVALID',
    await withManifest({ trustDomain: 'other.example' }),
  ],
  ['a manifest issued at another time', 'POLICY_RELEASE_INVALID', await withManifest({ issuedAt: 1 })],
  [
    'a manifest that is expired',
    'POLICY_RELEASE_INVALID',
    await withManifest({ softExpiry: 1, hardExpiry: sampleNow }),
  ],
];

for (const [what, code, publication, expect] of refusals) {
  test(`refused with ${code}: ${what}`, async () => {
    await assert.rejects(
      verifyPublication(publication, { ...expectation, ...expect }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, code, error.message);
        return true;
      },
    );
  });
}

test('a publication in order is verified with all its chunks', async () => {
  const verified = await verifyPublication(good, expectation);
  assert.deepEqual(verified.release.value, sealed.release);
  assert.equal(verified.release.keyId, publisher.key.keyId);
  assert.equal(verified.manifests.length, 4);
  assert.deepEqual(new Set(verified.chunks.keys()), new Set(sealed.chunks.map((chunk) => chunk.digest)));
});
