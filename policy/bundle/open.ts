// Opens a bundle on the edge: signature, addressee, version, expiry, features, then every chunk, then the slice. What
// comes out is the only form the enforcer accepts; every refusal is a BUNDLE_* code, and the last good bundle stays.
import { policyErrors } from '../errors.ts';
import { MAX_CHUNK_BYTES, MAX_MANIFEST_LENGTH, MAX_SLICE_BYTES } from '../limits.ts';
import { digestOf, MANIFEST_TYPE, parseCanonical, verifyDocument } from './signed-json.ts';
import type { PublisherPublicKey, VerifiedDocument } from './signed-json.ts';
import { manifestSchema, sliceSchema } from './slice.ts';
import type { Manifest, Slice } from './slice.ts';

declare const verified: unique symbol;

/** A bundle that passed every check of `openBundle`; nothing else makes one. */
export interface VerifiedBundle {
  readonly [verified]: true;
  readonly slice: Slice;
  readonly manifest: Manifest;
  /** SHA-256 of the manifest JWS, lower case hex: what events, acknowledgements and status carry. */
  readonly digest: string;
  readonly publisherKeyId: string;
}

export interface OpenBundleOptions {
  readonly manifestJws: string;
  /** Content of a chunk by its lower case hex digest; undefined when it is not there. */
  readonly chunkByDigest: (digest: string) => Promise<Uint8Array | undefined>;
  /** Pinned at enrolment. */
  readonly publisherKeys: readonly PublisherPublicKey[];
  readonly trustDomain: string;
  readonly deviceId: string;
  /**
   * The highest version ever activated; what is not newer is refused. To open that version itself again after a restart
   * pass one less. 0 accepts every version.
   */
  readonly minimumVersion: number;
  /** Milliseconds since the epoch, from the trusted clock. */
  readonly now: number;
  readonly knownFeatures: readonly string[];
  /** Only when an edge starts from its own disk: past hard expiry the engine still answers operations of class safety. */
  readonly acceptExpired?: boolean;
}

export async function openBundle(options: OpenBundleOptions): Promise<VerifiedBundle> {
  const document = await readManifest(options.manifestJws, options.publisherKeys);
  checkManifest(document.value, options);
  const bytes = await collectChunks(document.value, options.chunkByDigest);
  const slice = readSlice(bytes, document.value);
  const bundle = { slice, manifest: document.value, digest: document.digest, publisherKeyId: document.keyId };
  return bundle as VerifiedBundle;
}

/** Signature and shape of a manifest alone; also what the cloud checks at publication. */
export async function readManifest(
  manifestJws: string,
  publisherKeys: readonly PublisherPublicKey[],
): Promise<VerifiedDocument<Manifest>> {
  if (manifestJws.length > MAX_MANIFEST_LENGTH) {
    throw policyErrors.error('BUNDLE_TOO_LARGE', `a manifest of ${manifestJws.length} characters`);
  }
  return verifyDocument(manifestJws, MANIFEST_TYPE, publisherKeys, manifestSchema, (what, message, cause) =>
    policyErrors.error(what === 'signature' ? 'BUNDLE_SIGNATURE' : 'BUNDLE_MALFORMED', `manifest: ${message}`, {
      cause,
    }),
  );
}

function checkManifest(manifest: Manifest, options: OpenBundleOptions): void {
  if (manifest.trustDomain !== options.trustDomain) {
    throw policyErrors.error(
      'BUNDLE_TRUST_DOMAIN',
      `bundle of ${manifest.trustDomain}, edge of ${options.trustDomain}`,
    );
  }
  if (manifest.device !== options.deviceId) {
    throw policyErrors.error('BUNDLE_DEVICE', `bundle for ${manifest.device}, this is ${options.deviceId}`);
  }
  if (manifest.version <= options.minimumVersion) {
    const message = `version ${manifest.version} is not newer than ${options.minimumVersion}`;
    throw policyErrors.error('BUNDLE_ROLLBACK', message);
  }
  const unknown = manifest.requires.filter((feature) => !options.knownFeatures.includes(feature));
  if (unknown.length > 0) {
    throw policyErrors.error('BUNDLE_FEATURE_UNKNOWN', `the bundle needs ${unknown.slice(0, 8).join(', ')}`);
  }
  if (manifest.issuedAt >= manifest.softExpiry || manifest.softExpiry > manifest.hardExpiry) {
    throw policyErrors.error('BUNDLE_MALFORMED', 'manifest: issuedAt, softExpiry and hardExpiry are out of order');
  }
  if (options.now >= manifest.hardExpiry && options.acceptExpired !== true) {
    const expired = new Date(manifest.hardExpiry).toISOString();
    throw policyErrors.error('BUNDLE_EXPIRED', `version ${manifest.version} expired ${expired}`);
  }
  const size = manifest.chunks.reduce((sum, chunk) => sum + chunk.size, 0);
  if (size > MAX_SLICE_BYTES || manifest.chunks.some((chunk) => chunk.size > MAX_CHUNK_BYTES)) {
    throw policyErrors.error('BUNDLE_TOO_LARGE', `a slice of ${size} bytes in ${manifest.chunks.length} chunks`);
  }
}

async function collectChunks(
  manifest: Manifest,
  chunkByDigest: OpenBundleOptions['chunkByDigest'],
): Promise<Uint8Array> {
  const contents: Uint8Array[] = [];
  for (const { digest, size } of manifest.chunks) {
    const content = await chunkByDigest(digest);
    if (content === undefined) throw policyErrors.error('BUNDLE_CHUNK_MISSING', `chunk ${digest} is not there`);
    if (content.length !== size || digestOf(content) !== digest) {
      throw policyErrors.error('BUNDLE_CHUNK_TAMPERED', `chunk ${digest} has other content than its digest says`);
    }
    contents.push(content);
  }
  return Buffer.concat(contents);
}

function readSlice(bytes: Uint8Array, manifest: Manifest): Slice {
  const slice = parseCanonical(bytes, sliceSchema, (message, cause) =>
    policyErrors.error('BUNDLE_MALFORMED', `slice: ${message}`, { cause }),
  );
  if (slice.device !== manifest.device || slice.trustDomain !== manifest.trustDomain) {
    const message = `slice of ${slice.device} in ${slice.trustDomain} under the manifest of ${manifest.device}`;
    throw policyErrors.error('BUNDLE_MIXED', message);
  }
  return slice;
}
