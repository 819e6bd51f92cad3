// What a publication has to be before a transaction is opened for it: signed by a pinned publisher, of this trust
// domain and version, complete and of one piece. Pure; the database is not asked.
import type { CodedError } from '../../runtime/errors.ts';
import { readManifest, RELEASE_TYPE, releaseSchema, verifyDocument } from '../bundle/index.ts';
import type { Manifest, PublisherPublicKey, Release, VerifiedDocument } from '../bundle/index.ts';
import { policyErrors } from '../errors.ts';
import { MAX_PUBLISHER_AHEAD_MS } from '../limits.ts';

/** What the publisher sends (admin RPC CompletePublication). */
export interface Publication {
  readonly version: number;
  /** Release JWS. */
  readonly release: string;
  /** Manifest JWS of every device of the release. */
  readonly manifests: readonly string[];
  /** Digests of the chunks that both are in (bundle/publication-parts.ts), where they are not given here. */
  readonly parts?: readonly string[];
}

export interface SignedManifest {
  readonly manifest: Manifest;
  readonly jws: string;
  readonly digest: string;
}

export interface VerifiedPublication {
  readonly release: VerifiedDocument<Release>;
  readonly releaseJws: string;
  readonly manifests: readonly SignedManifest[];
  /** Every chunk the manifests name, digest to size. */
  readonly chunks: ReadonlyMap<string, number>;
}

export interface Expectation {
  readonly trustDomain: string;
  readonly publisherKeys: readonly PublisherPublicKey[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export async function verifyPublication(publication: Publication, expect: Expectation): Promise<VerifiedPublication> {
  const release = await verifyRelease(publication.release, expect.publisherKeys);
  checkRelease(release.value, publication, expect);
  const manifests: SignedManifest[] = [];
  for (const jws of publication.manifests) manifests.push(await verifyManifest(jws, release, expect));
  checkComplete(release.value, manifests);
  return { release, releaseJws: publication.release, manifests, chunks: chunksOf(manifests) };
}

export function verifyRelease(
  jws: string,
  publisherKeys: readonly PublisherPublicKey[],
): Promise<VerifiedDocument<Release>> {
  return verifyDocument(jws, RELEASE_TYPE, publisherKeys, releaseSchema, (what, message, cause) =>
    policyErrors.error(what === 'signature' ? 'POLICY_PUBLISHER_UNKNOWN' : 'POLICY_RELEASE_INVALID', message, {
      cause,
    }),
  );
}

function checkRelease(release: Release, publication: Publication, expect: Expectation): void {
  if (release.trustDomain !== expect.trustDomain) {
    const message = `a release of ${release.trustDomain} for ${expect.trustDomain}`;
    throw policyErrors.error('POLICY_TRUST_DOMAIN_MISMATCH', message);
  }
  if (release.version !== publication.version) {
    throw invalid(`the release signs version ${release.version}, the publication says ${publication.version}`);
  }
  if (release.issuedAt > expect.now + MAX_PUBLISHER_AHEAD_MS) {
    throw invalid(`issued at ${new Date(release.issuedAt).toISOString()}, which is ahead of this clock`);
  }
  const ids = release.devices.map((device) => device.id);
  if (new Set(ids).size !== ids.length) throw invalid('a device appears twice');
}

async function verifyManifest(
  jws: string,
  release: VerifiedDocument<Release>,
  expect: Expectation,
): Promise<SignedManifest> {
  const { value: manifest, keyId, digest } = await readManifest(jws, expect.publisherKeys);
  const { device } = manifest;
  if (keyId !== release.keyId) throw invalid(`the manifest of ${device} is signed by another key than the release`);
  for (const field of ['trustDomain', 'version', 'commit', 'issuedAt'] as const) {
    if (manifest[field] === release.value[field]) continue;
    throw invalid(`the manifest of ${device} says another ${field} than the release`);
  }
  if (manifest.hardExpiry <= expect.now || manifest.softExpiry > manifest.hardExpiry) {
    throw invalid(`the manifest of ${device} is expired, or its expiry is out of order`);
  }
  const signed = Object.hasOwn(release.value.manifests, device) ? release.value.manifests[device] : undefined;
  if (signed !== digest) throw invalid(`the manifest of ${device} is not the one that the release names`);
  return { manifest, jws, digest };
}

/** Devices, manifests and the release's digests are the same set. */
function checkComplete(release: Release, manifests: readonly SignedManifest[]): void {
  const given = new Set(manifests.map(({ manifest }) => manifest.device));
  if (given.size !== manifests.length) throw invalid('a device has two manifests');
  const missing = release.devices.find((device) => !given.has(device.id));
  if (missing !== undefined) throw invalid(`device ${missing.id} has no manifest`);
  const named = Object.keys(release.manifests).length;
  if (named !== given.size || given.size !== release.devices.length) {
    throw invalid(`${release.devices.length} devices, ${given.size} manifests, ${named} digests`);
  }
}

function chunksOf(manifests: readonly SignedManifest[]): Map<string, number> {
  return new Map(manifests.flatMap(({ manifest }) => manifest.chunks.map((chunk) => [chunk.digest, chunk.size])));
}

function invalid(message: string): CodedError {
  return policyErrors.error('POLICY_RELEASE_INVALID', message);
}
